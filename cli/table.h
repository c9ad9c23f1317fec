/* Tables for people: upper-case head, columns by two spaces, no frames, so that awk and cut work. On a
 * terminal a line ends at its width, with '>'; elsewhere nothing is ever cut. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16 };

typedef struct {
    size_t columns, rows;
    char **cells; /* row by row, the head first */
    bool whole;   /* never cut: the last column is what one came for */
} table_t;

/* HEAD: names separated by blanks. */
table_t table_of(const char *head);
/* The next cell, left to right. */
void table_add(table_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const table_t *self, FILE *out);
/* The same with lines of at most COLUMNS characters; 0: as long as they are. */
void table_print_within(const table_t *self, size_t columns, FILE *out);
void table_clear(table_t *self);
