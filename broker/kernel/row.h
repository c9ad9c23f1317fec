/* The C face of row.def: one struct row_NAME_t per table, one ROW_NAME, and the columns as data. */
#pragma once
#include "wire/schema/message.h"

/* clang-format off */
#define TABLE(name, doc) typedef struct {
#define COL(table, kind, name, role, doc) field_##kind##_t name;
#define END(name) } row_##name##_t;
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END

typedef enum {
#define TABLE(name, doc) ROW_##name,
#define COL(table, kind, name, role, doc)
#define END(name)
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END
    ROW_TABLES /* how many there are */
} row_table_t;

typedef union {
#define TABLE(name, doc) row_##name##_t name;
#define COL(table, kind, name, role, doc)
#define END(name)
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END
} row_body_t;
/* clang-format on */

/* One row to put, or, when GONE, to delete (then only its key columns are set). Texts and bins are
 * borrowed from the kernel until its next step. */
typedef struct {
    row_table_t table;
    bool gone;
    row_body_t body;
} row_t;

typedef struct {
    const char *name;
    kind_t kind; /* KIND_u64, KIND_text or KIND_bin */
    bool key;
    size_t offset; /* in struct row_NAME_t */
    const char *doc;
} column_t;

typedef struct {
    const char *name, *doc;
    const column_t *columns;
    size_t column_count, key_count; /* key columns come first */
} table_t;

extern const table_t row_tables[ROW_TABLES];
