/* The worker's loop over a real socket, with a script for an engine: the test is vathost and broker
 * in one, says what they say, and looks at every frame that comes back. */
#include "tests/unit/vathost/worker_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/support/calls.h"
#include "wire/base/hash.h"

static void sends(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    script_send(host, "o+0", "#[\"y\",[]]", "", "");
    script_print(host, "hello");
}

Test(worker, a_fresh_worker_attaches_runs_and_answers)
{
    rig_t *rig = rig_new(sends);
    const msg_body_t *body = start(rig);
    cr_expect_eq(body->attach.run, 0);
    cr_expect_eq(body->attach.last, 0);
    cr_expect(hash_none(body->attach.chain));

    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    body = hear(rig, TAG_result);
    cr_expect_eq(body->result.d, 1);
    cr_expect_eq(body->result.run, 7);
    cr_expect_eq(body->result.outcome, 0);
    cr_expect(hash_none(body->result.chain));
    cr_expect(body->result.console.len > 0);
    char *calls = calls_text(body->result.calls);
    cr_expect_str_eq(calls, "send ko3.0 #[\"y\",[]] {}\n");
    free(calls);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, a_result_is_sent_again_until_it_is_applied)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    hear(rig, TAG_result);
    live(rig, 7, 1, 0);
    cr_expect_eq(hear(rig, TAG_result)->result.d, 1);
    live(rig, 7, 3, 0); /* a gap: nothing */
    live(rig, 6, 2, 0); /* another run: nothing */
    live(rig, 7, 2, 1); /* and 1 is applied */
    cr_expect_eq(hear(rig, TAG_result)->result.d, 2);
    live(rig, 7, 1, 1); /* no longer kept */
    live(rig, 7, 2, 1);
    cr_expect_eq(hear(rig, TAG_result)->result.d, 2);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, after_a_lost_link_it_says_where_it_stands)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    hash_t delivery = hear(rig, TAG_result)->result.delivery_hash;
    (void)delivery;

    const msg_body_t *body = start(rig);
    cr_expect_eq(body->attach.run, 7);
    cr_expect_eq(body->attach.last, 1);
    cr_expect(!hash_none(body->attach.chain));
    live(rig, 7, 2, 0); /* not attached: nothing */
    msg_attached_t old = {vat, 1, 1, 8, {{1}}, 0, 0};
    say(rig, TAG_attached, &old); /* another nonce: nothing */
    attached(rig, 9, 0);
    live(rig, 9, 1, 0);
    body = hear(rig, TAG_result);
    cr_expect_eq(body->result.d, 1);
    cr_expect_eq(body->result.run, 9, "a kept result carries the run it is sent in");
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* What the three cranks give when they are live. */
static void record(hash_t expect[3])
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    for (uint64_t d = 1; d <= 3; d++) {
        live(rig, 7, d, d - 1);
        const msg_result_t *result = &hear(rig, TAG_result)->result;
        expect[d - 1] = hash_result(result->outcome, result->calls, result->store_digest);
    }
    rig_end(rig);
}

Test(worker, applied_rows_are_replayed_without_a_word)
{
    hash_t expect[3];
    record(expect);
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 8, 3);
    const msg_body_t *body = hear(rig, TAG_fetch);
    cr_expect_eq(body->fetch.first, 1);
    cr_expect_eq(body->fetch.count, 3);
    live(rig, 8, 4, 3); /* sent before the broker knew: ignored */
    for (uint64_t d = 1; d <= 3; d++) deliver(rig, 8, d, 3, 1, expect[d - 1]);
    body = hear(rig, TAG_fetch);
    cr_expect_eq(body->fetch.first, 4, "live ones may come now");
    live(rig, 8, 4, 3);
    cr_expect_eq(hear(rig, TAG_result)->result.d, 4);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, a_long_log_is_fetched_in_pieces)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 8, FETCH_ROWS_MAX + 2);
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.count, FETCH_ROWS_MAX);
    for (uint64_t d = 1; d <= FETCH_ROWS_MAX; d++) deliver(rig, 8, d, 66, 2, (hash_t){{1}});
    const msg_body_t *body = hear(rig, TAG_fetch);
    cr_expect_eq(body->fetch.first, FETCH_ROWS_MAX + 1);
    cr_expect_eq(body->fetch.count, 2);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, a_replay_that_differs_ends_it)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 8, 2);
    hear(rig, TAG_fetch);
    deliver(rig, 8, 1, 2, 1, (hash_t){{1}});
    const msg_body_t *body = hear(rig, TAG_diverged);
    cr_expect_eq(body->diverged.d, 1);
    cr_expect(body->diverged.calls.len > 0);
    cr_expect_eq(rig_end(rig), WORKER_DIVERGED);
}

