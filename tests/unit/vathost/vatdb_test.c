/* The vat's database through its port, on a real file: order, borrowed values, a crank undone. The
 * store in memory that other tests use must behave alike, so it takes the same tests. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/memstore.h"
#include "vathost/store/vatdb.h"
#include "wire/base/own.h"

enum { KINDS = 2 };

static char path[64];

static vatstore_t *open_kind(int kind)
{
    vatstore_t *store = NULL;
    if (kind == 0) return memstore_new();
    snprintf(path, sizeof path, "/tmp/vatdb-test-%d.db", (int)getpid());
    cr_assert_eq(vatdb_open(path, &store), ERR_OK);
    return store;
}

static void close_kind(vatstore_t *store)
{
    vatstore_destroy(&store);
    if (path[0]) vatdb_delete(path);
}

static void set(vatstore_t *store, const char *key, const char *value)
{
    cr_assert_eq(store->set(store, text_of(key), text_of(value)), ERR_OK);
}

static bool has(vatstore_t *store, const char *key, const char *value)
{
    text_t text;
    bool found;
    cr_assert_eq(store->get(store, text_of(key), &text, &found), ERR_OK);
    if (!found || !value) return found == (value != NULL);
    return text.len == strlen(value) && memcmp(text.at, value, text.len) == 0;
}

static const char *next(vatstore_t *store, const char *prior)
{
    static char key[64];
    text_t text;
    bool found;
    cr_assert_eq(store->next(store, text_of(prior), &text, &found), ERR_OK);
    if (!found) return "";
    snprintf(key, sizeof key, "%.*s", (int)text.len, text.at);
    return key;
}

Test(vatdb, keys_come_in_byte_order)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        cr_assert_eq(store->crank_begin(store), ERR_OK);
        const char *keys[] = {"vom.o+d11/1", "vc.1.|entryCount",
                              "vc.1.skey",   "vc.1.}",
                              "vc.10.a",     "é",
                              "z",           "A",
                              "a",           ""};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) set(store, keys[i], "x");
        cr_expect_str_eq(next(store, ""), "A");
        cr_expect_str_eq(next(store, "A"), "a");
        cr_expect_str_eq(next(store, "vc.1."), "vc.1.skey");
        cr_expect_str_eq(next(store, "vc.1.skey"), "vc.1.|entryCount");
        cr_expect_str_eq(next(store, "vc.1.|entryCount"), "vc.1.}");
        cr_expect_str_eq(next(store, "vc.1.}"), "vc.10.a");
        cr_expect_str_eq(next(store, "z"), "é");
        cr_expect_str_eq(next(store, "é"), "");
        cr_assert_eq(store->crank_keep(store), ERR_OK);
        close_kind(store);
    }
}

Test(vatdb, a_crank_reads_its_own_writes_and_can_be_undone)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        cr_assert_eq(store->crank_begin(store), ERR_OK);
        set(store, "kept", "1");
        set(store, "changed", "before");
        cr_assert_eq(store->crank_keep(store), ERR_OK);

        cr_assert_eq(store->crank_begin(store), ERR_OK);
        set(store, "changed", "after");
        set(store, "made", "x");
        cr_assert_eq(store->remove(store, text_of("kept")), ERR_OK);
        cr_assert_eq(store->remove(store, text_of("never there")), ERR_OK);
        cr_expect(has(store, "changed", "after"));
        cr_expect(has(store, "made", "x"));
        cr_expect(has(store, "kept", NULL));
        cr_assert_eq(
            store->pair_put(store, kref_object((vat_t){3}, 1), (vref_t){text_of("o+1")}, 3),
            ERR_OK);
        cr_assert_eq(store->crank_undo(store), ERR_OK);

        cr_assert_eq(store->crank_begin(store), ERR_OK);
        cr_expect(has(store, "changed", "before"));
        cr_expect(has(store, "made", NULL));
        cr_expect(has(store, "kept", "1"));
        cr_assert_eq(store->crank_keep(store), ERR_OK);
        close_kind(store);
    }
}

Test(vatdb, values_are_bytes_of_any_length)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        enum { LEN = 1 << 20 };
        char *large = malloc(LEN);
        text_t text;
        bool found;

        memset(large, 'y', LEN);
        large[7] = '\0';
        cr_assert_eq(store->crank_begin(store), ERR_OK);
        cr_assert_eq(store->set(store, text_of("k"), (text_t){large, LEN}), ERR_OK);
        set(store, "empty", "");
        cr_assert_eq(store->get(store, text_of("k"), &text, &found), ERR_OK);
        cr_expect(found && text.len == LEN && memcmp(text.at, large, LEN) == 0);
        cr_assert_eq(store->get(store, text_of("empty"), &text, &found), ERR_OK);
        cr_expect(found && text.len == 0);
        cr_assert_eq(store->crank_keep(store), ERR_OK);
        free(large);
        close_kind(store);
    }
}

Test(vatdb, a_new_worker_begins_with_an_empty_file)
{
    vatstore_t *store = open_kind(1), *again;
    cr_assert_eq(store->crank_begin(store), ERR_OK);
    set(store, "old", "1");
    cr_assert_eq(store->crank_keep(store), ERR_OK);
    vatstore_destroy(&store);

    cr_assert_eq(vatdb_open(path, &again), ERR_OK);
    cr_assert_eq(again->crank_begin(again), ERR_OK);
    cr_expect(has(again, "old", NULL));
    cr_assert_eq(again->crank_keep(again), ERR_OK);
    vatstore_destroy(&again);
    vatdb_delete(path);
    cr_expect_neq(access(path, F_OK), 0);
}

Test(vatdb, a_place_that_cannot_be_written_is_an_error)
{
    vatstore_t *store = NULL;
    cr_expect_eq(vatdb_open("/nowhere/at/all/vat-1.db", &store), ERR_STORE);
    cr_expect_null(store);
}
