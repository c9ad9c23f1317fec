/* A kernel.db of an older schema becomes one of today's: a new file is made beside it, filled, synced,
 * and only then given its name. Whatever stops that, the old one is as it was; it is kept under another
 * name.
 *
 * Columns and tables that are new begin as 0 or empty, which row.def must choose to mean "as before". */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/store_own.h"
#include "wire/base/durable.h"
#include "wire/base/must.h"
#include "wire/codec/codec.h"
#include "wire/codec/scan.h"

enum { SQL_BYTES_MAX = 4096 };

/* ---- frames that rows hold ---- */

static err_t add_head(buf_t *out, uint64_t count)
{
    must(count < 0x10000);
    uint8_t head[3] = {0xdc, (uint8_t)(count >> 8), (uint8_t)count};
    uint8_t small = (uint8_t)(0x90 | count);
    return count < 16 ? buf_add(out, &small, 1) : buf_add(out, head, sizeof head);
}

/* Takes the first frame of REST, and adds to it the fields that its message got since: numbers, behind
 * the others, that are 0. */
static err_t grow_frame(bin_t *rest, buf_t *out)
{
    size_t len = 0;
    uint64_t count = 0;
    err_t err = scan_value(*rest, &len);
    if (err) return err;
    scan_t scan = {rest->at, rest->at + len};
    const message_t *message = message_find(msg_peek((bin_t){rest->at, len}));
    err = scan_array(&scan, &count);
    if (err || !message || count > message->field_count + 1) return ERR_STORE_DAMAGED;
    err = add_head(out, message->field_count + 1);
    if (!err) err = buf_add(out, scan.at, (size_t)(scan.end - scan.at));
    for (size_t i = count ? count - 1 : 0; i < message->field_count && !err; i++) {
        const uint8_t zero = 0;
        must(message->fields[i].kind == KIND_u64);
        err = buf_add(out, &zero, 1);
    }
    *rest = (bin_t){rest->at + len, rest->len - len};
    return err;
}

/* A LAUNCH as it was kept, with the LAUNCH_VATs of today inside. */
static err_t grow_launch(bin_t frame, buf_t *out)
{
    msg_t msg;
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    if (msg_decode(frame, &msg)) return ERR_STORE_DAMAGED;
    err_t err = msg.tag == TAG_launch ? ERR_OK : ERR_STORE_DAMAGED;
    bin_t rest = msg.body.launch.vats;
    while (!err && rest.len) err = grow_frame(&rest, &vats);
    msg_launch_t launch = msg.body.launch;
    launch.vats = (bin_t){vats.at, vats.len};
    if (!err) err = msg_encode(TAG_launch, &launch, out);
    buf_clear(&vats);
    msg_clear(&msg);
    return err ? ERR_STORE_DAMAGED : ERR_OK;
}

/* Row by row, as each is changed under the statement that reads them. */
static err_t grow_configs(store_t *self)
{
    sqlite3_stmt *all = NULL, *put = NULL;
    buf_t out = buf_of(2 * FRAME_BYTES_MAX);
    err_t err = store_prepare(self, "SELECT cluster, launch FROM main.config", &all);
    if (!err)
        err = store_prepare(self, "UPDATE fresh.config SET launch = ? WHERE cluster = ?", &put);
    while (!err) {
        int rc = sqlite3_step(all);
        if (rc != SQLITE_ROW) {
            if (rc != SQLITE_DONE) err = store_failed(self, rc);
            break;
        }
        bin_t frame = {sqlite3_column_blob(all, 1), (size_t)sqlite3_column_bytes(all, 1)};
        buf_reset(&out);
        err = grow_launch(frame, &out);
        if (err) {
            snprintf(self->why, sizeof self->why, "table config: a launch that cannot be read");
        } else {
            sqlite3_bind_blob64(put, 1, out.at, out.len, SQLITE_STATIC);
            sqlite3_bind_int64(put, 2, sqlite3_column_int64(all, 0));
            err = store_run(self, put);
        }
    }
    sqlite3_finalize(all);
    sqlite3_finalize(put);
    buf_clear(&out);
    return err;
}

/* ---- rows ---- */

static err_t count(store_t *self, const char *sql, const char *table, const char *column,
                   int64_t *ret)
{
    sqlite3_stmt *stmt = NULL;
    err_t err = store_prepare(self, sql, &stmt);
    if (err) return err;
    sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    if (column) sqlite3_bind_text(stmt, 2, column, -1, SQLITE_STATIC);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    else
        err = store_failed(self, rc);
    sqlite3_finalize(stmt);
    return err;
}

