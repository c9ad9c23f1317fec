/* The supervisor at its border: deliveries in krefs go in, an engine with a script answers in vrefs,
 * and the crank's syscalls in krefs come out. The traces are those of SwingSet's raw vats. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/script_engine.h"
#include "tests/support/vat_rig.h"
#include "wire/base/own.h"

static rig_t rig_of(vat_t vat, script_t *script, void *context)
{
    return rig_with(vat, script_engine_new(script, context));
}

static capdata_t capdata(const char *body, const kref_t *slots, size_t count)
{
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {slots, count}};
}

#define SLOTS(...) \
    (const kref_t[]){__VA_ARGS__}, sizeof((const kref_t[]){__VA_ARGS__}) / sizeof(kref_t)

static kref_t ko(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static kref_t kp(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }

static err_t message(rig_t *rig, kref_t target, const char *body, const kref_t *slots, size_t count,
                     kref_t result)
{
    msg_deliver_message_t msg = {
        .target = target, .methargs = capdata(body, slots, count), .result = result};
    return run(rig, TAG_deliver_message, &msg);
}

static err_t notify(rig_t *rig, const resolution_t *list, size_t count)
{
    msg_deliver_notify_t msg = {.resolutions = {list, count}};
    return run(rig, TAG_deliver_notify, &msg);
}

static const char *heard(const rig_t *rig)
{
    return script_heard(rig->engine, script_count(rig->engine) - 1);
}

typedef struct {
    const char *vref;
    kref_t kref;
    uint64_t flags;
    size_t count;
} look_t;

static void look_at(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    look_t *look = context;
    look->count++;
    if (vref.s.len == strlen(look->vref) && memcmp(vref.s.at, look->vref, vref.s.len) == 0) {
        look->kref = kref;
        look->flags = flags;
    }
}

static look_t look(const rig_t *rig, const char *vref)
{
    look_t found = {.vref = vref};
    supervisor_pairs(rig->supervisor, look_at, &found);
    return found;
}

/* ---- traces ---- */

static void ping_a(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)context, (void)ret;
    if (!script_method(delivery, "go")) return;
    script_send(host, "o-50", "#[\"ping\",[\"$0\"]]", "o+1", "p+101");
    script_subscribe(host, "p+101");
}

static void ping_b(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)context, (void)ret;
    if (script_method(delivery, "ping")) script_resolve(host, "p-60", false, "#\"pong\"", "");
}

Test(supervisor, two_raw_vats_ping)
{
    rig_t a = rig_of((vat_t){1}, ping_a, NULL), b = rig_of((vat_t){2}, ping_b, NULL);

    cr_assert_eq(message(&a, ko(1, 0), "#[\"go\",[\"$0\"]]", SLOTS(ko(2, 0)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&a), "message o+0 #[\"go\",[\"$0\"]] {o-50}");
    cr_expect_str_eq(a.calls, "send ko2.0 #[\"ping\",[\"$0\"]] {ko1.1} kp1.1\nsubscribe kp1.1\n");

    cr_assert_eq(message(&b, ko(2, 0), "#[\"ping\",[\"$0\"]]", SLOTS(ko(1, 1)), kp(1, 1)), ERR_OK);
    cr_expect_str_eq(heard(&b), "message o+0 #[\"ping\",[\"$0\"]] {o-50} p-60");
    cr_expect_str_eq(b.calls, "resolve kp1.1 ok #\"pong\" {}\n");

    resolution_t pong = {kp(1, 1), false, capdata("#\"pong\"", NULL, 0)};
    cr_assert_eq(notify(&a, &pong, 1), ERR_OK);
    cr_expect_str_eq(heard(&a), "notify p+101 ok #\"pong\" {}");

    /* c-lists as in the trace: the promise is gone on both sides */
    cr_expect(kref_same(look(&a, "o+0").kref, ko(1, 0)));
    cr_expect(kref_same(look(&a, "o-50").kref, ko(2, 0)));
    cr_expect(kref_same(look(&a, "o+1").kref, ko(1, 1)));
    cr_expect_eq(look(&a, "").count, 3);
    cr_expect(kref_same(look(&b, "o-50").kref, ko(1, 1)));
    cr_expect_eq(look(&b, "").count, 2);
    rig_clear(&a);
    rig_clear(&b);
}

/* A script is a list of steps, one for each delivery. */
typedef void step_t(const engine_host_t *host, engine_report_t *ret);
typedef struct {
    step_t *steps[8];
    size_t at;
} steps_t;

static void follow(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)delivery;
    steps_t *self = context;
    step_t *step = self->steps[self->at++];
    if (step) step(host, ret);
}

