/* Hosts: what vathost does with a frame, without processes. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/own.h"

void host_open(sim_t *self, unsigned host)
{
    shost_t *h = &self->hosts[host];
    if (h->open) return;
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
    net_post(self, WAY_UP, host, 0, TAG_hello, &hello);
}

static void on_welcome(sim_t *self, unsigned host, const msg_welcome_t *msg)
{
    shost_t *h = &self->hosts[host];
    if (memcmp(msg->nonce.b, &h->session, sizeof h->session) != 0) return;
    h->up = true;
    h->epoch = msg->epoch;
    for (unsigned v = 1; v <= self->top; v++)
        if (self->workers[host][v].supervisor) worker_attach(self, &self->workers[host][v]);
}

/* The broker does not know us: open a new session. */
static void on_refuse(sim_t *self, unsigned host, const msg_refuse_t *msg)
{
    if (msg->error != ERR_NEED_HELLO || !self->hosts[host].up) return;
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
    else if (msg.tag == TAG_refuse)
        on_refuse(self, host, &msg.body.refuse);
    else if (vat)
        worker_take(self, host, &msg);
    msg_clear(&msg);
    blob_destroy(&frame);
}
