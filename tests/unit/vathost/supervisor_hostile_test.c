/* The supervisor between a broker that names what cannot be, an engine that names what it should not, and
 * a store that fails. Each time nothing of the crank is left; or the worker ends. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/calls.h"
#include "tests/support/memstore.h"
#include "tests/support/script_engine.h"
#include "vathost/supervisor/supervisor.h"
#include "vathost/supervisor/vref.h"

#define KREFS(...)                                                                            \
    {                                                                                         \
        (const kref_t[]){__VA_ARGS__}, sizeof((const kref_t[]){__VA_ARGS__}) / sizeof(kref_t) \
    }
#define VREF_SIZE (VREF_BYTES_MAX + 50)

static kref_t ko(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static kref_t kp(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }
static capdata_t one(kref_t slot)
{
    static kref_t slots[8];
    static size_t at;
    kref_t *place = &slots[at++ % 8];
    *place = slot;
    return (capdata_t){{(const uint8_t *)"#[\"x\",[]]", 9}, {place, 1}};
}

/* ---- one vat, v3 ---- */

typedef void step_t(const engine_host_t *host);

static vatstore_t *store;
static engine_t *engine;
static supervisor_t *supervisor;
static const crank_t *crank;
static step_t *step; /* what the engine does in its next delivery */
static uint64_t d;

static void script(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    (void)context, (void)delivery, (void)ret;
    step_t *now = step;
    step = NULL;
    if (now) now(host);
}

static err_t run(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    msg_deliver_t deliver = {.d = d + 1, .delivery = {frame.at, frame.len}};
    err_t err = supervisor_run(supervisor, &deliver, &crank);
    d += !err;
    buf_clear(&frame);
    return err;
}

static err_t message(kref_t target, const capdata_t *data, kref_t result)
{
    msg_deliver_message_t msg = {.target = target, .methargs = *data, .result = result};
    return run(TAG_deliver_message, &msg);
}

/* A message to the root that makes the engine do WHAT. */
static err_t poke(step_t *what)
{
    static const capdata_t nothing = {{(const uint8_t *)"#[\"x\",[]]", 9}, {0}};
    step = what;
    return message(ko(3, 0), &nothing, (kref_t){0});
}

static void export_things(const engine_host_t *host)
{
    cr_assert_eq(script_send(host, "o+0", "#[\"x\",[]]", "o+9 o+8", "p+9"), ERR_OK);
}

/* It knows ko4.1 (o-50, reachable), ko4.2 (o-51, dropped), kp4.1 (p-60) and exports ko3.1 (o+9), ko3.2
 * (o+8, dropped by the kernel) and kp3.1 (p+9). */
static void drop_51(const engine_host_t *host)
{
    cr_assert_eq(script_refs(host, TAG_drop_imports, "o-51"), ERR_OK);
}

static void set_up(void)
{
    d = 0;
    store = memstore_new();
    engine = script_engine_new(script, NULL);
    supervisor = supervisor_new((vat_t){3}, store, engine);
    msg_deliver_message_t given = {
        .target = ko(3, 0),
        .methargs = {{(const uint8_t *)"#[\"x\",[]]", 9}, KREFS(ko(4, 1), ko(4, 2), kp(4, 1))}};
    step = export_things;
    cr_assert_eq(run(TAG_deliver_message, &given), ERR_OK);
    cr_assert_eq(poke(drop_51), ERR_OK);
    msg_deliver_drop_exports_t dropped = {.krefs = KREFS(ko(3, 2))};
    cr_assert_eq(run(TAG_deliver_drop_exports, &dropped), ERR_OK);
    cr_assert_eq(crank->outcome, ERR_OK);
}

static void tear_down(void)
{
    supervisor_destroy(&supervisor);
    engine_destroy(&engine);
    vatstore_destroy(&store);
}

TestSuite(hostile, .init = set_up, .fini = tear_down);

/* ---- the broker ---- */

static void expect_refused(const char *what, msg_tag_t tag, const void *body, err_t err)
{
    char *before = memstore_dump(store);
    size_t ran = script_count(engine);
    cr_expect_eq(run(tag, body), err, "%s", what);
    cr_expect_eq(script_count(engine), ran, "%s: nothing was run", what);
    char *after = memstore_dump(store);
    cr_expect_str_eq(after, before, "%s", what);
    free(before);
    free(after);
}

