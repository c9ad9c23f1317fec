#include "vathost/vathost.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vathost/guests.h"
#include "wire/base/alive.h"
#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

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
    REOPEN_MS = 100, /* the pause before the next attempt, doubled each time */
    REOPEN_DOUBLINGS = 5,
    REFUSED_MS = 1000, /* at least so long when the broker did not want us */
    /* A broker that is silent for so long is lost. Its last word may have come just before the link was cut, and
     * we look once a tick: so a cut is noticed before LINK_LOST_MS are over. */
    SILENT_MS = LINK_LOST_MS - 2 * TICK_MS,
    END_MS = 2000, /* an orderly end waits so long for checkpoints */
    FRAMES_PER_TURN = 1000,
    EVENTS_PER_TURN = 64,
    /* A zygote that is lost is followed by another at once, then after 100 ms, 200 ms, ... 10 s: it costs a tenth
     * of a second of computing, and whoever kills them does not stop for us. The row begins anew with one
     * that worked for CREW_STEADY_MS: it did what it is for, and what ended it is news. */
    CREW_PAUSE_MS = 100,
    CREW_PAUSE_MAX_MS = 10 * 1000,
    CREW_DOUBLINGS = 7,
    CREW_STEADY_MS = 1000,
    CREWS_LOST_SAID = 5, /* so many in a row are no accident: people are told, once */
    /* So many in a row that ended by themselves, killed ones between them not counted: it cannot work here. More
     * than one, for a moment without memory, or a program that is just being installed; what never worked
     * is not tried twice, because whoever started us is still looking. */
    CREWS_FAILED_MAX = 5,
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
    bool crew_ready, ready_said, refused_said;
    bool joins;             /* the next link, or the present one, is for the join key */
    unsigned crews_lost;    /* in a row */
    unsigned crews_failed;  /* of these by themselves */
    uint64_t crew_ready_ms; /* since when the last one was; 0: none ever */
    uint64_t crew_at_ms;    /* when the next starts, while there is none */
    bool stop;
    err_t err;
    char why[256];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void stop(vathost_t *self, err_t err, const char *why)
{
    self->stop = true;
    self->err = err;
    snprintf(self->why, sizeof self->why, "%s", why);
}

/* ---- what is remembered of the broker ---- */

static void session_path(const vathost_t *self, const char *tail, char ret[PATH_BYTES_MAX])
{
    snprintf(ret, PATH_BYTES_MAX, "%s/session%s", self->options.state, tail);
}

static void load_session(vathost_t *self)
{
    char path[PATH_BYTES_MAX], hex[33] = "";
    session_path(self, "", path);
    FILE *file = fopen(path, "re");
    if (!file) return;

    uint64_t epoch;
    if (fscanf(file, "%32[0-9a-f] %" SCNu64, hex, &epoch) == 2 && strlen(hex) == 32) {
        for (size_t i = 0; i < sizeof self->kernel.b; i++) {
            sscanf(hex + 2 * i, "%2hhx", &self->kernel.b[i]);
        }
        self->epoch = epoch;
    }
    fclose(file);
}

static bool sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

