/* Requests of clients beyond the everyday: records of answers, results that are kept and let go, requests
 * about what is not there, and what LIST and events show. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/kernel_rig.h"

#define PING     "#[\"ping\",[]]"
#define TAKE_ONE "#[\"take\",[\"&0\"]]"

static const kref_t nothing;

static rig_t *rig;
static buf_t calls;

/* alice is v1 and has run bootstrap, bob is v2. */
static void set_up(void)
{
    rig = rig_new();
    rig_host(rig, 1);
    rig_launch_t options = {.reap_deliveries = REAP_NEVER};
    cr_assert_eq(rig_launch(rig, "alice bob", &options)->tag, TAG_launched);
    rig_empty(rig, 1);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(request, .init = set_up, .fini = tear_down);

/* The promise of a call to TARGET, which is under way. */
static kref_t call(kref_t target)
{
    msg_call_t msg = {rig_id(rig), target, rig_data(PING, NULL, 0), 0};
    const msg_t *sent = rig_ask(rig, TAG_call, &msg);
    cr_assert_eq(sent->tag, TAG_sent);
    return sent->body.sent.result;
}

/* The same, answered by VAT at once: with its object SLOT, or with data. */
static kref_t call_answered(uint32_t vat, kref_t slot)
{
    kref_t result = call(root(vat));
    call_resolve(&calls, result, false, kref_none(slot) ? "#1" : "#\"$0.Alleged: it\"", &slot,
                 !kref_none(slot));
    rig_result(rig, vat, &calls);
    return result;
}

static const msg_t *await(kref_t promise)
{
    msg_await_t msg = {rig_id(rig), promise};
    return rig_ask(rig, TAG_await, &msg);
}

static void kill_vat(uint32_t vat, const char *reason)
{
    msg_kill_t msg = {rig_id(rig), {vat}, text_of(reason)};
    cr_assert_eq(rig_ask(rig, TAG_kill, &msg)->tag, TAG_done);
}

static bool list_has(unsigned what, kref_t kref, const char *text)
{
    char *list = rig_list(rig, what, kref);
    bool has = strstr(list, text);
    free(list);
    return has;
}

/* ---- records ---- */

/* The index of records folds an id; ids that fold alike stay apart. */
Test(request, ids_that_fold_alike_are_different_requests)
{
    id128_t one = {{1, 0, 0, 0, 0, 0, 0, 0, 2}}, other = {{2, 0, 0, 0, 0, 0, 0, 0, 1}};
    msg_kill_t kill = {one, {9}, text_of("")};
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->body.failed.error, ERR_VAT_UNKNOWN);
    kill = (msg_kill_t){other, {2}, text_of("")};
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    cr_expect_eq(rig_counter(rig, "vats"), 1);
    kill.request = one;
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_failed, "the answer to the first");
    rig_restart(rig, false);
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_failed);
    kill = (msg_kill_t){other, {1}, text_of("")};
    cr_expect_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done, "answered, not done again");
    cr_expect_eq(rig_counter(rig, "vats"), 1);
}

/* Records are let go in the order of their age. The store of the rig is too slow for so many, and so
 * the kernel is asked directly. */
static size_t rows_written, rows_gone;
static void count_row(void *context, const row_t *row)
{
    (void)context;
    if (row->table == ROW_request) ++*(row->gone ? &rows_gone : &rows_written);
}

/* Its error, or OK for every other answer. */
static err_t ask_directly(kernel_t *kernel, msg_t *msg, kref_t *ret)
{
    effects_t out = {0};
    input_t input = {.kind = INPUT_CLIENT, .from = 1, .now_us = 1, .msg = msg};
    kernel_step(kernel, &input, &out);
    msg_t reply = {0};
    for (size_t i = 0; i < out.count; i++) {
        if (out.items[i].kind != EFFECT_CLIENT) continue;
        cr_assert_eq(reply.tag, 0);
        cr_assert_eq(msg_decode(blob_bin(out.items[i].frame), &reply), ERR_OK);
    }
    err_t err = reply.tag == TAG_failed ? (err_t)reply.body.failed.error : ERR_OK;
    if (reply.tag == TAG_sent && ret) *ret = reply.body.sent.result;
    msg_clear(&reply);
    effects_clear(&out);
    return err;
}