static err_t poke(rig_t *rig)
{
    return message(rig, ko(3, 0), "#[\"poke\",[]]", NULL, 0, (kref_t){0});
}

static void serials(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_send(host, "o+20", "#[\"a\",[\"$0\",\"&1\",\"$2\"]]", "o+21 p+5 o+d11/1:0", "p+6");
    script_resolve_batch(host,
                         (script_resolution_t[]){{"p+7", false, "#[\"$0\",\"&1\"]", "o+22 p+8"},
                                                 {"p+8", true, "#\"$0\"", "o+21"}},
                         2);
    script_send(host, "p+6", "#[\"b\",[]]", "", "p+9");
}

Test(supervisor, new_exports_are_numbered_by_syscall_field_and_slot)
{
    steps_t steps = {{serials}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(
        rig.calls,
        "send ko3.1 #[\"a\",[\"$0\",\"&1\",\"$2\"]] {ko3.2 kp3.1 ko3.3} kp3.2\n"
        "resolve kp3.3 ok #[\"$0\",\"&1\"] {ko3.4 kp3.4}; kp3.4 rejected #\"$0\" {ko3.2}\n"
        "send kp3.2 #[\"b\",[]] {} kp3.5\n");
    cr_expect_eq(look(&rig, "p+7").flags, 0, "settled promises have no pair");
    cr_expect_eq(look(&rig, "p+8").flags, 0);
    rig_clear(&rig);
}

static void settle_own(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_send(host, "o-50", "#[\"take\",[\"&0\"]]", "p+6", "");
    script_resolve(host, "p+6", false, "#7", "");
}
static void settle_again(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_resolve(host, "p-60", false, "#8", "");
}

Test(supervisor, own_promise_coming_home_is_an_import)
{
    steps_t steps = {{settle_own, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"$0\"]]", SLOTS(ko(4, 0)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(rig.calls,
                     "send ko4.0 #[\"take\",[\"&0\"]] {kp3.1}\nresolve kp3.1 ok #7 {}\n");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(3, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-60}");
    rig_clear(&rig);
}

Test(supervisor, own_object_without_a_name_is_the_brokers_fault)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    char *before = memstore_dump(rig.store);

    cr_expect_eq(
        message(&rig, ko(3, 0), "#[\"x\",[\"$0\",\"$1\"]]", SLOTS(ko(4, 0), ko(3, 9)), (kref_t){0}),
        ERR_NOT_HELD);
    cr_expect_eq(message(&rig, ko(3, 9), "#[\"x\",[]]", NULL, 0, (kref_t){0}), ERR_NOT_HELD);
    cr_expect_eq(message(&rig, ko(4, 0), "#[\"x\",[]]", NULL, 0, (kref_t){0}), ERR_NOT_HELD,
                 "a target must be an export");
    cr_expect_eq(script_count(rig.engine), 0, "nothing of it was run");
    char *after = memstore_dump(rig.store);
    cr_expect_str_eq(after, before);
    cr_expect_eq(look(&rig, "").count, 1);
    free(before);
    free(after);
    rig_clear(&rig);
}

Test(supervisor, a_notify_deletes_its_pairs_before_the_engine_runs)
{
    steps_t steps = {{NULL, settle_again}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-60}");

    resolution_t both[] = {
        {kp(4, 1), false, capdata("#[\"&0\",\"$1\"]", SLOTS(kp(4, 2), ko(4, 7)))},
        {kp(4, 2), true, capdata("#[\"&0\"]", SLOTS(kp(4, 1)))}};
    cr_assert_eq(notify(&rig, both, 2), ERR_OK);
    cr_expect_str_eq(heard(&rig), "notify p-60 ok #[\"&0\",\"$1\"] {p-61 o-50}; "
                                  "p-61 rejected #[\"&0\"] {p-60}");
    cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "p-60 was gone when the engine named it");

    rig_clear(&rig);
}

/* liveslots 0.11.0 with a settled promise in virtual data. */
static void mention_again(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                          engine_report_t *ret)
{
    const script_resolution_t both[] = {{"p-61", false, "#[\"&0\"]", "p-60"},
                                        {"p-60", false, "#\"told\"", ""}};
    (void)context, (void)ret;
    if (delivery->tag != TAG_deliver_message || !delivery->result.s.len) return;
    cr_expect_eq(script_send(host, "o-50", "#[\"x\",[\"&0\",\"&0\"]]", "p-60", ""), ERR_OK);
    cr_expect_eq(script_resolve_batch(host, both, 2), ERR_OK);
}

static void never_given(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                        engine_report_t *ret)
{
    (void)ret;
    if (delivery->tag == TAG_deliver_message)
        (void)script_send(host, "o-50", "#[\"x\",[\"&0\"]]", context, "");
}

Test(supervisor, a_promise_told_of_before_and_mentioned_under_its_old_name_is_the_vats_own)
{
    rig_t rig = rig_of((vat_t){3}, mention_again, NULL);
    resolution_t one = {kp(4, 1), false, capdata("#\"told\"", NULL, 0)};

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 7), kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_assert_eq(notify(&rig, &one, 1), ERR_OK);
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", NULL, 0, kp(5, 1)), ERR_OK);
    cr_assert_eq(rig.crank->outcome, ERR_OK, "%s", rig.crank->reason);
    cr_expect_str_eq(rig.calls, "send ko4.7 #[\"x\",[\"&0\",\"&0\"]] {kp3.1}\n"
                                "resolve kp5.1 ok #[\"&0\"] {kp3.1}; kp3.1 ok #\"told\" {}\n");
    cr_expect_eq(look(&rig, "p-60").kref.n, 0, "and forgotten again");
    rig_clear(&rig);
}

Test(supervisor, a_promise_or_object_that_was_never_given_cannot_be_mentioned)
{
    static char names[][24] = {"p-59", "p-62", "p-99999999999999999999", "o-51", "o-49"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rig_t rig = rig_of((vat_t){3}, never_given, names[i]);
        cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 7), kp(4, 1), kp(4, 2)),
                             (kref_t){0}),
                     ERR_OK);
        cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "%s", names[i]);
        rig_clear(&rig);
    }
}

