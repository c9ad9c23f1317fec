/* Checkpoints of a worker that is a process, with a real database: when they are made, what a process leaves
 * behind that is killed anywhere, and what the next one says and does. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vathost/worker_rig.h"
#include "vathost/store/vatdb.h"
#include "wire/base/hash.h"
#include "wire/pages/pages.h"

enum { ROWS = 10 };

static char path[64], ship[80], taken[80];
static hash_t expect[ROWS + 1], chains[ROWS + 1]; /* of an undisturbed life */
static const msg_start_t never = {
    .every_rows = 1000000, .every_bytes = UINT64_C(1) << 40, .idle_ms = 3600 * 1000};

/* Every crank says how many it ran, and stores it. */
static void counts(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    char body[64];
    uint64_t *count = context;
    (void)delivery, (void)ret;
    snprintf(body, sizeof body, "#[\"crank\",[%d]]", (int)++*count);
    script_send(host, "o+0", body, "", "");
    script_set(host, "count", body);
}

static void setup(void)
{
    snprintf(path, sizeof path, "/tmp/worker-test-%d.db", (int)getpid());
    snprintf(ship, sizeof ship, "%s.ship", path);
    snprintf(taken, sizeof taken, "%s.copy", path);
    vatdb_delete(path);
}

static void teardown(void)
{
    vatdb_delete(path);
    vatdb_delete(ship);
    vatdb_delete(taken);
}

TestSuite(checkpoint, .init = setup, .fini = teardown, .timeout = 60);

static rig_t *begin(const msg_start_t *options)
{
    msg_start_t with = *options;
    with.ship = text_of(ship);
    return rig_on(path, &with, counts, "");
}

/* Runs FIRST to LAST live; what comes out must be what came out before. */
static void run(rig_t *rig, uint64_t first, uint64_t last, uint64_t applied)
{
    for (uint64_t d = first; d <= last; d++) {
        live(rig, 7, d, applied);
        const msg_result_t *result = &hear(rig, TAG_result)->result;
        hash_t hash = hash_result(result->outcome, result->calls, result->store_digest);
        cr_assert_eq(result->d, d);
        if (hash_none(expect[d])) expect[d] = hash;
        cr_assert(hash_same(hash, expect[d]), "delivery %d", (int)d);
        chains[d] = hash_chain(chains[d - 1], result->delivery_hash, hash);
    }
}

/* A whole life, to compare others with. */
static void live_once(void)
{
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, ROWS, 0);
    rig_kill(rig);
    vatdb_delete(path);
}

static const msg_checkpoint_t *hear_checkpoint(rig_t *rig, uint64_t d, uint64_t oldest)
{
    const msg_checkpoint_t *msg = &hear(rig, TAG_checkpoint)->checkpoint;
    cr_expect(msg->d == d && msg->oldest == oldest, "checkpoint %d, oldest %d", (int)msg->d,
              (int)msg->oldest);
    cr_expect(msg->run == 7 && msg->vat.n == vat.n && msg->bytes > 0);
    cr_expect(hash_same(msg->chain, chains[d]));
    return msg;
}

static void hear_made(rig_t *rig, uint64_t d, uint64_t oldest)
{
    hear(rig, TAG_checkpoint_begun);
    hear_checkpoint(rig, d, oldest);
}

/* A fresh worker that says it stands at D, its checkpoint. */
static rig_t *begin_at(uint64_t d, const msg_start_t *options)
{
    rig_t *rig = begin(options);
    const msg_attach_t *attach = &start(rig)->attach;
    cr_assert(attach->checkpoint == d && attach->last == d, "checkpoint %d, last %d",
              (int)attach->checkpoint, (int)attach->last);
    cr_expect(hash_same(attach->chain, chains[d]));
    cr_expect_eq(attach->heap, 0);
    return rig;
}

