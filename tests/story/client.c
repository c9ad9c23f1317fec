/* One client: it asks, and after an accident asks again with the same request id. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/story/world_own.h"

static id128_t request_of(uint64_t n)
{
    id128_t id = {{0}};
    memcpy(id.b, &n, sizeof n);
    return id;
}

static id128_t next_request(world_t *self) { return request_of(++self->requests); }

static void ask(world_t *self, blob_t *frame)
{
    msg_t msg;
    cr_assert_eq(msg_decode(blob_bin(frame), &msg), ERR_OK);
    world_post(self, LINK_ASK, CLIENT, 0, msg.tag, &msg.body);
    msg_clear(&msg);
}

void world_await(world_t *self, unsigned number)
{
    client_call_t *call = &self->calls[number];
    if (kref_none(call->promise) || call->answer.len) return;
    call->await = next_request(self);
    msg_await_t await = {call->await, call->promise};
    world_post(self, LINK_ASK, CLIENT, 0, TAG_await, &await);
}

void world_ask_again(world_t *self)
{
    for (unsigned i = 0; i <= self->call_count; i++) {
        if (self->calls[i].ask) ask(self, self->calls[i].ask);
        world_await(self, i);
    }
}

void world_window(world_t *self, unsigned window) { self->window = window; }

void world_critical(world_t *self, const char *name) { vat_named(self, name)->critical = true; }

void world_launch(world_t *self)
{
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    for (size_t i = 0; i < self->vat_count; i++) {
        msg_launch_vat_t vat = {.name = text_of(self->vats[i].name), .bundle = text_of("b1-script"),
            .parameters = {(const uint8_t *)"#{}", 3}, .critical = self->vats[i].critical,
            .window = self->window};
        cr_assert_eq(msg_encode(TAG_launch_vat, &vat, &vats), ERR_OK);
    }
    msg_launch_t launch = {.request = next_request(self), .name = text_of("story"),
        .vats = {vats.at, vats.len}};
    self->launch_asked = true;
    self->calls[0].ask = world_encode(TAG_launch, &launch);
    buf_clear(&vats);
    ask(self, self->calls[0].ask);
}

unsigned world_call(world_t *self, kref_t target, const char *methargs)
{
    unsigned number = ++self->call_count;
    client_call_t *call = &self->calls[number];

    cr_assert_leq(number, CALLS);
    call->request = next_request(self);
    msg_call_t msg = {.request = call->request, .target = target,
        .methargs.body = {(const uint8_t *)methargs, strlen(methargs)}};
    call->ask = world_encode(TAG_call, &msg);
    ask(self, call->ask);
    return number;
}

unsigned world_upgrade(world_t *self, const char *name, const char *bundle)
{
    unsigned number = ++self->call_count;
    client_call_t *call = &self->calls[number];

    cr_assert_leq(number, CALLS);
    call->request = next_request(self);
    msg_upgrade_t msg = {.request = call->request, .vat = {vat_named(self, name)->number},
        .bundle = text_of(bundle)};
    call->ask = world_encode(TAG_upgrade, &msg);
    ask(self, call->ask);
    return number;
}

const char *world_answer(world_t *self, unsigned number)
{
    cr_assert_leq(number, self->call_count);
    const client_call_t *call = &self->calls[number];
    return call->answer.len ? call->answer.at : "";
}

const char *world_bootstrap(world_t *self) { return world_answer(self, 0); }

const char *world_launch_failure(const world_t *self)
{
    return self->failure.at ? self->failure.at : "";
}

void world_kill_vat(world_t *self, const char *name)
{
    msg_kill_t kill = {next_request(self), {vat_named(self, name)->number}, text_of("no longer needed")};
    world_post(self, LINK_ASK, CLIENT, 0, TAG_kill, &kill);
}

void world_reap(world_t *self, const char *name)
{
    msg_reap_t reap = {next_request(self), {0}, {name ? vat_named(self, name)->number : 0}};
    world_post(self, LINK_ASK, CLIENT, 0, TAG_reap, &reap);
}

void world_remove_cluster(world_t *self)
{
    msg_cluster_rm_t rm = {next_request(self), self->cluster};
    world_post(self, LINK_ASK, CLIENT, 0, TAG_cluster_rm, &rm);
}
