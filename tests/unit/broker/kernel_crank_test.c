/* Cranks at their limits: syscalls that name the wrong kind of thing, more than a crank or a notify has room
 * for, garbage collection that finds the world changed, and what goes to where nobody is any more. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

#define PING "#[\"ping\",[]]"
#define TAKE "#[\"take\",[]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;
static kref_t many[SLOTS_MAX + 1];

static void set_up(void)
{
    rig = rig_new();
    rig_host(rig, 1);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(crank, .init = set_up, .fini = tear_down, .timeout = 60);

static void launch(const char *names, unsigned window)
{
    rig_launch_t options = {.reap_deliveries = REAP_NEVER, .window = window};
    cr_assert_eq(rig_launch(rig, names, &options)->tag, TAG_launched);
}

/* A client sends METHARGS to TARGET and does not wait. */
static void tell(kref_t target, const char *methargs, const kref_t *slots, size_t count)
{
    msg_call_t call = {rig_id(rig), target, rig_data(methargs, slots, count), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
}

static bool list_has(unsigned what, kref_t kref, const char *text)
{
    char *list = rig_list(rig, what, kref);
    bool has = strstr(list, text);
    if (!has) fprintf(stderr, "%s is not in %s\n", text, list);
    free(list);
    return has;
}

static bool body_has(const capdata_t *data, const char *text)
{
    for (size_t i = 0; i + strlen(text) <= data->body.len; i++)
        if (memcmp(data->body.at + i, text, strlen(text)) == 0) return true;
    return false;
}

static void kill_vat(uint32_t vat)
{
    msg_kill_t msg = {rig_id(rig), {vat}, text_of("")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &msg)->tag, TAG_done);
}

/* ---- illegal ---- */

/* alice's crank is CALLS: she ends for the reason NAME. */
static void expect_illegal(const char *name)
{
    launch("alice bob", 1);
    rig_result(rig, 1, &calls);
    cr_expect(list_has(0, nothing, name));
    cr_expect_eq(rig_counter(rig, "vats"), 1);
}

Test(crank, a_message_to_nothing)
{
    call_send(&calls, nothing, PING, NULL, 0, nothing);
    expect_illegal("NOT_HELD");
}

Test(crank, an_object_that_is_settled)
{
    call_resolve(&calls, ko(1, 0), false, "#1", NULL, 0);
    expect_illegal("REF_KIND");
}

Test(crank, a_promise_that_is_dropped)
{
    kref_t promise = kp(1, 1);
    call_send(&calls, root(2), PING, NULL, 0, promise);
    call_refs(&calls, TAG_drop_imports, &promise, 1);
    expect_illegal("REF_KIND");
}

Test(crank, a_promise_that_is_abandoned)
{
    kref_t promise = kp(1, 1);
    call_send(&calls, root(2), PING, NULL, 0, promise);
    call_refs(&calls, TAG_abandon_exports, &promise, 1);
    expect_illegal("REF_KIND");
}

Test(crank, an_import_that_is_abandoned)
{
    kref_t bob = root(2);
    call_refs(&calls, TAG_abandon_exports, &bob, 1);
    expect_illegal("NOT_HELD");
}

Test(crank, abandoned_twice)
{
    kref_t own = ko(1, 1);
    call_send(&calls, root(2), "#[\"take\",[\"$0\"]]", &own, 1, nothing);
    call_refs(&calls, TAG_abandon_exports, (kref_t[]){own, own}, 2);
    expect_illegal("NOT_HELD");
}

Test(crank, more_syscalls_than_a_crank_may_have)
{
    for (int i = 0; i < CRANK_CALLS_MAX; i++) call_send(&calls, root(2), PING, NULL, 0, nothing);
    buf_t whole = buf_of(CRANK_BYTES_MAX);
    cr_assert_eq(buf_add(&whole, calls.at, calls.len), ERR_OK);
    call_send(&calls, root(2), PING, NULL, 0, nothing);
    launch("alice bob", 1);
    rig_result(rig, 1, &calls);
    cr_expect(list_has(0, nothing, "CALLS_LIMIT"));
    cr_expect_eq(rig_pending(rig, 2), 0);
    buf_clear(&whole);
}

