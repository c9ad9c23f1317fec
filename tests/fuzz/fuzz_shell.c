/* Laws: every text is a line or an error with a place inside it; a line ends behind where it begins; what is
 * parsed and runs makes well-formed bodies; what a body is written as reads back as the same body. */
#include <stdlib.h>
#include <string.h>

#include "cli/shell_complete.h"
#include "cli/shell_eval.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 4096 };

typedef struct {
    uint64_t promises;
} world_t;

static err_t find(void *context, const char *name, kref_t *ret, fail_t *f)
{
    (void)context;
    if (*name == 'x') return fail(f, ERR_VAT_UNKNOWN, "no vat");
    *ret = kref_root((vat_t){(uint32_t)(unsigned char)*name});
    return ERR_OK;
}

static bool utf8(const capdata_t *data)
{
    /* Quotes may hold any bytes; what is no UTF-8 the broker refuses. */
    for (size_t i = 0; i < data->body.len; i++)
        if (data->body.at[i] >= 0x80) return false;
    return true;
}

static err_t send_(void *context, kref_t target, const capdata_t *methargs, bool no_result,
                   kref_t *ret, fail_t *f)
{
    world_t *world = context;

    (void)f;
    must(!kref_none(target));
    must(!utf8(methargs) || smallcaps_check(methargs, SHAPE_METHARGS) == ERR_OK);
    if (!no_result) *ret = kref_promise((vat_t){0}, ++world->promises);
    return ERR_OK;
}

static err_t await_(void *context, kref_t promise, settled_t *ret, value_t *ret_value, fail_t *f)
{
    static const kref_t slot = {(UINT64_C(3) << 40) + 7};
    static const char body[] = "#[\"\\u00240.Alleged: x\",{\"!a\":\"$0\"}]";
    capdata_t data = {{(const uint8_t *)body, sizeof body - 1}, {&slot, 1}};

    (void)context, (void)f;
    *ret = kref_serial(promise) % 3 ? SETTLED_FULFILLED : SETTLED_NOT;
    if (*ret == SETTLED_FULFILLED) *ret_value = value_copy(&data);
    return ERR_OK;
}

static void let_go(void *context, kref_t promise)
{
    (void)context;
    must(kref_is_promise(promise));
}

static void check_literal(const value_t *value)
{
    capdata_t data = value_capdata(value);
    buf_t text = buf_of(SIZE_MAX);
    line_t line;
    fail_t f;

    if (!utf8(&data)) return;
    must(smallcaps_check(&data, SHAPE_ANY) == ERR_OK);
    if (value_literal(&text, &data)) { /* nothing is lost: it was not written */
        buf_clear(&text);
        return;
    }
    must(!buf_add(&text, "", 1));
    must(line_parse((char *)text.at, 0, &line, &f) == ERR_OK);
    must(line.kind == LINE_VALUE && (line.term->kind == TERM_VALUE || line.term->kind == TERM_REF));
    line_clear(&line);
    buf_clear(&text);
}

static void run_all(shell_t *shell, const char *text)
{
    for (size_t from = 0; text[from];) {
        line_t line;
        fail_t f;
        outcome_t outcome = {.value = value_of()};
        err_t err = line_parse(text, from, &line, &f);
        must(line.end <= strlen(text));
        must(err || line.end > from);
        must(!err || *f.what);
        if (!err && line.kind != LINE_COMMAND) err = shell_run(shell, text, &line, &outcome, &f);
        if (!err && outcome.value.body.len) check_literal(&outcome.value);
        outcome_clear(&outcome);
        from = line.end;
        line_clear(&line);
        if (err) return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_t world = {0};
    char *text = malloc(size + 1);

    must(text);
    memcpy(text, data, size);
    text[size] = 0;
    if (size <= TEXT_MAX) {
        shell_t shell = shell_of((port_t){&world, find, send_, await_, let_go});
        run_all(&shell, text);
        shell_clear(&shell);
    }
    size_t len = strlen(text);
    (void)line_is_open(text);
    place_t place = place_find(text, len);
    must(place.kind == PLACE_NOTHING || place.from <= len);
    must(place.kind != PLACE_METHOD ||
         (place.target_from < place.target_end && place.target_end < place.from));
    free(text);
    return 0;
}
