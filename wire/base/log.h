/* One event, one line on stderr. On a terminal:  warn broker frame_refused host=3 why=WIRE_TYPE
 * Otherwise JSON Lines, constant fields first; VATYARD_LOG_FORMAT=text|json decides
 * when it is set, VATYARD_LOG_LEVEL=error|warn|info|debug what is written (info).
 *
 * An event is a grep-able name plus typed pairs; there is no format string to get wrong. Programs
 * log, libraries return: pure code and store and io folders never call this. Levels mean: error: somebody
 * must act; warn: a peer or vat misbehaved and we went on; info: life of hosts and clusters;
 * debug: the rest. Not thread-safe. */
#pragma once
#include "wire/base/bytes.h"

typedef enum { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG } log_level_t;

typedef struct {
    const char *key;  /* NULL ends a list */
    const char *text; /* printed when not NULL, at most LEN bytes of it */
    size_t len;
    uint64_t number; /* printed otherwise */
} log_pair_t;

static inline log_pair_t kv_num(const char *key, uint64_t n) { return (log_pair_t){key, 0, 0, n}; }
static inline log_pair_t kv_text(const char *key, text_t s)
{
    return (log_pair_t){key, s.at ? s.at : "", s.at ? s.len : 0, 0};
}
static inline log_pair_t kv_str(const char *key, const char *s)
{
    return kv_text(key, text_of(s ? s : ""));
}

/* Names the program ("broker", "host"); TAG tells processes of one kind apart, NULL: none.
 * Reads the two variables of the environment. Without it a line names no program. */
void log_open(const char *program, const char *tag);

/* Writes one line with one write(2), so that lines of several processes do not mix. */
void log_event(log_level_t level, const char *event, const log_pair_t *pairs);

/* clang-format off */
#define LOG_PAIRS_(...) (const log_pair_t[]){__VA_ARGS__ __VA_OPT__(,) {0}}
/* clang-format on */
#define log_error(event, ...) log_event(LEVEL_ERROR, event, LOG_PAIRS_(__VA_ARGS__))
#define log_warn(event, ...)  log_event(LEVEL_WARN, event, LOG_PAIRS_(__VA_ARGS__))
#define log_info(event, ...)  log_event(LEVEL_INFO, event, LOG_PAIRS_(__VA_ARGS__))
#define log_debug(event, ...) log_event(LEVEL_DEBUG, event, LOG_PAIRS_(__VA_ARGS__))
