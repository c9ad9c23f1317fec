/* What the files of the shell share. */
#pragma once
#include "broker/backup.h"
#include "broker/broker.h"
#include "broker/meter.h"
#include "broker/peers.h"
#include "broker/trace.h"

/* Something that leaves when the batch is durable. */
typedef struct {
    effect_t effect;
    door_t door;
    route_t *route;      /* set: to this route and nowhere else; owned */
    uint64_t stepped_us; /* meter_now_us() when its step ended; 0: it is the shell's own */
} parcel_t;

/* outside.c: the process that reaches outside for vats. */
typedef struct {
    bool wanted, runs;
    bool more;                    /* it has said more than one turn takes */
    uint64_t started_ms, next_ms; /* when it was; when the next may be */
    uint64_t pause_ms;            /* the last pause; 0: none was needed */
} agent_state_t;

typedef struct joins joins_t;

/* As the figure `disk_level` tells it. */
typedef enum { ROOM_ENOUGH, ROOM_LOW, ROOM_NONE } room_t;

enum {
    ENTROPY_BYTES = 32,       /* for one step */
    ENTROPY_ASKED_BYTES = 256 /* so much comes whole from getrandom() */
};

struct broker {
    broker_options_t is;
    kernel_t *kernel;
    peers_t *peers;
    uint32_t next_client;
    effects_t effects; /* of one step, moved to the outbox at once */
    parcel_t *outbox;
    size_t outbox_count, outbox_room;
    record_t record;
    bool waiting; /* RECORD is with the gate and not durable yet */
    bool full;    /* the disk was full at the last try */
    int pause_ms; /* before the next try */
    room_t room;  /* on the disk */
    uint64_t checked_ms;
    bool someone_gone;
    agent_state_t agent;
    joins_t *joins;             /* NULL: nobody ever joined */
    bool expel;                 /* hosts that are gone for good may stand on the allow-list */
    size_t expel_count;         /* so many were gone at the last look */
    uint64_t expel_ms;          /* the next is not before */
    uint64_t expel_pause_ms;    /* the last pause of those that failed; 0: the last did not */
    uint64_t reader_log_ms;     /* no refusal to a reader is logged before */
    uint64_t reader_more;       /* so many were not, since the last that was */
    checkpoints_t *checkpoints; /* NULL: there is no state directory */
    backup_t *backup;
    meter_t *meter;
    uint64_t appended_us; /* meter_now_us() when RECORD went to the gate */
    trace_t *trace;       /* NULL: nothing is remembered */
    uint8_t entropy[ENTROPY_ASKED_BYTES];
    size_t entropy_left; /* of it not given out, from the beginning */
    bool stopped;
    char why[512];
    char lost[1024];     /* vats of a backup without their copies */
    hash_t attach_chain; /* of the row where the worker says it stands that an ATTACH is about */
    buf_t frame;         /* for encoding one frame; its memory is kept */
};

uint64_t broker_now_ms(const broker_t *self);

/* Gives one input to the kernel and puts its effects into the outbox. ARRIVAL: where MSG came from;
 * NULL: the input is our own. True: it was a HELLO and was welcomed. */
bool broker_step(broker_t *self, input_kind_t kind, uint32_t from, const msg_t *msg,
                 const arrival_t *arrival);

/* The same with an INPUT whose kind and content are set. */
bool broker_input(broker_t *self, input_t *input, const arrival_t *hello);

/* The chain of VAT's log row D, as far as it is applied and in the store. */
CHECKED err_t broker_chain(broker_t *self, vat_t vat, uint64_t d, hash_t *ret);

/* Puts a frame of the shell's own into the outbox, for the peer that ARRIVAL came from. */
void broker_reply(broker_t *self, const arrival_t *arrival, msg_tag_t tag, const void *body);
void broker_refuse(broker_t *self, const arrival_t *arrival, err_t err, uint64_t tag);

/* Tells the kernel which topics anybody watches; after a client's topics changed. */
void broker_watched(broker_t *self);

/* The session of PEER ends: the kernel is told, and the peer has no number any more. */
void broker_end_session(broker_t *self, peer_t *peer);

