/* The vat's database through its port, on a real file: order, borrowed values, a crank undone. The
 * store in memory that other tests use must behave alike, so it takes the same tests. */
#define _GNU_SOURCE /* memmem */
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

static const id128_t kernel = {{7}};

static vatstore_t *open_file(uint64_t pgen)
{
    const vatdb_options_t options = {path, kernel, {3}, pgen};
    vatstore_t *store = NULL;
    cr_assert_eq(vatdb_open(&options, &store), ERR_OK, "%s", store->why(store));
    return store;
}

static vatstore_t *open_kind(int kind)
{
    if (kind == 0) return memstore_new();
    snprintf(path, sizeof path, "/tmp/vatdb-test-%d.db", (int)getpid());
    return open_file(1);
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

Test(vatdb, a_place_that_cannot_be_written_is_an_error)
{
    const vatdb_options_t options = {"/nowhere/at/all/vat-1.db", kernel, {3}, 1};
    vatstore_t *store = NULL;
    cr_expect_eq(vatdb_open(&options, &store), ERR_STORE);
    cr_expect_neq(*store->why(store), '\0');
    vatstore_destroy(&store);
}

/* ---- checkpoints ---- */

/* What a process leaves behind that ends here and now. */
static vatstore_t *crash(vatstore_t *store, int kind)
{
    if (kind == 0) {
        memstore_crash(store);
        return store;
    }
    vatstore_destroy(&store);
    return open_file(1);
}

static void make(vatstore_t *store, uint64_t d, bool alone)
{
    char heap[32], results[32];
    checkpoint_t made = {.d = d, .acked = d - 1, .chain = {{(uint8_t)d}}};
    int len = snprintf(heap, sizeof heap, "heap %d", (int)d);
    made.heap = (bin_t){(const uint8_t *)heap, (size_t)len};
    len = snprintf(results, sizeof results, "results %d", (int)d);
    made.results = (bin_t){(const uint8_t *)results, (size_t)len};
    cr_assert_eq(store->checkpoint(store, &made, alone), ERR_OK, "%s", store->why(store));
    cr_expect_eq(store->newest(store), d);
}

/* Is there the checkpoint D, whole; or, for 0, none? */
static bool stands(vatstore_t *store, generation_t which, uint64_t d)
{
    char heap[32], results[32];
    checkpoint_t at;
    cr_assert_eq(store->read(store, which, &at), ERR_OK);
    if (!d || at.d != d) return at.d == d;
    int len = snprintf(heap, sizeof heap, "heap %d", (int)d);
    bool same = at.heap.len == (size_t)len && memcmp(at.heap.at, heap, at.heap.len) == 0;
    len = snprintf(results, sizeof results, "results %d", (int)d);
    same =
        same && at.results.len == (size_t)len && memcmp(at.results.at, results, (size_t)len) == 0;
    return same && at.acked == d - 1 && at.chain.b[0] == d && at.chain.b[1] == 0;
}

static void put_pair(vatstore_t *store, uint64_t n, const char *vref, uint64_t flags)
{
    cr_assert_eq(store->pair_put(store, kref_object((vat_t){3}, n), (vref_t){text_of(vref)}, flags),
                 ERR_OK);
}

static void add_text(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    char *text = context, name[KREF_TEXT_MAX];
    sprintf(text + strlen(text), "%s=%.*s/%d ", kref_text(kref, name), (int)vref.s.len, vref.s.at,
            (int)flags);
}

static const char *pairs(vatstore_t *store)
{
    static char text[256];
    text[0] = '\0';
    cr_assert_eq(store->pairs(store, add_text, text), ERR_OK);
    return text;
}

static uint64_t counter(vatstore_t *store, const char *name)
{
    uint64_t value = 99;
    cr_assert_eq(store->counter_get(store, text_of(name), &value), ERR_OK);
    return value;
}

static void begin(vatstore_t *store) { cr_assert_eq(store->crank_begin(store), ERR_OK); }
static void keep(vatstore_t *store) { cr_assert_eq(store->crank_keep(store), ERR_OK); }

/* Three generations of everything that a store has. */
static void first_state(vatstore_t *store)
{
    begin(store);
    set(store, "kept", "1");
    set(store, "changed", "first");
    set(store, "removed", "first");
    put_pair(store, 0, "o+0", 3);
    put_pair(store, 1, "o+1", 3);
    cr_assert_eq(store->counter_put(store, text_of("export_object"), 2), ERR_OK);
    keep(store);
}

static void second_state(vatstore_t *store)
{
    begin(store);
    set(store, "changed", "second");
    set(store, "changed", "second again");
    set(store, "made", "second");
    cr_assert_eq(store->remove(store, text_of("removed")), ERR_OK);
    cr_assert_eq(store->pair_remove(store, kref_object((vat_t){3}, 1)), ERR_OK);
    put_pair(store, 0, "o+0", 2);
    put_pair(store, 2, "o+2", 3);
    cr_assert_eq(store->counter_put(store, text_of("export_object"), 3), ERR_OK);
    cr_assert_eq(store->counter_put(store, text_of("import_object"), 51), ERR_OK);
    keep(store);
}

static void expect_first(vatstore_t *store)
{
    cr_expect(has(store, "kept", "1") && has(store, "changed", "first"));
    cr_expect(has(store, "removed", "first") && has(store, "made", NULL));
    cr_expect_str_eq(pairs(store), "ko3.0=o+0/3 ko3.1=o+1/3 ");
    cr_expect_eq(counter(store, "export_object"), 2);
    cr_expect_eq(counter(store, "import_object"), 0);
}

static void expect_second(vatstore_t *store)
{
    cr_expect(has(store, "kept", "1") && has(store, "changed", "second again"));
    cr_expect(has(store, "removed", NULL) && has(store, "made", "second"));
    cr_expect_str_eq(pairs(store), "ko3.0=o+0/2 ko3.2=o+2/3 ");
    cr_expect_eq(counter(store, "export_object"), 3);
    cr_expect_eq(counter(store, "import_object"), 51);
}

Test(vatdb, what_is_not_in_a_checkpoint_is_gone)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 0) && stands(store, CHECKPOINT_OLDER, 0));
        first_state(store);
        store = crash(store, kind);
        cr_expect(has(store, "kept", NULL));
        cr_expect_str_eq(pairs(store), "");
        first_state(store);
        make(store, 5, false);
        second_state(store);
        store = crash(store, kind);
        expect_first(store);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 5) && stands(store, CHECKPOINT_OLDER, 0));
        cr_expect_eq(store->newest(store), 5);
        cr_expect_eq(store->oldest(store), 0, "the log reaches back");
        close_kind(store);
    }
}

