/* Upgrades at the border of a vat: one delivery, an old engine that is reaped and a new one that starts,
 * and what of the c-list outlives the change. Or nothing happened at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/script_engine.h"
#include "tests/support/vat_rig.h"
#include "wire/base/hash.h"

static const vat_t vat = {3};

static rig_t rig_of(script_t *script, const script_file_t *files)
{
    engine_t *engine = script_engine_new(script, NULL);
    script_files(engine, files);
    return rig_with(vat, engine);
}

#define SLOTS(...) \
    (const kref_t[]){__VA_ARGS__}, sizeof((const kref_t[]){__VA_ARGS__}) / sizeof(kref_t)

static kref_t ko(uint32_t owner, uint64_t n) { return kref_object((vat_t){owner}, n); }
static kref_t kp(uint32_t owner, uint64_t n) { return kref_promise((vat_t){owner}, n); }

static err_t message(rig_t *rig, kref_t target, const kref_t *slots, size_t count, kref_t result)
{
    static const char body[] = "#[\"x\",[]]";
    msg_deliver_message_t msg = {
        .target = target,
        .methargs = {{(const uint8_t *)body, sizeof body - 1}, {slots, count}},
        .result = result};
    return run_as(rig, TAG_deliver_message, &msg, 0, (hash_t){{0}});
}

/* What an upgrade carries. */
typedef struct {
    const kref_t *forgotten;
    size_t forgotten_count;
    const kref_t *slots;
    size_t slot_count;
} cargo_t;

static err_t upgrade_as(rig_t *rig, const char *file, cargo_t cargo, uint64_t verdict,
                        hash_t expect)
{
    msg_deliver_upgrade_t msg = {
        .stamp_ms = 5,
        .bundle = text_of("b1-"),
        .parameters = {{(const uint8_t *)"#{}", 3}, {cargo.slots, cargo.slot_count}},
        .message = text_of("new code"),
        .forgotten = {cargo.forgotten, cargo.forgotten_count}};
    supervisor_bundle(rig->supervisor, file);
    return run_as(rig, TAG_deliver_upgrade, &msg, verdict, expect);
}

static err_t upgrade(rig_t *rig, const char *file, cargo_t cargo)
{
    return upgrade_as(rig, file, cargo, 0, (hash_t){{0}});
}

/* The last N things the engine heard, "; " between them. */
static const char *heard(const rig_t *rig, size_t n)
{
    static char text[1024];
    size_t count = script_count(rig->engine), len = 0;
    text[0] = '\0';
    for (size_t i = count - n; i < count; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? "; " : "",
                                script_heard(rig->engine, i));
    }
    return text;
}

/* "ko3.0 o+0, ..." with a * behind what is not reachable. */
typedef struct {
    char text[1024];
    size_t len;
} pairs_t;

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    pairs_t *pairs = context;
    char name[KREF_TEXT_MAX];
    pairs->len += (size_t)snprintf(pairs->text + pairs->len, sizeof pairs->text - pairs->len,
                                   "%s%s %.*s%s", pairs->len ? ", " : "", kref_text(kref, name),
                                   (int)vref.s.len, vref.s.at, flags & 1 ? "" : "*");
}

static const char *pairs(const rig_t *rig)
{
    static pairs_t found;
    found.len = 0;
    supervisor_pairs(rig->supervisor, add_pair, &found);
    return found.text;
}

/* ---- the scripts ---- */

/* Exports one of each kind with its first message; its reap lets the first import go. */
static void old_code(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                     engine_report_t *ret)
{
    (void)context, (void)ret;
    switch (delivery->tag) {
    case TAG_deliver_start: script_set(host, "baggage", "old"); break;
    case TAG_deliver_message:
        script_send(host, "o-50", "#[\"take\",[]]", "o+0 o+7 o+v8/1:0 o+d9/1:0 o+d9/2 p+5 o+6",
                    "p+6");
        break;
    case TAG_deliver_reap:
        script_refs(host, TAG_drop_imports, "o-50");
        script_refs(host, TAG_retire_imports, "o-50");
        script_set(host, "reaped", "yes");
        ret->computrons = 70;
        break;
    default: break;
    }
}

static void new_code(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                     engine_report_t *ret)
{
    (void)context;
    if (delivery->tag != TAG_deliver_start) return;
    script_send(host, "o-51", "#[\"hello\",[]]", "o+d9/1:0 o+7 p+20", "p+21");
    script_set(host, "baggage", "new");
    ret->computrons = 7;
}

