/* The gate's back-end on this machine: a record and its rows are one SQLite transaction. */
#include "broker/store/store_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/must.h"

static err_t write_record(store_t *self, const record_t *record)
{
    err_t err = store_run(self, self->begin);
    FAILPOINT(broker_commit_begun);
    for (size_t i = 0, run; i < record->count && !err; i += run) {
        const row_t *rows = &record->rows[i];
        run = tables_run(rows, record->count - i);
        err = run > 1 ? tables_drop_run(self, rows, &rows[run - 1]) : tables_write(self, rows);
        FAILPOINT(broker_commit_row);
    }
    if (!err) {
        sqlite3_bind_int64(self->gate_put, 1, (sqlite3_int64)record->epoch);
        sqlite3_bind_int64(self->gate_put, 2, (sqlite3_int64)record->seq);
        sqlite3_bind_blob(self->gate_put, 3, record->chain.b, sizeof record->chain.b,
                          SQLITE_STATIC);
        err = store_run(self, self->gate_put);
    }
    FAILPOINT(broker_commit_rows);
    if (!err) err = store_run(self, self->commit);
    FAILPOINT(broker_commit_done);
    return err;
}

static err_t append(void *context, const record_t *record)
{
    store_t *self = context;
    must(!self->pending && !record->hasher);
    must(record->seq == self->seq + 1);
    self->pending = record;
    return ERR_OK;
}

static err_t durable(void *context, uint64_t *ret_seq)
{
    store_t *self = context;
    err_t err = ERR_OK;
    if (self->pending) {
        err = write_record(self, self->pending);
        if (!err) {
            self->seq = self->pending->seq;
            self->chain = self->pending->chain;
            self->pending = NULL;
        } else if (!sqlite3_get_autocommit(self->db)) {
            /* why[] keeps the first error, not what the rollback says. */
            sqlite3_step(self->rollback);
            sqlite3_reset(self->rollback);
        }
    }
    *ret_seq = self->seq;
    return err;
}

static void last(void *context, uint64_t *ret_seq, hash_t *ret_chain)
{
    const store_t *self = context;
    *ret_seq = self->seq;
    *ret_chain = self->chain;
}

gate_t store_gate(store_t *self)
{
    return (gate_t){.self = self, .append = append, .durable = durable, .last = last};
}
