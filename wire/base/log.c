#include "wire/base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 8192, VALUE_BYTES_MAX = 1024 };

typedef struct {
    char at[LINE_BYTES_MAX];
    size_t len;
    bool full;
} line_t;

static struct {
    const char *program, *tag;
    log_level_t level;
    bool json;
    uint64_t seq;
} sink = {"", NULL, LEVEL_INFO, false, 0};

static const char *const words[] = {"error", "warn", "info", "debug"};
static const char *const severities[] = {"ERROR", "WARN", "INFO", "DEBUG"};

void log_open(const char *program, const char *tag)
{
    sink.program = program;
    sink.tag = tag;
    const char *format = getenv("VATYARD_LOG_FORMAT");
    sink.json = format ? strcmp(format, "json") == 0 : !isatty(STDERR_FILENO);
    const char *level = getenv("VATYARD_LOG_LEVEL");
    for (log_level_t i = LEVEL_ERROR; level && i <= LEVEL_DEBUG; i++) {
        if (strcmp(level, words[i]) == 0) sink.level = i;
    }
}

static void put(line_t *line, const char *at, size_t len)
{
    if (line->full || len > sizeof line->at - 2 - line->len) { /* room for "}\n" */
        line->full = true;
        return;
    }
    memcpy(line->at + line->len, at, len);
    line->len += len;
}

__attribute__((format(printf, 2, 3))) static void putf(line_t *line, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0) put(line, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

static void put_quoted(line_t *line, const char *at, size_t len)
{
    put(line, "\"", 1);
    for (size_t i = 0; i < len && i < VALUE_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c == '"' || c == '\\')
            putf(line, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            putf(line, "\\u%04x", c);
        else
            put(line, at + i, 1);
    }
    put(line, "\"", 1);
}

static bool plain(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] <= ' ' || at[i] == '"' || at[i] == '\\' || at[i] == 0x7f) return false;
    }
    return len > 0;
}

static void write_json_pair(line_t *line, const log_pair_t *pair)
{
    putf(line, ",\"%s\":", pair->key);
    if (pair->text)
        put_quoted(line, pair->text, pair->len);
    else
        putf(line, "%" PRIu64, pair->number);
}

static void write_text_pair(line_t *line, const log_pair_t *pair)
{
    putf(line, " %s=", pair->key);
    if (!pair->text)
        putf(line, "%" PRIu64, pair->number);
    else if (plain(pair->text, pair->len))
        put(line, pair->text, pair->len);
    else
        put_quoted(line, pair->text, pair->len);
}

/* A pair that does not fit is left out, and all behind it, so that a cut line is still a line. */
static void write_pairs(line_t *line, const log_pair_t *pairs,
                        void (*write_pair)(line_t *, const log_pair_t *))
{
    for (; pairs->key; pairs++) {
        size_t before = line->len;
        write_pair(line, pairs);
        if (line->full) {
            line->len = before;
            return;
        }
    }
}

static void write_json(line_t *line, log_level_t level, const char *event, const log_pair_t *pairs)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    putf(line, "{\"time\":%lld.%06ld,\"type\":\"%s\",\"sev\":\"%s\",\"svc\":\"%s\"",
         (long long)now.tv_sec, now.tv_nsec / 1000, event, severities[level], sink.program);
    if (sink.tag) write_json_pair(line, &(log_pair_t){"host", sink.tag, strlen(sink.tag), 0});
    write_json_pair(line, &(log_pair_t){"seq", NULL, 0, ++sink.seq});
    write_pairs(line, pairs, write_json_pair);
    line->at[line->len++] = '}';
}

static void write_text(line_t *line, log_level_t level, const char *event, const log_pair_t *pairs)
{
    putf(line, "%-5s %s%s%s %s", words[level], sink.program, sink.tag ? "/" : "",
         sink.tag ? sink.tag : "", event);
    write_pairs(line, pairs, write_text_pair);
}

void log_event(log_level_t level, const char *event, const log_pair_t *pairs)
{
    if (level > sink.level) return;
    line_t line = {.len = 0, .full = false};
    if (sink.json)
        write_json(&line, level, event, pairs);
    else
        write_text(&line, level, event, pairs);
    line.at[line.len++] = '\n';

    /* A log that cannot be written must not stop the work: nothing is done about it. */
    ssize_t written = write(STDERR_FILENO, line.at, line.len);
    (void)written;
}