static void quiet_code(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                       engine_report_t *ret)
{
    (void)context, (void)delivery, (void)host, (void)ret;
}

static void code_that_throws(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                             engine_report_t *ret)
{
    (void)context;
    if (delivery->tag != TAG_deliver_start) return;
    script_set(host, "baggage", "broken");
    script_send(host, "o-51", "#[\"hello\",[]]", "o+8", "");
    ret->outcome = ERR_BUILD_ROOT_THREW;
    snprintf(ret->reason, sizeof ret->reason, "Error: defined durable kinds not reconnected");
}

static void code_that_is_illegal(void *context, const vdelivery_t *delivery,
                                 const engine_host_t *host, engine_report_t *ret)
{
    (void)context, (void)ret;
    if (delivery->tag == TAG_deliver_start) script_subscribe(host, "p-99");
}

static void code_that_exits(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                            engine_report_t *ret)
{
    (void)context, (void)ret;
    if (delivery->tag == TAG_deliver_start) script_exit(host, false, "#\"bye\"", "");
}

static void code_that_loops(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                            engine_report_t *ret)
{
    (void)context, (void)host;
    if (delivery->tag != TAG_deliver_start) return;
    ret->outcome = ERR_VAT_LIMIT_COMPUTE;
    ret->dead = true;
}

/* As old_code, but it cannot be reaped. */
static void stubborn_code(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                          engine_report_t *ret)
{
    if (delivery->tag == TAG_deliver_reap) {
        script_set(host, "reaped", "half");
        ret->outcome = ERR_VAT_FAILED;
        snprintf(ret->reason, sizeof ret->reason, "liveslots did not finish the delivery");
        return;
    }
    old_code(context, delivery, host, ret);
}

static void greedy_code(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    if (delivery->tag == TAG_deliver_reap) {
        script_refs(host, TAG_retire_imports, "o-50"); /* which it still reaches */
        return;
    }
    old_code(context, delivery, host, ret);
}

static const script_file_t files[] = {
    {"new", new_code},
    {"quiet", quiet_code},
    {"throws", code_that_throws},
    {"illegal", code_that_is_illegal},
    {"exits", code_that_exits},
    {"loops", code_that_loops},
    {"broken", NULL},
    {NULL, NULL},
};

