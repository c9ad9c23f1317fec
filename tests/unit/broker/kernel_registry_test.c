/* The registry: what LIST shows of objects, promises and queues, page by page; PIN and REVOKE. Rows are
 * compared as short texts, one a line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define DATA(text) rig_data(text, NULL, 0)

enum { OBJECTS = 7, PROMISES, ENTRIES, LAUNCH };

static rig_t *rig;
static buf_t calls;
static const kref_t nothing;
static char shown[16 * 1024];
static uint64_t next;

static void set_up(void)
{
    calls = buf_of(CRANK_BYTES_MAX);
    rig = rig_new();
    rig_host(rig, 1);
}

static void tear_down(void)
{
    rig_destroy(&rig);
    buf_clear(&calls);
}

TestSuite(registry, .init = set_up, .fini = tear_down);

static void launch(const char *names)
{
    const msg_t *reply = rig_launch(rig, names, &(rig_launch_t){.window = 1});
    cr_assert_eq(reply->tag, TAG_launched);
}

/* ---- rows as text ---- */

#define TEXT(t) (int)(t).len, (t).at

static int print_row(const msg_t *row, char *out, size_t room)
{
    char a[KREF_TEXT_MAX], b[KREF_TEXT_MAX], c[KREF_TEXT_MAX];
    if (row->tag == TAG_object_row) {
        const msg_object_row_t *o = &row->body.object_row;
        return snprintf(out, room, "%s v%u %.*s %.*s %d/%d pins %d by %d: %.*s\n",
                        kref_text(o->kref, a), o->owner.n, TEXT(o->name), TEXT(o->state),
                        (int)o->reachable, (int)o->recognizable, (int)o->pins, (int)o->holder_count,
                        TEXT(o->holders));
    }
    if (row->tag == TAG_promise_row) {
        const msg_promise_row_t *p = &row->body.promise_row;
        return snprintf(out, room, "%s %.*s v%u %.*s %d waiting %d%s for %.*s, %d: %.*s\n",
                        kref_text(p->kref, a), TEXT(p->state), p->decider.n, TEXT(p->name),
                        (int)p->count, (int)p->waiting, p->held ? " held" : "",
                        TEXT(p->subscribers), (int)p->bytes, (int)p->value.body.len,
                        (const char *)p->value.body.at);
    }
    cr_assert_eq(row->tag, TAG_entry_row);
    const msg_entry_row_t *e = &row->body.entry_row;
    return snprintf(out, room, "v%u %.*s %s %.*s %s.%.*s %s\n", e->vat.n, TEXT(e->name),
                    kref_text(e->promise, a), TEXT(e->kind), kref_text(e->target, b),
                    TEXT(e->method), kref_text(e->result, c));
}

/* One page of what LIST answers, as text in SHOWN; `next` is where it goes on. */
static const char *list(unsigned what, msg_list_t msg)
{
    msg.request = rig_id(rig);
    msg.what = what;
    const msg_t *reply = rig_ask(rig, TAG_list, &msg);
    cr_assert_eq(reply->tag, TAG_rows);
    bin_t rest = reply->body.rows.rows;
    size_t len = 0;
    shown[0] = '\0';
    next = reply->body.rows.next;
    while (rest.len) {
        msg_t row;
        cr_assert(!msg_next(&rest, &row));
        len += (size_t)print_row(&row, shown + len, sizeof shown - len);
        cr_assert_lt(len, sizeof shown);
        msg_clear(&row);
    }
    return shown;
}

#define SHOWS(what, filter, text) \
    cr_expect_str_eq(list(what, (msg_list_t)filter), text, "shown:\n%s", shown)
#define ALL       \
    {             \
        .what = 0 \
    }
#define WITH(...)              \
    {                          \
        .what = 0, __VA_ARGS__ \
    }

static err_t failed(const msg_t *reply)
{
    return reply->tag == TAG_failed ? (err_t)reply->body.failed.error : ERR_OK;
}