static void kill_directly(kernel_t *kernel, id128_t id)
{
    msg_t msg = {.tag = TAG_kill, .body.kill = {id, {9}, text_of("")}};
    cr_assert_eq(ask_directly(kernel, &msg, NULL), ERR_VAT_UNKNOWN);
}

static id128_t numbered(uint32_t n)
{
    id128_t id = {{9}};
    memcpy(id.b + 8, &n, sizeof n);
    return id;
}

Test(request, the_oldest_records_are_let_go)
{
    static const uint8_t entropy[32] = {1};
    /* The two oldest and the youngest of the first lot fold alike. */
    id128_t twin[3] = {{{1, 0, 0, 0, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 0, 0, 0, 1}}, {{3}}};
    kernel_t *kernel = kernel_new();
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);
    kill_directly(kernel, twin[0]);
    kill_directly(kernel, twin[1]);
    for (uint32_t n = 0; n < REQUESTS_KEPT_MAX - 3; n++) kill_directly(kernel, numbered(n));
    kill_directly(kernel, twin[2]);
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_written, REQUESTS_KEPT_MAX);
    cr_expect_eq(rows_gone, 0);

    rows_written = 0;
    for (uint32_t n = 0; n < 4; n++) kill_directly(kernel, numbered(REQUESTS_KEPT_MAX + n));
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_written, 4);
    cr_expect_eq(rows_gone, 4, "the twins, and two more");
    kill_directly(kernel, twin[2]);
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_written, 4, "it is remembered, nothing is written");
    kill_directly(kernel, twin[0]);
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_written, 5, "this one is not");
    cr_expect_eq(rows_gone, 5);
    kernel_destroy(&kernel);
}

/* ---- results that are kept ---- */

/* Calls to what nobody answers for are settled at once. */
static kref_t call_in_vain(kernel_t *kernel, uint32_t n)
{
    kref_t result = nothing;
    msg_t msg = {.tag = TAG_call, .body.call = {numbered(n), root(2), rig_data(PING, NULL, 0), 0}};
    cr_assert_eq(ask_directly(kernel, &msg, &result), ERR_OK);
    return result;
}

static err_t await_directly(kernel_t *kernel, kref_t promise)
{
    msg_t msg = {.tag = TAG_await, .body.await = {{{0}}, promise}};
    return ask_directly(kernel, &msg, NULL);
}

static void hold_root_of_bob(void)
{
    kref_t bob = root(2);
    msg_call_t msg = {rig_id(rig), root(1), rig_data("#[\"take\",[\"$0\"]]", &bob, 1), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &msg)->tag, TAG_sent);
    rig_empty(rig, 1);
}

Test(request, results_that_nobody_awaits_are_let_go_the_oldest_first)
{
    kernel_t *kernel = rig_kernel(rig);
    hold_root_of_bob();
    kill_vat(2, "");
    kref_t first = call_in_vain(kernel, 0), second = call_in_vain(kernel, 1);
    for (uint32_t n = 2; n < CLIENT_HOLDS_MAX; n++) call_in_vain(kernel, n);
    kref_t last = call_in_vain(kernel, CLIENT_HOLDS_MAX);
    cr_expect_eq(await_directly(kernel, first), ERR_REF_UNKNOWN);
    cr_expect_eq(await_directly(kernel, second), ERR_OK);
    cr_expect_eq(await_directly(kernel, last), ERR_OK);
}

