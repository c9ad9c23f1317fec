/* The vat asks.js: it is told what to evaluate, with the globals that it asks for. */
#pragma once
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

static inline xs_vat_t *asks_open_as(const char *bundle, const char *globals)
{
    xs_vat_t *vat = xs_vat_new(bundle, (xs_options_t){.globals = globals});
    xs_vat_time(vat, 1700000000123, 1);
    return vat;
}

static inline xs_vat_t *asks_open(const char *globals)
{
    return asks_open_as("asks.json", globals);
}

static inline xs_vat_t *asks_start(const char *globals)
{
    xs_vat_t *vat = asks_open(globals);
    const engine_report_t *report = xs_vat_start(vat, "#\"#undefined\"");
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    return vat;
}

/* Starts a vat whose parameters the kernel has wrapped, with the kernel's object as o-50. */
static inline xs_vat_t *asks_start_outside(const char *globals)
{
    xs_vat_t *vat = asks_open(globals);
    const engine_report_t *report =
        xs_vat_start_with(vat, "#[{\"n\":1},\"$0.Alleged: outside\"]", "o-50");
    cr_assert_eq(report->outcome, ERR_OK, "%s", report->reason);
    xs_vat_calls(vat);
    return vat;
}

/* Has VAT evaluate SOURCE; returns the syscalls of that. */
static inline const char *asks_tell(xs_vat_t *vat, const char *source)
{
    char methargs[8192];
    size_t at = (size_t)sprintf(methargs, "#[\"do\",[\"!");
    for (const char *p = source; *p; p++) {
        cr_assert_lt(at, sizeof methargs - 8);
        if (*p == '"' || *p == '\\') methargs[at++] = '\\';
        if (*p == '\n') {
            methargs[at++] = '\\';
            methargs[at++] = 'n';
        } else {
            methargs[at++] = *p;
        }
    }
    strcpy(methargs + at, "\"]]");
    const engine_report_t *report = xs_vat_message(vat, "o+0", methargs, NULL, "p-99");
    cr_assert_eq(report->outcome, ERR_OK, "%s: %s", source, report->reason);
    return xs_vat_calls(vat);
}

/* The value of SOURCE in VAT is EXPECTED, in capdata. */
static inline void asks_expect(xs_vat_t *vat, const char *source, const char *expected)
{
    char line[8192];
    snprintf(line, sizeof line, "resolve p-99 fulfilled #%s {}\n", expected);
    const char *said = asks_tell(vat, source);
    cr_expect_str_eq(said, line, "%s\n is %s not %s", source, said, line);
}

static inline void asks_expect_throw(xs_vat_t *vat, const char *source, const char *name,
                                     const char *text)
{
    char caught[4096], expected[4096];
    snprintf(caught, sizeof caught,
             "(async () => (%s))().then(() => 'nothing', e => [e.name, e.message])", source);
    snprintf(expected, sizeof expected, "[\"%s\",\"%s\"]", name, text);
    asks_expect(vat, caught, expected);
}
