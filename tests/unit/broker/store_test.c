/* kernel.db: what goes in comes out, and whole records only.
 *
 * Method: rows with random values are made from row_tables, so that a new table or column is tested
 * by the row that adds it. A second copy of what should be stored is kept in memory. */
#include "tests/unit/broker/store_rig.h"

TestSuite(store, .init = store_set_up, .fini = store_tear_down);

/* ---- rows ---- */

typedef struct {
    row_t row[ROW_TABLES * 40];
    size_t count;
} rows_t;

static void fill_column(row_t *row, const column_t *column)
{
    void *at = (uint8_t *)&row->body + column->offset;
    size_t from = dice() % 1024, len = dice() % 4 ? dice() % 200 : 0;
    if (column->kind == KIND_u64)
        *(uint64_t *)at = dice();
    else if (column->kind == KIND_text)
        *(text_t *)at = (text_t){(char *)pool + from, len};
    else
        *(bin_t *)at = (bin_t){len ? pool + from : NULL, len};
}

static row_t random_row(row_table_t table)
{
    row_t row = {.table = table};
    for (size_t i = 0; i < row_tables[table].column_count; i++) {
        fill_column(&row, &row_tables[table].columns[i]);
    }
    return row;
}

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_row(const row_t *a, const row_t *b, size_t columns)
{
    if (a->table != b->table) return false;
    for (size_t i = 0; i < columns; i++) {
        const column_t *column = &row_tables[a->table].columns[i];
        const void *x = (const uint8_t *)&a->body + column->offset;
        const void *y = (const uint8_t *)&b->body + column->offset;
        if (column->kind == KIND_u64) {
            if (*(const uint64_t *)x != *(const uint64_t *)y) return false;
        } else {
            const bin_t *p = x, *q = y; /* text_t has the same shape */
            if (!same_bytes(p->at, p->len, q->at, q->len)) return false;
        }
    }
    return true;
}

static row_t *find(rows_t *rows, const row_t *row)
{
    for (size_t i = 0; i < rows->count; i++) {
        if (same_row(&rows->row[i], row, row_tables[row->table].key_count)) return &rows->row[i];
    }
    return NULL;
}

static void put(store_t *store, record_t *record, rows_t *rows, row_t row)
{
    (void)store;
    row_t *there = find(rows, &row);
    if (!there) there = &rows->row[rows->count++];
    *there = row;
    record_add(record, &row);
}

typedef struct {
    rows_t *rows;
    size_t seen;
    row_table_t last;
} check_t;

static err_t check_row(void *context, const row_t *row)
{
    check_t *check = context;
    row_t *expected = find(check->rows, row);
    cr_assert(expected, "a row of %s that was never put", row_tables[row->table].name);
    cr_assert(same_row(expected, row, row_tables[row->table].column_count), "a row of %s differs",
              row_tables[row->table].name);
    cr_assert_geq(row->table, check->last, "not in the order of row.def");
    check->last = row->table;
    check->seen++;
    return ERR_OK;
}

Test(store, every_table_keeps_rows_with_any_value)
{
    rows_t *rows = calloc(1, sizeof *rows);
    record_t record = {0};
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)('a' + dice() % 26);

    store_t *store = open_store(0);
    for (int round = 0; round < 4; round++) {
        record_begin(&record, 1);
        for (row_table_t table = 0; table < ROW_TABLES; table++) {
            for (int i = 0; i < 8 && table != ROW_log; i++) {
                put(store, &record, rows, random_row(table));
            }
        }
        /* Some old ones change, some go. */
        for (int i = 0; i < 10; i++) {
            row_t *old = &rows->row[dice() % rows->count];
            row_t fresh = random_row(old->table);
            const table_t *table = &row_tables[old->table];
            size_t key_end = table->key_count < table->column_count
                                 ? table->columns[table->key_count].offset
                                 : sizeof fresh.body;
            memcpy(&fresh.body, &old->body, key_end);
            *old = fresh;
            record_add(&record, old);
        }
        for (int i = 0; i < 5; i++) {
            row_t *old = &rows->row[dice() % rows->count];
            row_t gone = *old;
            gone.gone = true;
            record_add(&record, &gone);
            *old = rows->row[--rows->count];
        }
        commit(store, &record);
    }
    store_destroy(&store);

    store = open_store(0);
    check_t check = {rows, 0, 0};
    cr_assert_eq(store_load(store, check_row, &check), ERR_OK);
    cr_assert_eq(check.seen, rows->count);
    store_destroy(&store);
    record_clear(&record);
    free(rows);
}

Test(store, the_chain_and_its_number_go_on_after_a_restart)
{
    record_t record = {0};
    store_t *store = open_store(0);
    row_t row = {.table = ROW_counter};
    row.body.counter.name = text_of("n");
    record_begin(&record, 1);
    record_add(&record, &row);
    commit(store, &record);
    store_destroy(&store);

    store = open_store(0);
    uint64_t seq = 0;
    hash_t chain = {0};
    gate_t gate = store_gate(store);
    gate.last(gate.self, &seq, &chain);
    cr_expect_eq(seq, 1);
    cr_expect(hash_same(chain, record.chain));
    cr_expect(!hash_none(chain));

    record_t other = {0};
    row.body.counter.value = 1;
    record_begin(&other, 1);
    record_add(&other, &row);
    record_end(&other);
    cr_expect(!hash_same(other.chain, chain), "another value gives another chain");
    record_clear(&other);
    record_clear(&record);
    store_destroy(&store);
}

/* ---- the log ---- */

typedef struct {
    size_t count;
    uint64_t kref[16];
} helds_t;

