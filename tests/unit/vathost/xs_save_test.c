/* The engine as bytes, and an engine made of them. */
#include <alloca.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vathost/xs_asks.h"
#include "wire/base/hash.h"
#include "wire/base/own.h"

static void fine(const engine_report_t *report)
{
    cr_assert_eq(report->outcome, ERR_OK, "%s: %s", err_name(report->outcome), report->reason);
}

enum { SAVED_BYTES_MAX = 64 << 20 };

static void save(xs_vat_t *vat, buf_t *ret)
{
    engine_t *engine = xs_vat_engine(vat);
    *ret = buf_of(SAVED_BYTES_MAX);
    cr_assert_eq(engine->save(engine, ret), ERR_OK);
}

static err_t load(xs_vat_t *vat, const buf_t *saved)
{
    engine_t *engine = xs_vat_engine(vat);
    return engine->load(engine, (bin_t){saved->at, saved->len});
}

static void save_and_load(xs_vat_t *vat)
{
    buf_t saved;
    save(vat, &saved);
    cr_assert_eq(load(vat, &saved), ERR_OK);
    buf_clear(&saved);
}

static xs_vat_t *started(const char *name, xs_options_t options)
{
    xs_vat_t *vat = xs_vat_new(name, options);
    fine(xs_vat_start(vat, "#{}"));
    (void)xs_vat_calls(vat);
    return vat;
}

/* ---- what comes back ---- */

Test(xs_save, a_vat_goes_on_where_it_was)
{
    AUTO(xs_vat) vat = xs_vat_new("upgrade.json", (xs_options_t){0});
    buf_t saved;
    fine(xs_vat_start(vat, "#{\"version\":1}"));
    fine(xs_vat_message(vat, "o+0", "#[\"makeCounter\",[]]", NULL, "p-70"));
    save(vat, &saved);
    fine(xs_vat_message(vat, "o+d10/1", "#[\"incr\",[]]", NULL, "p-71"));
    (void)xs_vat_calls(vat);
    cr_assert_eq(load(vat, &saved), ERR_OK);
    fine(xs_vat_message(vat, "o+d10/1", "#[\"incr\",[]]", NULL, "p-72"));
    /* The store is the test's and did not go back; the heap is the engine's, and did. */
    cr_expect_str_eq(xs_vat_calls(vat), "resolve p-72 fulfilled #[1,2] {}\n");
    buf_clear(&saved);
}

/* Line by line, so that a difference says whose it is. */
static void expect_same(const char *one, const char *other, unsigned step)
{
    while (*one || *other) {
        const char *one_end = strstr(one, "\\n"), *other_end = strstr(other, "\\n");
        int one_len = one_end ? (int)(one_end - one) : (int)strlen(one);
        int other_len = other_end ? (int)(other_end - other) : (int)strlen(other);
        cr_assert(one_len == other_len && memcmp(one, other, (size_t)one_len) == 0,
                  "step %u:\n  %.*s\n  %.*s", step, one_len, one, other_len, other);
        one += one_len + (one_end ? 2 : 0);
        other += other_len + (other_end ? 2 : 0);
    }
}

Test(xs_save, one_of_everything_comes_back)
{
    AUTO(xs_vat) lives = started("heap.json", (xs_options_t){0});
    AUTO(xs_vat) again = started("heap.json", (xs_options_t){0});
    for (unsigned step = 1; step <= 12; step++) {
        save_and_load(again);
        const engine_report_t *report =
            xs_vat_message(lives, "o+0", "#[\"step\",[]]", NULL, "p-70");
        fine(report);
        uint64_t computrons = report->computrons;
        report = xs_vat_message(again, "o+0", "#[\"step\",[]]", NULL, "p-70");
        fine(report);
        const char *said = xs_vat_calls(lives);
        cr_assert(strstr(said, "resolve p-70 fulfilled #\"closures: "), "%s", said);
        expect_same(said, xs_vat_calls(again), step);
        cr_expect_eq(report->computrons, computrons);
        cr_expect_str_eq(xs_vat_console(lives), xs_vat_console(again));
    }
}

