/* SQL made from row.def: nobody writes a column's name twice. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "broker/store/store_own.h"
#include "wire/base/must.h"

enum { SQL_BYTES_MAX = 4096 };

typedef struct {
    char at[SQL_BYTES_MAX];
    size_t len;
} sql_t;

__attribute__((format(printf, 2, 3))) static void add(sql_t *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(sql->at + sql->len, sizeof sql->at - sql->len, format, args);
    va_end(args);
    must(len >= 0 && (size_t)len < sizeof sql->at - sql->len);
    sql->len += (size_t)len;
}

static const char *sql_type(kind_t kind)
{
    return kind == KIND_u64 ? "INTEGER" : kind == KIND_text ? "TEXT" : "BLOB";
}

/* One integer key is the rowid itself; any other key would cost a second tree as an index. */
static bool rowid_is_key(const table_t *table)
{
    return table->key_count == 1 && table->columns[0].kind == KIND_u64;
}

static void add_keys(sql_t *sql, const table_t *table, const char *between, const char *behind)
{
    for (size_t i = 0; i < table->key_count; i++) {
        add(sql, "%s\"%s\"%s", i ? between : "", table->columns[i].name, behind);
    }
}

static void sql_create(sql_t *sql, const table_t *table)
{
    add(sql, "CREATE TABLE IF NOT EXISTS \"%s\" (", table->name);
    for (size_t i = 0; i < table->column_count; i++) {
        const column_t *column = &table->columns[i];
        add(sql, "\"%s\" %s NOT NULL, ", column->name, sql_type(column->kind));
    }
    add(sql, "PRIMARY KEY (");
    add_keys(sql, table, ", ", "");
    add(sql, "))%s", rowid_is_key(table) ? "" : " WITHOUT ROWID");
}

static void sql_put(sql_t *sql, const table_t *table)
{
    add(sql, "REPLACE INTO \"%s\" VALUES (", table->name);
    for (size_t i = 0; i < table->column_count; i++) add(sql, i ? ", ?" : "?");
    add(sql, ")");
}

static void sql_drop(sql_t *sql, const table_t *table)
{
    add(sql, "DELETE FROM \"%s\" WHERE ", table->name);
    add_keys(sql, table, " AND ", " = ?");
}

static bool runs(const table_t *table)
{
    return table->key_count == 2 && table->columns[0].kind == KIND_u64 &&
           table->columns[1].kind == KIND_u64;
}

static void sql_drop_run(sql_t *sql, const table_t *table)
{
    add(sql, "DELETE FROM \"%s\" WHERE \"%s\" = ? AND \"%s\" BETWEEN ? AND ?", table->name,
        table->columns[0].name, table->columns[1].name);
}

static void add_columns(sql_t *sql, const table_t *table)
{
    for (size_t i = 0; i < table->column_count; i++) {
        add(sql, "%st.\"%s\"", i ? ", " : "", table->columns[i].name);
    }
}

/* Rows up to `applied` are history: the kernel has no use for them, and they are most of the file. */
static void sql_all(sql_t *sql, const table_t *table)
{
    add(sql, "SELECT ");
    add_columns(sql, table);
    if (table == &row_tables[ROW_log]) {
        add(sql, " FROM vat AS v CROSS JOIN log AS t ON t.vat = v.vat AND t.d > v.applied"
                 " ORDER BY v.vat, t.d");
    } else {
        add(sql, " FROM \"%s\" AS t ORDER BY ", table->name);
        add_keys(sql, table, ", ", "");
    }
}

int tables_version(void)
{
    uint32_t fnv = 2166136261u;
    for (size_t i = 0; i < ROW_TABLES; i++) {
        sql_t sql = {.len = 0};
        sql_create(&sql, &row_tables[i]);
        for (size_t k = 0; k < sql.len; k++) fnv = (fnv ^ (uint8_t)sql.at[k]) * 16777619u;
    }
    return SCHEMA << SCHEMA_SHIFT | (int)((fnv ^ fnv >> SCHEMA_SHIFT) & ((1 << SCHEMA_SHIFT) - 1));
}

err_t tables_create(store_t *self)
{
    for (size_t i = 0; i < ROW_TABLES; i++) {
        sql_t sql = {.len = 0};
        sql_create(&sql, &row_tables[i]);
        int rc = sqlite3_exec(self->db, sql.at, NULL, NULL, NULL);
        if (rc != SQLITE_OK) return store_failed(self, rc);
    }
    return ERR_OK;
}

static err_t prepare(store_t *self, void (*make)(sql_t *, const table_t *), const table_t *table,
                     sqlite3_stmt **ret)
{
    sql_t sql = {.len = 0};
    make(&sql, table);
    return store_prepare(self, sql.at, ret);
}

static void sql_log_range(sql_t *sql, const table_t *table)
{
    add(sql, "SELECT ");
    add_columns(sql, table);
    add(sql, " FROM log AS t WHERE vat = ? AND d >= ? AND d <= ? ORDER BY d");
}

