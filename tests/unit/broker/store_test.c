/* kernel.db: what goes in comes out, whole records only, and a full disk loses nothing.
 *
 * Method: rows with random values are made from row_tables, so that a new table or column is tested
 * by the row that adds it. A second copy of what should be stored is kept in memory. */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/store.h"
#include "wire/pages/pages.h"

static char dir[64], path[96];
static uint64_t seed = 7;

static uint64_t dice(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed ^ (seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-store-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
}

static void tear_down(void)
{
    const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    rmdir(dir);
}

TestSuite(store, .init = set_up, .fini = tear_down);

static store_t *open_store(uint32_t pages_max)
{
    store_t *store = NULL;
    err_t err = store_open(&(store_options_t){.path = path, .pages_max = pages_max}, &store);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), store_why(store));
    return store;
}

/* ---- rows ---- */

typedef struct {
    row_t row[ROW_TABLES * 40];
    size_t count;
} rows_t;

static uint8_t pool[4096];

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

static void commit(store_t *store, record_t *record)
{
    gate_t gate = store_gate(store);
    uint64_t seq = 0;
    record_end(record);
    cr_assert_eq(gate.append(gate.self, record), ERR_OK);
    err_t err = gate.durable(gate.self, &seq);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), store_why(store));
    cr_assert_eq(seq, record->seq);
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

static row_t log_row(uint64_t vat, uint64_t d)
{
    row_t row = {.table = ROW_log};
    row.body.log.vat = vat;
    row.body.log.d = d;
    row.body.log.delivery = (bin_t){pool, 8 + d};
    return row;
}

typedef struct {
    uint64_t d[64];
    size_t count;
} ds_t;

static err_t collect(void *context, const row_t *row)
{
    ds_t *ds = context;
    if (row->table == ROW_log) ds->d[ds->count++] = row->body.log.vat * 100 + row->body.log.d;
    return ERR_OK;
}

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

/* ---- trouble ---- */

Test(store, a_full_disk_keeps_the_record_and_commits_it_when_there_is_room)
{
    store_t *store = open_store(120);
    gate_t gate = store_gate(store);
    record_t record = {0};
    static uint8_t big[200000];
    uint64_t seq = 0, full_at = 0;

    for (uint64_t d = 1; d <= 10 && !full_at; d++) {
        record_begin(&record, 1);
        row_t row = log_row(1, d);
        row.body.log.delivery = (bin_t){big, sizeof big};
        record_add(&record, &row);
        record_end(&record);
        cr_assert_eq(gate.append(gate.self, &record), ERR_OK);
        err_t err = gate.durable(gate.self, &seq);
        if (err) {
            cr_assert_eq(err, ERR_STORE_FULL, "%s: %s", err_name(err), store_why(store));
            cr_expect_eq(seq, record.seq - 1);
            full_at = d;
        }
    }
    cr_assert(full_at > 1, "the limit was met, and not at once");
    cr_expect_eq(gate.durable(gate.self, &seq), ERR_STORE_FULL, "still full");
    store_destroy(&store);

    /* What was durable is there, of the record that was not there is nothing. */
    store = open_store(0);
    gate = store_gate(store);
    hash_t chain;
    uint64_t last = 0;
    gate.last(gate.self, &seq, &chain);
    cr_expect_eq(seq, full_at - 1);
    cr_assert_eq(store_log_last(store, (vat_t){1}, &last), ERR_OK);
    cr_expect_eq(last, full_at - 1);
    commit(store, &record);
    cr_assert_eq(store_log_last(store, (vat_t){1}, &last), ERR_OK);
    cr_expect_eq(last, full_at);
    record_clear(&record);
    store_destroy(&store);
}

