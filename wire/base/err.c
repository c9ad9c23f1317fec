#include "wire/base/err.h"

#include <stddef.h>

static const err_row_t rows[] = {
#define ERR(name, code, who, exit, text, try) {#name, ERR_##name, WHO_##who, exit, text, try},
#include "wire/base/err.def"
#undef ERR
};

const err_row_t *err_at(unsigned i)
{
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

const err_row_t *err_row(err_t err)
{
    const err_row_t *internal = NULL;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].err == err) return &rows[i];
        if (rows[i].err == ERR_INTERNAL) internal = &rows[i];
    }
    return internal;
}

const char *err_name(err_t err) { return err_row(err)->name; }
const char *err_text(err_t err) { return err_row(err)->text; }
