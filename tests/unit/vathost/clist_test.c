/* The grammar of vrefs, and the c-list alone: one-to-one pairs, counters, and a crank undone. The
 * c-list is compared with what its store holds, which must always say the same. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/memstore.h"
#include "vathost/supervisor/clist.h"
#include "wire/base/own.h"

static vref_t vref(const char *text) { return (vref_t){text_of(text)}; }

static bool parses(const char *text)
{
    vref_kind_t kind;
    return vref_parse(vref(text), &kind);
}

Test(vref, what_liveslots_writes_is_read)
{
    const char *good[] = {"o+0",
                          "o-50",
                          "p+5",
                          "p-60",
                          "o+10",
                          "o+d11/1",
                          "o+v2/77",
                          "o+d12/1:0",
                          "o+d12/1:10",
                          "p+0",
                          "o-123456789012345678901234567890"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect(parses(good[i]), "%s", good[i]);
}

Test(vref, one_thing_has_one_spelling)
{
    const char *bad[] = {"",           "o",       "o+",       "o-",        "x+1",        "o1",
                         "o+01",       "o-00",    "o+0x10",   "o+ 1",      "o+1 ",       "o+d11",
                         "o+d11/",     "o+d/1",   "o+d11/01", "o+d11/1:",  "o+d11/1:00", "o+1:0",
                         "o-d11/1",    "p+d11/1", "p-v1/1",   "o+d11/1/1", "d-1",        "d+1",
                         "o+v1/1:1:1", "o+-1",    "O+1",      "p+1,"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_expect(!parses(bad[i]), "%s", bad[i]);
}

Test(vref, kind_is_told)
{
    vref_kind_t kind;
    cr_assert(vref_parse(vref("p-60"), &kind));
    cr_expect(kind.promise && !kind.exported);
    cr_assert(vref_parse(vref("o+d1/2:3"), &kind));
    cr_expect(!kind.promise && kind.exported);
}

static void count_pair(void *context, kref_t kref, vref_t name, uint64_t flags)
{
    (void)kref, (void)name, (void)flags;
    ++*(size_t *)context;
}

Test(clist, thousands_of_pairs_are_found_both_ways_and_removed)
{
    AUTO(vatstore) store = memstore_new();
    AUTO(clist) clist = clist_new((vat_t){3}, store);
    const pair_t *pair;
    enum { N = 1000 };

    cr_assert_eq(clist_begin(clist), ERR_OK);
    for (uint64_t i = 1; i <= N; i++) {
        cr_assert_eq(clist_import(clist, kref_object((vat_t){9}, i), &pair), ERR_OK);
    }
    cr_assert_eq(clist_count(clist), N + 1);
    for (uint64_t i = 1; i <= N; i += 2) {
        pair = clist_by_kref(clist, kref_object((vat_t){9}, i));
        cr_assert(pair);
        cr_assert_eq(clist_remove(clist, pair), ERR_OK);
    }
    for (uint64_t i = 1; i <= N; i++) {
        char name[32];
        snprintf(name, sizeof name, "o-%d", (int)(49 + i));
        pair = clist_by_kref(clist, kref_object((vat_t){9}, i));
        cr_expect_eq(pair == NULL, i % 2 == 1);
        cr_expect_eq(clist_by_vref(clist, vref(name)), pair, "%s", name);
    }
    cr_assert_eq(clist_keep(clist), ERR_OK);
    size_t visited = 0;
    clist_each(clist, count_pair, &visited);
    cr_expect_eq(visited, N / 2 + 1);
}

Test(clist, an_undone_crank_leaves_nothing)
{
    AUTO(vatstore) store = memstore_new();
    AUTO(clist) clist = clist_new((vat_t){3}, store);
    vref_kind_t object = {.exported = true}, promise = {.exported = true, .promise = true};
    const pair_t *pair, *kept;

    cr_assert_eq(clist_begin(clist), ERR_OK);
    cr_assert_eq(clist_import(clist, kref_object((vat_t){9}, 1), &kept), ERR_OK);
    cr_assert_eq(clist_keep(clist), ERR_OK);
    char *before = memstore_dump(store);

    cr_assert_eq(clist_begin(clist), ERR_OK);
    cr_assert_eq(clist_export(clist, vref("o+7"), object, &pair), ERR_OK);
    cr_assert_eq(clist_export(clist, vref("p+7"), promise, &pair), ERR_OK);
    cr_assert_eq(clist_remove(clist, pair), ERR_OK);
    cr_assert_eq(clist_reach(clist, kept, false), ERR_OK);
    cr_assert_eq(clist_remove(clist, kept), ERR_OK);
    cr_assert_eq(clist_import(clist, kref_object((vat_t){9}, 1), &pair), ERR_OK);
    cr_expect_eq(memcmp(pair->vref.s.at, "o-51", 4), 0, "a number is never used twice");
    cr_assert_eq(clist_undo(clist), ERR_OK);

    char *after = memstore_dump(store);
    cr_expect_str_eq(after, before);
    free(before);
    free(after);
    pair = clist_by_vref(clist, vref("o-50"));
    cr_assert(pair);
    cr_expect_eq(pair->flags, PAIR_REACHABLE);
    cr_expect_eq(clist_count(clist), 2);
    cr_expect_null(clist_by_vref(clist, vref("o+7")));

    /* serials and numbers fell back with the crank */
    cr_assert_eq(clist_begin(clist), ERR_OK);
    cr_assert_eq(clist_export(clist, vref("o+8"), object, &pair), ERR_OK);
    cr_expect_eq(kref_serial(pair->kref), 1);
    cr_assert_eq(clist_import(clist, kref_object((vat_t){9}, 2), &pair), ERR_OK);
    cr_expect_eq(memcmp(pair->vref.s.at, "o-51", 4), 0);
    cr_assert_eq(clist_keep(clist), ERR_OK);
}