Test(supervisor, a_promise_told_of_before_gets_a_fresh_number)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    resolution_t one = {kp(4, 1), false, capdata("#1", NULL, 0)};

    cr_assert_eq(notify(&rig, &one, 1), ERR_OK);
    cr_expect_str_eq(heard(&rig), "notify p-60 ok #1 {}");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"&0\"]]", SLOTS(kp(4, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"&0\"]] {p-61}");
    rig_clear(&rig);
}

/* Echoes every slot of a message back in one send: up must undo what down did. */
static void echo(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    (void)context, (void)ret;
    vcall_t call = {.tag = TAG_send};
    call.body.send = (vcall_send_t){.target = delivery->target, .methargs = delivery->data};
    cr_assert_eq(host->call(host->self, &call), ERR_OK);
}

Test(supervisor, up_after_down_is_identity)
{
    rig_t rig = rig_of((vat_t){3}, echo, NULL);
    cr_assert_eq(
        message(&rig, ko(3, 0), "#[\"x\",[]]",
                SLOTS(ko(4, 0), kp(4, 1), ko(3, 0), ko(0, 5), kp(0, 9), ko(4, 0), kp(3, 77)),
                (kref_t){0}),
        ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-50 p-60 o+0 o-51 p-61 o-50 p-62}");
    cr_expect_str_eq(rig.calls,
                     "send ko3.0 #[\"x\",[]] {ko4.0 kp4.1 ko3.0 ko0.5 kp0.9 ko4.0 kp3.77}\n");
    rig_clear(&rig);
}

