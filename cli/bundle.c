#include "cli/bundle.h"

#include <errno.h>
#include <libgen.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/bundler.h"
#include "cli/json.h"
#include "cli/look.h"
#include "wire/base/must.h"

/* moduleFormat and the key that holds the code. */
static const struct {
    const char *format, *key;
} formats[] = {{"endoZipBase64", "endoZipBase64"},
               {"nestedEvaluate", "source"},
               {"getExport", "source"},
               {"endoScript", "source"},
               {"iife", "code"},
               {"native", "engine"}};

static void name_make(const char *data, size_t len, char ret[NAME_BYTES_MAX + 1])
{
    unsigned char hash[crypto_hash_sha512_BYTES];

    crypto_hash_sha512(hash, (const unsigned char *)data, len);
    strcpy(ret, "b1-");
    sodium_bin2hex(ret + 3, 2 * sizeof hash + 1, hash, sizeof hash);
}

err_t bundle_check(char *data, size_t len, const char *file, bundle_t *ret, fail_t *f)
{
    json_error_t error;
    json_t *bundle = json_loadb(data, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    const json_t *format = json_object_get(bundle, "moduleFormat");
    size_t i = 0, count = sizeof formats / sizeof *formats;

    if (!bundle) {
        fail(f, ERR_BUNDLE_BROKEN, "the bundle %s cannot be read", file);
        fail_why(f, "%s:%d:%d: %s", file, error.line, error.column, error.text);
        return ERR_BUNDLE_BROKEN;
    }
    while (i < count &&
           (!json_is_string(format) || strcmp(formats[i].format, json_string_value(format)) != 0)) {
        i++;
    }
    if (!json_is_string(format)) {
        fail(f, ERR_BUNDLE_BROKEN, "%s is not a bundle", file);
        fail_why(f, "it has no moduleFormat");
    } else if (i == count) {
        fail(f, ERR_BUNDLE_FORMAT, "the bundle %s has the format \"%.100s\", which is not known",
             file, json_string_value(format));
    } else if (!json_is_string(json_object_get(bundle, formats[i].key))) {
        fail(f, ERR_BUNDLE_BROKEN, "the bundle %s has no code", file);
        fail_why(f, "a bundle of the format %s has it as text under \"%s\"", formats[i].format,
                 formats[i].key);
    } else {
        *ret = (bundle_t){.data = data, .len = len};
        ret->ocap_kernel = strcmp(formats[i].format, "iife") == 0;
        name_make(data, len, ret->name);
    }
    json_decref(bundle);
    return ret->data == data ? ERR_OK : f->err;
}

/* ---- data: URLs ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %41 in place; gives the new length. */
static size_t percent_decode(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        if (*at == '%' && hex_digit(at[1]) >= 0 && hex_digit(at[2]) >= 0) {
            *to++ = (char)(hex_digit(at[1]) << 4 | hex_digit(at[2]));
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = 0;
    return (size_t)(to - text);
}

static char *data_url_read(const char *url, size_t *ret_len, fail_t *f)
{
    const char *comma = strchr(url, ',');
    if (!comma) {
        fail(f, ERR_BUNDLE_BROKEN, "the data: URL has no comma");
        return NULL;
    }

    char *text = strdup(comma + 1);
    must(text);
    *ret_len = percent_decode(text);
    if (comma - url < 7 || strncasecmp(comma - 7, ";base64", 7) != 0) return text;

    unsigned char *bytes = malloc(*ret_len + 1);
    must(bytes);
    int bad = sodium_base642bin(bytes, *ret_len, text, *ret_len, " \r\n=", ret_len, NULL,
                                sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    free(text);
    if (!bad) return (char *)bytes;
    free(bytes);
    fail(f, ERR_BUNDLE_BROKEN, "the data: URL is not base64");
    return NULL;
}

/* ---- from the cluster file ---- */

/* SPEC relative to the folder of the cluster file. */
static void path_resolve(const plan_t *plan, const char *spec, char ret[PATH_MAX])
{
    char copy[PATH_MAX];

    snprintf(copy, sizeof copy, "%s", plan->path);
    if (*spec == '/')
        snprintf(ret, PATH_MAX, "%s", spec);
    else if (strchr(copy, '/')) {
        const char *folder = dirname(copy);
        if (snprintf(ret, PATH_MAX, "%s/%s", folder, spec) >= PATH_MAX) *ret = 0;
    } else {
        snprintf(ret, PATH_MAX, "%s", spec);
    }
}

static char *spec_read(const plan_t *plan, const char *spec, char path[PATH_MAX], size_t *ret_len,
                       fail_t *f)
{
    size_t scheme =
        strspn(spec, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

    snprintf(path, PATH_MAX, "%.60s", spec);
    if (strncasecmp(spec, "data:", 5) == 0) {
        snprintf(path, PATH_MAX, "data:");
        return data_url_read(spec, ret_len, f);
    }
    if (strncasecmp(spec, "file:", 5) == 0) {
        char *copy = strdup(spec + 5);
        must(copy);
        percent_decode(copy);
        const char *at = copy;
        if (strncmp(at, "//localhost/", 12) == 0)
            at += 11;
        else if (strncmp(at, "///", 3) == 0)
            at += 2;
        path_resolve(plan, at, path);
        free(copy);
    } else if (scheme > 1 && strncmp(spec + scheme, "://", 3) == 0) {
        fail(f, ERR_URL_REFUSED, "the bundle %.200s is not fetched", spec);
        fail_try(f, "curl -o bundle.json '%.200s'   and then   \"bundleSpec\": \"bundle.json\"",
                 spec);
        return NULL;
    } else {
        path_resolve(plan, spec, path);
    }
    return file_read(path, BUNDLE_BYTES_MAX, ret_len, f);
}

/* The bundle of an engine in C. C2 knows the names, so there is nothing to escape. */
static char *native_bundle(const char *engine, size_t *ret_len)
{
    char text[NAME_BYTES_MAX + 64];

    snprintf(text, sizeof text, "{\"moduleFormat\":\"native\",\"engine\":\"%.200s\"}", engine);
    *ret_len = strlen(text);
    return strdup(text);
}

const char *native_engine(text_t bundle)
{
    static const char *const engines[] = {"null"};
    char name[NAME_BYTES_MAX + 1];
    const char *found = NULL;
    size_t len;

    for (size_t i = 0; i < sizeof engines / sizeof *engines && !found; i++) {
        char *text = native_bundle(engines[i], &len);
        must(text);
        name_make(text, len, name);
        free(text);
        if (text_is(bundle, name)) found = engines[i];
    }
    return found;
}

/* What the failure says stands; where it is in the cluster file is added. */
static err_t placed(const plan_t *plan, const char *who, const code_t *code, fail_t *f)
{
    char what[FAIL_TEXT_MAX];

    snprintf(what, sizeof what, "%.120s: %.3900s", who, f->what);
    strcpy(f->what, what);
    plan_place(plan, code->pointer, false, f);
    return f->err;
}

err_t bundle_load(const plan_t *plan, const char *who, const code_t *code, bundle_t *ret, fail_t *f)
{
    char path[PATH_MAX], made[PATH_MAX];
    size_t len;

    *ret = (bundle_t){0};
    if (code->kind == CODE_HASH) {
        snprintf(ret->name, sizeof ret->name, "%s", code->spec);
        return ERR_OK;
    }
    char *data;
    if (code->kind == CODE_NATIVE) {
        snprintf(path, sizeof path, "%s", code->spec);
        data = native_bundle(code->spec, &len);
    } else if (code->kind == CODE_SOURCE) {
        path_resolve(plan, code->spec, path);
        if (bundler_cached(path, made, &ret->cached, f)) return placed(plan, who, code, f);
        data = file_read(made, BUNDLE_BYTES_MAX, &len, f);
    } else {
        data = spec_read(plan, code->spec, path, &len, f);
    }
    if (!data) return placed(plan, who, code, f);

    bool cached = ret->cached;
    if (bundle_check(data, len, path, ret, f)) {
        free(data);
        return placed(plan, who, code, f);
    }
    ret->cached = cached;
    return ERR_OK;
}

void bundle_clear(bundle_t *self)
{
    free(self->data);
    *self = (bundle_t){0};
}