/* ---- routing ---- */

Test(crank, a_call_without_a_method_to_data)
{
    static const char what[] = "data is not callable, has no method undefined";
    launch("alice bob", 1);
    kref_t promise = kp(1, 1), answer = kp(1, 2), named = kp(1, 3);
    char method[1400] = "#[\"";
    memset(method + 3, 'm', 1023);
    strcpy(method + 1026, "\xe2\x82\xac tail\",[]]");
    call_send(&calls, root(2), PING, NULL, 0, promise);
    call_send(&calls, promise, "#[\"#undefined\",[]]", NULL, 0, answer);
    call_send(&calls, promise, method, NULL, 0, named);
    call_subscribe(&calls, answer);
    call_subscribe(&calls, named);
    rig_result(rig, 1, &calls);
    call_resolve(&calls, promise, false, "#\"data\"", NULL, 0);
    rig_result(rig, 2, &calls);
    const resolution_t *told = rig_delivery(rig, 1)->body.deliver_notify.resolutions.at;
    cr_assert(kref_same(told->promise, answer) && told->rejected);
    cr_expect(body_has(&told->data, what));
    rig_empty(rig, 1);
    told = rig_delivery(rig, 1)->body.deliver_notify.resolutions.at;
    cr_assert(kref_same(told->promise, named) && told->rejected);
    cr_expect(body_has(&told->data, "mmmm\","), "cut before the character");
    cr_expect_lt(told->data.body.len, 1200);
}

/* Two messages wait for alice; with the first she gives up what the second is for. */
Test(crank, a_target_that_is_given_up_while_a_message_is_queued)
{
    launch("alice bob", 1);
    kref_t own = ko(1, 1);
    call_send(&calls, root(2), "#[\"take\",[\"$0\",\"$1\"]]", (kref_t[]){own, root(1)}, 2, nothing);
    rig_result(rig, 1, &calls);
    call_send(&calls, root(1), PING, NULL, 0, nothing);
    call_send(&calls, own, PING, NULL, 0, kp(2, 1));
    call_subscribe(&calls, kp(2, 1));
    rig_result(rig, 2, &calls);
    call_refs(&calls, TAG_abandon_exports, &own, 1);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_pending(rig, 1), 0);
    const msg_t *told = rig_delivery(rig, 2);
    cr_assert(told && told->tag == TAG_deliver_notify);
    cr_expect(told->body.deliver_notify.resolutions.at->rejected);
    cr_expect_eq(rig_counter(rig, "splats"), 1);
    cr_expect(list_has(3, own, "\"orphan\""));
}

/* ---- notifies ---- */

Test(crank, many_subscribers_are_told_in_the_order_of_their_numbers)
{
    char names[100] = "a";
    for (char c = 'b'; c <= 't'; c++) sprintf(names + strlen(names), " %c", c);
    launch(names, 1);
    kref_t promise = kp(1, 1);
    for (uint32_t vat = 20; vat > 1; vat--)
        call_send(&calls, root(vat), "#[\"take\",[\"&0\"]]", &promise, 1, nothing);
    rig_result(rig, 1, &calls);
    for (uint32_t vat = 2; vat <= 20; vat++) {
        call_subscribe(&calls, promise);
        rig_result(rig, vat, &calls);
    }
    tell(root(1), PING, NULL, 0);
    call_resolve(&calls, promise, false, "#1", NULL, 0);
    size_t before = rig_host_frames(rig, TAG_deliver);
    rig_result(rig, 1, &calls);
    cr_expect_eq(rig_host_frames(rig, TAG_deliver), before + 19);
    for (uint32_t vat = 2; vat <= 20; vat++) {
        cr_expect_eq(rig_delivery(rig, vat)->tag, TAG_deliver_notify);
        rig_empty(rig, vat);
    }
    cr_expect_eq(rig_counter(rig, "promises"), 1, "bootstrap's");
}