static err_t pin(kref_t kref, bool unpin)
{
    msg_pin_t msg = {rig_id(rig), kref, unpin};
    return failed(rig_ask(rig, TAG_pin, &msg));
}

static err_t revoke(kref_t kref)
{
    msg_revoke_t msg = {rig_id(rig), kref};
    return failed(rig_ask(rig, TAG_revoke, &msg));
}

/* The client sends go() to TARGET; its promise, if it waits. */
static kref_t go(kref_t target, bool wait)
{
    msg_call_t msg = {rig_id(rig), target, DATA("#[\"go\",[]]"), !wait};
    const msg_t *reply = rig_ask(rig, TAG_call, &msg);
    cr_assert_eq(reply->tag, TAG_sent);
    return reply->body.sent.result;
}

static const msg_settled_t *settled(kref_t promise)
{
    msg_await_t msg = {rig_id(rig), promise};
    const msg_t *reply = rig_ask(rig, TAG_await, &msg);
    cr_assert(reply && reply->tag == TAG_settled);
    return &reply->body.settled;
}

static void reap(uint32_t vat)
{
    msg_reap_t msg = {.request = rig_id(rig), .vat = {vat}};
    cr_assert_eq(rig_ask(rig, TAG_reap, &msg)->tag, TAG_done);
}

/* alice's bootstrap gives bob ko1.1 and asks him for kp1.1. */
static void hand_over(void)
{
    kref_t it = ko(1, 1);
    call_send(&calls, root(2), "#[\"take\",[\"$0\"]]", &it, 1, kp(1, 1));
    call_subscribe(&calls, kp(1, 1));
    rig_result(rig, 1, &calls);
}

/* ---- LIST ---- */

Test(registry, objects_with_owner_holders_and_counts)
{
    launch("alice bob");
    hand_over();
    rig_empty(rig, 2);
    SHOWS(OBJECTS, ALL,
          "ko1.0 v1 alice live 1/1 pins 1 by 0: \n"
          "ko1.1 v1 alice live 1/1 pins 0 by 1: v2\n"
          "ko2.0 v2 bob live 2/2 pins 1 by 1: v1\n");
    cr_expect_eq(next, 0);

    kref_t it = ko(1, 1);
    reap(2);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 1);
    SHOWS(OBJECTS, WITH(.holder = {2}), "ko1.1 v1 alice live 0/1 pins 0 by 1: (v2)\n");

    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    rig_ask(rig, TAG_kill, &kill);
    SHOWS(OBJECTS, ALL,
          "ko1.0 v1 alice live 1/1 pins 1 by 0: \n"
          "ko2.0 v0  orphan 1/1 pins 0 by 1: v1\n");
    SHOWS(OBJECTS, WITH(.vat = {2}), "");
    SHOWS(OBJECTS, WITH(.holder = {2}), "");
}

Test(registry, objects_by_owner_holder_and_cluster)
{
    launch("alice bob");
    hand_over();
    rig_empty(rig, 2);
    launch("carol");
    rig_empty(rig, 3);
    SHOWS(OBJECTS, WITH(.vat = {2}), "ko2.0 v2 bob live 2/2 pins 1 by 1: v1\n");
    SHOWS(OBJECTS, WITH(.vat = {1}, .holder = {2}), "ko1.1 v1 alice live 1/1 pins 0 by 1: v2\n");
    SHOWS(OBJECTS, WITH(.vat = {2}, .holder = {2}), "");
    SHOWS(OBJECTS, WITH(.cluster = {2}), "ko3.0 v3 carol live 1/1 pins 1 by 0: \n");
    SHOWS(OBJECTS, WITH(.cluster = {2}, .vat = {1}), "");
    SHOWS(OBJECTS, WITH(.cluster = {1}, .holder = {1}), "ko2.0 v2 bob live 2/2 pins 1 by 1: v1\n");

    msg_list_t bad[] = {{.vat = {9}}, {.holder = {9}}, {.cluster = {9}}};
    const err_t errs[] = {ERR_VAT_UNKNOWN, ERR_VAT_UNKNOWN, ERR_CLUSTER_UNKNOWN};
    for (size_t i = 0; i < 3; i++) {
        bad[i].request = rig_id(rig);
        bad[i].what = OBJECTS;
        cr_expect_eq(failed(rig_ask(rig, TAG_list, &bad[i])), errs[i]);
    }
    bad[0] = (msg_list_t){.request = rig_id(rig), .what = 99};
    cr_expect_eq(failed(rig_ask(rig, TAG_list, &bad[0])), ERR_BAD_VALUE);
}