Test(vatdb, the_older_checkpoint_is_kept_whole)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        first_state(store);
        make(store, 5, false);
        second_state(store);
        make(store, 9, false);
        cr_expect_eq(store->oldest(store), 5);
        for (int i = 0; i < 2; i++) { /* going back is nothing until a checkpoint follows */
            store = crash(store, kind);
            expect_second(store);
            cr_expect_eq(store->oldest(store), 5);
            cr_expect(stands(store, CHECKPOINT_NEWEST, 9) && stands(store, CHECKPOINT_OLDER, 5));
            cr_assert_eq(store->back(store), ERR_OK);
            expect_first(store);
            cr_expect(stands(store, CHECKPOINT_NEWEST, 5) && stands(store, CHECKPOINT_OLDER, 0));
            cr_expect(store->newest(store) == 5 && store->oldest(store) == 5);
        }
        second_state(store); /* the log is run again */
        make(store, 7, false);
        store = crash(store, kind);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 7) && stands(store, CHECKPOINT_OLDER, 5));
        expect_second(store);
        cr_assert_eq(store->back(store), ERR_OK);
        expect_first(store);
        close_kind(store);
    }
}

Test(vatdb, checkpoints_follow_each_other_and_two_are_kept)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        char value[16] = "";
        for (uint64_t d = 1; d <= 6; d++) {
            begin(store);
            snprintf(value, sizeof value, "%d", (int)d);
            set(store, "d", value);
            if (d % 2)
                keep(store);
            else
                cr_assert_eq(store->crank_undo(store), ERR_OK);
            make(store, d, false);
            cr_expect_eq(store->oldest(store), d - 1);
        }
        store = crash(store, kind);
        cr_expect(has(store, "d", "5") && stands(store, CHECKPOINT_NEWEST, 6));
        cr_assert_eq(store->back(store), ERR_OK);
        cr_expect(has(store, "d", "5") && stands(store, CHECKPOINT_NEWEST, 5));
        close_kind(store);
    }
}

