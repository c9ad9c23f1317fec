/* A kernel.db of schema 1 becomes one of today's: every row, and what the kernel makes of them.
 *
 * Method: the file is made from SQL that was dumped from a real one, and opened; what the rows were is
 * asked of the file that was kept. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/kernel/kernel.h"
#include "broker/store/store.h"
#include "wire/codec/codec.h"
#include "wire/pages/pages.h"

static char dir[64], path[96], kept[112];

static void set_up(void)
{
    strcpy(dir, "/tmp/vatyard-migrate-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    snprintf(kept, sizeof kept, "%s.schema-1", path);
}

static void tear_down(void)
{
    const char *const ends[] = {"", "-wal", ".schema-1", ".schema-2", ".new", ".new-wal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    rmdir(dir);
}

TestSuite(migrate, .init = set_up, .fini = tear_down);

/* As sqlite3 would: no sums. */
static void make_old(const char *more)
{
    static char sql[1 << 16];
    FILE *file = fopen(KERNEL_1_SQL, "r");
    cr_assert(file, "%s", KERNEL_1_SQL);
    size_t len = fread(sql, 1, sizeof sql - 1, file);
    fclose(file);
    cr_assert(len > 1000 && len < sizeof sql - 1);
    sql[len] = 0;
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_exec(db, more, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static err_t reopen(char *why, size_t room)
{
    store_t *store = NULL;
    err_t err = store_open(&(store_options_t){.path = path}, &store);
    snprintf(why, room, "%s", store_why(store));
    store_destroy(&store);
    return err;
}

static bool there(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && st.st_size > 0;
}

static char *ask(const char *name, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    cr_assert_eq(pages_open(name, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW, "%s", sqlite3_errmsg(db));
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    char *copy = strdup(text ? text : "");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return copy;
}

static void same(const char *sql)
{
    char *now = ask(path, sql), *before = ask(kept, sql);
    cr_expect(strlen(now) > 0, "%s", sql);
    cr_expect_str_eq(now, before, "%s", sql);
    free(now);
    free(before);
}

/* ---- the kernel ---- */

static err_t load(void *context, const row_t *row) { return kernel_load(context, row); }

static void finding(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    cr_expect_fail("%s: %s: %s", rule, row, should);
}

Test(migrate, schema_1_becomes_todays_and_the_kernel_is_whole)
{
    make_old("");
    store_t *store = NULL;
    err_t err = store_open(&(store_options_t){.path = path}, &store);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), store_why(store));
    kernel_t *kernel = kernel_new();
    cr_assert_eq(store_load(store, load, kernel), ERR_OK);
    const uint8_t entropy[32] = {1};
    cr_assert_eq(kernel_loaded(kernel, entropy), ERR_OK);
    cr_expect_eq(kernel_audit(kernel, finding, NULL), 0);
    cr_expect_eq(kernel_epoch(kernel), 2, "one more than it was");
    kernel_destroy(&kernel);

    uint64_t size = 0, seq = 0, last = 0;
    hash_t chain;
    char *name = ask(kept, "SELECT name FROM store_bundle");
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_expect_eq(size, 32);
    free(name);
    gate_t gate = store_gate(store);
    gate.last(gate.self, &seq, &chain);
    cr_expect_eq(seq, 18);
    cr_expect_eq(chain.b[0], 0x78);
    cr_assert_eq(store_log_last(store, (vat_t){1}, &last), ERR_OK);
    cr_expect_eq(last, 7);
    store_destroy(&store);
}

Test(migrate, every_row_is_there)
{
    make_old("");
    char why[512];
    cr_assert_eq(reopen(why, sizeof why), ERR_OK, "%s", why);
    cr_assert(there(kept));
    same("SELECT group_concat(name || '=' || value, ',') FROM counter");
    same("SELECT group_concat(hex(key) || name, ',') FROM host");
    same("SELECT group_concat(vat || name || assigned || applied || hex(chain) || bundle || "
         "started_ms,"
         " ',') FROM vat");
    same("SELECT group_concat(vat || '/' || d || hex(delivery) || hex(hash) || hex(chain) ||"
         " hex(result_hash) || outcome, ',') FROM log");
    same("SELECT group_concat(vat || ' ' || kref || ' ' || flags || since_d || intro_d || told_d, "
         "',')"
         " FROM held");
    same("SELECT group_concat(kref || state || decider || hex(body) || hex(slots), ',') FROM "
         "promise");
    same("SELECT group_concat(kref || owner || reachable || recognizable, ',') FROM object");
    same("SELECT group_concat(hex(id) || hex(reply), ',') FROM request");
}

/* What a cluster was launched with is a frame, whose rows have got fields since. */
Test(migrate, a_launch_can_be_read)
{
    make_old("");
    char why[512];
    cr_assert_eq(reopen(why, sizeof why), ERR_OK, "%s", why);
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "SELECT launch FROM config", -1, &stmt, NULL);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    msg_t launch, vat;
    bin_t frame = {sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0)};
    cr_assert_eq(msg_decode(frame, &launch), ERR_OK);
    bin_t rest = launch.body.launch.vats;
    const char *const names[] = {"counter", "other"};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(msg_next(&rest, &vat), ERR_OK);
        cr_expect_eq(vat.tag, TAG_launch_vat);
        cr_expect(memcmp(vat.body.launch_vat.name.at, names[i], strlen(names[i])) == 0);
        cr_expect_eq(vat.body.launch_vat.poison, 0);
        msg_clear(&vat);
    }
    cr_expect_eq(rest.len, 0);
    msg_clear(&launch);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
}