Test(registry, pages_go_on_where_the_last_one_ended)
{
    enum { COUNT = 23 };
    char whole[sizeof shown], pages[sizeof shown] = "";
    launch("alice bob");
    kref_t some[COUNT];
    buf_t body = buf_of(4096);
    cr_assert(!buf_add(&body, "#[\"take\",[", 10));
    for (unsigned i = 0; i < COUNT; i++) {
        char slot[16];
        some[i] = ko(1, i + 1);
        int n = snprintf(slot, sizeof slot, "%s\"$%u\"", i ? "," : "", i);
        cr_assert(!buf_add(&body, slot, (size_t)n));
    }
    cr_assert(!buf_add(&body, "]]", 3));
    call_send(&calls, root(2), (const char *)body.at, some, COUNT, nothing);
    buf_clear(&body);
    rig_result(rig, 1, &calls);

    strcpy(whole, list(OBJECTS, (msg_list_t)ALL));
    unsigned count = 0;
    for (next = 0; !count || next; count++) {
        strcat(pages, list(OBJECTS, (msg_list_t)WITH(.first = next, .limit = 4)));
        cr_assert_lt(count, COUNT);
    }
    cr_expect_str_eq(pages, whole);
    cr_expect_eq(count, (COUNT + 2 + 3) / 4);
    SHOWS(OBJECTS, WITH(.first = ko(1, COUNT).n, .limit = 1),
          "ko1.23 v1 alice live 2/2 pins 0 by 1: v2\n");
    cr_expect_eq(next, root(2).n);
}

Test(registry, promises_with_decider_subscribers_and_value)
{
    launch("alice bob");
    hand_over();
    kref_t mine = go(root(2), true);
    SHOWS(PROMISES, ALL,
          "kp0.1 unresolved v1 alice 2 waiting 0 held for , 0: \n"
          "kp0.2 unresolved v0  2 waiting 0 held for , 0: \n"
          "kp1.1 unresolved v2 bob 3 waiting 0 for v1, 0: \n");
    SHOWS(PROMISES, WITH(.vat = {2}), "kp1.1 unresolved v2 bob 3 waiting 0 for v1, 0: \n");
    go(kp(1, 1), false);
    SHOWS(PROMISES, WITH(.holder = {2}), "kp1.1 unresolved v2 bob 4 waiting 1 for v1, 0: \n");

    kref_t it = ko(2, 1);
    call_resolve(&calls, kp(1, 1), false, "#{\"x\":\"$0\"}", &it, 1);
    rig_result(rig, 2, &calls);
    SHOWS(PROMISES, WITH(.cluster = {1}),
          "kp0.1 unresolved v1 alice 2 waiting 0 held for , 0: \n"
          "kp0.2 unresolved v2 bob 3 waiting 0 held for , 0: \n");
    SHOWS(PROMISES, WITH(.holder = {1}),
          "kp0.1 unresolved v1 alice 2 waiting 0 held for , 0: \n"
          "kp1.1 fulfilled v0  2 waiting 0 for , 11: #{\"x\":\"$0\"}\n");
    SHOWS(PROMISES, WITH(.holder = {1}, .unsettled = 1),
          "kp0.1 unresolved v1 alice 2 waiting 0 held for , 0: \n");
    call_resolve(&calls, mine, true, "#\"no\"", NULL, 0);
    rig_result(rig, 2, &calls);
    SHOWS(PROMISES, WITH(.first = mine.n, .limit = 1),
          "kp0.2 rejected v0  1 waiting 0 held for , 5: #\"no\"\n");
    cr_expect_eq(next, kp(1, 1).n);
}