#define REFUSED(name, ...)                                                                   \
    expect_refused(#__VA_ARGS__, TAG_deliver_##name, &(msg_deliver_##name##_t){__VA_ARGS__}, \
                   ERR_NOT_HELD)

Test(hostile, messages_that_cannot_be)
{
    REFUSED(message, .target = ko(3, 0), .methargs = one((kref_t){0}));
    REFUSED(message, .target = kp(3, 1), .methargs = one(ko(4, 1)));
    REFUSED(message, .target = ko(4, 1), .methargs = one(ko(4, 1)));
    REFUSED(message, .target = ko(3, 2), .methargs = one(ko(4, 1)));
    REFUSED(message, .target = ko(3, 0), .methargs = one(ko(3, 2)));
    REFUSED(message, .target = ko(3, 0), .methargs = one(ko(3, 77)), .result = kp(4, 9));
    REFUSED(message, .target = ko(3, 0), .methargs = one(ko(4, 1)), .result = ko(4, 9));
}

Test(hostile, notifies_that_cannot_be)
{
    const capdata_t good = one(ko(4, 1)), bad = one(ko(3, 77));
    resolution_t object = {ko(4, 1), false, good}, none = {{0}, false, good},
                 broken = {kp(4, 1), false, bad}, fine = {kp(4, 1), false, good};
    REFUSED(notify, .resolutions = {&object, 1});
    REFUSED(notify, .resolutions = {&none, 1});
    REFUSED(notify, .resolutions = {(resolution_t[]){broken, fine}, 2});
    REFUSED(notify, .resolutions = {(resolution_t[]){fine, fine, fine}, 3});
    cr_expect_eq(run(TAG_deliver_notify, &(msg_deliver_notify_t){.resolutions = {&fine, 1}}),
                 ERR_OK);
}

Test(hostile, garbage_that_cannot_be)
{
    REFUSED(drop_exports, .krefs = KREFS(ko(3, 77)));
    REFUSED(drop_exports, .krefs = KREFS(kp(3, 1), ko(3, 1)));
    REFUSED(drop_exports, .krefs = KREFS(ko(4, 1)));
    REFUSED(retire_exports, .krefs = KREFS(ko(4, 1)));
    REFUSED(retire_imports, .krefs = KREFS(ko(3, 1)));
    REFUSED(retire_imports, .krefs = KREFS(ko(4, 1), ko(4, 1)));
}

Test(hostile, bytes_that_are_no_frame)
{
    msg_deliver_t deliver = {.d = d + 1, .delivery = {(const uint8_t *)"\xc1", 1}};
    cr_expect_eq(supervisor_run(supervisor, &deliver, &crank), ERR_WIRE_TYPE);
    cr_expect_eq(supervisor_last(supervisor), d);
}

/* ---- the vat ---- */

static void use_dropped(const engine_host_t *h) { script_send(h, "o-51", "#[\"x\",[]]", "", ""); }
static void no_sign(const engine_host_t *h) { script_send(h, "o12", "#[\"x\",[]]", "", ""); }
static void drop_twice(const engine_host_t *h) { script_refs(h, TAG_drop_imports, "o-50 o-50"); }
static void drop_dropped(const engine_host_t *h) { script_refs(h, TAG_drop_imports, "o-51"); }
static void drop_promise(const engine_host_t *h) { script_refs(h, TAG_drop_imports, "p-60"); }
static void retire_twice(const engine_host_t *h)
{
    script_refs(h, TAG_retire_imports, "o-51 o-51");
}
static void retire_other(const engine_host_t *h) { script_refs(h, TAG_retire_imports, "o+8"); }
static void retire_import(const engine_host_t *h) { script_refs(h, TAG_retire_exports, "o-51"); }
static void abandon_twice(const engine_host_t *h)
{
    script_refs(h, TAG_abandon_exports, "o+9 o+9");
}
static void abandon_import(const engine_host_t *h) { script_refs(h, TAG_abandon_exports, "o-50"); }
static void long_name(const engine_host_t *h)
{
    char name[VREF_SIZE + 1] = "o+";
    memset(name + 2, '1', VREF_SIZE - 2);
    name[VREF_SIZE] = '\0';
    script_send(h, name, "#[\"x\",[]]", "", "");
}

