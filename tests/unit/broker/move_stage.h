/* The stage of what copies of checkpoints are for: three vats on two hosts, and what is said about them. */
#pragma once
#include <criterion/criterion.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"
enum { DRAIN = 1, UNDRAIN, DISAVOW, READMIT };

static rig_t *rig; /* one for each test */

/* alice (v1) on h1, bob (v2) on h2, carol (v3) on h1; all idle. */
static inline void move_set_up(void)
{
    rig_launch_t options = {.window = 4, .reap_deliveries = REAP_NEVER};
    rig = rig_new();
    rig_host(rig, 1);
    rig_host(rig, 2);
    cr_assert_eq(rig_launch(rig, "alice bob carol", &options)->tag, TAG_launched);
    rig_run_dry(rig);
}

static inline void move_tear_down(void) { rig_destroy(&rig); }

static inline uint32_t host_of(uint32_t vat) { return rig_vat(rig, vat).host.n; }

static inline bool is(uint32_t vat, const char *state)
{
    return text_is(rig_vat(rig, vat).state, state);
}

static inline const msg_t *move(uint32_t vat, uint32_t host)
{
    msg_move_t msg = {rig_id(rig), {vat}, {host}};
    return rig_ask(rig, TAG_move, &msg);
}

static inline const msg_t *change(uint32_t host, uint64_t what)
{
    msg_host_change_t msg = {rig_id(rig), {host}, what};
    return rig_ask(rig, TAG_host_change, &msg);
}

static inline void expect_done(const msg_t *reply)
{
    cr_assert(reply);
    cr_assert_eq(reply->tag, TAG_done, "%.*s: %.*s", (int)reply->body.failed.what.len,
                 reply->body.failed.what.at, (int)reply->body.failed.why.len,
                 reply->body.failed.why.at);
}

static inline void expect_failed(const msg_t *reply, err_t err, const char *why)
{
    cr_assert(reply && reply->tag == TAG_failed);
    cr_expect_eq(reply->body.failed.error, (uint64_t)err);
    cr_expect(text_is(reply->body.failed.why, why), "%.*s", (int)reply->body.failed.why.len,
              reply->body.failed.why.at);
}

static inline void ships(uint32_t vat)
{
    rig_ready(rig, vat);
    rig_pulled(rig);
}