/* A long value is not shown, but counted; a row says when the promise was made. */
Test(registry, long_values_stay_out_and_ages_survive_a_restart)
{
    static char body[VALUE_SHOWN_MAX + 8];
    launch("alice");
    memset(body, '1', sizeof body - 1);
    body[0] = '#';
    call_resolve(&calls, kp(0, 1), false, body, NULL, 0);
    rig_result(rig, 1, &calls);
    SHOWS(PROMISES, ALL, "kp0.1 fulfilled v0  1 waiting 0 held for , 4103: \n");

    uint64_t made[2];
    for (int i = 0; i < 2; i++) {
        msg_list_t msg = {.request = rig_id(rig), .what = PROMISES};
        bin_t rest = rig_ask(rig, TAG_list, &msg)->body.rows.rows;
        msg_t row;
        cr_assert(!msg_next(&rest, &row));
        made[i] = row.body.promise_row.made_ms;
        msg_clear(&row);
        rig_restart(rig, true);
    }
    cr_expect_geq(made[0], 1700000000000);
    cr_expect_lt(made[0], 1700000001000);
    cr_expect_eq(made[0], made[1]);
}

Test(registry, queues_of_vats_and_of_promises)
{
    launch("alice bob");
    hand_over();
    go(root(2), true);
    go(kp(1, 1), false);
    launch("carol");
    go(root(3), false);
    SHOWS(ENTRIES, ALL,
          "v2 bob none message ko2.0.go kp0.2\n"
          "v0  kp1.1 message kp1.1.go none\n"
          "v3 carol none message ko3.0.go none\n");
    SHOWS(ENTRIES, WITH(.vat = {3}), "v3 carol none message ko3.0.go none\n");
    SHOWS(ENTRIES, WITH(.cluster = {1}), "v2 bob none message ko2.0.go kp0.2\n");
    SHOWS(ENTRIES, WITH(.limit = 2),
          "v2 bob none message ko2.0.go kp0.2\n"
          "v0  kp1.1 message kp1.1.go none\n");
    SHOWS(ENTRIES, WITH(.first = next, .limit = 2), "v3 carol none message ko3.0.go none\n");
    cr_expect_eq(next, 0);

    /* A notify waits as well. */
    rig_launch_t options = {.window = 1, .no_start = true};
    cr_assert_null(rig_launch(rig, "dave", &options));
    call_resolve(&calls, kp(1, 1), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_notify);
    msg_restart_t stop = {rig_id(rig), {1}};
    rig_ask(rig, TAG_restart, &stop);
    SHOWS(ENTRIES, WITH(.vat = {1}), "");
}

/* ---- PIN ---- */

/* Bob lets go of alice's object; she hears of it when the last pin is gone. */
Test(registry, a_pin_holds_an_object_until_it_is_taken_away_as_often)
{
    kref_t it = ko(1, 1);
    launch("alice bob");
    hand_over();
    rig_empty(rig, 2);
    cr_expect_eq(pin(it, false), ERR_OK);
    cr_expect_eq(pin(it, false), ERR_OK);
    reap(2);
    call_refs(&calls, TAG_drop_imports, &it, 1);
    call_refs(&calls, TAG_retire_imports, &it, 1);
    rig_result(rig, 2, &calls);
    cr_expect_null(rig_delivery(rig, 1));
    rig_restart(rig, true);
    SHOWS(OBJECTS, WITH(.vat = {1}, .first = it.n), "ko1.1 v1 alice live 2/2 pins 2 by 0: \n");
    cr_expect_eq(pin(it, true), ERR_OK);
    cr_expect_null(rig_delivery(rig, 1));
    cr_expect_eq(pin(it, true), ERR_OK);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_drop_exports);
    cr_expect_eq(pin(it, true), ERR_NOT_PINNED);
    cr_expect_eq(pin(it, false), ERR_REF_UNKNOWN, "its owner was told to drop it");
    rig_empty(rig, 1);
    cr_assert_eq(rig_delivery(rig, 1)->tag, TAG_deliver_retire_exports);
}