Test(xs_save, what_was_never_started_has_its_bundle_with_it)
{
    AUTO(xs_vat) vat = xs_vat_new("upgrade.json", (xs_options_t){0});
    save_and_load(vat);
    save_and_load(vat);
    fine(xs_vat_start(vat, "#{\"version\":1}"));
    (void)xs_vat_calls(vat);
    fine(xs_vat_message(vat, "o+0", "#[\"version\",[]]", NULL, "p-70"));
    cr_expect_str_eq(xs_vat_calls(vat), "resolve p-70 fulfilled #1 {}\n");

    /* An upgrade between two checkpoints: renewed, saved, started by another. */
    fine(xs_vat_reap(vat));
    cr_assert_eq(xs_vat_renew(vat, "upgrade.json"), ERR_OK);
    save_and_load(vat);
    fine(xs_vat_start(vat, "#{\"version\":2}"));
    (void)xs_vat_calls(vat);
    fine(xs_vat_message(vat, "o+0", "#[\"version\",[]]", NULL, "p-70"));
    cr_expect_str_eq(xs_vat_calls(vat), "resolve p-70 fulfilled #2 {}\n");
}

Test(xs_save, an_engine_that_began_from_the_other_golden_snapshot_loads_it)
{
    AUTO(xs_vat) zip = started("durable.endoZipBase64.json", (xs_options_t){0});
    AUTO(xs_vat) lean = started("durable.json", (xs_options_t){0});
    buf_t saved;
    fine(xs_vat_message(zip, "o+0", "#[\"makePurse\",[\"a\",5]]", NULL, "p-70"));
    save(zip, &saved);
    cr_assert_eq(load(lean, &saved), ERR_OK);
    cr_assert_eq(load(zip, &saved), ERR_OK);
    (void)xs_vat_calls(zip);
    fine(xs_vat_message(zip, "o+0", "#[\"deposit\",[\"a\",2]]", NULL, "p-71"));
    cr_expect_str_eq(xs_vat_calls(zip), "resolve p-71 fulfilled #7 {}\n");
    save_and_load(lean);
    buf_clear(&saved);
    save(zip, &saved);
    fine(xs_vat_message(zip, "o+0", "#[\"names\",[]]", NULL, "p-72"));
    cr_assert_eq(xs_vat_renew(zip, "durable.json"), ERR_OK, "the other way round");
    cr_assert_eq(load(zip, &saved), ERR_OK);
    (void)xs_vat_calls(zip);
    fine(xs_vat_message(zip, "o+0", "#[\"names\",[]]", NULL, "p-73"));
    cr_expect_str_eq(xs_vat_calls(zip), "resolve p-73 fulfilled #[\"a\"] {}\n");
    buf_clear(&saved);
}

Test(xs_save, what_the_vat_asked_for_comes_back)
{
    static const char globals[] =
        "Date Math crypto SubtleCrypto URL URLSearchParams AbortController AbortSignal atob btoa";
    static const char *const asked[] = {
        "String(new Date())",
        "[Math.random(), crypto.randomUUID()].join()",
        "kept.url || (kept.url = new URL('http://a/b?c=1')), "
        "kept.url.searchParams.append('d', Date.now()), kept.url.href",
        "kept.n || (kept.n = { count: 0, it: new AbortController() }, "
        "kept.n.it.signal.onabort = () => { kept.n.count += 1; }), kept.n.it.abort(), "
        "[kept.n.count, atob(btoa('x'))].join()",
    };
    AUTO(xs_vat) lives = asks_start(globals);
    AUTO(xs_vat) again = asks_start(globals);
    for (uint8_t i = 1; i < 4; i++) {
        save_and_load(again);
        for (int k = 0; k < 4; k++) {
            xs_vat_time(lives, 1000u * i, i);
            xs_vat_time(again, 1000u * i, i);
            const char *said = asks_tell(lives, asked[k]);
            cr_expect(strstr(said, "fulfilled"), "%s", said);
            cr_expect_str_eq(asks_tell(again, asked[k]), said);
        }
    }
}

/* The nth "fill" that does not fit, and what it took until then. */
static unsigned fills(xs_vat_t *vat, bool saves, bool loads, uint64_t *ret_computrons)
{
    for (unsigned n = 1;; n++) {
        buf_t saved;
        cr_assert_lt(n, 100);
        if (saves) save(vat, &saved);
        if (loads) cr_assert_eq(load(vat, &saved), ERR_OK);
        if (saves) buf_clear(&saved);
        const engine_report_t *report = xs_vat_call(vat, "#[\"fill\",[15000]]");
        if (!report->outcome) continue;
        cr_expect_eq(report->outcome, ERR_VAT_LIMIT_HEAP);
        *ret_computrons = report->computrons;
        return n;
    }
}

