/* Manual pages in man(7), made at build time; nothing of this is installed but its pages. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

typedef struct {
    const char *folder, *date; /* where pages go; the date they bear */
} press_t;

/* Opens FOLDER/manSECTION/NAME.SECTION and writes its head: NAME and WHAT it is. NULL: said on stderr. */
FILE *page_open(const press_t *press, const char *name, int section, const char *what);
/* False, and said on stderr, when not all of it could be written. */
bool page_close(FILE *page);

void page_section(FILE *page, const char *title);
void page_paragraph(FILE *page);
/* Running text; lines are broken, nothing in it is a request. */
void page_text(FILE *page, const char *text);
/* Lines that stay as they are. */
void page_verbatim(FILE *page, const char *text);
/* A tagged paragraph: HEAD in bold, ARGUMENT behind it in italics, TEXT below. */
void page_item(FILE *page, const char *head, const char *argument, const char *text);
/* References to other pages: "vatctl(1)" each, NULL behind the last. */
void page_see(FILE *page, const char *const *others);

/* Each false when a page could not be written. */
bool write_command_pages(const press_t *press);
/* The page of a program in section 8, from what PROGRAM --help says. */
bool write_program_page(const press_t *press, const char *program);
/* vatyard-cluster(5), from the schema inside vatctl. */
bool write_cluster_page(const press_t *press);
