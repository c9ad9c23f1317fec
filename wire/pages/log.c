/* SQLite's write-ahead log: a head of 32 bytes, then frames; a frame is a head of 24 bytes and a page.
 * A frame's sum goes over its page and number and the sum before, so all of them are a chain. SQLite
 * follows it in recovery, and stops where it breaks, which is right for an end that was never synced
 * and wrong for a flipped bit in the middle: what was committed behind would be cut off unseen.
 *
 * What tells the two apart: SQLite syncs each commit before it writes anything behind it. So a commit
 * with a frame behind it that goes on with its sum was on disk, and all before it. */
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/pages/pages_own.h"

enum {
    LOG_HEAD_BYTES = 32,
    FRAME_HEAD_BYTES = 24,
    LOG_MAGIC = 0x377f0682, /* the last bit: how sums are counted */
    LOG_SURE = -1,
};

typedef struct {
    uint32_t a, b;
} sums_t;

static uint32_t big(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t little(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static sums_t sums_at(const uint8_t *at) { return (sums_t){big(at), big(at + 4)}; }

static bool same(sums_t x, sums_t y) { return x.a == y.a && x.b == y.b; }

/* SQLite's own sum, over LEN bytes, a multiple of 8. */
static sums_t sums_over(bool big_endian, sums_t sums, const uint8_t *at, size_t len)
{
    uint32_t a = sums.a, b = sums.b;
    if (big_endian) {
        for (const uint8_t *end = at + len; at < end; at += 8) {
            a += big(at) + b;
            b += big(at + 4) + a;
        }
    } else {
        for (const uint8_t *end = at + len; at < end; at += 8) {
            a += little(at) + b;
            b += little(at + 4) + a;
        }
    }
    return (sums_t){a, b};
}

static sums_t frame_sums(const file_t *log, sums_t before, const uint8_t *head, const uint8_t *page)
{
    sums_t sums = sums_over(log->big_endian, before, head, 8);
    return sums_over(log->big_endian, sums, page, log->page_size);
}

static int64_t frame_bytes(const file_t *log)
{
    return (int64_t)FRAME_HEAD_BYTES + (int64_t)log->page_size;
}

static int64_t frame_offset(const file_t *log, int64_t frame)
{
    return LOG_HEAD_BYTES + frame * frame_bytes(log);
}

/* The frame that the bytes from OFFSET on, behind SKIP bytes of its head, belong to; -1: of none. */
static int64_t frame_at(const file_t *log, int64_t offset, int skip)
{
    int64_t from = offset - LOG_HEAD_BYTES - skip;
    if (!log->page_size || from < 0 || from % frame_bytes(log)) return -1;
    return from / frame_bytes(log);
}

/* False: no head of a log, or a damaged one. */
static bool take_head(file_t *log, const uint8_t *head)
{
    uint32_t size = big(head + 8);
    if ((big(head) & ~1u) != LOG_MAGIC) return false;
    if (size < PAGE_BYTES_MIN || size > PAGE_BYTES_MAX || (size & (size - 1))) return false;
    bool big_endian = big(head) & 1;
    if (!same(sums_over(big_endian, (sums_t){0, 0}, head, 24), sums_at(head + 24))) return false;
    log->page_size = size;
    log->big_endian = big_endian;
    return true;
}

/* ---- before recovery ---- */

typedef struct {
    file_t *log;
    const uint8_t *salts; /* what all frames of this round of the log carry */
    uint8_t *frame;       /* the one read last */
    int64_t at, count;
} walk_t;

static int walk_read(walk_t *walk, int64_t frame)
{
    walk->at = frame;
    return below_read(walk->log, walk->frame, (int)frame_bytes(walk->log),
                      frame_offset(walk->log, frame));
}

static bool of_this_round(const walk_t *walk)
{
    return big(walk->frame) != 0 && memcmp(walk->frame + 8, walk->salts, 8) == 0;
}

static sums_t stored(const walk_t *walk) { return sums_at(walk->frame + 16); }

static sums_t counted(const walk_t *walk, sums_t before)
{
    return frame_sums(walk->log, before, walk->frame, walk->frame + FRAME_HEAD_BYTES);
}

/* To the first frame that does not go on with the chain; RET_BEFORE: the sums that it should go on
 * with. */
static int walk_good(walk_t *walk, sums_t head, sums_t *ret_before)
{
    *ret_before = head;
    for (int64_t i = 0; i < walk->count; i++) {
        int rc = walk_read(walk, i);
        if (rc != SQLITE_OK) return rc;
        if (!of_this_round(walk) || !same(counted(walk, *ret_before), stored(walk)))
            return SQLITE_OK;
        *ret_before = stored(walk);
    }
    walk->at = walk->count;
    return SQLITE_OK;
}

/* From the broken frame on, which is read: whether any commit was synced. What is broken may be the
 * sum itself, so the frame behind may go on with the one that should stand there. */
static int walk_broken(walk_t *walk, sums_t before, bool *ret_synced)
{
    *ret_synced = false;
    sums_t last = stored(walk), instead = counted(walk, before);
    bool commit = of_this_round(walk) && big(walk->frame + 4) != 0;
    for (int64_t i = walk->at + 1; i < walk->count; i++) {
        int rc = walk_read(walk, i);
        if (rc != SQLITE_OK) return rc;
        bool goes_on = of_this_round(walk) && (same(counted(walk, last), stored(walk)) ||
                                               same(counted(walk, instead), stored(walk)));
        if (commit && goes_on) {
            *ret_synced = true;
            return SQLITE_OK;
        }
        commit = of_this_round(walk) && big(walk->frame + 4) != 0;
        last = instead = stored(walk);
    }
    return SQLITE_OK;
}

int log_look(file_t *log)
{
    log->looked = true;
    uint8_t head[LOG_HEAD_BYTES];
    sqlite3_int64 size = 0;
    int rc = log->below->pMethods->xFileSize(log->below, &size);
    if (rc != SQLITE_OK || size <= LOG_HEAD_BYTES) return rc;
    rc = below_read(log, head, LOG_HEAD_BYTES, 0);
    if (rc != SQLITE_OK) return rc;
    /* The head is synced before the first frame is written. */
    if (!take_head(log, head)) return file_damaged(log->database, "the head of %s", log->name);

    walk_t walk = {.log = log, .salts = head + 16};
    walk.count = (size - LOG_HEAD_BYTES) / frame_bytes(log);
    walk.frame = malloc((size_t)frame_bytes(log));
    must(walk.frame);
    sums_t before;
    bool synced = false;
    rc = walk_good(&walk, sums_at(head + 24), &before);
    int64_t broken = walk.at;
    log->database->logged = broken > 0;
    log->good = broken;
    memcpy(log->first, head, sizeof log->first);
    if (rc == SQLITE_OK && broken < walk.count) rc = walk_broken(&walk, before, &synced);
    free(walk.frame);
    if (synced) rc = file_damaged(log->database, "frame %lld of %s", (long long)broken, log->name);
    return rc;
}

/* ---- reading and writing ---- */

static int compare(file_t *log, int64_t frame, const uint8_t *head, const uint8_t *page)
{
    uint8_t before[8];
    int rc = below_read(log, before, sizeof before, frame ? frame_offset(log, frame - 1) + 16 : 24);
    if (rc != SQLITE_OK) return rc;
    if (same(frame_sums(log, sums_at(before), head, page), sums_at(head + 16))) return SQLITE_OK;
    return file_damaged(log->database, "frame %lld of %s", (long long)frame, log->name);
}

/* Recovery stops without a word where it reads something else than log_look() did. */
static int read_again(file_t *log, const uint8_t *at, int len, int64_t offset)
{
    if (offset == 0 && len == LOG_HEAD_BYTES && log->good) {
        if (memcmp(at, log->first, LOG_HEAD_BYTES) == 0) return SQLITE_OK;
        return file_damaged(log->database, "the head of %s", log->name);
    }
    int64_t frame = len == frame_bytes(log) ? frame_at(log, offset, 0) : -1;
    if (frame < 0 || frame >= log->good) return SQLITE_OK;
    return compare(log, frame, at, at + FRAME_HEAD_BYTES);
}

int log_read(file_t *log, const void *at, int len, int64_t offset)
{
    int64_t frame = frame_at(log, offset, FRAME_HEAD_BYTES);
    if ((uint32_t)len != log->page_size || frame < 0) return read_again(log, at, len, offset);
    if (log->unsure != LOG_SURE && frame >= log->unsure) return SQLITE_OK;

    uint8_t head[FRAME_HEAD_BYTES];
    int rc = below_read(log, head, sizeof head, frame_offset(log, frame));
    return rc == SQLITE_OK ? compare(log, frame, head, at) : rc;
}

/* In a transaction SQLite may write a page again into the frame that it has there, and makes the
 * sums from that frame on when it commits, head by head. */
void log_write(file_t *log, const void *at, int len, int64_t offset)
{
    /* Recovery is over. Frames that were whole behind the last commit are written over now, and those that
     * SQLite makes sums for it reads whole, as recovery does. */
    log->good = 0;
    if (offset == 0 && len == LOG_HEAD_BYTES) {
        take_head(log, at);
        log->looked = true;
        log->unsure = log->head = LOG_SURE;
    } else if (len == FRAME_HEAD_BYTES) {
        log->head = frame_at(log, offset, 0);
        if (log->unsure == log->head && log->head >= 0) log->unsure++;
    } else {
        int64_t frame = frame_at(log, offset, FRAME_HEAD_BYTES);
        bool again = frame >= 0 && frame != log->head;
        if (again && (log->unsure == LOG_SURE || frame < log->unsure)) log->unsure = frame;
        log->head = LOG_SURE;
    }
}