static bool save_session(const vathost_t *self)
{
    char path[PATH_BYTES_MAX], fresh[PATH_BYTES_MAX], hex[33];

    for (size_t i = 0; i < sizeof self->kernel.b; i++) {
        snprintf(hex + 2 * i, 3, "%02x", self->kernel.b[i]);
    }
    session_path(self, "", path);
    session_path(self, ".new", fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool ok = dprintf(fd, "%s %" PRIu64 "\n", hex, self->epoch) > 0 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    FAILPOINT(vathost_session_new);
    ok = ok && rename(fresh, path) == 0 && sync_folder(self->options.state);
    FAILPOINT(vathost_session_saved);
    return ok;
}

/* ---- the link ---- */

static void say(vathost_t *self, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(msg_encode(tag, body, &frame) == ERR_OK);
    if (dealer_send(self->options.dealer, (bin_t){frame.at, frame.len})) self->said_ms = now_ms();
    buf_clear(&frame);
}

/* For the guests: what is said outside a session would be said to nobody. */
static bool say_frame(void *context, bin_t frame)
{
    vathost_t *self = context;
    if (self->link != LINK_OPEN || !dealer_send(self->options.dealer, frame)) return false;
    self->said_ms = now_ms();
    return true;
}

static void watch_fd(vathost_t *self, int fd, uint64_t about)
{
    struct epoll_event event = {EPOLLIN, {.u64 = about}};
    must(epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void open_link(vathost_t *self)
{
    int fds[DEALER_FDS];
    dealer_keys(self->options.dealer, self->joins ? self->options.join : self->options.keys);
    err_t err = dealer_open(self->options.dealer);
    if (err) {
        stop(self, err, "--broker");
        return;
    }
    /* The descriptors of the socket before left the epoll when they were closed. */
    dealer_fds(self->options.dealer, fds);
    for (int i = 0; i < DEALER_FDS; i++) watch_fd(self, fds[i], AT_DEALER);
    self->link = LINK_OPENING;
}

/* The next attempt comes after AT_LEAST_MS, later the more there were in vain; never not at all. */
static void lose_link(vathost_t *self, uint64_t at_least_ms)
{
    unsigned n = self->attempts++;
    uint64_t pause_ms = (uint64_t)REOPEN_MS << (n < REOPEN_DOUBLINGS ? n : REOPEN_DOUBLINGS);
    uint8_t chance = 0;
    (void)getrandom(&chance, sizeof chance, 0);
    pause_ms +=
        pause_ms * chance / 1024; /* hosts of one broker that comes back do not come all at once */
    if (self->link == LINK_OPEN) log_warn("link_lost");
    self->link = LINK_CLOSED;
    self->open_at_ms = now_ms() + (pause_ms > at_least_ms ? pause_ms : at_least_ms);
}

static void say_join(vathost_t *self)
{
    msg_join_t join = {.name = text_of(self->options.name)};
    must(getrandom(&self->nonce, sizeof self->nonce, 0) == sizeof self->nonce);
    must(key_parse(text_of(self->options.keys->public_key), &join.key));
    join.nonce = self->nonce;
    self->link = LINK_JOINING;
    self->heard_ms = now_ms();
    say(self, TAG_join, &join);
}

static void on_joined(vathost_t *self, const msg_joined_t *joined)
{
    if (self->link != LINK_JOINING || !id_same(joined->nonce, self->nonce)) return;
    log_info("joined");
    self->joins = false;
    self->refused_said = false;
    open_link(self);
}

static void say_hello(vathost_t *self)
{
    must(getrandom(&self->nonce, sizeof self->nonce, 0) == sizeof self->nonce);
    msg_hello_t hello = {PROTO_MIN,
                         PROTO_MAX,
                         self->nonce,
                         self->epoch,
                         text_of(self->options.name),
                         text_of(self->engine),
                         self->instance};
    self->link = LINK_HELLO;
    self->heard_ms = now_ms();
    say(self, TAG_hello, &hello);
    FAILPOINT(vathost_said_hello);
}

static void say_ready(vathost_t *self, host_t host)
{
    if (self->ready_said) return;
    self->ready_said = true;
    dprintf(self->options.ready_fd, "ready {\"host\":\"h%" PRIu32 "\"}\n", host.n);
}

/* H3. Another kernel is another story: what is left of the one before means nothing to it. */
static err_t accept_broker(vathost_t *self, const msg_welcome_t *welcome)
{
    bool same = id_same(welcome->kernel, self->kernel);
    if (same && welcome->epoch < self->epoch) return ERR_BROKER_WENT_BACK;
    if (!same) guests_end_all(self->guests);
    if (same && welcome->epoch == self->epoch) return ERR_OK;

    id128_t kernel = self->kernel;
    uint64_t epoch = self->epoch;
    self->kernel = welcome->kernel;
    self->epoch = welcome->epoch;
    if (save_session(self)) return ERR_OK;
    err_t err = errno == ENOSPC || errno == EDQUOT ? ERR_STORE_FULL : ERR_STORE;
    self->kernel = kernel; /* what is not on the disk was not accepted */
    self->epoch = epoch;
    return err;
}

static void reject_broker(vathost_t *self, const msg_welcome_t *welcome, err_t err)
{
    char why[128];
    if (err == ERR_STORE_FULL) {
        log_error("session_file", kv_str("why", err_name(err)));
        lose_link(self, REFUSED_MS); /* until there is room */
    } else if (err == ERR_STORE) {
        stop(self, err, "the session file cannot be written");
    } else {
        snprintf(why, sizeof why, "the broker is at epoch %" PRIu64 ", this host has seen %" PRIu64,
                 welcome->epoch, self->epoch);
        stop(self, err, why);
    }
}

static void on_welcome(vathost_t *self, const msg_welcome_t *welcome)
{
    if (self->link != LINK_HELLO || !id_same(welcome->nonce, self->nonce)) return;

    FAILPOINT(vathost_welcomed);
    err_t err = accept_broker(self, welcome);
    if (err) {
        reject_broker(self, welcome, err);
        return;
    }
    self->link = LINK_OPEN;
    self->attempts = 0;
    self->number = welcome->host;
    log_info("session", kv_num("number", welcome->host.n), kv_num("epoch", welcome->epoch));
    say(self, TAG_present, &(msg_present_t){welcome->session});
    say_ready(self, welcome->host);
    guests_session(self->guests, self->kernel);
}

/* Our own key first, then the join key, and again from the beginning: the list may change. */
static void on_refused(vathost_t *self)
{
    const err_row_t *row = err_row(ERR_KEY_REFUSED);
    if (self->options.join && !self->joins) {
        self->joins = true;
        lose_link(self, 0);
        return;
    }
    self->joins = false;
    if (!self->refused_said) {
        fprintf(stderr, "error E%04u: %s\n  try     %s\n", (unsigned)row->err, row->text,
                row->hint);
    }
    self->refused_said = true;
    lose_link(self, REFUSED_MS);
}

static void on_refuse(vathost_t *self, const msg_refuse_t *refuse)
{
    if (self->link == LINK_JOINING) {
        log_warn("join_refused", kv_num("error", refuse->error), kv_text("text", refuse->text));
        on_refused(self);
        return;
    }
    switch (refuse->error) {
    case ERR_NEED_HELLO:
        if (self->link == LINK_OPEN) say_hello(self);
        break;
    case ERR_KEY_REFUSED: on_refused(self); break;
    /* A HELLO of ours that was under way for long may have come after the present one. Whether another
     * process has our key is for the broker to find out. */
    case ERR_STALE_SESSION: lose_link(self, REFUSED_MS); break;
    case ERR_PROTOCOL_RANGE:
    case ERR_HOST_CLONED:
    case ERR_HOST_DISAVOWED: stop(self, (err_t)refuse->error, "the broker says so"); break;
    case ERR_STORE_DAMAGED: /* it compares epochs as well */
        stop(self, ERR_BROKER_WENT_BACK, "the broker says so");
        break;
    default:
        log_warn("refused", kv_num("error", refuse->error), kv_num("tag", refuse->tag),
                 kv_text("text", refuse->text));
    }
}

static void on_frame(vathost_t *self, bin_t frame)
{
    msg_t msg;
    err_t err = msg_decode(frame, &msg);
    if (err) {
        log_warn("frame_refused", kv_str("why", err_name(err)));
        return;
    }
    self->heard_ms = now_ms();
    switch (msg.tag) {
    case TAG_welcome: on_welcome(self, &msg.body.welcome); break;
    case TAG_joined: on_joined(self, &msg.body.joined); break;
    case TAG_refuse: on_refuse(self, &msg.body.refuse); break;
    case TAG_ping: say(self, TAG_pong, &msg.body.ping); break;
    case TAG_pong: break;
    default:
        if (self->link == LINK_OPEN && !self->end_ms)
            guests_take(self->guests, &msg, frame, self->heard_ms);
    }
    msg_clear(&msg);
}

/* Takes what has come from the broker. False: there may be more. */
static bool drain_link(vathost_t *self)
{
    bin_t frame;
    for (int i = 0; i < FRAMES_PER_TURN && !self->stop && self->link != LINK_CLOSED; i++) {
        switch (dealer_take(self->options.dealer, &frame)) {
        case DEALER_NOTHING: return true;
        case DEALER_UP: self->joins ? say_join(self) : say_hello(self); break;
        case DEALER_DOWN: lose_link(self, 0); break;
        case DEALER_REFUSED: on_refused(self); break;
        case DEALER_FRAME: on_frame(self, frame); break;
        }
    }
    return self->link == LINK_CLOSED;
}

static void tick_link(vathost_t *self, uint64_t now)
{
    bool silent = now - self->heard_ms > SILENT_MS;

    if (self->link == LINK_CLOSED && now >= self->open_at_ms) open_link(self);
    if (self->link > LINK_OPENING && silent) lose_link(self, 0);
    if (self->link == LINK_OPEN && now - self->said_ms >= LINK_BEAT_MS) {
        say(self, TAG_ping, &(msg_ping_t){self->epoch});
    }
}

/* ---- the zygote ---- */

/* There is none now, HOW the last one ended. Whoever kills one from outside only costs time; one that ends BY
 * ITSELF again and again has said why it cannot work. */
static void lose_crew(vathost_t *self, bool by_itself, const char *how)
{
    uint64_t now = now_ms();
    char why[sizeof self->why];

    if (self->crew_ready && now - self->crew_ready_ms >= CREW_STEADY_MS)
        self->crews_lost = self->crews_failed = 0;
    self->crew_ready = false;
    unsigned n = self->crews_lost++;
    if (by_itself) self->crews_failed++;
    if (self->crews_failed >= (self->crew_ready_ms ? CREWS_FAILED_MAX : 1)) {
        snprintf(why, sizeof why, "the zygote %s", how);
        stop(self, ERR_PROCESS_FAILED, why);
        return;
    }
    uint64_t pause =
        n == 0 ? 0 : (uint64_t)CREW_PAUSE_MS << (n - 1 < CREW_DOUBLINGS ? n - 1 : CREW_DOUBLINGS);
    self->crew_at_ms = now + (pause < CREW_PAUSE_MAX_MS ? pause : CREW_PAUSE_MAX_MS);
    log_warn("zygote_lost", kv_num("times", self->crews_lost), kv_str("how", how));
    if (self->crews_lost != CREWS_LOST_SAID) return;
    log_error("zygote_lost_again_and_again", kv_num("times", self->crews_lost), kv_str("how", how),
              kv_str("what", "no vat runs here without it; it is started again for ever, after "
                             "pauses of up to ten seconds"));
}

/* Starts one when it is time to. */
static void start_crew(vathost_t *self)
{
    if (self->options.crew || self->stop || self->end_ms || now_ms() < self->crew_at_ms) return;
    if (crew_new(self->options.program, &self->options.crew)) {
        bool there = access(self->options.program, X_OK) == 0;
        lose_crew(self, !there, there ? "could not be started" : "has no program to start");
        return;
    }
    log_warn("zygote_restart", kv_num("times", self->crews_lost));
    watch_fd(self, crew_fd(self->options.crew), AT_CREW);
    guests_crew(self->guests, self->options.crew, now_ms());
}

static void on_crew_gone(vathost_t *self, int status)
{
    char how[80];

    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, sizeof how, "ended with exit code %d, its own lines say why",
                 WEXITSTATUS(status));
    crew_destroy(&self->options.crew);
    guests_crew(self->guests, NULL, now_ms());
    FAILPOINT(vathost_crew_gone);
    lose_crew(self, WIFEXITED(status) || crew_crashed(status), how);
    start_crew(self);
}

static void on_crew_ready(vathost_t *self, const char *engine)
{
    self->crew_ready = true;
    self->crew_ready_ms = now_ms();
    snprintf(self->engine, sizeof self->engine, "%s", engine);
    if (self->link == LINK_CLOSED) open_link(self);
}

static void drain_crew(vathost_t *self)
{
    while (self->options.crew) {
        crew_event_t event = crew_take(self->options.crew);
        switch (event.kind) {
        case CREW_NOTHING: return;
        case CREW_READY: on_crew_ready(self, event.engine); break;
        case CREW_ENDED: guests_ended(self->guests, event.token, event.status, now_ms()); break;
        case CREW_GONE: on_crew_gone(self, event.status); return;
        }
    }
}

/* ---- the end ---- */

/* Checkpoints spare the workers that come after us their replays. More than that is not lost without
 * them, so the wait is short. */
static void begin_end(vathost_t *self)
{
    struct signalfd_siginfo info;
    while (read(self->options.signals, &info, sizeof info) > 0) continue;
    if (self->end_ms) return;
    self->end_ms = now_ms();
    guests_finish(self->guests);
}

static void look_for_end(vathost_t *self)
{
    if (!self->end_ms || self->stop) return;
    if (guests_finished(self->guests) || now_ms() - self->end_ms > END_MS) stop(self, ERR_OK, "");
}

/* ---- the sign of life ---- */

/* It can do what it is for: the session stands, and workers can be started. */
static void say_alive(vathost_t *self, uint64_t now)
{
    static const char *const links[] = {[LINK_CLOSED] = "no broker",
                                        [LINK_OPENING] = "no broker",
                                        [LINK_JOINING] = "joining",
                                        [LINK_HELLO] = "asking the broker",
                                        [LINK_OPEN] = "connected"};
    alive_t alive = {.ready = self->link == LINK_OPEN && self->crew_ready && !self->end_ms};
    bool refused = self->refused_said && self->link != LINK_OPEN;
    const char *what = self->end_ms        ? "ending"
                       : !self->crew_ready ? "no zygote"
                       : refused           ? "refused by the broker"
                                           : links[self->link];
    bool news = alive.ready != self->alive_ready || !self->alive_ms;
    if (!news && now - self->alive_ms < ALIVE_BEAT_MS) return;
    self->alive_ms = now;
    self->alive_ready = alive.ready;
    if (alive.ready)
        snprintf(alive.what, sizeof alive.what, "connected as h%u", self->number.n);
    else
        snprintf(alive.what, sizeof alive.what, "%s", what);
    alive_write(self->alive, alive);
}

/* ---- the loop ---- */

static void turn(vathost_t *self)
{
    struct epoll_event events[EVENTS_PER_TURN];
    /* Last thing before waiting: sending may have used up the signal of what arrived meanwhile. */
    bool busy = guests_work(self->guests);
    int timeout = drain_link(self) && !busy ? TICK_MS : 0;
    guests_flush(self->guests);
    if (self->stop) return;

    say_alive(self, now_ms());
    int count = epoll_wait(self->epoll, events, EVENTS_PER_TURN, timeout);
    for (int i = 0; i < count && !self->stop; i++) {
        switch (events[i].data.u64) {
        case AT_DEALER: break;
        case AT_CREW: drain_crew(self); break;
        case AT_SIGNALS: begin_end(self); break;
        default: guests_pipe(self->guests, events[i].data.u64, now_ms());
        }
    }
}

err_t vathost_run(vathost_t *self)
{
    uint64_t ticked_ms = 0;

    while (!self->stop) {
        turn(self);
        start_crew(self);
        look_for_end(self);
        uint64_t now = now_ms();
        if (self->stop || now - ticked_ms < TICK_MS) continue;
        ticked_ms = now;
        /* Nothing is asked of the broker before the engine can say which build it is. */
        if (self->crew_ready || self->ready_said) tick_link(self, now);
        if (!self->stop && !self->end_ms) guests_tick(self->guests, now);
    }
    return self->err;
}

const char *vathost_why(const vathost_t *self) { return self->why; }

/* Enough to keep all cores busy while some wait for the disk. */
static size_t begin_max(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 1 ? 2 * (size_t)cores : 2;
}

vathost_t *vathost_new(const vathost_options_t *options)
{
    vathost_t *self = calloc(1, sizeof *self);
    must(self);
    self->options = *options;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(self->epoll >= 0);
    must(getrandom(&self->instance, sizeof self->instance, 0) == sizeof self->instance);
    load_session(self);
    self->alive = alive_open(options->state);
    if (self->alive < 0) log_warn("alive_file", kv_str("why", strerror(errno)));
    self->guests = guests_new(&(guests_options_t){options->crew, options->bundles, options->vault,
                                                  begin_max(), self->epoll, self, say_frame});
    watch_fd(self, crew_fd(options->crew), AT_CREW);
    watch_fd(self, options->signals, AT_SIGNALS);
    return self;
}

void vathost_destroy(vathost_t **self_p)
{
    must(self_p);
    vathost_t *self = *self_p;
    if (!self) return;

    crew_destroy(&self->options.crew);
    guests_destroy(&self->guests);
    close(self->epoll);
    if (self->alive >= 0) close(self->alive);
    alive_end(self->options.state);
    free(self);
    *self_p = NULL;
}