static void replay(rig_t *rig, uint64_t first, uint64_t last)
{
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.first, first);
    for (uint64_t d = first; d <= last; d++) deliver(rig, 7, d, last, 1, expect[d]);
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.first, last + 1);
}

Test(checkpoint, comes_after_so_many_rows_and_a_restart_goes_on_from_there)
{
    msg_start_t options = never;
    options.every_rows = 3;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 3, 0);
    hear_made(rig, 3, 0);
    run(rig, 4, 6, 3);
    hear_made(rig, 6, 3);
    run(rig, 7, 8, 6);
    rig_kill(rig);

    rig = begin_at(6, &options);
    attached(rig, 7, 8);
    hear_checkpoint(rig, 6, 3);
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.first, 7);
    for (uint64_t d = 7; d <= 8; d++) deliver(rig, 7, d, 8, 1, expect[d]);
    cr_expect_eq(hear(rig, TAG_fetch)->fetch.first, 9);
    run(rig, 9, 9, 8);
    hear_made(rig, 9, 6); /* rows of a replay count */
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, comes_after_so_many_bytes_or_so_long_without_a_delivery)
{
    msg_start_t options = never;
    live_once();
    options.every_bytes = 60;
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    hear(rig, TAG_checkpoint_begun);
    uint64_t first = hear(rig, TAG_checkpoint)->checkpoint.d;
    cr_expect(first == 1 || first == 2);
    rig_kill(rig);

    vatdb_delete(path);
    options = never;
    options.idle_ms = 40;
    rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    hear_made(rig, 2, 0);
    struct timespec pause = {0, 120 * 1000000};
    nanosleep(&pause, NULL); /* nothing new, nothing made */
    run(rig, 3, 3, 0);
    hear_made(rig, 3, 2);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, holds_the_results_that_nobody_has)
{
    msg_start_t options = never;
    options.every_rows = 4;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 4, 1);
    hear_made(rig, 4, 0);
    rig_kill(rig);

    rig = begin_at(4, &options);
    attached(rig, 7, 2);
    live(rig, 7, 2, 2); /* applied: nobody needs it */
    run(rig, 3, 4, 2);  /* did not run again: it would count on */
    run(rig, 5, 5, 2);
    rig_kill(rig);
    rig = begin(&options);
    cr_expect_eq(start(rig)->attach.acked, 1, "as far as the checkpoint remembers");
    rig_kill(rig);
}

static void ask(rig_t *rig, uint64_t run, uint64_t ship_too)
{
    msg_checkpoint_ask_t msg = {vat, 1, 1, run, ship_too};
    say(rig, TAG_checkpoint_ask, &msg);
}