Test(migrate, what_had_no_sums_gets_them)
{
    make_old("");
    char why[512];
    cr_assert_eq(reopen(why, sizeof why), ERR_OK, "%s", why);
    sqlite3 *db = NULL;
    cr_assert_eq(pages_open(path, SQLITE_OPEN_READWRITE, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, "SELECT * FROM log", NULL, NULL, NULL), SQLITE_OK);
    cr_expect(pages_summed(db));
    sqlite3_close(db);
}

static void touch(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    fputs(text, file);
    fclose(file);
}

/* A migration that was ended at any time: what it began is begun again. */
Test(migrate, what_another_process_began_is_forgotten)
{
    make_old("");
    char fresh[112], log[116], why[512];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(log, sizeof log, "%s-wal", fresh);
    touch(fresh, "half a file");
    touch(log, "and half a log");
    touch(kept, "linked already");
    cr_assert_eq(reopen(why, sizeof why), ERR_OK, "%s", why);
    cr_expect_not(there(fresh) || there(log));
    same("SELECT count(*) FROM log");
    cr_expect_eq(reopen(why, sizeof why), ERR_OK, "once is enough: %s", why);
}

Test(migrate, a_newer_version_is_refused_and_not_touched)
{
    char why[512];
    make_old("PRAGMA user_version = 3145729; PRAGMA journal_mode = DELETE");
    static uint8_t before[1 << 18], after[1 << 18];
    FILE *file = fopen(path, "rb");
    size_t len = fread(before, 1, sizeof before, file);
    fclose(file);
    cr_expect_eq(reopen(why, sizeof why), ERR_STORE_VERSION);
    cr_expect(strstr(why, "newer"), "%s", why);
    file = fopen(path, "rb");
    cr_expect_eq(fread(after, 1, sizeof after, file), len);
    fclose(file);
    cr_expect_eq(memcmp(before, after, len), 0);
    cr_expect_not(there(kept));
}

/* Damage of the old file is found while it is read; it stays what it was. */
Test(migrate, an_old_file_that_cannot_be_read_stays)
{
    char why[512], fresh[112];
    make_old("UPDATE config SET launch = x'91'");
    cr_expect_eq(reopen(why, sizeof why), ERR_STORE_DAMAGED);
    cr_expect(strstr(why, "config"), "%s", why);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    cr_expect_not(there(fresh) || there(kept));
    char *count = ask(path, "SELECT count(*) FROM log");
    cr_expect_str_eq(count, "8");
    free(count);
}
