/* Tables for people: upper-case head, columns by two spaces, no frames, so that awk and cut work. */
#pragma once
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16 };

typedef struct {
    size_t columns, rows;
    char **cells; /* row by row, the head first */
} table_t;

/* HEAD: names separated by blanks. */
table_t table_of(const char *head);
/* The next cell, left to right. */
void table_add(table_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const table_t *self, FILE *out);
void table_clear(table_t *self);
