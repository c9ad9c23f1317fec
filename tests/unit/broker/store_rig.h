/* A kernel.db in a folder of its own, for the tests of the store. */
#pragma once
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store/store.h"

static char dir[64], path[96];
static uint64_t seed = 7;

static inline uint64_t dice(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed ^ (seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

static inline void store_set_up(void)
{
    strcpy(dir, "/tmp/vatyard-store-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
}

static inline void store_tear_down(void)
{
    const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    rmdir(dir);
}

static inline store_t *open_store(uint32_t pages_max)
{
    store_t *store = NULL;
    err_t err = store_open(&(store_options_t){.path = path, .pages_max = pages_max}, &store);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), store_why(store));
    return store;
}

static inline void commit(store_t *store, record_t *record)
{
    gate_t gate = store_gate(store);
    uint64_t seq = 0;
    record_end(record);
    cr_assert_eq(gate.append(gate.self, record), ERR_OK);
    err_t err = gate.durable(gate.self, &seq);
    cr_assert_eq(err, ERR_OK, "%s: %s", err_name(err), store_why(store));
    cr_assert_eq(seq, record->seq);
}

static uint8_t pool[4096]; /* what rows may borrow */

static inline row_t log_row(uint64_t vat, uint64_t d)
{
    row_t row = {.table = ROW_log};
    row.body.log.vat = vat;
    row.body.log.d = d;
    row.body.log.delivery = (bin_t){pool, 8 + d};
    return row;
}

/* Takes log rows, as 100 times their vat and their d. */
typedef struct {
    uint64_t d[64];
    size_t count;
} ds_t;

static inline err_t collect(void *context, const row_t *row)
{
    ds_t *ds = context;
    if (row->table == ROW_log) ds->d[ds->count++] = row->body.log.vat * 100 + row->body.log.d;
    return ERR_OK;
}