Test(hostile, what_a_vat_may_not_name)
{
    static const struct {
        step_t *step;
        const char *reason;
    } crimes[] = {
        {use_dropped, "does not hold (o-51)"},
        {no_sign, "does not hold (o12)"},
        {drop_twice, "retired twice (o-50)"},
        {drop_dropped, "retired twice (o-51)"},
        {drop_promise, "must (p-60)"},
        {retire_twice, "retired twice (o-51)"},
        {retire_other, "object must (o+8)"},
        {retire_import, "object must (o-51)"},
        {abandon_twice, "retired twice (o+9)"},
        {abandon_import, "object must (o-50)"},
        {long_name, "does not hold (o+11111111"},
    };
    char *before = memstore_dump(store);
    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++) {
        cr_assert_eq(poke(crimes[i].step), ERR_OK);
        cr_expect_eq(crank->outcome, ERR_VAT_ILLEGAL, "crime %zu", i);
        cr_expect(strstr(crank->reason, crimes[i].reason), "%s: %s", crimes[i].reason,
                  crank->reason);
        cr_expect(strlen(crank->reason) < REASON_BYTES_MAX);
        cr_expect_eq(crank->calls.len, 0);
        char *after = memstore_dump(store);
        cr_expect_str_eq(after, before, "crime %zu", i);
        free(after);
    }
    free(before);
}

static void read_and_write(const engine_host_t *host)
{
    text_t text;
    bool found;
    cr_expect_eq(host->store_set(host->self, text_of("a"), (text_t){NULL, 0}), ERR_OK);
    cr_expect_eq(host->store_set(host->self, text_of("b"), text_of("1")), ERR_OK);
    cr_expect_eq(host->store_get(host->self, text_of("a"), &text, &found), ERR_OK);
    cr_expect(found && text.len == 0, "an empty value is a value");
    cr_expect_eq(host->store_get(host->self, text_of("c"), &text, &found), ERR_OK);
    cr_expect(!found);
    cr_expect_eq(host->store_next(host->self, text_of("a"), &text, &found), ERR_OK);
    cr_expect(found && text.len == 1 && *text.at == 'b');
    cr_expect_eq(script_subscribe(host, "o+0"), ERR_REF_KIND);
    cr_expect_eq(host->store_next(host->self, text_of("a"), &text, &found), ERR_REF_KIND);
    cr_expect_eq(host->store_delete(host->self, text_of("a")), ERR_REF_KIND);
}

Test(hostile, a_vat_reads_its_store_until_it_is_illegal)
{
    cr_expect_eq(poke(read_and_write), ERR_OK);
    cr_expect_eq(crank->outcome, ERR_VAT_ILLEGAL);
}

/* More names in one delivery than a block of memory has; the next one is small again. */
Test(hostile, a_delivery_with_many_slots)
{
    kref_t many[1000];
    for (uint64_t i = 0; i < 1000; i++) many[i] = ko(4, i + 1);
    capdata_t data = {{(const uint8_t *)"#[\"x\",[]]", 9}, {many, 1000}};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(message(ko(3, 0), &data, (kref_t){0}), ERR_OK);
        const char *heard = script_heard(engine, script_count(engine) - 1);
        cr_expect(strstr(heard, " o-51 "), "%s", heard);
        cr_expect(strstr(heard, " o-1049}"), "%s", heard);
        cr_assert_eq(poke(NULL), ERR_OK);
    }
}

/* Nobody waits for the answer of a message that comes too late. */
static void abandon_9(const engine_host_t *host)
{
    cr_assert_eq(script_refs(host, TAG_abandon_exports, "o+9"), ERR_OK);
}

Test(hostile, a_message_without_result_to_what_was_given_up)
{
    cr_assert_eq(poke(abandon_9), ERR_OK);
    size_t ran = script_count(engine);
    capdata_t data = one(ko(4, 1));
    cr_expect_eq(message(ko(3, 1), &data, (kref_t){0}), ERR_OK);
    cr_expect_eq(crank->outcome, ERR_OK);
    cr_expect_eq(crank->calls.len, 0);
    cr_expect_eq(script_count(engine), ran);
}

