/* What the files of the host's loop share: vathost.c is the loop, vathost_session.c the link to the broker,
 * vathost_zygote.c the process that forks workers. Not for others. */
#pragma once
#include "vathost/guests.h"
#include "vathost/vathost.h"

typedef enum {
    LINK_CLOSED,  /* no socket; the next attempt is at open_at_ms */
    LINK_OPENING, /* libzmq tries to connect */
    LINK_JOINING, /* connected with the join key, JOIN is said, JOINED awaited */
    LINK_HELLO,   /* connected, HELLO is said, WELCOME awaited */
    LINK_OPEN,    /* the session stands */
} link_t;

enum {
    AT_DEALER,
    AT_CREW,
    AT_SIGNALS, /* what an event of the epoll is about; from GUESTS_TOKEN_FIRST on a worker */

    TICK_MS = 250,
    ENGINE_BYTES = 128,
};

struct vathost {
    vathost_options_t options;
    guests_t *guests;
    int epoll;
    int alive;         /* the file with our sign of life; -1: it cannot be written */
    uint64_t alive_ms; /* when it was written last */
    bool alive_ready;  /* what it said */
    host_t number;     /* that the last WELCOME gave us */
    link_t link;
    uint64_t open_at_ms, heard_ms, said_ms;
    unsigned attempts;     /* since the last session */
    uint64_t end_ms;       /* when an end was asked for; 0: it was not */
    id128_t instance;      /* of this process: one that comes back after another is a clone */
    id128_t nonce, kernel; /* kernel: of the broker this host belongs to; zero: none yet */
    uint64_t epoch;        /* highest accepted */
    char engine[ENGINE_BYTES];
    bool crew_ready, ready_said;
    err_t refused;         /* why the broker did not want us, as it was said last; OK: it was not */
    bool joins;            /* the next link, or the present one, is for the join key */
    unsigned crews_lost;   /* in a row */
    unsigned crews_failed; /* of these by themselves */
    uint64_t crew_ready_ms; /* since when the last one was; 0: none ever */
    uint64_t crew_at_ms;    /* when the next starts, while there is none */
    bool stop;
    err_t err;
    char why[256];
};

/* vathost.c */
uint64_t vathost_now_ms(void);
/* The loop ends: vathost_run() returns ERR, vathost_why() WHY. */
void vathost_stop(vathost_t *self, err_t err, const char *why);
/* Events of FD are about ABOUT from now on. */
void vathost_watch(vathost_t *self, int fd, uint64_t about);

/* vathost_session.c: the link to the broker */

/* Reads which kernel this host belongs to, and the highest epoch it accepted. */
void session_load(vathost_t *self);
/* A new socket, and so a new link. Stops the host when the endpoint is none. */
void session_open(vathost_t *self);
/* Takes what has come from the broker. False: there may be more. */
bool session_drain(vathost_t *self);
/* Opens what is closed, gives up what is silent, says that we live. */
void session_tick(vathost_t *self, uint64_t now);
/* guests_options_t's send, CONTEXT is the vathost: what is said outside a session would be said to nobody. */
bool session_say(void *context, bin_t frame);

/* vathost_zygote.c: the process that forks workers */

/* Starts one when there is none and it is time to. */
void zygote_start(vathost_t *self);
/* Takes what the zygote has said, its end included. */
void zygote_drain(vathost_t *self);