static void crime(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    script_send(host, "o-99", "#[\"y\",[]]", "", "");
}

Test(worker, after_a_discarded_crank_nothing_is_run)
{
    rig_t *rig = rig_new(crime);
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    live(rig, 7, 2, 0);
    cr_expect_eq(hear(rig, TAG_result)->result.outcome, ERR_VAT_ILLEGAL);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

static void dies(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    (void)context, (void)delivery, (void)host;
    ret->outcome = ERR_VAT_LIMIT_HEAP;
    strcpy(ret->reason, "Allocate meter exceeded");
    ret->dead = true;
}

Test(worker, a_dead_engine_answers_once_more)
{
    rig_t *rig = rig_new(dies);
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    const msg_body_t *body = hear(rig, TAG_result);
    cr_expect_eq(body->result.outcome, ERR_VAT_LIMIT_HEAP);
    cr_expect_eq(body->result.reason.len, strlen("Allocate meter exceeded"));
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, frames_that_make_no_sense_end_it)
{
    rig_t *rig = rig_new(sends);
    live(rig, 7, 1, 0); /* before START */
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);

    rig = rig_new(sends);
    start(rig);
    msg_ping_t ping = {0};
    say(rig, TAG_ping, &ping);
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);

    rig = rig_new(sends);
    cr_assert_eq(send(rig->fd, "\xff\xff\xff\xff", 4, 0), 4); /* a length no frame has */
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
}

Test(worker, a_large_frame_passes_both_ways)
{
    rig_t *rig = rig_new(sends);
    enum { BODY = 9 * 1000 * 1000 };
    uint8_t *body = malloc(BODY);
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);

    memset(body, 'x', BODY);
    start(rig);
    attached(rig, 7, 0);
    msg_deliver_message_t message = {.target = kref_root(vat),
                                     .methargs = {{body, BODY}, {NULL, 0}}};
    cr_assert_eq(msg_encode(TAG_deliver_message, &message, &frame), ERR_OK);
    msg_deliver_t msg = {
        .vat = vat, .inc = 1, .pgen = 1, .run = 7, .d = 1, .delivery = {frame.at, frame.len}};
    say(rig, TAG_deliver, &msg);
    cr_expect(hash_same(hear(rig, TAG_result)->result.delivery_hash, hash_of(msg.delivery)));
    live(rig, 7, 2, 1);
    cr_expect_eq(hear(rig, TAG_result)->result.d, 2);
    buf_clear(&frame);
    free(body);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* ---- names, for the audit ---- */

enum { HANDED = 10000, DELIVERIES = 7, PAIR_BYTES = 9 };