Test(checkpoint, is_made_when_it_is_asked_for)
{
    live_once();
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    ask(rig, 6, 0); /* another run's */
    ask(rig, 7, 0);
    hear_made(rig, 2, 0);
    ask(rig, 7, 0);
    hear_checkpoint(rig, 2, 0); /* the same again, not made again */
    rig_kill(rig);
    rig = begin_at(2, &never);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* The host hears of a copy, and takes it. */
static void hear_file(rig_t *rig, uint64_t d)
{
    const msg_checkpoint_file_t *msg = &hear(rig, TAG_checkpoint_file)->checkpoint_file;
    cr_expect(msg->d == d && msg->vat.n == vat.n && hash_same(msg->chain, chains[d]));
    cr_assert_eq(rename(ship, taken), 0);
}

Test(checkpoint, is_copied_for_another_host)
{
    live_once();
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    ask(rig, 7, 1); /* too early: as soon as there is something */
    cr_expect_eq(hear(rig, TAG_checkpoint)->checkpoint.d, 0);
    run(rig, 1, 1, 0);
    hear_made(rig, 1, 0);
    hear_file(rig, 1);
    run(rig, 2, 4, 0);
    ask(rig, 7, 1);
    hear_made(rig, 4, 1);
    hear_file(rig, 4);
    run(rig, 5, 6, 4);
    rig_kill(rig);

    vatdb_delete(path);
    cr_assert_eq(rename(taken, path), 0);
    msg_start_t there = never;
    there.pgen = 2;
    rig = begin_at(4, &there);
    attached(rig, 7, 5);
    hear_checkpoint(rig, 4, 4); /* what was older is not for here */
    replay(rig, 5, 5);
    run(rig, 6, 7, 5);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, is_copied_each_time_when_the_vat_is_mirrored)
{
    msg_start_t options = never;
    options.every_rows = 2;
    options.mirror = 1;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    for (uint64_t d = 2; d <= 6; d += 2) {
        run(rig, d - 1, d, 0);
        hear_made(rig, d, d - 2);
        hear_file(rig, d);
    }
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

static uint64_t newest_in(const char *file)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *read = NULL;
    cr_assert_eq(pages_open(file, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "SELECT max(d) FROM checkpoint", -1, &read, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(read), SQLITE_ROW);
    uint64_t d = (uint64_t)sqlite3_column_int64(read, 0);
    sqlite3_finalize(read);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
    return d;
}

/* A host that is busy finds two copies told of and two files, each of what it was said to be. */
Test(checkpoint, is_not_copied_over_a_copy_that_nobody_took)
{
    live_once();
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    ask(rig, 7, 1);
    ask(rig, 7, 1);
    hear_made(rig, 2, 0);
    hear(rig, TAG_checkpoint_file);
    hear_checkpoint(rig, 2, 0);
    run(rig, 3, 4, 0);
    ask(rig, 7, 1);
    hear_made(rig, 4, 2); /* and no file: the next it says is about another thing */
    ask(rig, 7, 0);
    hear_checkpoint(rig, 4, 2);
    cr_assert_eq(rename(ship, taken), 0);
    cr_expect_eq(newest_in(taken), 2);
    hear_file(rig, 4);
    cr_expect_eq(newest_in(taken), 4);
    run(rig, 5, 5, 0);
    cr_expect_neq(access(ship, F_OK), 0, "nobody asked");
    rig_kill(rig);
}

Test(checkpoint, of_a_copy_that_waits_is_the_newest_by_then)
{
    msg_start_t options = never;
    options.every_rows = 2;
    options.mirror = 1;
    options.sleep_ms = 500;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    hear_made(rig, 2, 0);
    hear(rig, TAG_checkpoint_file);
    run(rig, 3, 4, 4);
    hear_made(rig, 4, 2);
    run(rig, 5, 5, 5);
    struct timespec pause = {0, 700 * 1000000};
    nanosleep(&pause, NULL); /* it would sleep by now, but for the copy it owes */
    cr_assert_eq(rename(ship, taken), 0);
    hear_made(rig, 5, 4);
    hear_file(rig, 5);
    hear_checkpoint(rig, 5, 4);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, is_copied_though_a_worker_left_one_that_it_never_told_of)
{
    live_once();
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    ask(rig, 7, 1);
    hear_made(rig, 2, 0);
    hear(rig, TAG_checkpoint_file);
    rig_kill(rig);
    rig = begin_at(2, &never);
    attached(rig, 7, 2);
    hear_checkpoint(rig, 2, 0);
    ask(rig, 7, 1);
    hear_checkpoint(rig, 2, 0);
    hear_file(rig, 2);
    rig_kill(rig);
}

Test(checkpoint, comes_before_sleep)
{
    msg_start_t options = never;
    options.sleep_ms = 40;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 2, 0);
    hear(rig, TAG_checkpoint_begun);
    cr_expect_eq(hear_checkpoint(rig, 2, 0)->asleep, 1);
    run(rig, 3, 3, 2); /* a delivery is an answer */
    hear(rig, TAG_checkpoint_begun);
    cr_expect_eq(hear_checkpoint(rig, 3, 2)->asleep, 1);
    cr_expect_eq(hear_checkpoint(rig, 3, 2)->asleep, 1, "it asks again");
    msg_sleep_t other = {vat, 1, 1, 6}, sleep = {vat, 1, 1, 7};
    say(rig, TAG_sleep, &other);
    cr_expect_eq(hear_checkpoint(rig, 3, 2)->asleep, 1);
    say(rig, TAG_sleep, &sleep);
    cr_expect_eq(rig_end(rig), WORKER_ASLEEP);
    rig = begin_at(3, &options);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, is_what_an_orderly_end_leaves)
{
    live_once();
    rig_t *rig = begin(&never);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 3, 0);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
    rig = begin_at(3, &never);
    attached(rig, 7, 3);
    hear_checkpoint(rig, 3, 0);
    run(rig, 4, 4, 3);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

static void crime(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                  engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    script_send(host, "o-99", "#[\"y\",[]]", "", "");
}

Test(checkpoint, is_never_made_of_a_crank_that_was_discarded)
{
    msg_start_t options = never;
    options.every_rows = 1;
    rig_t *rig = rig_on(path, &options, crime, "");
    start(rig);
    attached(rig, 7, 0);
    live(rig, 7, 1, 0);
    cr_expect_eq(hear(rig, TAG_result)->result.outcome, ERR_VAT_ILLEGAL);
    ask(rig, 7, 0);
    cr_expect_eq(hear(rig, TAG_checkpoint)->checkpoint.d, 0);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
    memset(chains, 0, sizeof chains);
    rig = begin_at(0, &never);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* ---- killed anywhere ---- */

Test(checkpoint, survives_a_death_at_each_of_its_steps)
{
    static const struct {
        const char *label;
        uint64_t stands; /* where the next one begins */
    } deaths[] = {
        {"worker_checkpoint_due:2", 2},
        {"worker_checkpoint_saved:2", 2},
        {"worker_checkpoint_written:2", 2},
        {"worker_checkpoint_committed:2", 4},
        {"worker_said_checkpoint:2", 4},
        {"worker_copy_written:2", 4},
        {"worker_copy_named:2", 4},
        {"worker_said_file:2", 4},
        {"worker_crank_wrote:6", 4},
        {"worker_crank_kept:6", 4},
        {"worker_ran:6", 4},
    };
    msg_start_t options = never;
    options.every_rows = 2;
    options.mirror = 1;
    options.ship = text_of(ship);
    live_once();
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++) {
        rig_t *rig = rig_on(path, &options, counts, deaths[i].label);
        start(rig);
        attached(rig, 7, 0);
        run(rig, 1, 2, 0);
        hear_made(rig, 2, 0);
        hear_file(rig, 2);
        for (uint64_t d = 3; d <= 6; d++) live(rig, 7, d, 0);
        rig_dies(rig);
        for (int again = 0; again < 2; again++) {
            rig = begin_at(deaths[i].stands, &never);
            attached(rig, 7, deaths[i].stands + 2);
            replay(rig, deaths[i].stands + 1, deaths[i].stands + 2);
            run(rig, deaths[i].stands + 3, 8, deaths[i].stands + 2);
            rig_kill(rig);
        }
        vatdb_delete(path);
        vatdb_delete(ship);
    }
}

/* ---- heaps that cannot be read ---- */

static void damage(const char *where)
{
    sqlite3 *db = NULL;
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE checkpoint SET heap = x'00' WHERE %s", where);
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

/* Checkpoints at 3 and 6, and two rows more. */
static void live_to_eight(void)
{
    msg_start_t options = never;
    options.every_rows = 3;
    live_once();
    rig_t *rig = begin(&options);
    start(rig);
    attached(rig, 7, 0);
    run(rig, 1, 8, 0);
    rig_kill(rig);
}

Test(checkpoint, before_the_newest_is_the_one_to_fall_back_to)
{
    live_to_eight();
    damage("d = 6");
    for (int again = 0; again < 2; again++) {
        rig_t *rig = begin(&never);
        const msg_attach_t *attach = &start(rig)->attach;
        cr_expect(attach->checkpoint == 3 && attach->last == 3 && attach->heap == 0);
        cr_expect(attach->note.len > 0, "people are told");
        cr_expect(hash_same(attach->chain, chains[3]));
        attached(rig, 7, 7);
        hear_checkpoint(rig, 3, 3);
        replay(rig, 4, 7);
        run(rig, 8, 8, 7);
        if (again) {
            ask(rig, 7, 1);
            hear_made(rig, 8, 3);
            hear_file(rig, 8);
        }
        rig_kill(rig);
    }
    rig_t *rig = begin_at(8, &never);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

/* A worker without a heap, that was answered AGAIN. */
static rig_t *begin_heapless(uint64_t applied, uint64_t again)
{
    rig_t *rig = begin(&never);
    const msg_attach_t *attach = &start(rig)->attach;
    cr_expect(attach->checkpoint == 6 && attach->last == 6 && attach->heap == 1);
    cr_expect(attach->note.len > 0);
    attached_again(rig, 7, applied, again);
    return rig;
}

Test(checkpoint, without_a_heap_is_forgotten_when_the_log_reaches_back)
{
    live_to_eight();
    damage("1");
    for (int again = 0; again < 2; again++) {
        rig_t *rig = begin_heapless(6, 1);
        replay(rig, 1, 6);
        run(rig, 7, 7, 6);
        if (again) {
            ask(rig, 7, 0);
            hear_made(rig, 7, 0);
        }
        rig_kill(rig);
    }
    rig_t *rig = begin_at(7, &never);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, without_a_heap_is_good_for_an_upgrade)
{
    live_to_eight();
    damage("1");
    for (int again = 0; again < 2; again++) {
        rig_t *rig = begin_heapless(6, 2);
        ask(rig, 7, 0);                          /* there is nothing to save */
        deliver(rig, 7, 7, 6, 2, (hash_t){{1}}); /* given up with the heap */
        upgrade_row(rig, 7, 8, 0, (hash_t){{0}});
        hear(rig, TAG_bundle_want);
        if (again == 0) { /* before the file is here */
            rig_kill(rig);
            continue;
        }
        file(rig, "/somewhere/b1-new");
        const msg_result_t *result = &hear(rig, TAG_result)->result;
        cr_expect_eq(result->outcome, ERR_OK);
        cr_expect(result->calls.len > 0);
        hear(rig, TAG_checkpoint_begun);
        const msg_checkpoint_t *made = &hear(rig, TAG_checkpoint)->checkpoint;
        cr_expect(made->d == 8 && made->oldest == 8, "nothing older can be started from");
        rig_kill(rig);
    }
    rig_t *rig = begin(&never);
    const msg_attach_t *attach = &start(rig)->attach;
    cr_expect(attach->checkpoint == 8 && attach->last == 8 && attach->heap == 0);
    cr_expect_eq(rig_end(rig), WORKER_DONE);
}

Test(checkpoint, without_a_heap_is_good_for_nothing_else)
{
    live_to_eight();
    damage("1");
    rig_t *rig = begin_heapless(6, 0);
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
    rig = begin_heapless(6, 2);
    live(rig, 7, 7, 6);
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
}

Test(checkpoint, of_another_kernel_is_not_touched)
{
    live_to_eight();
    msg_start_t other = never;
    other.kernel = (id128_t){{9}};
    rig_t *rig = begin(&other);
    msg_start_t msg = other;
    msg.vat = vat;
    msg.pgen = 1;
    say(rig, TAG_start, &msg);
    cr_expect_eq(rig_end(rig), WORKER_BROKEN);
    rig = begin_at(6, &never);
    rig_kill(rig);
}