static err_t collect_held(void *context, const row_t *row)
{
    helds_t *krefs = context;
    if (row->table == ROW_held) krefs->kref[krefs->count++] = row->body.held.kref;
    return ERR_OK;
}

static void add_held(record_t *record, uint64_t vat, uint64_t kref, bool gone)
{
    row_t row = {.table = ROW_held, .gone = gone};
    row.body.held.vat = vat;
    row.body.held.kref = kref;
    record_add(record, &row);
}

/* Deletes of neighbours are one statement: it must take them and nothing else. */
Test(store, rows_side_by_side_go_and_their_neighbours_stay)
{
    static const uint64_t there[] = {1, 2, 3, 4, 5, 9, INT64_MAX, 1ull << 63, UINT64_MAX};
    static const uint64_t gone[] = {0, 2, 3, 4, INT64_MAX, 1ull << 63, UINT64_MAX};
    static const uint64_t left[] = {1, 5, 9};
    store_t *store = open_store(0);
    record_t record = {0};
    record_begin(&record, 1);
    for (uint64_t vat = 1; vat <= 2; vat++)
        for (size_t i = 0; i < sizeof there / 8; i++) add_held(&record, vat, there[i], false);
    commit(store, &record);

    record_begin(&record, 1);
    for (size_t i = 0; i < sizeof gone / 8; i++) add_held(&record, 1, gone[i], true);
    add_held(&record, 1, 7, false); /* and a put behind them */
    commit(store, &record);

    helds_t krefs = {0};
    cr_assert_eq(store_load(store, collect_held, &krefs), ERR_OK);
    cr_assert_eq(krefs.count, 4 + 9);
    for (size_t i = 0; i < 3; i++) {
        size_t at = i + (left[i] > 7);
        cr_expect_eq(krefs.kref[at], left[i]);
    }
    cr_expect_eq(krefs.kref[2], 7);

    record_begin(&record, 1);
    for (size_t i = 0; i < 5; i++) add_held(&record, 2, there[i], true);
    add_held(&record, 3, there[5], true); /* another's, and not there */
    commit(store, &record);
    krefs = (helds_t){0};
    cr_assert_eq(store_load(store, collect_held, &krefs), ERR_OK);
    cr_expect_eq(krefs.count, 4 + 4);
    record_clear(&record);
    store_destroy(&store);
}

/* Whatever the pieces in which it is fed, a record has one chain; of other rows, or in another order, it is another. */
Test(store, a_chain_is_of_all_bytes_of_all_rows)
{
    record_t record[4] = {0};
    row_t rows[3] = {log_row(1, 1), log_row(1, 2), log_row(1, 3)};
    rows[1].body.log.delivery = (bin_t){pool, sizeof pool};
    for (size_t i = 0; i < 4; i++) record_begin(&record[i], 1);
    for (size_t i = 0; i < 3; i++) {
        record_add(&record[0], &rows[i]);
        record_add(&record[1], &rows[i]);
        record_add(&record[2], &rows[2 - i]);
    }
    pool[sizeof pool - 1] ^= 1;
    for (size_t i = 0; i < 3; i++) record_add(&record[3], &rows[i]);
    pool[sizeof pool - 1] ^= 1;
    for (size_t i = 0; i < 4; i++) record_end(&record[i]);
    cr_expect(hash_same(record[0].chain, record[1].chain));
    cr_expect(!hash_same(record[0].chain, record[2].chain), "another order");
    cr_expect(!hash_same(record[0].chain, record[3].chain), "one bit at the end of a long value");
    cr_expect_eq(record[0].bytes, record[3].bytes);
    cr_expect_gt(record[0].bytes, sizeof pool);

    /* A record without rows changes nothing. */
    hash_t before = record[0].chain;
    record_begin(&record[0], 1);
    record_end(&record[0]);
    cr_expect(hash_same(before, record[0].chain));
    for (size_t i = 0; i < 4; i++) record_clear(&record[i]);
}

Test(store, the_log_is_read_by_range_and_loaded_beyond_applied)
{
    store_t *store = open_store(0);
    record_t record = {0};
    record_begin(&record, 1);
    for (uint64_t vat = 1; vat <= 3; vat++) {
        row_t row = {.table = ROW_vat};
        row.body.vat.vat = vat;
        row.body.vat.applied = 2 * vat;
        record_add(&record, &row);
        for (uint64_t d = 1; d <= 7; d++) {
            row_t log = log_row(vat, d);
            record_add(&record, &log);
        }
    }
    commit(store, &record);

    ds_t range = {{0}, 0};
    cr_assert_eq(store_log(store, (vat_t){2}, 3, 5, collect, &range), ERR_OK);
    cr_expect_eq(range.count, 3);
    cr_expect_eq(range.d[0], 203);
    cr_expect_eq(range.d[2], 205);

    range.count = 0;
    cr_assert_eq(store_log(store, (vat_t){2}, 6, 100, collect, &range), ERR_OK);
    cr_expect_eq(range.count, 2, "as far as the log goes");

    uint64_t last = 0;
    cr_assert_eq(store_log_last(store, (vat_t){3}, &last), ERR_OK);
    cr_expect_eq(last, 7);
    cr_assert_eq(store_log_last(store, (vat_t){9}, &last), ERR_OK);
    cr_expect_eq(last, 0);

    ds_t loaded = {{0}, 0};
    cr_assert_eq(store_load(store, collect, &loaded), ERR_OK);
    const uint64_t expected[] = {103, 104, 105, 106, 107, 205, 206, 207, 307};
    cr_expect_eq(loaded.count, 9);
    for (size_t i = 0; i < 9; i++) cr_expect_eq(loaded.d[i], expected[i]);
    record_clear(&record);
    store_destroy(&store);
}
