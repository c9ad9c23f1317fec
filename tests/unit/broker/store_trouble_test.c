/* kernel.db when something is wrong: a full disk loses nothing, what is foreign, of another version or damaged is
 * refused; and copies of one that is in use. */
#include <sys/stat.h>

#include "tests/unit/broker/store_rig.h"
#include "wire/pages/pages.h"

TestSuite(store_trouble, .init = store_set_up, .fini = store_tear_down);

Test(store_trouble, a_full_disk_keeps_the_record_and_commits_it_when_there_is_room)
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

Test(store_trouble, a_file_that_is_not_ours_is_refused_and_left_alone)
{
    run_sql("CREATE TABLE mine (x)");
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
    run_sql("INSERT INTO mine VALUES (1)");

    FILE *file = fopen(path, "w");
    fputs("this is a letter to my grandmother, and by no means a database\n", file);
    fclose(file);
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
}

Test(store_trouble, a_database_of_another_version_is_refused)
{
    cr_assert_eq(reopen(), ERR_OK);
    run_sql("PRAGMA user_version = 5");
    cr_expect_eq(reopen(), ERR_STORE_VERSION);
}

Test(store_trouble, a_value_of_the_wrong_type_is_damage)
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
Test(store_trouble, a_copy_of_a_store_in_use_is_what_was_durable_at_its_end)
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
Test(store_trouble, a_copy_of_a_damaged_store_is_refused)
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

Test(store_trouble, the_database_is_private)
{
    cr_assert_eq(reopen(), ERR_OK);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
}