Test(vatdb, a_checkpoint_may_be_alone)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        first_state(store);
        make(store, 5, false);
        second_state(store);
        make(store, 9, true);
        store = crash(store, kind);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 9) && stands(store, CHECKPOINT_OLDER, 0));
        cr_expect_eq(store->oldest(store), 9);
        make(store, 9, false); /* the same again has nothing before it */
        cr_expect_eq(store->oldest(store), 9);
        cr_expect(stands(store, CHECKPOINT_OLDER, 0));
        close_kind(store);
    }
}

Test(vatdb, it_can_be_emptied)
{
    for (int kind = 0; kind < KINDS; kind++) {
        vatstore_t *store = open_kind(kind);
        first_state(store);
        make(store, 5, false);
        second_state(store);
        make(store, 9, false);
        cr_assert_eq(store->empty(store), ERR_OK);
        cr_expect(has(store, "kept", NULL) && counter(store, "export_object") == 0);
        cr_expect_str_eq(pairs(store), "");
        cr_expect(store->newest(store) == 0 && store->oldest(store) == 0);
        store = crash(store, kind);
        expect_second(store);
        cr_assert_eq(store->empty(store), ERR_OK);
        first_state(store);
        make(store, 2, false);
        store = crash(store, kind);
        expect_first(store);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 2) && stands(store, CHECKPOINT_OLDER, 0));
        cr_expect_eq(store->oldest(store), 0);
        close_kind(store);
    }
}

Test(vatdb, a_file_is_of_one_vat_and_one_kernel)
{
    vatstore_t *store = open_kind(1);
    first_state(store);
    make(store, 5, false);
    vatstore_destroy(&store);

    vatdb_options_t other = {path, {{8}}, {3}, 1};
    cr_expect_eq(vatdb_open(&other, &store), ERR_STORE_VERSION);
    cr_expect_neq(*store->why(store), '\0');
    vatstore_destroy(&store);
    other = (vatdb_options_t){path, kernel, {4}, 1};
    cr_expect_eq(vatdb_open(&other, &store), ERR_STORE_VERSION);
    vatstore_destroy(&store);

    store = open_file(1);
    expect_first(store);
    close_kind(store);
}

Test(vatdb, a_copy_is_the_newest_checkpoint_of_another_placement)
{
    char copy[80];
    vatstore_t *store = open_kind(1);
    snprintf(copy, sizeof copy, "%s.ship", path);
    first_state(store);
    make(store, 5, false);
    second_state(store);
    make(store, 9, false);
    cr_assert_eq(store->copy(store, copy), ERR_OK, "%s", store->why(store));
    begin(store);
    set(store, "changed", "since");
    keep(store);
    close_kind(store);

    cr_assert_eq(rename(copy, path), 0);
    for (int i = 0; i < 2; i++) {
        store = open_file(2);
        expect_second(store);
        cr_expect(stands(store, CHECKPOINT_NEWEST, 9) && stands(store, CHECKPOINT_OLDER, 0));
        cr_expect(store->newest(store) == 9 && store->oldest(store) == 9,
                  "the log may begin there");
        begin(store);
        set(store, "changed", "here");
        keep(store);
        if (i == 0) vatstore_destroy(&store); /* before it made one of its own */
    }
    make(store, 11, false);
    vatstore_destroy(&store);
    store = open_file(2);
    cr_expect(has(store, "changed", "here") && store->oldest(store) == 9);
    cr_assert_eq(store->back(store), ERR_OK);
    expect_second(store);
    close_kind(store);
}

Test(vatdb, a_copy_that_cannot_be_made_harms_nothing)
{
    vatstore_t *store = open_kind(1);
    first_state(store);
    make(store, 5, false);
    cr_expect_neq(store->copy(store, "/nowhere/at/all"), ERR_OK);
    cr_expect_neq(*store->why(store), '\0');
    second_state(store);
    make(store, 9, false);
    store = crash(store, 1);
    expect_second(store);
    close_kind(store);
}

/* ---- a disk that does not keep what was written ---- */

enum { HEAP_BYTES = 40000, PAGE = 4096 };

/* The same as make(), with a heap that fills pages of its own. */
static void make_large(vatstore_t *store, uint64_t d)
{
    static uint8_t heap[HEAP_BYTES];
    memset(heap, 'A' + (int)d, sizeof heap);
    const checkpoint_t made = {
        .d = d, .acked = d - 1, .chain = {{(uint8_t)d}}, .heap = {heap, sizeof heap}};
    cr_assert_eq(store->checkpoint(store, &made, false), ERR_OK, "%s", store->why(store));
}