/* A vat that holds ko5.1 as o-50 and ko5.2 as o-51, decides kp5.9 (p-60), and exported one of each. */
static rig_t rig_grown(script_t *script)
{
    rig_t rig = rig_of(script, files);
    msg_deliver_start_t start = {.parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    cr_assert_eq(run_as(&rig, TAG_deliver_start, &start, 0, (hash_t){{0}}), ERR_OK);
    cr_assert_eq(message(&rig, ko(3, 0), SLOTS(ko(5, 1), ko(5, 2)), kp(5, 9)), ERR_OK);
    cr_assert_str_eq(rig.calls,
                     "send ko5.1 #[\"take\",[]] {ko3.0 ko3.1 ko3.2 ko3.3 ko3.4 kp3.1 ko3.5} "
                     "kp3.2\n");
    return rig;
}

static const char grown[] = "ko3.0 o+0, ko3.1 o+7, ko3.2 o+v8/1:0, ko3.3 o+d9/1:0, ko3.4 o+d9/2, "
                            "ko3.5 o+6, ko5.1 o-50, ko5.2 o-51, kp3.1 p+5, kp3.2 p+6, kp5.9 p-60";

/* ---- success ---- */

Test(upgrade, reaps_the_old_one_and_starts_the_new_one_in_one_crank)
{
    rig_t rig = rig_grown(old_code);
    cr_assert_str_eq(pairs(&rig), grown);

    kref_t forgotten[] = {kp(3, 1), kp(5, 9)};
    cr_assert_eq(upgrade(&rig, "new", (cargo_t){.forgotten = forgotten, 2}), ERR_OK);
    cr_expect_str_eq(heard(&rig, 3), "reap; renew new; start #{} {}");
    cr_expect_eq(rig.crank->outcome, ERR_OK, "%s", rig.crank->reason);
    cr_expect(!rig.crank->ended && !rig.crank->dead);
    cr_expect_eq(rig.crank->computrons, 77);
    /* The old one's drops, what it cannot leave behind, the new one's words: the name of what was
     * given up is free for another object. */
    cr_expect_str_eq(rig.calls, "drop_imports ko5.1\nretire_imports ko5.1\n"
                                "abandon_exports ko3.1 ko3.2 ko3.5\n"
                                "send ko5.2 #[\"hello\",[]] {ko3.3 ko3.6 kp3.3} kp3.4\n");
    cr_expect_str_eq(pairs(&rig),
                     "ko3.0 o+0, ko3.3 o+d9/1:0, ko3.4 o+d9/2, ko3.6 o+7, ko5.2 o-51, kp3.2 p+6, "
                     "kp3.3 p+20, kp3.4 p+21");
    char *dump = memstore_dump(rig.store);
    cr_expect(strstr(dump, "s baggage=new\ns reaped=yes\n"), "%s", dump);
    cr_expect(strstr(dump, "p ko3.6=o+7 3\n") && !strstr(dump, "p ko3.1=") &&
                  !strstr(dump, "p kp5.9="),
              "%s", dump);
    free(dump);
    rig_clear(&rig);
}

Test(upgrade, numbers_go_on_and_what_was_given_up_comes_back_as_an_import)
{
    rig_t rig = rig_grown(old_code);
    cr_assert_eq(upgrade(&rig, "quiet", (cargo_t){0}), ERR_OK);
    cr_assert_str_eq(rig.calls, "drop_imports ko5.1\nretire_imports ko5.1\n"
                                "abandon_exports ko3.1 ko3.2 ko3.5\n");

    cr_assert_eq(message(&rig, ko(3, 3), SLOTS(ko(3, 2), ko(5, 1), ko(3, 4)), kp(5, 10)), ERR_OK);
    cr_expect_str_eq(heard(&rig, 1), "message o+d9/1:0 #[\"x\",[]] {o-52 o-53 o+d9/2} p-61");

    size_t ran = script_count(rig.engine);
    cr_assert_eq(message(&rig, ko(3, 1), NULL, 0, kp(5, 11)), ERR_OK);
    cr_expect_eq(script_count(rig.engine), ran, "nobody is left who could take it");
    cr_expect_str_eq(rig.calls,
                     "resolve kp5.11 rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat "
                     "terminated\",\"name\":\"Error\"} {}\n");
    rig_clear(&rig);
}

/* The parameters come when the old incarnation is gone: what it let go is new, what it gave up too. */
Test(upgrade, parameters_are_named_after_what_the_old_one_forgot)
{
    rig_t rig = rig_grown(old_code);
    kref_t forgotten[] = {kp(5, 9)},
           slots[] = {ko(5, 1), ko(3, 1), kp(5, 9), ko(3, 4), ko(5, 2), ko(5, 3)};
    cr_assert_eq(upgrade(&rig, "quiet", (cargo_t){forgotten, 1, slots, 6}), ERR_OK);
    cr_expect_str_eq(heard(&rig, 1), "start #{} {o-52 o-53 p-61 o+d9/2 o-51 o-54}");
    rig_clear(&rig);
}

Test(upgrade, again_and_again)
{
    rig_t rig = rig_grown(old_code);
    cr_assert_eq(upgrade(&rig, "new", (cargo_t){0}), ERR_OK);
    cr_assert_str_eq(pairs(&rig), "ko3.0 o+0, ko3.3 o+d9/1:0, ko3.4 o+d9/2, ko3.6 o+7, ko5.2 o-51, "
                                  "kp3.1 p+5, kp3.2 p+6, kp3.3 p+20, kp3.4 p+21, kp5.9 p-60");
    kref_t forgotten[] = {kp(3, 1), kp(3, 3), kp(5, 9)};
    cr_assert_eq(upgrade(&rig, "quiet", (cargo_t){.forgotten = forgotten, 3}), ERR_OK);
    cr_expect_str_eq(rig.calls, "abandon_exports ko3.6\n");
    cr_assert_eq(upgrade(&rig, "quiet", (cargo_t){0}), ERR_OK);
    cr_expect_str_eq(rig.calls, "", "nothing is left to give up");
    cr_expect_str_eq(pairs(&rig),
                     "ko3.0 o+0, ko3.3 o+d9/1:0, ko3.4 o+d9/2, ko5.2 o-51, kp3.2 p+6, kp3.4 p+21");
    rig_clear(&rig);
}

static void export_many(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    enum { PIECE = 12 };
    static unsigned made;
    (void)context, (void)ret;
    if (delivery->tag != TAG_deliver_message) return;
    for (int i = 0; i < 900; i++) {
        char slots[256];
        size_t len = 0;
        for (int j = 0; j < PIECE; j++)
            len += (size_t)snprintf(slots + len, sizeof slots - len, "o+%u ", ++made);
        script_send(host, "o-50", "#[\"take\",[]]", slots, "");
    }
}

Test(upgrade, long_lists_are_given_up_in_pieces)
{
    rig_t rig = rig_of(export_many, files);
    cr_assert_eq(message(&rig, ko(3, 0), SLOTS(ko(5, 1)), (kref_t){0}), ERR_OK);
    cr_assert_eq(upgrade(&rig, "quiet", (cargo_t){0}), ERR_OK);
    char *second = strchr(rig.calls, '\n') + 1;
    cr_expect_eq(strncmp(rig.calls, "abandon_exports ko3.1 ko3.2 ko3.3 ", 34), 0);
    cr_expect_eq(strncmp(second, "abandon_exports ko3.10001 ", 26), 0, "%.40s", second);
    cr_expect_str_eq(strrchr(rig.calls, ' '), " ko3.10800\n");
    cr_expect_str_eq(pairs(&rig), "ko3.0 o+0, ko5.1 o-50");
    rig_clear(&rig);
}

/* ---- failure ---- */

static void fails(script_t *script, const char *file, err_t outcome, const char *reason)
{
    rig_t rig = rig_grown(script), before = rig_grown(script);
    char *dump_before = memstore_dump(rig.store);
    kref_t forgotten[] = {kp(3, 1), kp(5, 9)};

    cr_assert_eq(upgrade(&rig, file, (cargo_t){.forgotten = forgotten, 2}), ERR_OK);
    cr_expect_eq(rig.crank->outcome, outcome, "%s: %s", file, err_name(rig.crank->outcome));
    cr_expect_str_eq(rig.crank->reason, reason);
    cr_expect(rig.crank->dead && rig.crank->ended, "%s: neither engine may go on", file);
    cr_expect_str_eq(rig.calls, "");
    cr_expect_str_eq(pairs(&rig), grown);
    char *dump = memstore_dump(rig.store);
    cr_expect_str_eq(dump, dump_before, "%s: the store is as it was", file);

    /* Another worker steps over the row and goes on where the old incarnation stood. */
    cr_assert_eq(
        upgrade_as(&before, NULL, (cargo_t){.forgotten = forgotten, 2}, 2, rig.crank->result_hash),
        ERR_OK);
    cr_expect(hash_same(supervisor_chain(before.supervisor), supervisor_chain(rig.supervisor)));
    cr_assert_eq(message(&before, ko(3, 2), SLOTS(ko(5, 3)), kp(5, 10)), ERR_OK);
    cr_expect_str_eq(heard(&before, 1), "message o+v8/1:0 #[\"x\",[]] {o-52} p-61");
    free(dump);
    free(dump_before);
    rig_clear(&rig);
    rig_clear(&before);
}

Test(upgrade, code_that_throws_changes_nothing)
{
    fails(old_code, "throws", ERR_BUILD_ROOT_THREW, "Error: defined durable kinds not reconnected");
}

Test(upgrade, an_illegal_syscall_changes_nothing)
{
    fails(old_code, "illegal", ERR_VAT_ILLEGAL,
          "illegal syscall subscribe: the vat names a kref that it does not hold (p-99)");
}

Test(upgrade, code_that_exits_changes_nothing)
{
    fails(old_code, "exits", ERR_VAT_FAILED, "the vat asked to end while it was upgraded");
}

Test(upgrade, code_that_does_not_end_changes_nothing)
{
    fails(old_code, "loops", ERR_VAT_LIMIT_COMPUTE, "");
}

Test(upgrade, a_bundle_that_is_not_there_changes_nothing)
{
    fails(old_code, NULL, ERR_BUNDLE_UNKNOWN, err_text(ERR_BUNDLE_UNKNOWN));
    fails(old_code, "gone", ERR_BUNDLE_UNKNOWN, err_text(ERR_BUNDLE_UNKNOWN));
    fails(old_code, "broken", ERR_BUNDLE_BROKEN, err_text(ERR_BUNDLE_BROKEN));
}

Test(upgrade, an_old_one_that_cannot_be_reaped_stays)
{
    fails(stubborn_code, "new", ERR_VAT_FAILED, "liveslots did not finish the delivery");
    fails(greedy_code, "new", ERR_VAT_ILLEGAL,
          "illegal syscall retire_imports: a reference is retired that is still reachable (o-50)");
}

Test(upgrade, the_file_is_for_one_upgrade_only)
{
    rig_t rig = rig_grown(old_code);
    msg_deliver_upgrade_t msg = {.parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};

    supervisor_bundle(rig.supervisor, "quiet");
    cr_assert_eq(run_as(&rig, TAG_deliver_upgrade, &msg, 0, (hash_t){{0}}), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_OK);
    cr_assert_eq(run_as(&rig, TAG_deliver_upgrade, &msg, 0, (hash_t){{0}}), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_BUNDLE_UNKNOWN);
    rig_clear(&rig);
}

Test(upgrade, one_that_cannot_be_is_the_brokers_fault)
{
    kref_t unknown[] = {kp(3, 77)}, object[] = {ko(5, 1)}, none[] = {{0}}, foreign[] = {ko(3, 78)};
    const cargo_t wrong[] = {
        {.forgotten = unknown, 1}, {.forgotten = object, 1}, {.slots = none, .slot_count = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        rig_t rig = rig_grown(old_code);
        cr_expect_eq(upgrade(&rig, "quiet", wrong[i]), ERR_NOT_HELD, "case %zu", i);
        cr_expect_str_eq(pairs(&rig), grown);
        rig_clear(&rig);
    }
    /* An object of its own without a pair: nothing was ever given up that it could be. */
    rig_t rig = rig_of(quiet_code, files);
    cr_expect_eq(upgrade(&rig, "quiet", (cargo_t){.slots = foreign, .slot_count = 1}),
                 ERR_NOT_HELD);
    rig_clear(&rig);
}

static err_t no_engine(engine_t *engine, const char *bundle)
{
    (void)engine, (void)bundle;
    return ERR_PROCESS_FAILED;
}

/* That is neither the bundle's fault nor the vat's: another worker may have more luck. */
Test(upgrade, an_engine_that_cannot_be_had_ends_the_worker)
{
    rig_t rig = rig_grown(old_code);
    rig.engine->renew = no_engine;
    cr_expect_eq(upgrade(&rig, "quiet", (cargo_t){0}), ERR_PROCESS_FAILED);
    cr_expect_str_eq(pairs(&rig), grown);
    cr_expect_eq(supervisor_last(rig.supervisor), rig.d);
    rig_clear(&rig);
}

Test(upgrade, a_store_that_fails_at_any_operation_ends_the_worker)
{
    unsigned n = 0, failures = 0;
    for (err_t err = ERR_STORE; err; n++) {
        rig_t rig = rig_grown(old_code);
        kref_t forgotten[] = {kp(5, 9)}, slots[] = {ko(5, 3)};
        memstore_fail(rig.store, n + 1);
        err = upgrade(&rig, "new", (cargo_t){forgotten, 1, slots, 1});
        cr_assert(!err || err == ERR_STORE, "%u: %s", n, err_name(err));
        failures += err != ERR_OK;
        rig_clear(&rig);
    }
    cr_expect_gt(failures, 15);
}

/* ---- replay ---- */

Test(upgrade, a_replay_gives_the_same_hashes)
{
    rig_t live = rig_grown(old_code), again = rig_grown(old_code);
    kref_t forgotten[] = {kp(3, 1)}, slots[] = {ko(5, 1), ko(5, 7)};
    cargo_t cargo = {forgotten, 1, slots, 2};

    cr_assert_eq(upgrade(&live, "new", cargo), ERR_OK);
    hash_t result = live.crank->result_hash;
    cr_assert_eq(upgrade_as(&again, "new", cargo, 1, result), ERR_OK);
    cr_expect(hash_same(again.crank->result_hash, result));
    cr_expect(hash_same(supervisor_chain(live.supervisor), supervisor_chain(again.supervisor)));
    char *one = memstore_dump(live.store), *other = memstore_dump(again.store);
    cr_expect_str_eq(one, other);
    free(one);
    free(other);

    rig_t differs = rig_grown(old_code);
    cr_assert_eq(upgrade_as(&differs, "quiet", cargo, 1, result), ERR_OK);
    cr_expect(!hash_same(differs.crank->result_hash, result), "other code says other things");
    rig_clear(&live);
    rig_clear(&again);
    rig_clear(&differs);
}