Test(request, release_lets_go_of_what_was_shown_and_of_nothing_else)
{
    cr_assert_eq(rig_launch(rig, "carol", NULL)->tag, TAG_launched);
    rig_empty(rig, 3);
    kref_t bob = call_answered(2, ko(2, 1)), carol = call_answered(3, ko(3, 1));
    kref_t later = call_answered(2, ko(2, 2));
    cr_expect_eq(await(bob)->tag, TAG_settled);
    cr_expect_eq(await(carol)->tag, TAG_settled);

    msg_release_t release = {rig_id(rig), {7}};
    cr_expect_eq(rig_ask(rig, TAG_release, &release)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    release = (msg_release_t){rig_id(rig), {1}};
    cr_expect_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    cr_expect_eq(await(bob)->body.failed.error, ERR_REF_UNKNOWN);
    cr_expect_eq(await(carol)->tag, TAG_settled, "of another cluster");
    cr_expect_eq(await(later)->tag, TAG_settled, "nobody had seen it");
    cr_expect_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    cr_expect_eq(await(later)->tag, TAG_settled, "a repeated request is not done again");
    release = (msg_release_t){rig_id(rig), {0}};
    cr_expect_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);
    cr_expect_eq(await(later)->body.failed.error, ERR_REF_UNKNOWN);
    cr_expect_eq(await(carol)->body.failed.error, ERR_REF_UNKNOWN);
}

/* A result belongs to the cluster of its target, and goes with it. */
Test(request, results_go_with_the_cluster_of_their_target)
{
    /* A result that bob answers with himself, and alice is told of: no client holds it any more. */
    kref_t seen = call(root(2)), bob = root(2);
    msg_call_t msg = {rig_id(rig), root(1), rig_data(TAKE_ONE, &seen, 1), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &msg)->tag, TAG_sent);
    rig_empty(rig, 1);
    call_resolve(&calls, seen, false, "#\"$0.Alleged: bob\"", &bob, 1);
    rig_result(rig, 2, &calls);
    cr_assert_eq(await(seen)->tag, TAG_settled);
    msg_release_t release = {rig_id(rig), {0}};
    cr_assert_eq(rig_ask(rig, TAG_release, &release)->tag, TAG_done);

    kref_t of_none = call(seen), of_result = call(call(root(1))), of_bob = call(bob);
    cr_expect_eq(rig_rows(rig, ROW_hold), 5, "bootstrap's, and one for each call");
    msg_cluster_rm_t rm = {rig_id(rig), {1}};
    cr_expect_eq(rig_ask(rig, TAG_cluster_rm, &rm)->tag, TAG_done);
    cr_expect_eq(await(of_bob)->body.failed.error, ERR_REF_UNKNOWN);
    cr_expect_eq(await(of_result)->body.failed.error, ERR_REF_UNKNOWN);
    cr_expect(await(of_none)->body.settled.rejected, "what it was called on belongs to nobody");
}

/* ---- requests about what is not there ---- */

Test(request, a_vat_in_quarantine_is_not_restarted)
{
    call(root(2));
    msg_result_t bad = rig_result_frame(rig, 2, NULL);
    bad.delivery_hash.b[0] ^= 1;
    rig_from_host(rig, 1, TAG_result, &bad);
    size_t restarts = rig_host_frames(rig, TAG_vat_restart);
    msg_restart_t restart = {rig_id(rig), {2}};
    cr_expect_eq(rig_ask(rig, TAG_restart, &restart)->body.failed.error, ERR_VAT_DIVERGED);
    cr_expect_eq(rig_host_frames(rig, TAG_vat_restart), restarts);
    cr_expect(list_has(0, nothing, "quarantined"));
}