static err_t add_columns(store_t *self, const table_t *table, char *sql, size_t room)
{
    size_t len = strlen(sql);
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        int64_t there = 0;
        err_t err =
            count(self, "SELECT count(*) FROM pragma_table_info(?1, 'main') WHERE name = ?2",
                  table->name, column->name, &there);
        if (err) return err;
        const char *none = column->kind == KIND_u64    ? "0"
                           : column->kind == KIND_text ? "''"
                                                       : "x''";
        const char *quote = there ? "\"" : "";
        int more = snprintf(sql + len, room - len, "%s%s%s%s", i ? ", " : "", quote,
                            there ? column->name : none, quote);
        must(more >= 0 && (size_t)more < room - len);
        len += (size_t)more;
    }
    return ERR_OK;
}

static err_t copy_table(store_t *self, const table_t *table)
{
    int64_t there = 0;
    err_t err = count(self, "SELECT count(*) FROM main.sqlite_schema WHERE name = ?1", table->name,
                      NULL, &there);
    if (err || !there) return err;
    char sql[SQL_BYTES_MAX];
    snprintf(sql, sizeof sql, "INSERT INTO fresh.\"%s\" SELECT ", table->name);
    err = add_columns(self, table, sql, sizeof sql);
    size_t len = strlen(sql);
    must(len + 128 < sizeof sql);
    snprintf(sql + len, sizeof sql - len, " FROM main.\"%s\"", table->name);
    return err ? err : store_exec(self, sql);
}

/* What a file's last connection could not write into it stays in its log, and is an error for nobody. */
static err_t no_log(store_t *self, const char *path)
{
    char log[PATH_BYTES_MAX + 64];
    snprintf(log, sizeof log, "%s-wal", path);
    if (access(log, F_OK) != 0) return ERR_OK;
    snprintf(self->why, sizeof self->why, "%.200s does not go away", log);
    return ERR_STORE;
}

static err_t copy(store_t *self, const char *fresh)
{
    sqlite3_stmt *attach = NULL;
    err_t err = store_prepare(self, "ATTACH ? AS fresh", &attach);
    if (!err) {
        sqlite3_bind_text(attach, 1, fresh, -1, SQLITE_STATIC);
        err = store_run(self, attach);
    }
    sqlite3_finalize(attach);
    if (!err) err = store_exec(self, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < ROW_TABLES && !err; i++) err = copy_table(self, &row_tables[i]);
    if (!err) err = grow_configs(self);
    if (!err) {
        err = store_exec(self, "INSERT INTO fresh.store_gate SELECT * FROM main.store_gate;"
                               "INSERT INTO fresh.store_bundle SELECT * FROM main.store_bundle;"
                               "COMMIT; PRAGMA fresh.wal_checkpoint(TRUNCATE); DETACH fresh");
    }
    return err ? err : no_log(self, fresh);
}

/* ---- files ---- */

static void forget(const char *path)
{
    const char *const ends[] = {"", "-wal", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[PATH_BYTES_MAX + 32];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

/* Nothing of the old file may be left in a log beside it: the new one would be given it. */
static err_t close_old(store_t *self, const char *path)
{
    err_t err = store_exec(self, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (err) return err;
    sqlite3_close(self->db);
    self->db = NULL;
    return no_log(self, path);
}

/* The end of the old log is on disk before the new file has the name that the log belonged to. */
static err_t put_into_place(store_t *self, const char *path, const char *fresh, unsigned schema)
{
    char kept[PATH_BYTES_MAX + 64];
    snprintf(kept, sizeof kept, "%s.schema-%u", path, schema);
    unlink(kept);
    bool done = durable_name(path) && link(path, kept) == 0 && durable_rename(fresh, path);
    if (done) return ERR_OK;
    snprintf(self->why, sizeof self->why, "%.200s: %m", path);
    return ERR_STORE;
}

void migrate_forget(const char *path)
{
    char fresh[PATH_BYTES_MAX + 32];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    forget(fresh);
}

err_t migrate(store_t *self, const char *path, unsigned schema)
{
    char fresh[PATH_BYTES_MAX + 32];
    must(strlen(path) < PATH_BYTES_MAX);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    store_t *empty = NULL;
    err_t err = store_open(&(store_options_t){.path = fresh}, &empty);
    if (err) snprintf(self->why, sizeof self->why, "%s", store_why(empty));
    store_destroy(&empty);
    if (!err) err = copy(self, fresh);
    if (!err) err = close_old(self, path);
    if (!err) err = put_into_place(self, path, fresh, schema);
    if (err) forget(fresh);
    return err;
}
