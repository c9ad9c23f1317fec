#include "broker/kernel/row.h"

enum { KEY = 1, VAL = 0 };

/* clang-format off */
#define TABLE(name, doc) static const column_t name##_columns[] = {
#define COL(table, kind, name, role, doc) \
    {#name, KIND_##kind, role, offsetof(row_##table##_t, name), doc},
#define END(name) };
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END

#define TABLE(table, doc) enum { table##_keys = 0
#define COL(table, kind, name, role, doc) + role
#define END(table) };
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END

const table_t row_tables[ROW_TABLES] = {
#define TABLE(name, doc) \
    {#name, doc, name##_columns, sizeof name##_columns / sizeof *name##_columns, name##_keys},
#define COL(table, kind, name, role, doc)
#define END(name)
#include "broker/kernel/row.def"
#undef TABLE
#undef COL
#undef END
};
/* clang-format on */