Test(request, reaps_are_asked_of_a_vat_a_cluster_or_all)
{
    cr_assert_eq(rig_launch(rig, "carol", NULL)->tag, TAG_launched);
    rig_empty(rig, 3);
    msg_reap_t reap = {rig_id(rig), {9}, {0}};
    cr_expect_eq(rig_ask(rig, TAG_reap, &reap)->body.failed.error, ERR_CLUSTER_UNKNOWN);
    reap = (msg_reap_t){rig_id(rig), {0}, {9}};
    cr_expect_eq(rig_ask(rig, TAG_reap, &reap)->body.failed.error, ERR_VAT_UNKNOWN);
    cr_expect_eq(rig_pending(rig, 1) + rig_pending(rig, 2) + rig_pending(rig, 3), 0);

    reap = (msg_reap_t){rig_id(rig), {1}, {0}};
    cr_expect_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    cr_expect_eq(rig_delivery(rig, 1)->tag, TAG_deliver_reap);
    cr_expect_eq(rig_delivery(rig, 2)->tag, TAG_deliver_reap);
    cr_expect_eq(rig_pending(rig, 3), 0, "of another cluster");
    rig_run_dry(rig);
    cr_expect_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    cr_expect_eq(rig_pending(rig, 1), 0, "a repeated request is not done again");
    reap = (msg_reap_t){rig_id(rig), {0}, {0}};
    cr_expect_eq(rig_ask(rig, TAG_reap, &reap)->tag, TAG_done);
    for (uint32_t vat = 1; vat <= 3; vat++)
        cr_expect_eq(rig_delivery(rig, vat)->tag, TAG_deliver_reap);
}

Test(request, frames_that_are_no_requests_are_not_answered)
{
    msg_done_t done = {rig_id(rig)};
    cr_expect_null(rig_ask(rig, TAG_done, &done));
    msg_list_t list = {.request = rig_id(rig), .what = 99};
    cr_expect_eq(rig_ask(rig, TAG_list, &list)->body.failed.error, ERR_BAD_VALUE);
    list.what = 3;
    list.kref = ko(7, 7);
    cr_expect_eq(rig_ask(rig, TAG_list, &list)->body.failed.error, ERR_REF_UNKNOWN);
    msg_shutdown_t shutdown = {rig_id(rig)};
    cr_expect_eq(rig_ask(rig, TAG_shutdown, &shutdown)->tag, TAG_done);
}

/* ---- what is shown ---- */

/* A vat that ended still has rows for a while; LIST does not show them. */
Test(request, rows_of_a_vat_that_is_being_cleaned_up_are_not_listed)
{
    kref_t given[40];
    for (uint64_t i = 0; i < 40; i++) given[i] = ko(1, i + 1);
    call(root(1));
    char body[1000] = "#[\"take\",[";
    for (int i = 0; i < 40; i++) sprintf(body + strlen(body), "%s\"$%d\"", i ? "," : "", i);
    strcat(body, "]]");
    call_send(&calls, root(2), body, given, 40, nothing);
    rig_result(rig, 1, &calls);
    rig_empty(rig, 2);
    call_answered(2, ko(2, 1));
    cr_expect(list_has(3, ko(1, 40), "\"bob\""));
    cr_expect(list_has(3, ko(2, 1), "\"live\""));
    rig_no_chores(rig);
    kill_vat(2, "away");
    cr_expect_gt(rig_rows(rig, ROW_held), 50, "its rows are still there");
    cr_expect(!list_has(3, ko(1, 40), "\"bob\""));
    cr_expect(list_has(3, ko(2, 1), "\"orphan\""));
    cr_expect(!list_has(3, ko(2, 1), "\"bob\""));
}

/* Names in events have a size; a longer method is cut between characters. */
Test(request, a_long_method_is_cut_in_events)
{
    char body[1000] = "#[\"";
    memset(body + 3, 'm', NAME_BYTES_MAX - 1);
    strcpy(body + 2 + NAME_BYTES_MAX, "\xe2\x82\xac tail\",[]]");
    msg_call_t msg = {rig_id(rig), root(2), rig_data(body, NULL, 0), 1};
    cr_assert_eq(rig_ask(rig, TAG_call, &msg)->tag, TAG_sent);
    const msg_event_t *sent = rig_event(rig, "send"), *delivered = rig_event(rig, "deliver");
    cr_expect_eq(sent->method.len, NAME_BYTES_MAX - 1);
    cr_expect_eq(delivered->method.len, NAME_BYTES_MAX - 1);
    cr_expect_eq(sent->method.at[NAME_BYTES_MAX - 2], 'm');
}

