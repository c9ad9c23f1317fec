/* What the files of the history share: history.c has what is remembered, history_calls.c the syscalls of cranks,
 * history_kernel.c what the kernel did. Not for others. */
#pragma once
#include "tests/sim/history.h"
#include "wire/base/map.h"

typedef struct {
    kref_t *at;
    size_t count;
    uint64_t body;
} cargo_t;

typedef struct message {
    message_id_t id;
    kref_t target, result;
    cargo_t cargo;
    uint64_t at; /* when it was sent */
    bool delivered;
    struct message *next; /* of the same sender, not delivered yet */
} message_t;

typedef struct {
    kref_t kref;
    uint64_t settled_at; /* 0: not settled */
    uint32_t settled_by; /* vat; 0 the kernel */
    bool rejected, said; /* said: the kernel told us as well */
    bool wanted;         /* the result of a message */
    bool served;         /* of one that the kernel executed: the kernel settles it as it likes */
    uint32_t decider;    /* 0: a message on its way has it as its result, or the kernel */
    uint64_t decider_d;  /* the delivery that made it so */
    kref_t single;
    cargo_t cargo;
    uint32_t *subscribed; /* when it was settled */
    size_t subscribed_count;
} promise_t;

/* What a vat may name. */
typedef struct {
    kref_t kref;
    bool exported, reached, gone, subscribed;
    uint64_t since_d, intro_d, told_d;
    uint64_t last_told; /* ever */
    uint64_t asked_d;   /* last subscribe of it */
} know_t;

/* A delivery in flight mentions KREF. What the vat has of it should that be given up. */
typedef struct {
    uint64_t d;
    kref_t kref;
    bool known, reached;
} grant_t;

typedef struct {
    uint32_t n;
    bool ended, blind;
    uint64_t assigned, applied, objects, promises;
    uint64_t upgrade_d; /* its last upgrade */
    cargo_t parameters; /* of that */
    map_t known;        /* kref -> know_t */
    kref_t *told;       /* of notifies in flight: (d, promise) by pairs */
    uint64_t *told_d;
    size_t told_count, told_room;
    grant_t *grants; /* by d */
    size_t grant_count, grant_room;
} hvat_t;

struct history {
    history_fail_t *fail;
    void *context;
    map_t vats, messages, promises, revoked;
    message_t *open[64]; /* by sender, modulo */
    uint64_t now, sent, delivered;
};

void broken(history_t *self, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Zeroes. */
void *made(size_t bytes);
cargo_t cargo_copy(cargo_view_t from);
bool cargo_same(const cargo_t *a, cargo_view_t b);

static inline uint64_t id_key(message_id_t id)
{
    return (uint64_t)id.vat << 44 | id.d << 16 | id.n;
}

hvat_t *vat_of(history_t *self, uint32_t n);
promise_t *promise_of(history_t *self, kref_t kref);

/* What VAT may do with KREF; NULL: it has none, or no more. */
know_t *know(const hvat_t *vat, kref_t kref);
know_t *know_new(hvat_t *vat, kref_t kref);

/* Delivery D gives VAT what it mentions. */
void give(hvat_t *vat, uint64_t d, kref_t kref);
void give_all(hvat_t *vat, uint64_t d, cargo_view_t cargo);

/* BY: the vat; 0 the kernel. */
void settle(history_t *self, promise_t *promise, uint32_t by, bool rejected, kref_t single,
            cargo_view_t cargo);
