/* Lines of the log: one event one line, whatever is in the values, and never a broken one.
 *
 * Method: stderr is a file for the length of a test; what was written is compared or counted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/log.h"

static FILE *file;
static int stderr_before;
static char text[65536];

static void set_up(void)
{
    file = tmpfile();
    stderr_before = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
}

static const char *written(void)
{
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    dup2(stderr_before, STDERR_FILENO);
    return text;
}

static void open_as(const char *format, const char *level)
{
    setenv("VATYARD_LOG_FORMAT", format, 1);
    setenv("VATYARD_LOG_LEVEL", level, 1);
    log_open("broker", "b1");
}

TestSuite(log, .init = set_up);

Test(log, text_quotes_what_would_break_a_line)
{
    open_as("text", "info");
    log_warn("frame_refused", kv_num("host", 3), kv_str("why", "WIRE_TYPE"),
             kv_str("text", "two\nwords \"said\""), kv_text("none", (text_t){NULL, 0}));
    log_debug("hidden");
    cr_expect_str_eq(written(), "warn  broker/b1 frame_refused host=3 why=WIRE_TYPE "
                                "text=\"two\\u000awords \\\"said\\\"\" none=\"\"\n");
}

Test(log, json_has_the_constant_fields_first)
{
    open_as("json", "debug");
    log_debug("start", kv_str("a", "b\\"), kv_num("n", UINT64_MAX));
    log_info("stop");
    const char *line = written();
    cr_expect_eq(strncmp(line, "{\"time\":", 8), 0);
    cr_expect(strstr(line,
                     ",\"type\":\"start\",\"sev\":\"DEBUG\",\"svc\":\"broker\",\"host\":\"b1\","
                     "\"seq\":1,\"a\":\"b\\\\\",\"n\":18446744073709551615}\n"),
              "%s", line);
    cr_expect(strstr(line, "\"seq\":2}\n"));
}

Test(log, a_line_that_would_be_too_long_is_cut_between_pairs)
{
    static char huge[5000];
    memset(huge, '"', sizeof huge);
    open_as("json", "info");
    text_t value = {huge, sizeof huge};
    log_info("big", kv_text("a", value), kv_text("b", value), kv_text("c", value),
             kv_text("d", value), kv_text("e", value), kv_num("last", 1));
    const char *line = written();
    size_t len = strlen(line);
    cr_expect_lt(len, 8193);
    cr_expect_str_eq(line + len - 3, "\"}\n");
    cr_expect(strstr(line, ",\"a\":\""));
    cr_expect_null(strstr(line, ",\"last\":"));
}