static err_t reopen(void)
{
    store_t *store = NULL;
    err_t err = store_open(&(store_options_t){.path = path}, &store);
    store_destroy(&store);
    return err;
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    cr_assert_eq(pages_open(path, flags, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(store, a_file_that_is_not_ours_is_refused_and_left_alone)
{
    run_sql("CREATE TABLE mine (x)");
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
    run_sql("INSERT INTO mine VALUES (1)");

    FILE *file = fopen(path, "w");
    fputs("this is a letter to my grandmother, and by no means a database\n", file);
    fclose(file);
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
}

Test(store, a_database_of_another_version_is_refused)
{
    cr_assert_eq(reopen(), ERR_OK);
    run_sql("PRAGMA user_version = 5");
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
}

Test(store, a_value_of_the_wrong_type_is_damage)
{
    cr_assert_eq(reopen(), ERR_OK);
    run_sql("INSERT INTO counter VALUES ('epoch', x'00')");
    store_t *store = open_store(0);
    ds_t none = {{0}, 0};
    cr_expect_eq(store_load(store, collect, &none), ERR_STORE_DAMAGED);
    cr_expect(strstr(store_why(store), "counter"));
    store_destroy(&store);
}

static void commit_log_row(store_t *store, record_t *record, uint64_t d)
{
    static uint8_t body[40000]; /* some pages of its own */
    record_begin(record, 1);
    row_t row = log_row(1, d);
    memset(body, (int)d, sizeof body);
    row.body.log.delivery = (bin_t){body, sizeof body};
    record_add(record, &row);
    commit(store, record);
}

/* What is committed while it is made is in it too, and it has sums of its own. */
Test(store, a_copy_of_a_store_in_use_is_what_was_durable_at_its_end)
{
    store_t *store = open_store(0);
    store_copy_t *copy = NULL;
    record_t record = {.seq = 0};
    char name[128];
    bool whole = false;
    for (uint64_t d = 1; d <= 5; d++) commit_log_row(store, &record, d);
    snprintf(name, sizeof name, "%s/copy.db", dir);
    cr_assert_eq(store_copy_new(store, name, &copy), ERR_OK, "%s", store_copy_why(copy));
    for (uint64_t d = 6; !whole; d++) {
        cr_assert_eq(store_copy_step(copy, 20, &whole), ERR_OK, "%s", store_copy_why(copy));
        if (!whole && d <= 8) commit_log_row(store, &record, d);
    }
    store_copy_destroy(&copy);
    commit_log_row(store, &record, 9);
    record_clear(&record);
    store_destroy(&store);

    cr_assert_eq(rename(name, path), 0);
    store = open_store(0);
    uint64_t seq = 0, last = 0;
    hash_t chain;
    gate_t gate = store_gate(store);
    gate.last(gate.self, &seq, &chain);
    cr_assert_eq(store_log_last(store, (vat_t){1}, &last), ERR_OK);
    cr_expect_eq(seq, 8);
    cr_expect_eq(last, 8);
    store_destroy(&store);
    sqlite3 *db = NULL;
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "PRAGMA integrity_check", NULL, NULL, NULL), SQLITE_OK);
    cr_expect(pages_summed(db));
    sqlite3_close(db);
}

/* A backup reads what nobody else does, and says which page it is. */
Test(store, a_copy_of_a_damaged_store_is_refused)
{
    store_t *store = open_store(0);
    record_t record = {.seq = 0};
    for (uint64_t d = 1; d <= 5; d++) commit_log_row(store, &record, d);
    record_clear(&record);
    store_destroy(&store);
    FILE *file = fopen(path, "r+b");
    cr_assert_eq(fseek(file, -2000, SEEK_END), 0);
    int byte = fgetc(file);
    cr_assert_eq(fseek(file, -2000, SEEK_END), 0);
    fputc(byte ^ 1, file);
    fclose(file);

    store = open_store(0);
    store_copy_t *copy = NULL;
    char name[128];
    bool whole = false;
    snprintf(name, sizeof name, "%s/copy.db", dir);
    cr_assert_eq(store_copy_new(store, name, &copy), ERR_OK);
    cr_expect_eq(store_copy_step(copy, 1000, &whole), ERR_STORE_DAMAGED);
    cr_expect(strstr(store_copy_why(copy), "page "), "%s", store_copy_why(copy));
    cr_expect_not(whole);
    store_copy_destroy(&copy);
    store_destroy(&store);
    unlink(name);
}

Test(store, the_database_is_private)
{
    cr_assert_eq(reopen(), ERR_OK);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
}

/* ---- bundles ---- */

static char name[BUNDLE_NAME_BYTES + 1];

static void name_of(const uint8_t *at, size_t len)
{
    uint8_t hash[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(hash, at, len);
    strcpy(name, "b1-");
    sodium_bin2hex(name + 3, sizeof name - 3, hash, sizeof hash);
}

static err_t push(store_t *store, stage_t *stage, const uint8_t *at, size_t len, size_t piece)
{
    err_t err = ERR_OK;
    for (size_t from = 0; from < len && !err; from += piece) {
        size_t part = len - from < piece ? len - from : piece;
        err = store_bundle_put(store, stage, text_of(name), from, len, (bin_t){at + from, part});
    }
    return err;
}

Test(store, a_bundle_pushed_in_pieces_is_read_in_other_pieces)
{
    static uint8_t bytes[100000], back[100000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)dice();
    name_of(bytes, sizeof bytes);
    store_t *store = open_store(0);
    stage_t stage = {0};
    uint64_t size = 1;
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_expect_eq(size, 0);
    cr_assert_eq(push(store, &stage, bytes, sizeof bytes, 30000), ERR_OK);
    cr_expect_null(stage.at, "nothing is staged any more");
    store_destroy(&store);

    store = open_store(0);
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_assert_eq(size, sizeof bytes);
    size_t len = 1, at = 0;
    while (len) {
        cr_assert_eq(store_bundle_read(store, text_of(name), at, back + at, 7001, &len), ERR_OK);
        at += len;
    }
    cr_expect_eq(at, sizeof bytes);
    cr_expect_eq(memcmp(bytes, back, sizeof bytes), 0);
    cr_assert_eq(push(store, &stage, bytes, sizeof bytes, 50000), ERR_OK, "again: no harm");
    store_destroy(&store);
}

Test(store, a_bundle_with_other_bytes_than_its_name_is_refused)
{
    uint8_t bytes[1000] = {1}, wrong[1000] = {2};
    name_of(bytes, sizeof bytes);
    store_t *store = open_store(0);
    stage_t stage = {0};
    uint64_t size = 1;
    cr_expect_eq(push(store, &stage, wrong, sizeof wrong, 400), ERR_BUNDLE_BROKEN);
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_expect_eq(size, 0);
    size_t len;
    cr_expect_eq(store_bundle_read(store, text_of(name), 0, wrong, 10, &len), ERR_BUNDLE_UNKNOWN);

    /* Out of order, changed total, bad name, empty piece. */
    bin_t piece = {bytes, 400};
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 400, 1000, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 0, 1000, piece), ERR_OK);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 400, 900, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 500, 1000, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of("b1-x"), 0, 400, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 0, 0, (bin_t){bytes, 0}),
                 ERR_BAD_VALUE);
    stage_clear(&stage);
    store_destroy(&store);
}
