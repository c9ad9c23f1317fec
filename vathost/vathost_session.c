/* The link to the broker and the session on it: JOIN, HELLO, a broker that went back, a link that is lost. A link
 * has its socket, and both end together. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "vathost/vathost_own.h"
#include "wire/base/durable.h"
#include "wire/base/failpoint.h"
#include "wire/base/hash.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum {
    REOPEN_MS = 100, /* the pause before the next attempt, doubled each time */
    REOPEN_DOUBLINGS = 5,
    REFUSED_MS = 1000, /* at least so long when the broker did not want us */
    /* A broker that is silent for so long is lost. Its last word may have come just before the link was cut, and
     * we look once a tick: so a cut is noticed before LINK_LOST_MS are over. */
    SILENT_MS = LINK_LOST_MS - 2 * TICK_MS,
    FRAMES_PER_TURN = 1000,
};

/* ---- what is remembered of the broker ---- */

static void session_path(const vathost_t *self, const char *tail, char ret[PATH_BYTES_MAX])
{
    snprintf(ret, PATH_BYTES_MAX, "%s/session%s", self->options.state, tail);
}

void session_load(vathost_t *self)
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
    ok = ok && durable_rename(fresh, path);
    FAILPOINT(vathost_session_saved);
    return ok;
}

/* ---- the link ---- */

static void say(vathost_t *self, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    must(msg_encode(tag, body, &frame) == ERR_OK);
    if (dealer_send(self->options.dealer, (bin_t){frame.at, frame.len}))
        self->said_ms = vathost_now_ms();
    buf_clear(&frame);
}

bool session_say(void *context, bin_t frame)
{
    vathost_t *self = context;
    if (self->link != LINK_OPEN || !dealer_send(self->options.dealer, frame)) return false;
    self->said_ms = vathost_now_ms();
    return true;
}

void session_open(vathost_t *self)
{
    int fds[DEALER_FDS];
    dealer_keys(self->options.dealer, self->joins ? self->options.join : self->options.keys);
    err_t err = dealer_open(self->options.dealer);
    if (err) {
        vathost_stop(self, err, "--broker");
        return;
    }
    /* The descriptors of the socket before left the epoll when they were closed. */
    dealer_fds(self->options.dealer, fds);
    for (int i = 0; i < DEALER_FDS; i++) vathost_watch(self, fds[i], AT_DEALER);
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
    self->open_at_ms = vathost_now_ms() + (pause_ms > at_least_ms ? pause_ms : at_least_ms);
}

static void say_join(vathost_t *self)
{
    msg_join_t join = {.name = text_of(self->options.name)};
    must(getrandom(&self->nonce, sizeof self->nonce, 0) == sizeof self->nonce);
    must(key_parse(text_of(self->options.keys->public_key), &join.key));
    join.nonce = self->nonce;
    self->link = LINK_JOINING;
    self->heard_ms = vathost_now_ms();
    say(self, TAG_join, &join);
}

static void on_joined(vathost_t *self, const msg_joined_t *joined)
{
    if (self->link != LINK_JOINING || !id_same(joined->nonce, self->nonce)) return;
    log_info("joined");
    self->joins = false;
    self->refused = ERR_OK;
    session_open(self);
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
    self->heard_ms = vathost_now_ms();
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
        vathost_stop(self, err, "the session file cannot be written");
    } else {
        snprintf(why, sizeof why, "the broker is at epoch %" PRIu64 ", this host has seen %" PRIu64,
                 welcome->epoch, self->epoch);
        vathost_stop(self, err, why);
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

/* Our own key first, then the join key, and again from the beginning: the list may change. WHY is said once. */
static void on_refused(vathost_t *self, err_t why)
{
    const err_row_t *row = err_row(why);
    if (self->options.join && !self->joins) {
        self->joins = true;
        lose_link(self, 0);
        return;
    }
    self->joins = false;
    if (self->refused != why) {
        fprintf(stderr, "error E%04u: %s\n  try     %s\n", (unsigned)row->err, row->text,
                row->hint);
    }
    self->refused = why;
    lose_link(self, REFUSED_MS);
}

static void on_refuse(vathost_t *self, const msg_refuse_t *refuse)
{
    if (self->link == LINK_JOINING && refuse->error != ERR_HOST_DISAVOWED) {
        log_warn("join_refused", kv_num("error", refuse->error), kv_text("text", refuse->text));
        on_refused(self, (err_t)refuse->error);
        return;
    }
    switch (refuse->error) {
    case ERR_NEED_HELLO:
        if (self->link == LINK_OPEN) say_hello(self);
        break;
    case ERR_KEY_REFUSED: on_refused(self, ERR_KEY_REFUSED); break;
    /* A HELLO of ours that was under way for long may have come after the present one. Whether another
     * process has our key is for the broker to find out. */
    case ERR_STALE_SESSION: lose_link(self, REFUSED_MS); break;
    case ERR_PROTOCOL_RANGE:
    case ERR_HOST_CLONED:
    case ERR_HOST_DISAVOWED: vathost_stop(self, (err_t)refuse->error, "the broker says so"); break;
    case ERR_STORE_DAMAGED: /* it compares epochs as well */
        vathost_stop(self, ERR_BROKER_WENT_BACK, "the broker says so");
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
    self->heard_ms = vathost_now_ms();
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

bool session_drain(vathost_t *self)
{
    bin_t frame;
    for (int i = 0; i < FRAMES_PER_TURN && !self->stop && self->link != LINK_CLOSED; i++) {
        switch (dealer_take(self->options.dealer, &frame)) {
        case DEALER_NOTHING: return true;
        case DEALER_UP: self->joins ? say_join(self) : say_hello(self); break;
        case DEALER_DOWN: lose_link(self, 0); break;
        case DEALER_REFUSED: on_refused(self, ERR_KEY_REFUSED); break;
        case DEALER_FRAME: on_frame(self, frame); break;
        }
    }
    return self->link == LINK_CLOSED;
}

void session_tick(vathost_t *self, uint64_t now)
{
    bool silent = now - self->heard_ms > SILENT_MS;

    if (self->link == LINK_CLOSED && now >= self->open_at_ms) session_open(self);
    if (self->link > LINK_OPENING && silent) lose_link(self, 0);
    if (self->link == LINK_OPEN && now - self->said_ms >= LINK_BEAT_MS) {
        say(self, TAG_ping, &(msg_ping_t){self->epoch});
    }
}