/* ---- what a vat may not do ---- */

static void forge_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_set(h, "k", "v");
    script_send(h, "o+9", "#[\"x\",[\"$0\"]]", "o-50", "p+1");
}
static void forge_slot(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+0", "#[\"x\",[\"&0\"]]", "p-60", "");
}
static void bad_grammar(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+07", "#[\"x\",[]]", "", "");
}
static void no_target(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "", "#[\"x\",[]]", "", "");
}
static void resolve_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_resolve(h, "o+0", false, "#1", "");
}
static void resolve_twice(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_resolve_batch(
        h, (script_resolution_t[]){{"p+7", false, "#1", ""}, {"p+7", false, "#2", ""}}, 2);
}
static void subscribe_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_subscribe(h, "o+0");
}
static void result_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+0", "#[\"x\",[]]", "", "o+5");
}
static void drop_unknown(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o-50");
}
static void drop_export(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o+0");
}
static void retire_reachable(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_retire_exports, "o+0");
}

static const struct {
    step_t *step;
    const char *reason;
} crimes[] = {
    {forge_object, "illegal syscall send: the vat names a kref that it does not hold (o-50)"},
    {forge_slot, "illegal syscall send: the vat names a kref that it does not hold (p-60)"},
    {bad_grammar, "illegal syscall send: the vat names a kref that it does not hold (o+07)"},
    {no_target, "illegal syscall send: the vat names a kref that it does not hold"},
    {resolve_object, "illegal syscall resolve: an object stands where a promise must, or a promise "
                     "where an object must (o+0)"},
    {resolve_twice,
     "illegal syscall resolve: one reference is settled, dropped or retired twice (p+7)"},
    {subscribe_object, "illegal syscall subscribe: an object stands where a promise must, or a "
                       "promise where an object must (o+0)"},
    {result_object, "illegal syscall send: an object stands where a promise must, or a promise "
                    "where an object must (o+5)"},
    {drop_unknown,
     "illegal syscall drop_imports: the vat names a kref that it does not hold (o-50)"},
    {drop_export,
     "illegal syscall drop_imports: an object stands where a promise must, or a promise "
     "where an object must (o+0)"},
    {retire_reachable, "illegal syscall retire_exports: a reference is retired that is still "
                       "reachable (o+0)"},
};

Test(supervisor, an_illegal_crank_is_discarded_whole_and_says_why)
{
    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++) {
        steps_t steps = {{NULL, crimes[i].step}, 0};
        rig_t rig = rig_of((vat_t){3}, follow, &steps);

        cr_assert_eq(poke(&rig), ERR_OK);
        char *before = memstore_dump(rig.store);
        cr_assert_eq(poke(&rig), ERR_OK);
        cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "crime %zu", i);
        cr_expect_str_eq(rig.crank->reason, crimes[i].reason);
        cr_expect_str_eq(rig.calls, "");
        cr_expect(hash_none(rig.crank->store_digest));
        cr_expect(rig.crank->ended);
        cr_expect_eq(look(&rig, "").count, 1);
        char *after = memstore_dump(rig.store);
        cr_expect_str_eq(after, before);
        free(before);
        free(after);
        rig_clear(&rig);
    }
}

static void sticky(const engine_host_t *host, engine_report_t *ret)
{
    text_t text;
    bool found;
    (void)ret;
    cr_expect_eq(script_subscribe(host, "p-99"), ERR_NOT_HELD);
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "", ""), ERR_NOT_HELD);
    cr_expect_eq(host->store_get(host->self, text_of("k"), &text, &found), ERR_NOT_HELD);
    cr_expect_eq(script_set(host, "k", "v"), ERR_NOT_HELD);
}