/* Hands over objects v9/FIRST.. of another vat. */
static void hand_over(rig_t *rig, uint64_t d, uint64_t first)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    kref_t *slots = calloc(HANDED, sizeof *slots);
    for (uint64_t i = 0; i < HANDED; i++) slots[i] = kref_object((vat_t){9}, first + i);
    msg_deliver_message_t message = {
        .target = kref_root(vat),
        .methargs = {{(const uint8_t *)"#[\"x\",[]]", 9}, {slots, HANDED}}};
    cr_assert_eq(msg_encode(TAG_deliver_message, &message, &frame), ERR_OK);
    msg_deliver_t msg = {
        .vat = vat, .inc = 1, .pgen = 1, .run = 1, .d = d, .delivery = {frame.at, frame.len}};
    say(rig, TAG_deliver, &msg);
    cr_assert_eq(hear(rig, TAG_result)->result.d, d);
    buf_clear(&frame);
    free(slots);
}

static uint64_t kref_at(const msg_names_t *names, size_t i)
{
    uint64_t n = 0;
    for (size_t j = 0; j < 8; j++) n = n << 8 | names->pairs.at[i * PAIR_BYTES + j];
    return n;
}

static const msg_names_t *ask_names(rig_t *rig, uint64_t first)
{
    msg_names_get_t get = {vat, 1, 1, 1, first};
    say(rig, TAG_names_get, &get);
    const msg_names_t *names = &hear(rig, TAG_names)->names;
    cr_expect_eq(names->vat.n, vat.n);
    cr_expect_eq(names->run, 1);
    cr_expect_eq(names->first, first);
    cr_expect_eq(names->last, DELIVERIES);
    return names;
}