/* ---- the store ---- */

static void everything(const engine_host_t *host)
{
    script_send(host, "o+9", "#[\"x\",[]]", "o+20 p+20 o+8", "p+21");
    script_resolve(host, "p+20", false, "#1", "");
    script_refs(host, TAG_drop_imports, "o-50 o-51");
    script_refs(host, TAG_retire_imports, "o-50 o-51");
    script_refs(host, TAG_abandon_exports, "o+20 o+9");
}

/* Whichever operation fails, the worker ends with the store's error; and it fails for good. */
Test(hostile, a_store_that_fails_at_any_operation)
{
    err_t err = ERR_STORE;
    unsigned n = 0;
    while (err == ERR_STORE) {
        if (n) set_up();
        msg_deliver_message_t msg = {
            .target = ko(3, 0),
            .methargs = {{(const uint8_t *)"#[\"x\",[]]", 9}, KREFS(ko(5, 1), kp(5, 1), ko(4, 2))}};
        memstore_fail(store, ++n);
        step = everything;
        err = run(TAG_deliver_message, &msg);
        cr_assert(err == ERR_STORE || err == ERR_OK, "operation %u", n);
        if (err == ERR_STORE) tear_down();
    }
    cr_expect_gt(n, 12, "there were more operations than that: %u", n);
    cr_expect_eq(crank->outcome, ERR_OK, "%s", crank->reason);
}

Test(hostile, a_store_that_fails_while_a_notify_or_garbage_comes_in)
{
    const capdata_t data = one(ko(5, 1));
    resolution_t both[] = {{kp(4, 1), false, data}, {kp(5, 1), true, data}};
    msg_deliver_notify_t notify = {.resolutions = {both, 2}};
    msg_deliver_retire_imports_t retire = {.krefs = KREFS(ko(4, 1), ko(4, 2))};
    for (int which = 0; which < 2; which++) {
        unsigned n = 0;
        err_t err = ERR_STORE;
        while (err == ERR_STORE) {
            tear_down();
            set_up();
            memstore_fail(store, ++n);
            err =
                which ? run(TAG_deliver_retire_imports, &retire) : run(TAG_deliver_notify, &notify);
        }
        cr_expect_eq(err, ERR_OK);
        cr_expect_gt(n, 4, "%u", n);
    }
}

static err_t full_pair(vatstore_t *self, kref_t kref, vref_t vref, uint64_t flags)
{
    (void)self, (void)kref, (void)vref, (void)flags;
    return ERR_STORE_FULL;
}
static err_t full_undo(vatstore_t *self)
{
    (void)self;
    return ERR_STORE;
}

Test(hostile, a_store_that_is_full)
{
    store->pair_put = full_pair;
    capdata_t data = one(ko(6, 1));
    cr_expect_eq(message(ko(3, 0), &data, (kref_t){0}), ERR_STORE_FULL);
}

static void export_more(const engine_host_t *host)
{
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "o+30", ""), ERR_STORE_FULL);
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "", ""), ERR_STORE_FULL,
                 "nothing else goes on");
}

Test(hostile, a_store_that_is_full_in_the_middle_of_a_crank)
{
    store->pair_put = full_pair;
    cr_expect_eq(poke(export_more), ERR_STORE_FULL);
}

Test(hostile, a_refused_delivery_that_cannot_be_undone)
{
    store->crank_undo = full_undo;
    capdata_t bad = one(ko(3, 77));
    cr_expect_eq(message(ko(3, 0), &bad, (kref_t){0}), ERR_STORE);
}

Test(hostile, nothing_is_destroyed_twice)
{
    supervisor_t *none = supervisor;
    supervisor_destroy(&none);
    cr_expect_null(none);
    supervisor_destroy(&none);
    supervisor = NULL;
    engine_destroy(&engine);
    engine_destroy(&engine);
    vatstore_destroy(&store);
    vatstore_destroy(&store);
    cr_expect(!engine && !store);
}