Test(supervisor, after_an_illegal_syscall_every_other_fails_alike)
{
    steps_t steps = {{sticky}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL);
    rig_clear(&rig);
}

static void leave(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "a", "1");
    script_exit(host, false, "#\"bye\"", "");
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "", ""), ERR_OK);
    script_set(host, "b", "2");
}
static void leave_twice(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "c", "4");
    script_exit(host, true, "#\"no\"", "");
    script_exit(host, false, "#\"yes\"", "");
}
static void leave_failing(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "c", "3");
    script_exit(host, true, "#\"$0\"", "o+9");
}

Test(supervisor, exit_ends_the_vat_but_not_the_crank)
{
    steps_t steps = {{leave, leave_failing, leave_twice}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "exit ok #\"bye\" {}\nsend ko3.0 #[\"x\",[]] {}\n");
    cr_expect_eq(rig.crank->outcome, ERR_OK);
    cr_expect(rig.crank->ended);
    char *kept = memstore_dump(rig.store);
    cr_expect_str_eq(kept, "p ko3.0=o+0 3\ns a=1\ns b=2\n");

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "exit failure #\"$0\" {ko3.1}\n");
    char *after = memstore_dump(rig.store);
    cr_expect_str_eq(after, kept, "a failing exit discards what the crank did");
    free(after);

    cr_assert_eq(poke(&rig), ERR_OK);
    after = memstore_dump(rig.store);
    cr_expect_str_neq(after, kept, "of two exits the last one counts");
    free(kept);
    free(after);
    rig_clear(&rig);
}

/* ---- garbage collection ---- */

static void drop_50(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o-50 o-51");
    script_refs(h, TAG_retire_imports, "o-50");
}
static void use_dropped(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o-51", "#[\"x\",[]]", "", "");
}

Test(supervisor, dropped_imports_are_not_usable_until_they_come_again)
{
    steps_t steps = {{NULL, drop_50, NULL, NULL, use_dropped, use_dropped}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    msg_deliver_reap_t reap = {0};

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 1), ko(4, 2)), (kref_t){0}),
                 ERR_OK);
    cr_assert_eq(run(&rig, TAG_deliver_reap, &reap), ERR_OK);
    cr_expect_str_eq(rig.calls, "drop_imports ko4.1 ko4.2\nretire_imports ko4.1\n");
    cr_expect(kref_none(look(&rig, "o-50").kref));
    cr_expect_eq(look(&rig, "o-51").flags, 0, "still recognizable");

    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 1)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-52}",
                     "a retired one gets a new number");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[]]", SLOTS(ko(4, 2)), (kref_t){0}), ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[]] {o-51}", "a dropped one keeps its own");
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_OK);
    rig_clear(&rig);
}

static void export_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+9", "#[\"x\",[]]", "", "");
}
static void retire_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_retire_exports, "o+9");
}

Test(supervisor, a_retired_export_gets_a_new_serial)
{
    steps_t steps = {{export_9, NULL, export_9, NULL, retire_9, export_9, NULL, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    kref_t nine = ko(3, 1), ten = ko(3, 2);
    msg_deliver_drop_exports_t drop = {.krefs = {&nine, 1}};

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_assert_eq(run(&rig, TAG_deliver_drop_exports, &drop), ERR_OK);
    cr_expect_str_eq(heard(&rig), "drop_exports o+9");
    cr_expect_eq(look(&rig, "o+9").flags, 2);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(look(&rig, "o+9").flags, 3, "exported again, reachable again");
    cr_assert_eq(run(&rig, TAG_deliver_drop_exports, &drop), ERR_OK);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "retire_exports ko3.1\n");
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "send ko3.2 #[\"x\",[]] {}\n");

    msg_deliver_retire_exports_t retire = {.krefs = {&ten, 1}};
    cr_assert_eq(run(&rig, TAG_deliver_retire_exports, &retire), ERR_OK);
    cr_expect_str_eq(heard(&rig), "retire_exports o+9");
    cr_expect_eq(look(&rig, "").count, 1);
    cr_expect_eq(run(&rig, TAG_deliver_retire_exports, &retire), ERR_NOT_HELD);
    rig_clear(&rig);
}

