/* Hosts: instances and clones, states, placement, and when one is gone for good. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

static const kref_t nothing;
static rig_t *rig;

static void set_up(void) { rig = rig_new(); }
static void tear_down(void) { rig_destroy(&rig); }

TestSuite(hosts, .init = set_up, .fini = tear_down);

enum { DRAIN = 1, UNDRAIN, DISAVOW, READMIT };

static const msg_t *change(uint32_t host, uint64_t what)
{
    msg_host_change_t msg = {rig_id(rig), {host}, what};
    return rig_ask(rig, TAG_host_change, &msg);
}

static void expect_done(const msg_t *reply) { cr_assert(reply && reply->tag == TAG_done); }

static void expect_failed(const msg_t *reply, err_t err)
{
    cr_assert(reply && reply->tag == TAG_failed);
    cr_expect_eq(reply->body.failed.error, (uint64_t)err);
}

static bool listed(const char *text)
{
    char *list = rig_list(rig, 2, nothing);
    bool found = strstr(list, text) != NULL;
    free(list);
    return found;
}

/* Process INSTANCE says HELLO, hears the WELCOME, and says that it is there. */
static uint64_t hello(uint8_t instance)
{
    rig_hello(rig, 1, instance, "engine");
    return rig_told(rig, TAG_welcome)->body.welcome.session;
}

static void present(uint64_t session)
{
    msg_present_t msg = {session};
    rig_from_host(rig, 1, TAG_present, &msg);
}

static void comes(uint8_t instance) { present(hello(instance)); }

static bool cloned(void) { return listed("quarantined"); }

/* ---- clones ---- */

Test(hosts, one_that_was_replaced_and_is_there_again_is_a_clone)
{
    comes(1);
    comes(1);
    comes(2);
    comes(2);
    cr_expect(!cloned());
    size_t refused = rig_host_frames(rig, TAG_refuse);
    comes(1);
    cr_expect(cloned());
    cr_expect_eq(rig_host_frames(rig, TAG_refuse), refused + 1);
    cr_expect_eq(rig_told(rig, TAG_refuse)->body.refuse.error, ERR_HOST_CLONED);
    cr_expect_eq(rig_events(rig, "host-quarantine"), 1);

    size_t welcomed = rig_host_frames(rig, TAG_welcome);
    rig_hello(rig, 1, 2, "engine");
    rig_restart(rig, false);
    rig_hello(rig, 1, 3, "engine");
    cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomed, "until somebody readmits it");
    expect_done(change(1, READMIT));
    comes(2);
    cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomed + 1);
    comes(2);
    cr_expect(!cloned());
    comes(1);
    comes(2);
    cr_expect(cloned());
}

/* The HELLO of a process that died reaches us behind that of the next one. */
Test(hosts, a_late_hello_replaces_nobody)
{
    comes(1);
    uint64_t dead = hello(2), alive = hello(3);
    present(alive);
    present(dead);
    hello(2);
    hello(1);
    comes(3);
    cr_expect(!cloned());
    rig_restart(rig, false);
    present(alive); /* of a session that this kernel knows nothing of */
    hello(2);
    comes(3);
    cr_expect(!cloned());
}

Test(hosts, instances_are_remembered_up_to_a_number)
{
    for (uint8_t i = 1; i <= HOST_INSTANCES_MAX + 1; i++) comes(i);
    comes(1); /* forgotten */
    cr_expect(!cloned());
    rig_restart(rig, false);
    comes(HOST_INSTANCES_MAX + 1);
    cr_expect(cloned());
}

/* ---- states ---- */

Test(hosts, vats_are_placed_on_hosts_that_are_open)
{
    rig_host(rig, 1);
    rig_host(rig, 2);
    expect_done(change(1, DRAIN));
    cr_expect(listed("drained"));
    rig_launch_t named = {.host = "h1"};
    cr_assert_eq(rig_launch(rig, "alice bob", NULL)->tag, TAG_launched);
    char *list = rig_list(rig, 2, nothing);
    cr_expect(strstr(list, "2"), "%s", list);
    free(list);
    expect_failed(rig_launch(rig, "carol", &named), ERR_NO_HOST);
    expect_done(change(1, UNDRAIN));
    cr_expect_eq(rig_launch(rig, "dave", &named)->tag, TAG_launched);
}

Test(hosts, changes_that_make_no_sense)
{
    rig_host(rig, 1);
    expect_failed(change(7, DRAIN), ERR_HOST_UNKNOWN);
    expect_failed(change(1, READMIT), ERR_BAD_VALUE);
    expect_failed(change(1, 9), ERR_BAD_VALUE);
    expect_done(change(1, UNDRAIN));
    msg_host_change_t msg = {rig_id(rig), {1}, DISAVOW};
    expect_done(rig_ask(rig, TAG_host_change, &msg));
    expect_done(rig_ask(rig, TAG_host_change, &msg));
    expect_failed(change(1, DRAIN), ERR_BAD_VALUE);
    expect_failed(change(1, UNDRAIN), ERR_BAD_VALUE);
}

Test(hosts, a_disavowed_host_is_refused)
{
    rig_host(rig, 1);
    expect_done(change(1, DISAVOW));
    cr_expect_eq(rig_told(rig, TAG_refuse)->body.refuse.error, ERR_HOST_DISAVOWED);
    cr_expect(listed("disavowed"));
    size_t welcomed = rig_host_frames(rig, TAG_welcome);
    msg_ping_t ping = {0};
    rig_from_host(rig, 1, TAG_ping, &ping);
    rig_host(rig, 1);
    rig_restart(rig, false);
    cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomed);
    cr_expect_eq(rig_told(rig, TAG_refuse)->body.refuse.error, ERR_HOST_DISAVOWED);
    cr_expect_eq(rig_events(rig, "host-disavowed"), 1);
    expect_done(change(1, READMIT));
    rig_host(rig, 1);
    cr_expect_eq(rig_host_frames(rig, TAG_welcome), welcomed + 1);
}

/* ---- away for too long ---- */

static uint64_t first_ms = UINT64_C(1800000000000);

Test(hosts, one_that_is_away_for_too_long_is_lost)
{
    rig_host_loss(rig, 60 * 1000000);
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    rig_host(rig, 2);
    rig_at(rig, first_ms);
    rig_host_gone(rig, 2);
    rig_host_gone(rig, 1);
    cr_expect_eq(kernel_wake_us(rig_kernel(rig)), (first_ms + 60000) * 1000);
    rig_at(rig, first_ms + 59999);
    cr_expect(!listed("disavowed"));
    rig_host(rig, 1);
    rig_host_gone(rig, 1);
    rig_at(rig, first_ms + 60001);
    cr_expect(!listed("disavowed"), "it was here meanwhile");
    rig_at(rig, first_ms + 119999);
    cr_expect_eq(rig_events(rig, "host-disavowed"), 1, "the other has no vats");
    cr_expect_eq(kernel_wake_us(rig_kernel(rig)), UINT64_MAX);
}

/* How long a host was away before a restart nobody knows: the time begins anew. */
Test(hosts, a_restart_begins_the_time_anew)
{
    rig_host_loss(rig, 60 * 1000000);
    rig_host(rig, 1);
    cr_assert_eq(rig_launch(rig, "alice", NULL)->tag, TAG_launched);
    rig_at(rig, first_ms);
    rig_host_gone(rig, 1);
    rig_at(rig, first_ms + 50000);
    cr_expect(!listed("disavowed"));
    cr_expect_eq(rig_events(rig, "host-disavowed"), 0);
}