Test(registry, the_pin_of_a_root_is_the_kernels_own_and_others_stay)
{
    launch("alice bob");
    rig_empty(rig, 1);
    cr_expect_eq(pin(root(2), true), ERR_NOT_PINNED);
    cr_expect_eq(pin(root(2), false), ERR_OK);
    cr_expect_eq(pin(root(2), true), ERR_OK);
    cr_expect_eq(pin(root(2), true), ERR_NOT_PINNED);
    cr_expect_eq(pin(root(2), false), ERR_OK);
    SHOWS(OBJECTS, WITH(.vat = {2}), "ko2.0 v2 bob live 3/3 pins 2 by 1: v1\n");

    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    cr_assert_eq(rig_ask(rig, TAG_cluster_rm, &rm)->tag, TAG_done);
    SHOWS(OBJECTS, ALL, "ko2.0 v0  orphan 1/1 pins 1 by 0: \n");
    rig_restart(rig, true);
    cr_expect_eq(pin(root(2), true), ERR_OK);
    SHOWS(OBJECTS, ALL, "");
}

Test(registry, a_pin_is_of_what_is_there_and_answered_once)
{
    launch("alice");
    cr_expect_eq(pin(ko(1, 7), false), ERR_REF_UNKNOWN);
    cr_expect_eq(pin(kp(0, 1), false), ERR_REF_UNKNOWN);
    cr_expect_eq(pin(nothing, true), ERR_REF_UNKNOWN);
    msg_pin_t msg = {rig_id(rig), root(1), 0};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(rig_ask(rig, TAG_pin, &msg)->tag, TAG_done);
        rig_restart(rig, false);
    }
    SHOWS(OBJECTS, ALL, "ko1.0 v1 alice live 4/4 pins 2 by 0: \n");
}

/* ---- REVOKE ---- */

static void expect_revoked(kref_t promise)
{
    const msg_settled_t *is = settled(promise);
    cr_expect(is->rejected);
    cr_expect(rig_body_is(&is->value,
                          "#{\"#error\":\"[KERNEL:OBJECT_REVOKED] Target object has been "
                          "revoked\",\"name\":\"Error\"}"));
}

/* One message is in flight: it is answered. The next one is queued: it is not, and no later one either. */
Test(registry, what_is_not_in_flight_when_it_is_revoked_is_rejected)
{
    launch("alice bob");
    kref_t first = go(root(2), true), second = go(root(2), true);
    cr_expect_eq(revoke(root(2)), ERR_OK);
    kref_t third = go(root(2), true);
    expect_revoked(third);
    call_resolve(&calls, first, false, "#\"done\"", NULL, 0);
    rig_result(rig, 2, &calls);
    cr_expect_null(rig_delivery(rig, 2));
    expect_revoked(second);
    cr_expect(!settled(first)->rejected);
    SHOWS(OBJECTS, WITH(.vat = {2}), "ko2.0 v2 bob revoked 3/3 pins 1 by 1: v1\n");

    rig_restart(rig, true);
    expect_revoked(go(root(2), true));
    char *text = rig_list(rig, 3, root(2));
    cr_expect(strstr(text, "revoked"), "%s", text);
    free(text);
}