Test(xs_save, the_heap_has_the_limit_that_it_had)
{
    xs_options_t options = {.heap_bytes = 16 << 20};
    AUTO(xs_vat) lives = started("heap.json", options);
    AUTO(xs_vat) saved = started("heap.json", options);
    AUTO(xs_vat) loaded = started("heap.json", options);
    uint64_t at[3];
    unsigned n = fills(saved, true, false, &at[0]);
    cr_expect_eq(fills(loaded, true, true, &at[1]), n);
    cr_expect_eq(at[0], at[1]);
    cr_expect_eq(fills(lives, false, false, &at[2]), n);
    cr_expect_eq(at[0], at[2]);
}

Test(xs_save, a_replay_does_not_fail_where_the_heap_is_full)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){.heap_bytes = 16 << 20});
    AUTO(xs_vat) again = started("heap.json", (xs_options_t){.heap_bytes = 16 << 20});
    uint64_t at;
    unsigned n = fills(vat, true, false, &at);
    xs_vat_replay(again, true);
    for (unsigned i = 0; i < n; i++) fine(xs_vat_call(again, "#[\"fill\",[15000]]"));
    xs_vat_replay(again, false);
    cr_expect_eq(xs_vat_call(again, "#[\"fill\",[15000]]")->outcome, ERR_VAT_LIMIT_HEAP);
}

Test(xs_save, what_runs_none_of_the_vats_code_may_find_the_heap_full)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){0});
    AUTO(xs_vat) less = xs_vat_new("heap.json", (xs_options_t){.heap_bytes = 4 << 20});
    buf_t saved;
    fine(xs_vat_call(vat, "#[\"fill\",[50000]]"));
    save(vat, &saved);
    cr_assert_eq(load(less, &saved), ERR_OK);
    fine(xs_vat_refs(less, TAG_deliver_retire_imports, "o-50"));
    cr_expect_eq(xs_vat_call(less, "#[\"spin\",[1]]")->outcome, ERR_VAT_LIMIT_HEAP);
    buf_clear(&saved);
}

Test(xs_save, computing_has_the_limit_that_it_had)
{
    AUTO(xs_vat) measured = started("heap.json", (xs_options_t){0});
    uint64_t needed = xs_vat_call(measured, "#[\"spin\",[100000]]")->computrons;
    for (int less = 0; less < 2; less++) {
        AUTO(xs_vat) vat = started("heap.json", (xs_options_t){.computrons = 1 << 30});
        AUTO(xs_vat)
        tight = xs_vat_new("heap.json", (xs_options_t){.computrons = needed - (unsigned)less * 50});
        buf_t saved;
        save(vat, &saved);
        cr_assert_eq(load(tight, &saved), ERR_OK);
        err_t outcome = xs_vat_call(tight, "#[\"spin\",[100000]]")->outcome;
        cr_expect_eq(outcome, less ? ERR_VAT_LIMIT_COMPUTE : ERR_OK);
        buf_clear(&saved);
    }
}

/* How deep a regular expression may be, when there are LOWER bytes more on the C stack: a vat can see that. */
static unsigned deepest(xs_vat_t *vat, size_t lower)
{
    volatile char *room = alloca(lower + 1);
    unsigned fits = 1000, too_deep = 100000;
    room[0] = 0;
    while (too_deep - fits > 1) {
        char methargs[64], expected[64];
        unsigned depth = (fits + too_deep) / 2;
        snprintf(methargs, sizeof methargs, "#[\"nestRegExp\",[%u]]", depth);
        snprintf(expected, sizeof expected, "resolve p-70 fulfilled #%u {}\n", depth * 2);
        fine(xs_vat_message(vat, "o+0", methargs, NULL, "p-70"));
        *(strcmp(xs_vat_calls(vat), expected) ? &too_deep : &fits) = depth;
    }
    return fits;
}

Test(xs_save, the_stack_has_the_limit_that_it_had)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){0});
    unsigned depth = deepest(vat, 0);
    cr_expect_eq(deepest(vat, 10000), depth);
    save_and_load(vat);
    cr_expect_eq(deepest(vat, 300001), depth);
    cr_expect_gt(depth, 5000);
}