/* Pages of ascending krefs, each once, its own root among them; another run gets no answer. */
Test(worker, it_tells_the_names_it_knows_in_pages)
{
    rig_t *rig = rig_new(NULL);
    start(rig);
    msg_names_get_t early = {vat, 1, 1, 1, 0}, other = {vat, 1, 1, 2, 0};
    say(rig, TAG_names_get, &early);
    attached(rig, 1, 0);
    say(rig, TAG_names_get, &other);
    for (uint64_t d = 1; d <= DELIVERIES; d++) hand_over(rig, d, 1 + (d - 1) * HANDED);

    const msg_names_t *names = ask_names(rig, 0);
    size_t count = names->pairs.len / PAIR_BYTES;
    cr_assert_eq(names->pairs.len, NAMES_BYTES_MAX);
    cr_expect_eq(kref_at(names, 0), kref_root(vat).n);
    cr_expect_eq(names->pairs.at[8], 3, "reachable, exported");
    for (size_t i = 1; i < count; i++) {
        cr_assert_eq(kref_at(names, i), kref_object((vat_t){9}, i).n);
        cr_assert_eq(names->pairs.at[i * PAIR_BYTES + 8], 1, "reachable");
    }
    cr_assert_eq(names->next, kref_object((vat_t){9}, count).n);
    names = ask_names(rig, names->next);
    cr_expect_eq(names->pairs.len / PAIR_BYTES, (size_t)DELIVERIES * HANDED + 1 - count);
    cr_expect_eq(kref_at(names, 0), kref_object((vat_t){9}, count).n);
    cr_expect_eq(names->next, 0);
    cr_expect_eq(ask_names(rig, kref_object((vat_t){10}, 0).n)->pairs.len, 0);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* ---- upgrades ---- */

static void wants(rig_t *rig)
{
    const msg_bundle_want_t *want = &hear(rig, TAG_bundle_want)->bundle_want;
    cr_expect_eq(want->vat.n, vat.n);
    cr_expect(want->bundle.len == 6 && memcmp(want->bundle.at, "b1-new", 6) == 0);
}

Test(worker, an_upgrade_asks_for_its_file_and_everything_waits_behind_it)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    hear(rig, TAG_result);
    upgrade_row(rig, 7, 2, 0, (hash_t){{0}});
    wants(rig);
    live(rig, 7, 1, 1);
    live(rig, 7, 3, 1);
    msg_names_get_t get = {vat, 2, 1, 7, 0};
    say(rig, TAG_names_get, &get);
    upgrade_row(rig, 7, 4, 0, (hash_t){{0}});
    live(rig, 7, 5, 1);

    file(rig, "/somewhere/b1-new");
    const msg_body_t *body = hear(rig, TAG_result);
    cr_expect_eq(body->result.d, 2);
    cr_expect_eq(body->result.outcome, ERR_OK);
    cr_expect_eq(body->result.inc, 2, "the broker counts incarnations");
    char *calls = calls_text(body->result.calls);
    cr_expect_str_eq(calls, "send ko3.0 #[\"y\",[]] {}\nsend ko3.0 #[\"y\",[]] {}\n",
                     "a reap and a start");
    free(calls);
    cr_expect_eq(hear(rig, TAG_result)->result.d, 3);
    cr_expect_eq(hear(rig, TAG_names)->names.last, 3);
    wants(rig);
    live(rig, 7, 6, 1);
    file(rig, "/somewhere/b1-new");
    for (uint64_t d = 4; d <= 6; d++) cr_expect_eq(hear(rig, TAG_result)->result.d, d);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, an_upgrade_without_a_bundle_fails_and_the_engine_with_it)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    upgrade_row(rig, 7, 1, 0, (hash_t){{0}});
    wants(rig);
    live(rig, 7, 2, 0);
    file(rig, "");
    const msg_body_t *body = hear(rig, TAG_result);
    cr_expect_eq(body->result.outcome, ERR_BUNDLE_UNKNOWN);
    cr_expect_eq(body->result.calls.len, 0);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, a_lost_link_while_it_waits_for_a_file_costs_nothing)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    upgrade_row(rig, 7, 1, 0, (hash_t){{0}});
    wants(rig);
    msg_start_t again = {.vat = vat, .inc = 1, .pgen = 1};
    say(rig, TAG_start, &again);
    file(rig, "/somewhere/b1-new");
    cr_expect_eq(hear(rig, TAG_result)->result.run, 7);
    const msg_body_t *body = hear(rig, TAG_attach);
    cr_expect_eq(body->attach.last, 1);
    cr_expect_eq(body->attach.inc, 2);
    rig->nonce = body->attach.nonce;
    attached(rig, 8, 0);
    upgrade_row(rig, 8, 1, 0, (hash_t){{0}});
    body = hear(rig, TAG_result);
    cr_expect_eq(body->result.d, 1);
    cr_expect_eq(body->result.run, 8);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(worker, an_upgrade_is_replayed_or_stepped_over)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    upgrade_row(rig, 7, 1, 0, (hash_t){{0}});
    wants(rig);
    file(rig, "/somewhere/b1-new");
    const msg_result_t *result = &hear(rig, TAG_result)->result;
    hash_t expect = hash_result(result->outcome, result->calls, result->store_digest);
    cr_expect_eq(rig_end(rig), WORKER_DONE);

    rig = rig_new(sends);
    start(rig);
    attached(rig, 8, 2);
    hear(rig, TAG_fetch);
    upgrade_row(rig, 8, 1, 2, (hash_t){{9}});
    upgrade_row(rig, 8, 2, 1, expect);
    wants(rig);
    file(rig, "/somewhere/b1-new");
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.first, 3);
    cr_expect_eq(rig_end(rig), WORKER_DONE);

    /* It was there once: this is no failure of the upgrade. */
    rig = rig_new(sends);
    start(rig);
    attached(rig, 8, 1);
    hear(rig, TAG_fetch);
    upgrade_row(rig, 8, 1, 1, expect);
    wants(rig);
    file(rig, "");
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
}

Test(worker, a_file_nobody_asked_for_ends_it)
{
    rig_t *rig = rig_new(sends);
    start(rig);
    file(rig, "/somewhere/b1-new");
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);

    rig = rig_new(sends);
    start(rig);
    attached(rig, 7, 0);
    upgrade_row(rig, 7, 1, 0, (hash_t){{0}});
    wants(rig);
    msg_bundle_file_t other = {text_of("b1-old"), text_of("/somewhere/b1-old")};
    say(rig, TAG_bundle_file, &other);
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
}