static void abandon_9(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_abandon_exports, "o+9");
}

/* What the vat gave up comes back as an import; and a message that was on its way to it is rejected
 * without asking the engine. */
Test(supervisor, an_abandoned_export_comes_back_as_an_import)
{
    steps_t steps = {{export_9, abandon_9, NULL}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "abandon_exports ko3.1\n");
    size_t ran = script_count(rig.engine);
    cr_assert_eq(message(&rig, ko(3, 1), "#[\"x\",[]]", NULL, 0, kp(5, 1)), ERR_OK);
    cr_expect_eq(script_count(rig.engine), ran, "there is nobody to run it");
    cr_expect_str_eq(rig.calls, "resolve kp5.1 rejected #{\"#error\":\"[KERNEL:VAT_TERMINATED] vat "
                                "terminated\",\"name\":\"Error\"} {}\n");
    cr_assert_eq(message(&rig, ko(3, 0), "#[\"x\",[\"$0\"]]", SLOTS(ko(3, 1)), (kref_t){0}),
                 ERR_OK);
    cr_expect_str_eq(heard(&rig), "message o+0 #[\"x\",[\"$0\"]] {o-50}");
    rig_clear(&rig);
}

/* ---- limits ---- */

static void many_calls(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    for (int i = 0; i < CRANK_CALLS_MAX; i++) cr_assert_eq(script_subscribe(host, "p+1"), ERR_OK);
    cr_expect_eq(script_subscribe(host, "p+1"), ERR_CALLS_LIMIT);
}

static void large_calls(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    enum { BODY = 8 * 1000 * 1000 };
    char *body = malloc(BODY + 1);
    memset(body, 'x', BODY);
    body[BODY] = '\0';
    for (int i = 0; i < 4; i++) cr_assert_eq(script_send(host, "o+0", body, "", ""), ERR_OK);
    cr_expect_eq(script_send(host, "o+0", body, "", ""), ERR_CALLS_LIMIT);
    free(body);
}

Test(supervisor, a_crank_has_a_size)
{
    steps_t many = {{many_calls}, 0}, large = {{large_calls}, 0};
    rig_t a = rig_of((vat_t){3}, follow, &many), b = rig_of((vat_t){3}, follow, &large);

    cr_assert_eq(poke(&a), ERR_OK);
    cr_expect_eq(a.crank->outcome, ERR_VAT_ILLEGAL);
    cr_expect_str_eq(a.crank->reason, "illegal syscall subscribe: a crank makes too many syscalls, "
                                      "or too large ones");
    cr_assert_eq(poke(&b), ERR_OK);
    cr_expect_eq(b.crank->outcome, ERR_VAT_ILLEGAL);
    cr_expect_str_eq(b.calls, "");
    rig_clear(&a);
    rig_clear(&b);
}

static void talk(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    char line[1001];
    memset(line, 'x', 1000);
    line[1000] = '\0';
    for (int i = 0; i < 100; i++) script_print(host, line);
}
static void say_little(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_print(host, "hello");
    ret->outcome = ERR_VAT_LIMIT_COMPUTE;
    strcpy(ret->reason, "Compute meter exceeded");
    ret->dead = true;
}

