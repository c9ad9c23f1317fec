/* The commit gate: the one interface between the kernel and the world.
 *
 *   append(epoch, seq, record) -> durable(seq), and nothing leaves the broker before durable(seq).
 *
 * A record is the redo of one batch: every row that changed, and a chain value over it and all
 * records before. Back-ends: `local` (store_gate(): record and rows in one SQLite transaction), and
 * those of the tests. A replicated one needs no other interface. */
#pragma once
#include "broker/kernel/row.h"
#include "wire/base/err.h"
#include "wire/base/hash.h"

typedef struct {
    uint64_t epoch, seq; /* seq grows by one per record, over all epochs */
    row_t *rows;         /* texts and bins are borrowed from the kernel */
    size_t count, room;
    size_t bytes;     /* about: of all values in the rows */
    hash_t chain;     /* until its end that of the record before, then H(that | every row) */
    hasher_t *hasher; /* between its first row and its end */
} record_t;

/* Begins a record behind the one that RECORD was (all zeros: behind nothing). Keeps the memory. */
void record_begin(record_t *record, uint64_t epoch);

/* Adds one row. */
void record_add(record_t *record, const row_t *row);

/* No rows come after: the chain is the record's own now. One without rows has that of the one before. */
void record_end(record_t *record);

/* Frees the memory. */
void record_clear(record_t *record);

typedef struct {
    void *self;

    /* Takes RECORD in, which has ended. It and what its rows borrow must stay until durable() says its seq. At most
     * one record is taken in at a time. Fails only with errors after which the process must end. */
    err_t (*append)(void *self, const record_t *record);

    /* Does what it can, and says up to which seq everything is on disk. STORE_FULL: the record is
     * kept, call again later, RET_SEQ is set. Any other error: the process must end. */
    err_t (*durable)(void *self, uint64_t *ret_seq);

    /* Where the record before the first one of this process ended. */
    void (*last)(void *self, uint64_t *ret_seq, hash_t *ret_chain);
} gate_t;
