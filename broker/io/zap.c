#include "broker/io/zap.h"

#include <czmq.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "wire/base/keyfile.h"
#include "wire/base/must.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

enum { PROOF_MS = 5000 };

struct zap {
    zactor_t *actor;
    allow_t *allow, *join;
};

static bool frame_is(zframe_t *frame, const char *text)
{
    return frame && zframe_streq(frame, text);
}

/* Frames of a request: version, request id, domain, address, routing id, mechanism, key. */
static bool judge(const zap_t *self, zframe_t *const frames[7], hash_t *key)
{
    if (!frame_is(frames[0], "1.0") || !frame_is(frames[2], ZAP_DOMAIN)) return false;
    if (!frame_is(frames[5], "CURVE") || !frames[6]) return false;
    if (zframe_size(frames[6]) != sizeof key->b) return false;
    memcpy(key->b, zframe_data(frames[6]), sizeof key->b);
    allow_refresh(self->allow);
    if (allow_has(self->allow, *key, NULL)) return true;
    if (!self->join) return false;
    allow_refresh(self->join);
    return allow_has(self->join, *key, NULL);
}

static void answer(zsock_t *handler, const zap_t *self)
{
    zmsg_t *request = zmsg_recv(handler);
    must(request);
    zframe_t *frames[7] = {0};
    for (int i = 0; i < 7; i++) frames[i] = i ? zmsg_next(request) : zmsg_first(request);
    bool whole = frames[6] && !zmsg_next(request);

    hash_t key = {0};
    char user[KEY_TEXT_BYTES + 1] = "";
    bool ok = whole && judge(self, frames, &key);
    if (ok) key_text(key, user);

    zmsg_t *reply = zmsg_new();
    zmsg_addstr(reply, "1.0");
    if (frames[1])
        zmsg_addmem(reply, zframe_data(frames[1]), zframe_size(frames[1]));
    else
        zmsg_addstr(reply, "");
    zmsg_addstr(reply, ok ? "200" : "400");
    zmsg_addstr(reply, ok ? "OK" : "this key is not on the list");
    zmsg_addstr(reply, user);
    zmsg_addmem(reply, "", 0);
    must(zmsg_send(&reply, handler) == 0);
    zmsg_destroy(&request);
}

static void run(zsock_t *pipe, void *context)
{
    const zap_t *self = context;
    sigset_t all;
    sigfillset(&all); /* signals are for the thread that waits for them */
    pthread_sigmask(SIG_BLOCK, &all, NULL);

    zsock_t *handler = zsock_new(ZMQ_REP);
    must(handler);
    must(zmq_bind(zsock_resolve(handler), ZAP_ENDPOINT) == 0);
    zsock_signal(pipe, 0);

    zmq_pollitem_t items[] = {{zsock_resolve(pipe), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(handler), 0, ZMQ_POLLIN, 0}};
    for (;;) {
        must(zmq_poll(items, 2, -1) >= 0);
        if (items[0].revents) break; /* the only thing the owner ever says is: end */
        if (items[1].revents) answer(handler, self);
    }
    /* Closing alone gives the name back some time later, and the next handler may need it now. */
    zmq_unbind(zsock_resolve(handler), ZAP_ENDPOINT);
    zsock_destroy(&handler);
}

/* Asks about a key that was made this moment and cannot be on any list. */
static void prove(void)
{
    char text[KEY_TEXT_BYTES + 1], secret[KEY_TEXT_BYTES + 1];
    hash_t key;
    must(zmq_curve_keypair(text, secret) == 0);
    must(key_parse(text_of(text), &key));

    zsock_t *asker = zsock_new(ZMQ_REQ);
    must(asker);
    must(zmq_connect(zsock_resolve(asker), ZAP_ENDPOINT) == 0);
    zsock_set_rcvtimeo(asker, PROOF_MS);
    zsock_set_linger(asker, 0);
    zmsg_t *request = zmsg_new();
    const char *const words[] = {"1.0", "proof", ZAP_DOMAIN, "127.0.0.1", "", "CURVE"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) zmsg_addstr(request, words[i]);
    zmsg_addmem(request, key.b, sizeof key.b);
    must(zmsg_send(&request, asker) == 0);

    zmsg_t *reply = zmsg_recv(asker);
    must(reply && zmsg_size(reply) == 6);
    zmsg_first(reply);
    must(frame_is(zmsg_next(reply), "proof"));
    must(frame_is(zmsg_next(reply), "400"));
    zmsg_destroy(&reply);
    zsock_destroy(&asker);
}

zap_t *zap_new(allow_t *allow, allow_t *join)
{
    zap_t *self = calloc(1, sizeof *self);
    must(self);
    self->allow = allow;
    self->join = join;
    self->actor = zactor_new(run, self);
    must(self->actor);
    prove();
    return self;
}

void zap_destroy(zap_t **self_p)
{
    zap_t *self = *self_p;
    if (!self) return;
    zactor_destroy(&self->actor);
    free(self);
    *self_p = NULL;
}