/* Through a promise, from a vat, and of an object whose vat ended meanwhile. */
Test(registry, revoked_is_revoked_on_every_way_and_after_the_end_of_its_vat)
{
    launch("alice bob");
    kref_t it = ko(2, 1);
    call_send(&calls, root(2), "#[\"give\",[]]", NULL, 0, kp(1, 1));
    call_send(&calls, kp(1, 1), "#[\"go\",[]]", NULL, 0, kp(1, 2));
    call_subscribe(&calls, kp(1, 1));
    call_subscribe(&calls, kp(1, 2));
    rig_result(rig, 1, &calls);
    cr_expect_eq(revoke(it), ERR_REF_UNKNOWN, "it is not there yet");
    cr_expect_eq(revoke(root(2)), ERR_OK);
    call_resolve(&calls, kp(1, 1), false, "#\"$0\"", &it, 1);
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_delivery(rig, 2)->tag, TAG_deliver_message, "its root is not the target");
    cr_expect_eq(revoke(it), ERR_OK);
    call_resolve(&calls, kp(1, 2), false, "#1", NULL, 0);
    rig_result(rig, 2, &calls);
    rig_empty(rig, 1);

    call_send(&calls, it, "#[\"go\",[]]", NULL, 0, kp(1, 3));
    call_subscribe(&calls, kp(1, 3));
    rig_result(rig, 1, &calls);
    const msg_t *notify = rig_delivery(rig, 1);
    cr_assert_eq(notify->tag, TAG_deliver_notify);
    cr_expect(kref_same(notify->body.deliver_notify.resolutions.at[0].promise, kp(1, 3)));
    cr_expect(notify->body.deliver_notify.resolutions.at[0].rejected);

    msg_kill_t kill = {rig_id(rig), {2}, text_of("")};
    rig_ask(rig, TAG_kill, &kill);
    rig_run_dry(rig);
    SHOWS(OBJECTS, WITH(.holder = {1}, .first = it.n), "ko2.1 v0  revoked 1/1 pins 0 by 1: v1\n");
    expect_revoked(go(it, true));
}

Test(registry, revoke_takes_objects_only_and_is_answered_once)
{
    launch("alice");
    cr_expect_eq(revoke(kp(0, 1)), ERR_REVOKE_PROMISE);
    cr_expect_eq(revoke(kp(7, 7)), ERR_REVOKE_PROMISE);
    cr_expect_eq(revoke(ko(1, 1)), ERR_REF_UNKNOWN);
    cr_expect_eq(revoke(nothing), ERR_REF_UNKNOWN);
    cr_expect_eq(revoke(root(1)), ERR_OK);
    cr_expect_eq(revoke(root(1)), ERR_OK, "it stays revoked");
    msg_revoke_t msg = {rig_id(rig), ko(1, 1)};
    cr_expect_eq(failed(rig_ask(rig, TAG_revoke, &msg)), ERR_REF_UNKNOWN);
    call_send(&calls, root(1), "#[\"x\",[\"$0\"]]", (kref_t[]){ko(1, 1)}, 1, nothing);
    rig_result(rig, 1, &calls);
    cr_expect_eq(failed(rig_ask(rig, TAG_revoke, &msg)), ERR_REF_UNKNOWN, "the same answer");
}

/* ---- a cluster's LAUNCH ---- */

Test(registry, a_cluster_shows_how_it_was_launched)
{
    launch("alice bob");
    rig_restart(rig, true);
    msg_list_t msg = {.request = rig_id(rig), .what = LAUNCH, .cluster = {1}};
    bin_t rest = rig_ask(rig, TAG_list, &msg)->body.rows.rows;
    msg_t row;
    cr_assert(!msg_next(&rest, &row));
    cr_expect_eq(rest.len, 0);
    cr_assert_eq(row.tag, TAG_launch);
    bin_t vats = row.body.launch.vats;
    msg_t vat;
    cr_assert(!msg_next(&vats, &vat));
    cr_expect(text_is(vat.body.launch_vat.name, "alice"));
    msg_clear(&vat);
    msg_clear(&row);
    msg = (msg_list_t){.request = rig_id(rig), .what = LAUNCH, .cluster = {2}};
    cr_expect_eq(failed(rig_ask(rig, TAG_list, &msg)), ERR_CLUSTER_UNKNOWN);
}