Test(supervisor, console_lines_are_bounded_and_the_rest_is_counted)
{
    steps_t steps = {{talk, say_little}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    int lines = 0;
    msg_t msg;

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_leq(rig.crank->console.len, CONSOLE_BYTES_MAX);
    for (bin_t rest = rig.crank->console; rest.len > 0; lines++) {
        cr_assert_eq(msg_next(&rest, &msg), ERR_OK);
        if (rest.len == 0) {
            char expected[64];
            snprintf(expected, sizeof expected, "%d lines dropped", 100 - lines);
            text_t text = msg.body.console.text;
            cr_expect_eq(text.len, strlen(expected));
            cr_expect_eq(memcmp(text.at, expected, text.len), 0, "%.*s", (int)text.len, text.at);
        }
        msg_clear(&msg);
    }
    cr_expect(lines > 50 && lines < 70, "%d", lines);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_VAT_LIMIT_COMPUTE);
    cr_expect_str_eq(rig.crank->reason, "Compute meter exceeded");
    cr_expect(rig.crank->dead);
    cr_expect(rig.crank->console.len > 0, "lines of a failed crank come with it");
    rig_clear(&rig);
}

/* ---- replay ---- */

static void busy(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    script_set(host, "count", "1");
    script_delete(host, "other");
    script_send(host, "o+0", "#[\"x\",[]]", "o+1", "p+1");
    script_resolve(host, "p+1", false, "#1", "");
}

Test(supervisor, a_replay_gives_the_same_hashes)
{
    rig_t live = rig_of((vat_t){3}, busy, NULL), again = rig_of((vat_t){3}, busy, NULL);
    msg_deliver_message_t msg = {.target = ko(3, 0), .methargs = capdata("#[\"x\",[]]", NULL, 0)};

    for (int i = 0; i < 10; i++) {
        cr_assert_eq(run(&live, TAG_deliver_message, &msg), ERR_OK);
        hash_t result = live.crank->result_hash;
        cr_assert_eq(run_as(&again, TAG_deliver_message, &msg, 1, result), ERR_OK);
        cr_expect(hash_same(again.crank->result_hash, result));
        cr_expect(hash_same(supervisor_chain(live.supervisor), supervisor_chain(again.supervisor)));
    }
    cr_expect_eq(supervisor_last(again.supervisor), 10);
    rig_clear(&live);
    rig_clear(&again);
}

Test(supervisor, a_skipped_delivery_moves_the_chain_and_nothing_else)
{
    rig_t rig = rig_of((vat_t){3}, busy, NULL);
    msg_deliver_message_t msg = {.target = ko(3, 0), .methargs = capdata("#[\"x\",[]]", NULL, 0)};
    hash_t expect = {{7}};

    cr_assert_eq(run_as(&rig, TAG_deliver_message, &msg, 2, expect), ERR_OK);
    cr_expect_eq(script_count(rig.engine), 0);
    cr_expect_eq(supervisor_last(rig.supervisor), 1);
    cr_expect(hash_same(supervisor_chain(rig.supervisor),
                        hash_chain((hash_t){{0}}, rig.crank->delivery_hash, expect)));
    rig_clear(&rig);
}

Test(supervisor, a_store_write_changes_the_hash)
{
    steps_t one = {{leave}, 0};
    rig_t a = rig_of((vat_t){3}, follow, &one), b = rig_of((vat_t){3}, NULL, NULL);
    cr_assert_eq(poke(&a), ERR_OK);
    cr_assert_eq(poke(&b), ERR_OK);
    cr_expect(!hash_same(a.crank->store_digest, b.crank->store_digest));
    cr_expect(!hash_same(a.crank->result_hash, b.crank->result_hash));
    rig_clear(&a);
    rig_clear(&b);
}

Test(supervisor, a_failing_store_ends_the_worker)
{
    for (unsigned n = 1; n <= 8; n++) {
        rig_t rig = rig_of((vat_t){3}, busy, NULL);
        memstore_fail(rig.store, n);
        cr_expect_eq(poke(&rig), ERR_STORE, "operation %u", n);
        rig_clear(&rig);
    }
}

Test(supervisor, a_frame_that_is_no_delivery_is_refused)
{
    rig_t rig = rig_of((vat_t){3}, NULL, NULL);
    msg_ping_t ping = {0};
    cr_expect_eq(run(&rig, TAG_ping, &ping), ERR_WIRE_UNKNOWN);
    rig_clear(&rig);
}