/* Values that are too many bytes for one notify: what is left out is told when it is asked for. */
Test(crank, a_notify_tells_as_much_as_it_has_room_for)
{
    static char body[3000100] = "#[\"";
    memset(body + 3, 'x', 3000000);
    strcpy(body + 3000003, "\"]");
    launch("alice bob", 1);
    for (size_t i = 0; i < 12; i++) many[i] = kp(1, i + 1);
    call_send(&calls, root(2), TAKE, many, 12, nothing);
    call_send(&calls, root(1), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    for (size_t i = 0; i < 6; i++) call_resolve(&calls, many[i], false, body, &many[i + 1], 1);
    call_send(&calls, root(1), PING, NULL, 0, nothing);
    rig_result(rig, 1, &calls);
    for (size_t i = 6; i < 12; i++)
        call_resolve(&calls, many[i], false, body, &many[i + 1], i < 11);
    rig_result(rig, 1, &calls);
    call_subscribe(&calls, many[0]);
    rig_result(rig, 2, &calls);
    size_t told = rig_delivery(rig, 2)->body.deliver_notify.resolutions.count;
    cr_expect_eq(told, 11, "%zu", told);
    call_subscribe(&calls, many[11]);
    rig_result(rig, 2, &calls);
    cr_expect_eq(rig_delivery(rig, 2)->body.deliver_notify.resolutions.count, 1,
                 "the one left out");
    rig_run_dry(rig);
    cr_expect_eq(rig_counter(rig, "promises"), 1, "bootstrap's");
}

/* ---- tangles ---- */

/* A ring larger than what is walked stays when nobody holds it any more, whole: until it is looked at in
 * smaller pieces, it is garbage that is kept, never something that is missed. */
Test(crank, a_tangle_that_is_too_large_to_walk_is_kept)
{
    enum { RING = 4100 };
    static resolution_t ring[RING];
    launch("alice bob", 1);
    for (uint64_t i = 0; i < RING; i++) many[i] = kp(1, i + 1);
    call_send(&calls, root(2), TAKE, many, 1, nothing);
    call_send(&calls, root(2), TAKE, many, RING, nothing);
    for (size_t i = 0; i < RING; i++)
        ring[i] = (resolution_t){many[i], false, rig_data("#[\"&0\"]", &many[(i + 1) % RING], 1)};
    msg_resolve_t resolve = {{ring, RING}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);
    kill_vat(2);
    cr_expect_eq(rig_counter(rig, "promises"), RING + 1);
    cr_expect_eq(rig_counter(rig, "held"), 3, "the two roots, and what alice decides");
}

Test(crank, a_tangle_with_too_many_slots_is_kept)
{
    launch("alice bob", 1);
    static resolution_t ring[8];
    char body[100] = "#[";
    for (size_t i = 0; i < 8; i++) many[i] = kp(1, i + 1);
    call_send(&calls, root(2), TAKE, many, 8, nothing);
    strcpy(body, "#[\"&0\"]");
    static kref_t slots[8][SLOTS_MAX];
    for (size_t i = 0; i < 8; i++) {
        for (size_t j = 0; j < SLOTS_MAX; j++) slots[i][j] = many[(i + 1) % 8];
        ring[i] = (resolution_t){many[i], false, rig_data(body, slots[i], SLOTS_MAX)};
    }
    msg_resolve_t resolve = {{ring, 8}};
    call_any(&calls, TAG_resolve, &resolve);
    rig_result(rig, 1, &calls);
    kill_vat(2);
    cr_expect_eq(rig_counter(rig, "promises"), 9, "eight of them, and bootstrap's");
}