err_t tables_prepare(store_t *self)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < ROW_TABLES && !err; i++) {
        table_sql_t *to = &self->tables[i];
        err = prepare(self, sql_put, &row_tables[i], &to->put);
        if (!err) err = prepare(self, sql_drop, &row_tables[i], &to->drop);
        if (!err && runs(&row_tables[i]))
            err = prepare(self, sql_drop_run, &row_tables[i], &to->drop_run);
        if (!err) err = prepare(self, sql_all, &row_tables[i], &to->all);
    }
    if (!err) err = prepare(self, sql_log_range, &row_tables[ROW_log], &self->log_range);
    return err;
}

/* Values are borrowed by SQLite until the statement has run, at once. An empty value has no
 * address; SQLite would take that for NULL. */
static int bind(sqlite3_stmt *stmt, int at, const column_t *column, const row_t *row)
{
    const void *value = (const uint8_t *)&row->body + column->offset;
    if (column->kind == KIND_u64) {
        return sqlite3_bind_int64(stmt, at, (sqlite3_int64) * (const uint64_t *)value);
    }
    if (column->kind == KIND_text) {
        const text_t *text = value;
        return sqlite3_bind_text64(stmt, at, text->len ? text->at : "", text->len, SQLITE_STATIC,
                                   SQLITE_UTF8);
    }
    const bin_t *bin = value;
    return sqlite3_bind_blob64(stmt, at, bin->len ? (const void *)bin->at : "", bin->len,
                               SQLITE_STATIC);
}

err_t tables_write(store_t *self, const row_t *row)
{
    const table_t *table = &row_tables[row->table];
    const table_sql_t *sql = &self->tables[row->table];
    sqlite3_stmt *stmt = row->gone ? sql->drop : sql->put;
    size_t count = row->gone ? table->key_count : table->column_count;
    for (size_t i = 0; i < count; i++) {
        int rc = bind(stmt, (int)i + 1, &table->columns[i], row);
        if (rc != SQLITE_OK) return store_failed(self, rc);
    }
    return store_run(self, stmt);
}

/* As SQLite orders it (T3). */
static int64_t key_at(const row_t *row, size_t at)
{
    int64_t key;
    memcpy(&key, (const uint8_t *)&row->body + row_tables[row->table].columns[at].offset,
           sizeof key);
    return key;
}

/* Is NEXT the only row that can be right behind ROW, and gone as well? */
static bool follows(const row_t *row, const row_t *next)
{
    return next->gone && next->table == row->table && key_at(next, 0) == key_at(row, 0) &&
           key_at(row, 1) < INT64_MAX && key_at(next, 1) == key_at(row, 1) + 1;
}

size_t tables_run(const row_t *rows, size_t count)
{
    size_t run = 1;
    if (!rows->gone || !runs(&row_tables[rows->table])) return 1;
    while (run < count && follows(&rows[run - 1], &rows[run])) run++;
    return run;
}

err_t tables_drop_run(store_t *self, const row_t *first, const row_t *last)
{
    sqlite3_stmt *stmt = self->tables[first->table].drop_run;
    sqlite3_bind_int64(stmt, 1, key_at(first, 0));
    sqlite3_bind_int64(stmt, 2, key_at(first, 1));
    sqlite3_bind_int64(stmt, 3, key_at(last, 1));
    return store_run(self, stmt);
}

/* Through the value, since each sqlite3_column_ call looks at the whole statement again: that was a tenth of
 * a large start. */
static bool read_column(sqlite3_stmt *stmt, int at, const column_t *column, row_t *row)
{
    void *to = (uint8_t *)&row->body + column->offset;
    sqlite3_value *value = sqlite3_column_value(stmt, at);
    int type = sqlite3_value_type(value);
    if (column->kind == KIND_u64) {
        *(uint64_t *)to = (uint64_t)sqlite3_value_int64(value);
        return type == SQLITE_INTEGER;
    }
    bool text = column->kind == KIND_text;
    const void *bytes = text ? sqlite3_value_text(value) : sqlite3_value_blob(value);
    size_t len = (size_t)sqlite3_value_bytes(value);
    if (text)
        *(text_t *)to = (text_t){bytes, len};
    else
        *(bin_t *)to = (bin_t){bytes, len};
    return type == (text ? SQLITE_TEXT : SQLITE_BLOB);
}

static err_t read_row(store_t *self, sqlite3_stmt *stmt, row_table_t which, row_t *row)
{
    const table_t *table = &row_tables[which];
    *row = (row_t){.table = which};
    for (size_t i = 0; i < table->column_count; i++) {
        if (read_column(stmt, (int)i, &table->columns[i], row)) continue;
        snprintf(self->why, sizeof self->why, "table %s: a value of column %s has another type",
                 table->name, table->columns[i].name);
        return ERR_STORE_DAMAGED;
    }
    return ERR_OK;
}

err_t tables_visit(store_t *self, sqlite3_stmt *stmt, row_table_t table, store_visit_t *visit,
                   void *context)
{
    err_t err = ERR_OK;
    int rc;
    while (!err && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        row_t row;
        err = rc == SQLITE_ROW ? read_row(self, stmt, table, &row) : store_failed(self, rc);
        if (!err) err = visit(context, &row);
    }
    sqlite3_reset(stmt);
    return err;
}
