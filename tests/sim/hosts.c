/* Hosts: what vathost does with a frame, without processes. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/own.h"

void host_open(sim_t *self, unsigned host)
{
    shost_t *h = &self->hosts[host];
    if (h->open || h->lost) return;
    h->open = true;
    h->session++;
    char name[16];
    snprintf(name, sizeof name, "h%u", host + 1);
    msg_hello_t hello = {.proto_min = PROTO_MIN,
                         .proto_max = PROTO_MAX,
                         .epoch = h->epoch,
                         .name = text_of(name),
                         .engine = text_of("model")};
    memcpy(hello.nonce.b, &h->session, sizeof h->session);
    hello.instance.b[0] = (uint8_t)(host + 1);
    memcpy(hello.instance.b + 1, &h->instance, sizeof h->instance);
    net_post(self, WAY_UP, host, 0, TAG_hello, &hello);
}

/* Vats that stand here and have no worker that would say so. */
static void say_guests(sim_t *self, unsigned host)
{
    uint8_t rows[(VATS_MAX + 1) * 12];
    size_t len = 0;
    for (unsigned v = 1; v <= self->top; v++) {
        const worker_t *worker = &self->workers[host][v];
        if (!worker->guest || worker->supervisor) continue;
        for (int i = 3; i >= 0; i--) rows[len++] = (uint8_t)(v >> (8 * i));
        for (int i = 7; i >= 0; i--) rows[len++] = (uint8_t)(worker->pgen >> (8 * i));
    }
    if (len) net_post(self, WAY_UP, host, 0, TAG_guests, &(msg_guests_t){{rows, len}});
}

/* Its process ends, with all workers, and another one comes. */
void host_restart(sim_t *self, unsigned host, chance_t *chance)
{
    sim_log(self, "h%u restarts", host + 1);
    net_cut(self, host, chance);
    self->hosts[host].instance++;
    for (unsigned v = 1; v <= VATS_MAX; v++) worker_end(&self->workers[host][v]);
}

/* Its machine burns. */
void host_lose(sim_t *self, unsigned host, chance_t *chance)
{
    sim_log(self, "h%u is lost", host + 1);
    net_cut(self, host, chance);
    self->hosts[host].lost = true;
    for (unsigned v = 1; v <= VATS_MAX; v++) worker_remove(&self->workers[host][v]);
    copies_lost(self, host);
}

static void on_welcome(sim_t *self, unsigned host, const msg_welcome_t *msg)
{
    shost_t *h = &self->hosts[host];
    if (memcmp(msg->nonce.b, &h->session, sizeof h->session) != 0) return;
    h->up = true;
    h->epoch = msg->epoch;
    net_post(self, WAY_UP, host, 0, TAG_present, &(msg_present_t){msg->session});
    say_guests(self, host);
    copies_session(self, host);
    for (unsigned v = 1; v <= self->top; v++)
        if (self->workers[host][v].supervisor) worker_attach(self, &self->workers[host][v]);
}

/* The broker does not know us: open a new session. */
static void on_refuse(sim_t *self, unsigned host, const msg_refuse_t *msg)
{
    bool again = msg->error == ERR_NEED_HELLO || msg->error == ERR_STALE_SESSION;
    if (!again || !self->hosts[host].up) return;
    chance_t none = {1};
    net_cut(self, host, &none);
}

/* Takes FRAME. */
void host_take(sim_t *self, unsigned host, unsigned vat, blob_t *frame)
{
    msg_t msg;
    if (msg_decode(blob_bin(frame), &msg))
        sim_fail(self, "codec", "a frame to a host cannot be read");
    sim_log(self, "< h%u %s v%u", host + 1, message_find(msg.tag)->name, vat);
    if (msg.tag == TAG_welcome)
        on_welcome(self, host, &msg.body.welcome);
    else if (msg.tag == TAG_checkpoint_get)
        copies_get(self, host, &msg.body.checkpoint_get);
    else if (msg.tag == TAG_refuse)
        on_refuse(self, host, &msg.body.refuse);
    else if (vat)
        worker_take(self, host, &msg);
    msg_clear(&msg);
    blob_destroy(&frame);
}
