/* What the files of this folder share. */
#pragma once
#include <stdint.h>

#include "wire/pages/pages.h"

enum {
    SUM_BYTES = 8,
    PAGE_BYTES = 4096, /* of every database with sums; others may have what they like */
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
};

typedef struct file file_t;

/* A file of ours as SQLite sees it. The real one stands behind it, in the same piece of memory. */
struct file {
    sqlite3_file base; /* first: SQLite's view */
    sqlite3_file *below;
    const char *name; /* SQLite's, as long as the file is open */

    /* Of a database: */
    bool summed;  /* its pages carry sums */
    bool fresh;   /* it was empty when it was opened */
    int64_t size; /* so long is what was written in it */
    char *why;    /* what was found wrong with it or its log; NULL: nothing */
    bool logged;  /* its log has frames that recovery takes */

    /* Of its write-ahead log: */
    file_t *database;
    uint32_t page_size; /* 0: not known yet */
    bool big_endian;    /* how SQLite's sums in it are counted */
    bool looked;        /* log_look() was there, */
    int64_t good;       /* and so many frames were whole (0 from the first write on), */
    uint8_t first[32];  /* behind these bytes */
    int64_t unsure;     /* from this frame on SQLite has not made its sums yet */
    int64_t head;       /* the frame whose head was written last; its page follows */
};

_Static_assert(sizeof(file_t) % 8 == 0, "what stands behind it is aligned");

/* Reads exactly LEN bytes of the real file. */
int below_read(file_t *self, void *at, int len, int64_t offset);

/* Remembers what is wrong with a database, for pages_why(); gives SQLITE_IOERR_DATA. */
__attribute__((format(printf, 2, 3))) int file_damaged(file_t *database, const char *format, ...);

/* sum.c: a sum over PAGE without its last 8 bytes, and over its NUMBER. A change inside one aligned
 * word of 8 bytes always changes it; any other change does but for one in 2^64. */
uint64_t page_sum(const uint8_t *page, size_t size, uint32_t number);

/* Writes the sum into the last 8 bytes; says whether it stands there. */
void page_seal(uint8_t *page, size_t size, uint32_t number);
bool page_whole(const uint8_t *page, size_t size, uint32_t number);

/* log.c: SQLite's write-ahead log, as far as one must know it.
 *
 * Looks at all of it before its recovery: SQLITE_IOERR_DATA when it is damaged before its end. */
int log_look(file_t *log);

/* What was read or is written there: pages are compared with SQLite's sums, if those are made. */
int log_read(file_t *log, const void *at, int len, int64_t offset);
void log_write(file_t *log, const void *at, int len, int64_t offset);