/* outbox.c: moves the effects of a step into the outbox. HELLO: the step took a HELLO from there, and
 * a REFUSE goes back there; otherwise NULL. True: a WELCOME was among them. */
bool outbox_take(broker_t *self, const arrival_t *hello);

/* Puts one frame of the shell's own into the outbox. */
void outbox_frame(broker_t *self, door_t door, const route_t *route, msg_tag_t tag,
                  const void *body);

/* Sends everything, in order. Only called when the batch is durable. */
err_t outbox_release(broker_t *self);
void outbox_clear(broker_t *self);

/* outside.c: an effect of kind AGENT leaves. */
void outside_effect(broker_t *self, const effect_t *effect);

/* Takes in what the agent says, and its end; starts one. True: there was something to do. */
bool outside_turn(broker_t *self);

/* shipping.c: copies of checkpoints and backups, as the shell does them. */
CHECKED err_t shipping_open(broker_t *self);
void shipping_clean(broker_t *self);

/* The state is a backup: is it whole? Then it is one to go on from. */
CHECKED err_t shipping_adopt(broker_t *self);
void shipping_close(broker_t *self);
void shipping_effect(broker_t *self, const effect_t *effect);
void shipping_gone(broker_t *self, uint32_t host);

/* A host asks for a piece, or (HOST 0) a client does; a piece came. */
void shipping_heapless(broker_t *self, uint32_t host, const msg_attach_t *msg);
void shipping_get(broker_t *self, const arrival_t *arrival, uint32_t host,
                  const msg_checkpoint_get_t *get);
void shipping_part(broker_t *self, uint32_t host, const msg_checkpoint_part_t *part);

/* A piece of a backup, before anything else in a turn: all that the kernel has in memory is durable. And
 * what there is to ask and to tell, at its end. True: there was something to do. */
bool shipping_backup(broker_t *self);
bool shipping_turn(broker_t *self);
bool shipping_due(const broker_t *self);

/* joins.c: newcomers, whose keys are to come onto the allow-list. */
void joins_destroy(joins_t **self_p);

/* A JOIN: answered at once when the key is on the list, else it waits for the next joins_turn(). */
void joins_take(broker_t *self, const arrival_t *arrival, const msg_join_t *join);

/* Puts those that wait onto the list, if it is time, and answers them. */
void joins_turn(broker_t *self);

/* When all that the kernel has in memory is durable: takes the lines of newcomers that were declared gone for good off the
 * allow-list, if there may be any. What fails is tried again, 1 to 64 seconds later. */
void joins_expel(broker_t *self);

/* Somebody may be gone for good: joins_expel() looks at once. After a chore: if the kernel said so of somebody by itself. */
void joins_gone(broker_t *self);
void joins_lost(broker_t *self);
int joins_wait_ms(const broker_t *self, int most_ms);

/* How long the broker may wait for others: at most MOST_MS. */
int outside_wait_ms(const broker_t *self, int most_ms);

/* history.c: the answer to a LOG_GET: the head that EFFECT has, and rows behind it. The caller's own. */
err_t history_page(broker_t *self, const effect_t *effect, blob_t **ret);

/* figures.c: the answer to STATS: frames of STAT_ROW and HIST_ROW. */
void figures_tell(const broker_t *self, bool hists, buf_t *rows);

/* judge.c: what becomes of one arrival. Fails only with errors of the store. */
err_t judge(broker_t *self, const arrival_t *arrival);

/* room.c: looks at the disk. */
void room_look(broker_t *self);

/* Whether MSG, a client's, is refused because the state must not grow; then it was answered. */
bool room_refuses(broker_t *self, const arrival_t *arrival, const msg_t *msg);

/* moments.c: failpoints by the message that was stepped, or is about to leave. */
void moment_stepped(input_kind_t kind, const msg_t *msg);
void moment_leaving(bin_t frame);

/* answer.c: requests that the shell answers alone. DONE says whether MSG was one. */
err_t answer_host(broker_t *self, const arrival_t *arrival, const peer_t *peer, const msg_t *msg,
                  bool *done);
err_t answer_client(broker_t *self, const arrival_t *arrival, peer_t *peer, const msg_t *msg,
                    bool *done);
bool client_hello(broker_t *self, const arrival_t *arrival, const msg_client_hello_t *hello);