/* What a worker says of its console is shown as far as it can be read. */
Test(request, console_lines_of_any_level_and_source)
{
    static const char *const levels[] = {"debug", "log", "info", "warn", "error", "log"};
    buf_t lines = buf_of(CONSOLE_BYTES_MAX);
    for (uint64_t level = 0; level < 6; level++) {
        call(root(2));
        buf_reset(&lines);
        msg_console_t line = {level == 5 ? 77 : level, text_of("vat"), text_of("hello")};
        cr_assert_eq(msg_encode(TAG_console, &line, &lines), ERR_OK);
        msg_result_t result = rig_result_frame(rig, 2, NULL);
        result.console = (bin_t){lines.at, lines.len};
        rig_result_send(rig, 2, &result);
        char kind[20];
        snprintf(kind, sizeof kind, "%s vat", levels[level]);
        const msg_event_t *event = rig_event(rig, "console");
        cr_expect(text_is(event->kind, kind), "%.*s", (int)event->kind.len, event->kind.at);
        cr_expect(text_is(event->text, "hello"));
        cr_assert_eq(rig_events(rig, "console"), level + 1);
    }
    /* Another frame among them is left out, and so is what follows bytes that are none. */
    call(root(2));
    buf_reset(&lines);
    msg_console_t line = {1, text_of("vat"), text_of("seen")},
                  lost = {1, text_of("vat"), text_of("lost")};
    msg_done_t done = {{{0}}};
    cr_assert_eq(msg_encode(TAG_done, &done, &lines), ERR_OK);
    cr_assert_eq(msg_encode(TAG_console, &line, &lines), ERR_OK);
    cr_assert_eq(buf_add(&lines, "\xc1", 1), ERR_OK);
    cr_assert_eq(msg_encode(TAG_console, &lost, &lines), ERR_OK);
    msg_result_t result = rig_result_frame(rig, 2, NULL);
    result.console = (bin_t){lines.at, lines.len};
    rig_result_send(rig, 2, &result);
    cr_expect_eq(rig_events(rig, "console"), 7);
    cr_expect(text_is(rig_event(rig, "console")->text, "seen"));
    cr_expect_eq(rig_counter(rig, "vats"), 2);
    buf_clear(&lines);
}

/* Rows come in the order of their ids, which says nothing of their age; each is put in its place at a cost that
 * does not grow with their number. */
Test(request, records_are_loaded_in_any_order, .timeout = 30)
{
    enum { PRIME = 99991 }; /* so that n * 7919 % PRIME is every number once */
    static const uint8_t entropy[32] = {1};
    kernel_t *kernel = kernel_new();
    buf_t done = buf_of(64);
    cr_assert_eq(msg_encode(TAG_done, &(msg_done_t){{{0}}}, &done), ERR_OK);
    for (uint32_t n = 0; n < PRIME; n++) {
        id128_t id = numbered(n);
        row_t row = {.table = ROW_request};
        row.body.request = (row_request_t){.id = {id.b, sizeof id.b},
                                           .seq = 1 + (uint64_t)n * 7919 % PRIME,
                                           .reply = {done.at, done.len}};
        cr_assert_eq(kernel_load(kernel, &row), ERR_OK);
    }
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);

    rows_gone = 0;
    for (uint32_t n = 0; n < REQUESTS_KEPT_MAX - PRIME + 1; n++)
        kill_directly(kernel, numbered(PRIME + n));
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_gone, 1);
    kill_directly(kernel, numbered(0)); /* whose seq was 1: it is forgotten, and so done again */
    kernel_flush(kernel, count_row, NULL);
    cr_expect_eq(rows_gone, 2);
    kernel_destroy(&kernel);
    buf_clear(&done);
}