Test(xs_save, what_is_nested_deeply_comes_back)
{
    static const char *const kinds[] = {"array", "map", "promise", "class", "weak"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        AUTO(xs_vat) vat = started("heap.json", (xs_options_t){0});
        char methargs[64];
        snprintf(methargs, sizeof methargs, "#[\"nest\",[60000,\"%s\"]]", kinds[i]);
        fine(xs_vat_call(vat, methargs));
        save_and_load(vat);
        (void)xs_vat_calls(vat);
        snprintf(methargs, sizeof methargs, "#[\"depth\",[\"%s\"]]", kinds[i]);
        fine(xs_vat_message(vat, "o+0", methargs, NULL, "p-70"));
        cr_expect_str_eq(xs_vat_calls(vat), "resolve p-70 fulfilled #60000 {}\n", "%s", kinds[i]);
    }
}

/* ---- what does not ---- */

Test(xs_save, a_dead_engine_is_not_saved_and_comes_back_by_a_load)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){.computrons = 10000000});
    engine_t *engine = xs_vat_engine(vat);
    buf_t saved, nothing = buf_of(100);
    save(vat, &saved);
    cr_assert_eq(xs_vat_call(vat, "#[\"spin\",[1000000000]]")->outcome, ERR_VAT_LIMIT_COMPUTE);
    cr_assert_eq(buf_add(&nothing, "abc", 3), ERR_OK);
    cr_expect_eq(engine->save(engine, &nothing), ERR_PROCESS_FAILED);
    cr_expect_eq(nothing.len, 3);
    cr_assert_eq(load(vat, &saved), ERR_OK);
    cr_expect_eq(engine->save(engine, &nothing), ERR_PROCESS_FAILED, "there is no room");
    cr_expect_eq(nothing.len, 3);
    fine(xs_vat_call(vat, "#[\"step\",[]]")); /* that did it no harm */
    buf_clear(&saved);
    buf_clear(&nothing);
}

/* LOAD says no, and the engine is as new: it can be started, or load what is whole. */
static void expect_unreadable(xs_vat_t *vat, const buf_t *saved, const char *what, size_t at)
{
    cr_assert_eq(load(vat, saved), ERR_SNAPSHOT_UNREADABLE, "%s at %zu", what, at);
}

Test(xs_save, a_damaged_byte_is_found_wherever_it_is)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){0});
    buf_t saved;
    save(vat, &saved);
    for (size_t at = 0; at < saved.len; at += at < 400 ? 1 : 499) {
        saved.at[at] ^= (uint8_t)(1 << at % 8);
        expect_unreadable(vat, &saved, "flipped", at);
        saved.at[at] ^= (uint8_t)(1 << at % 8);
    }
    size_t len = saved.len;
    for (saved.len = 0; saved.len < len; saved.len += saved.len < 400 ? 1 : 997)
        expect_unreadable(vat, &saved, "cut", saved.len);
    saved.len = len - 1;
    expect_unreadable(vat, &saved, "cut", saved.len);
    saved.len = len;
    cr_assert_eq(buf_add(&saved, "", 1), ERR_OK);
    expect_unreadable(vat, &saved, "longer", len);

    fine(xs_vat_start(vat, "#{}")); /* as new */
    fine(xs_vat_call(vat, "#[\"step\",[]]"));
    saved.len = len;
    cr_assert_eq(load(vat, &saved), ERR_OK);
    fine(xs_vat_call(vat, "#[\"step\",[]]"));
    buf_clear(&saved);
}

enum { AT_HASH = 8, AT_BUILD = 40, AT_GOLDEN = 96 }; /* of the header in save.c */

/* Whoever changes the bytes can make the hash fit; then other checks must hold. */
static void sign(buf_t *saved)
{
    hash_t hash = hash_of((bin_t){saved->at + AT_BUILD, saved->len - AT_BUILD});
    memcpy(saved->at + AT_HASH, &hash, sizeof hash);
}

Test(xs_save, another_build_or_golden_snapshot_is_refused)
{
    AUTO(xs_vat) vat = started("heap.json", (xs_options_t){0});
    buf_t saved;
    save(vat, &saved);
    cr_assert_eq(memcmp(saved.at + AT_BUILD, xs_engine_build(), strlen(xs_engine_build())), 0);
    sign(&saved);
    cr_assert_eq(load(vat, &saved), ERR_OK, "sign() makes what save() makes");

    static const size_t places[] = {AT_BUILD, AT_GOLDEN};
    for (int i = 0; i < 2; i++) {
        saved.at[places[i]] ^= 1;
        sign(&saved);
        expect_unreadable(vat, &saved, "signed again", places[i]);
        saved.at[places[i]] ^= 1;
    }
    sign(&saved);
    cr_assert_eq(load(vat, &saved), ERR_OK);
    fine(xs_vat_call(vat, "#[\"step\",[]]"));
    buf_clear(&saved);
}