static bool large(vatstore_t *store, generation_t which, uint64_t d)
{
    checkpoint_t at;
    cr_assert_eq(store->read(store, which, &at), ERR_OK);
    cr_assert_eq(at.d, d);
    return at.heap.len == HEAP_BYTES && at.heap.at[0] == 'A' + d &&
           at.heap.at[HEAP_BYTES - 1] == 'A' + d;
}

/* Flips a bit of a page that is full of LETTER, or of the first that has TEXT in it. */
static void flip(uint8_t letter, const char *text)
{
    FILE *file = fopen(path, "r+");
    uint8_t page[PAGE];
    cr_assert(file);
    for (long at = 0; fread(page, 1, PAGE, file) == PAGE; at += PAGE) {
        if (text ? !memmem(page, PAGE, text, strlen(text))
                 : page[99] != letter || page[999] != letter)
            continue;
        page[100] ^= 1;
        fseek(file, at, SEEK_SET);
        cr_assert_eq(fwrite(page, 1, PAGE, file), PAGE);
        cr_assert_eq(fclose(file), 0);
        return;
    }
    cr_assert(false, "no such page");
}

static vatstore_t *two_large(void)
{
    vatstore_t *store = open_kind(1);
    first_state(store);
    make_large(store, 5);
    second_state(store);
    make_large(store, 9);
    vatstore_destroy(&store);
    return store;
}

Test(vatdb, a_heap_whose_bytes_are_damaged_is_an_unreadable_one)
{
    vatstore_t *store = two_large();
    flip('A' + 9, NULL);
    for (int i = 0; i < 2; i++) {
        store = open_file(1);
        expect_second(store);
        cr_expect(!large(store, CHECKPOINT_NEWEST, 9));
        cr_expect(large(store, CHECKPOINT_OLDER, 5));
        cr_expect_eq(store->oldest(store), 5);
        if (i == 0) vatstore_destroy(&store);
    }
    cr_assert_eq(store->back(store), ERR_OK);
    expect_first(store);
    second_state(store);
    make_large(store, 8);
    store = crash(store, 1);
    cr_expect(large(store, CHECKPOINT_NEWEST, 8) && large(store, CHECKPOINT_OLDER, 5));
    close_kind(store);
}

Test(vatdb, the_older_heap_may_be_damaged_as_well)
{
    vatstore_t *store = two_large();
    flip('A' + 5, NULL);
    store = open_file(1);
    cr_expect(large(store, CHECKPOINT_NEWEST, 9) && !large(store, CHECKPOINT_OLDER, 5));
    make_large(store, 11);
    store = crash(store, 1);
    cr_expect(large(store, CHECKPOINT_NEWEST, 11) && large(store, CHECKPOINT_OLDER, 9));
    vatstore_destroy(&store);

    flip('A' + 9, NULL);
    flip('A' + 11, NULL);
    store = open_file(1);
    expect_second(store);
    cr_expect(!large(store, CHECKPOINT_NEWEST, 11) && !large(store, CHECKPOINT_OLDER, 9));
    close_kind(store);
}

Test(vatdb, damage_of_anything_else_is_said)
{
    vatstore_t *store = two_large();
    flip('A' + 9, NULL);
    flip(0, "second again");
    const vatdb_options_t options = {path, kernel, {3}, 1};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(vatdb_open(&options, &store), ERR_STORE_DAMAGED);
        cr_expect_neq(*store->why(store), '\0');
        vatstore_destroy(&store);
    }
    cr_expect(vatdb_set_aside(path));
    store = open_file(1);
    cr_expect(stands(store, CHECKPOINT_NEWEST, 0) && has(store, "kept", NULL));
    first_state(store);
    make(store, 5, false);
    vatstore_destroy(&store);
    cr_expect(!vatdb_set_aside(path), "there is nothing wrong with it");
    store = open_file(1);
    cr_expect(stands(store, CHECKPOINT_NEWEST, 5));
    close_kind(store);

    char aside[80];
    snprintf(aside, sizeof aside, "/tmp/damaged-%s", path + strlen("/tmp/"));
    cr_expect_eq(unlink(aside), 0);
}
