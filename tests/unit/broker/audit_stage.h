/* Rows of a whole kernel, which a test makes wrong in one place; and what a start and the audit say of them. */
#pragma once
#include "broker/kernel/kernel.h"
#include "wire/base/buf.h"

enum { R = 1, E = 2, S = 4, ROWS = 64, NEVER = REAP_NEVER };
enum { LINES = 32, LINE_BYTES = 400 };

/* clang-format off */
enum {
#define SERVICE(kind, iface) SERVICE_##kind,
#include "broker/kernel/service.def"
#undef SERVICE
};
/* clang-format on */
enum { DONE = 1, ERRAND = 5 }; /* kinds of pending */

#define O(vat, serial) (kref_object((vat_t){vat}, serial).n)
#define P(vat, serial) (kref_promise((vat_t){vat}, serial).n)
#define BIN(text)                                 \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
#define NONE    \
    {           \
        NULL, 0 \
    }

/* The rows, and the bytes that they borrow. */
extern row_t rows[ROWS];
extern size_t row_count;
extern uint8_t key[32], chain[32], hash[2][32], id[16], slots_one[8];
extern buf_t delivery[2], launch[3]; /* launches of c; of d; of c with a channel */

#define ROW(name, ...) \
    (rows[row_count++] = (row_t){.table = ROW_##name, .body.name = (row_##name##_t){__VA_ARGS__}})

/* alice (v1) runs bootstrap and has two entries queued, bob (v2) is idle, carol (v3) ended. */
void make(void);
/* The cluster has a channel, io (ko0.1), from which alice reads (kp0.3). Her globals use ko0.2; kp2.2 waits
 * for the end of bob. */
void make_outside(void);
/* Which of them made the rows, and makes them whole again behind each EXPECT. */
extern void (*made)(void);

void object(uint64_t kref, uint64_t owner, uint64_t reach, uint64_t recognize, uint64_t pins);
void held(uint64_t of, uint64_t kref, uint64_t flags, uint64_t since, uint64_t intro);
/* A row of alice's log. */
void log_row(uint64_t d, msg_tag_t tag, const void *body);
/* KREF as it stands in a column of slots. */
uint8_t *slot(uint8_t *at, uint64_t kref);

/* Row with these first key columns. */
row_t *row_at(row_table_t table, uint64_t first, uint64_t second);
void set(row_table_t table, uint64_t first, uint64_t second, const char *column, uint64_t value);
void drop(row_table_t table, uint64_t first, uint64_t second);
void set_counter(const char *name, uint64_t value);

/* Loads all rows, in the order of their tables; true when a start takes them. */
bool load(void);
/* What it found then, in the order of their text. */
extern char lines[LINES][LINE_BYTES];
extern size_t line_count;

/* Exactly these findings. */
#define EXPECT(...) expect((const char *const[]){__VA_ARGS__, NULL})
void expect(const char *const *wanted);

/* Of the suite. */
void audit_set_up(void);
void audit_tear_down(void);
