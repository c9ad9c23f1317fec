/* What the two passes of the audit share; for the files audit*.c only. */
#pragma once
#include <inttypes.h>

#include "broker/kernel/state/state.h"

/* What the rest of the state says about one kref. */
typedef struct {
    uint64_t kref;                    /* 0: a free cell */
    uint32_t reach, recognize, count; /* count: of a promise */
    uint32_t exports, results; /* export rows; queued messages that have it as their result */
    uint32_t exporter;
} tally_t;

typedef struct {
    uint64_t vat, d, n;
} place_t;

typedef struct {
    const kernel_t *k;
    finding_visit_t *visit;
    void *context;
    size_t findings;
    tally_t *tallies; /* open addressing, `room` a power of two */
    size_t tally_count, room;
    place_t *places; /* of messages: queue entries and rows in flight */
    size_t place_count, place_room;
} recount_t;

/* A row as an operator looks for it, table and key; made into text when there is something to say. */
typedef struct {
    const char *table;
    char
        sign; /* of the first key: 'k' a kref, otherwise what stands before the number, 0: nothing */
    char then; /* what the second key follows: ' ' or '/', 'k' a kref, 0: there is none */
    uint64_t key, second;
} which_t;

static inline which_t row_of_kref(uint64_t kref)
{
    return (which_t){kref_is_promise(kref_of(kref)) ? "promise" : "object", 'k', 0, kref, 0};
}

static inline which_t row_of_held(const held_t *held)
{
    return (which_t){"held", 'v', 'k', held->row.vat, held->row.kref};
}

static inline which_t row_of_entry(const entry_t *entry)
{
    bool waits = kref_is_promise(kref_of(entry->row.holder));
    return (which_t){"entry", waits ? 'k' : 'v', ' ', entry->row.holder, entry->row.seq};
}

static inline which_t row_of_vat(const kvat_t *vat)
{
    return (which_t){"vat", 'v', 0, vat->row.vat, 0};
}

/* RULE does not hold of ROW; FORMAT says what is wrong and what it should be. */
__attribute__((format(printf, 4, 5))) void found(recount_t *a, const char *rule, which_t row,
                                                 const char *format, ...);
void found_count(recount_t *a, const char *rule, which_t row, const char *what, uint64_t is,
                 uint64_t should);

tally_t *tally(recount_t *a, uint64_t kref);

/* audit_check.c: each record against what was counted. */
void check_all(recount_t *a);

/* audit_timer.c */
void check_timers(recount_t *a);

/* audit_service.c: objects of the kernel, answers it owes, errands. */
void check_services(recount_t *a);
