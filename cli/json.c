#include "cli/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/limits.h"
#include "wire/base/must.h"

/* Digits and exponent of the shortest decimal that reads back as VALUE: 0.DIGITS * 10^point. */
static int digits_shortest(double value, char digits[24], int *ret_point)
{
    char text[40];
    int count = 0, exponent;

    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    char *e = strchr(text, 'e');
    exponent = atoi(e + 1);
    for (const char *c = text; c < e; c++) {
        if (*c != '.') digits[count++] = *c;
    }
    while (count > 1 && digits[count - 1] == '0') count--;
    *ret_point = exponent + 1;
    return count;
}

char *number_text(double value, char buf[NUMBER_TEXT_MAX])
{
    char digits[24] = "", *to = buf;
    int point, count;

    must(isfinite(value));
    if (value == 0) return strcpy(buf, "0");
    if (value < 0) *to++ = '-';
    count = digits_shortest(fabs(value), digits, &point);

    if (point > 21 || point <= -6) {
        *to++ = digits[0];
        if (count > 1) {
            *to++ = '.';
            memcpy(to, digits + 1, (size_t)count - 1);
            to += count - 1;
        }
        sprintf(to, "e%c%d", point > 0 ? '+' : '-', abs(point - 1));
        return buf;
    }
    if (point <= 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = point; i < 0; i++) *to++ = '0';
    }
    for (int i = 0; i < count || i < point; i++) {
        if (i && i == point) *to++ = '.';
        *to++ = i < count ? digits[i] : '0';
    }
    *to = 0;
    return buf;
}

json_t *json_id(char prefix, uint64_t number)
{
    char text[32];

    if (!number) return json_null();
    snprintf(text, sizeof text, "%c%" PRIu64, prefix, number);
    return json_string(text);
}

json_t *json_number(uint64_t number) { return json_integer((json_int_t)number); }

void json_set_counter(json_t *object, text_t name, uint64_t value)
{
    char key[NAME_BYTES_MAX + 1];

    snprintf(key, sizeof key, "%.*s", (int)name.len, name.at);
    json_object_set_new(object, key, json_number(value));
}

json_t *json_text(text_t text)
{
    json_t *ret = json_stringn(text.at, text.len);
    if (ret) return ret;

    char *copy = malloc(text.len + 1);
    must(copy);
    for (size_t i = 0; i < text.len; i++) {
        copy[i] = (unsigned char)text.at[i] < 0x80 ? text.at[i] : '?';
    }
    ret = json_stringn(copy, text.len);
    free(copy);
    must(ret);
    return ret;
}

err_t json_add_string(buf_t *out, text_t text)
{
    static const char shorts[] = "b\bt\tn\nf\fr\r\"\"\\\\";
    err_t err = buf_add(out, "\"", 1);

    for (size_t i = 0; i < text.len && !err; i++) {
        char c = text.at[i], escape[8];
        int n = 0;
        for (const char *s = shorts; *s && !n; s += 2) {
            if (s[1] == c) n = snprintf(escape, sizeof escape, "\\%c", s[0]);
        }
        if (!n && (unsigned char)c < 0x20) n = snprintf(escape, sizeof escape, "\\u%04x", c);
        err = n ? buf_add(out, escape, (size_t)n) : buf_add(out, &c, 1);
    }
    return err ? err : buf_add(out, "\"", 1);
}

static err_t add_object(buf_t *out, const json_t *value)
{
    const char *key;
    json_t *item, *object = json_incref((json_t *)(uintptr_t)value);
    err_t err = buf_add(out, "{", 1);
    bool first = true;

    json_object_foreach(object, key, item)
    {
        if (!err && !first) err = buf_add(out, ",", 1);
        if (!err) err = json_add_string(out, text_of(key));
        if (!err) err = buf_add(out, ":", 1);
        if (!err) err = json_add(out, item);
        first = false;
    }
    json_decref(object);
    return err ? err : buf_add(out, "}", 1);
}

err_t json_add(buf_t *out, const json_t *value)
{
    char number[NUMBER_TEXT_MAX];
    err_t err;

    switch (json_typeof(value)) {
    case JSON_NULL: return buf_add(out, "null", 4);
    case JSON_TRUE: return buf_add(out, "true", 4);
    case JSON_FALSE: return buf_add(out, "false", 5);
    case JSON_STRING:
        return json_add_string(out, (text_t){json_string_value(value), json_string_length(value)});
    case JSON_REAL: number_text(json_real_value(value), number); return buf_text(out, number);
    case JSON_INTEGER: return buf_print(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_ARRAY:
        err = buf_add(out, "[", 1);
        for (size_t i = 0; i < json_array_size(value) && !err; i++) {
            if (i) err = buf_add(out, ",", 1);
            if (!err) err = json_add(out, json_array_get(value, i));
        }
        return err ? err : buf_add(out, "]", 1);
    default: return add_object(out, value);
    }
}

void json_print(const json_t *value, FILE *out)
{
    buf_t text = buf_of(SIZE_MAX);

    must(!json_add(&text, value));
    fwrite(text.at, 1, text.len, out);
    buf_clear(&text);
}

/* ---- places ---- */

typedef struct {
    const char *at, *end;
    unsigned line, column;
} scan_t;

typedef struct {
    const char *pointer; /* what is looked for; NULL: the first key that appears twice */
    bool key;
    unsigned line, column;
    unsigned depth;
    bool found;
    json_t *seen; /* pointers met, when looking for a duplicate */
    char duplicate[FAIL_NAME_MAX];
} seek_t;

static void step(scan_t *s)
{
    if (*s->at == '\n') {
        s->line++;
        s->column = 1;
    } else if (((unsigned char)*s->at & 0xc0) != 0x80) {
        s->column++;
    }
    s->at++;
}

static void space(scan_t *s)
{
    while (s->at < s->end && strchr(" \t\r\n", *s->at) && *s->at) step(s);
}

/* Moves behind a string; the key's decoded text is asked from jansson. */
static json_t *string(scan_t *s)
{
    const char *from = s->at;

    step(s);
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') step(s);
        if (s->at < s->end) step(s);
    }
    if (s->at < s->end) step(s);
    return json_loadb(from, (size_t)(s->at - from), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static void meet(seek_t *seek, const char *pointer, unsigned line, unsigned column, bool key)
{
    if (seek->found) return;
    if (seek->pointer) {
        if (key != seek->key && *pointer) return;
        if (strcmp(seek->pointer, pointer) != 0) return;
    } else {
        if (!key) return;
        if (!json_object_get(seek->seen, pointer)) {
            json_object_set_new(seek->seen, pointer, json_true());
            return;
        }
        snprintf(seek->duplicate, sizeof seek->duplicate, "%s", pointer);
    }
    seek->found = true;
    seek->line = line;
    seek->column = column;
}

void pointer_add(char *pointer, size_t room, const char *key)
{
    size_t len = strlen(pointer);

    if (len + 1 < room) pointer[len++] = '/';
    for (; *key && len + 2 < room; key++) {
        if (*key == '~' || *key == '/') {
            pointer[len++] = '~';
            pointer[len++] = *key == '~' ? '0' : '1';
        } else {
            pointer[len++] = *key;
        }
    }
    pointer[len] = 0;
}

static void value(scan_t *s, seek_t *seek, char *pointer);

static void object_key(scan_t *s, seek_t *seek, char *pointer)
{
    unsigned line = s->line, column = s->column;
    json_t *name = string(s);

    pointer_add(pointer, FAIL_NAME_MAX, name ? json_string_value(name) : "");
    json_decref(name);
    meet(seek, pointer, line, column, true);
    space(s);
    if (s->at < s->end) step(s); /* the colon */
}

static void container(scan_t *s, seek_t *seek, char *pointer, bool object)
{
    size_t len = strlen(pointer);
    unsigned index = 0;

    /* jansson's own limit; behind a duplicate key the text was not checked by it. */
    if (++seek->depth > 2048) s->at = s->end;
    if (s->at < s->end) step(s);
    space(s);
    while (s->at < s->end && *s->at != '}' && *s->at != ']' && !seek->found) {
        if (object) {
            object_key(s, seek, pointer);
        } else {
            char number[16];
            snprintf(number, sizeof number, "%u", index++);
            pointer_add(pointer, FAIL_NAME_MAX, number);
        }
        value(s, seek, pointer);
        pointer[len] = 0;
        space(s);
        if (s->at < s->end && *s->at == ',') step(s);
        space(s);
    }
    seek->depth--;
    if (s->at < s->end) step(s);
}

static void value(scan_t *s, seek_t *seek, char *pointer)
{
    space(s);
    if (s->at >= s->end) return;
    meet(seek, pointer, s->line, s->column, false);
    /* A value without a key of its own, asked for by key, is an array's element. */
    if (seek->pointer && seek->key && !seek->found && strcmp(seek->pointer, pointer) == 0) {
        seek->found = true;
        seek->line = s->line;
        seek->column = s->column;
    }
    if (*s->at == '{' || *s->at == '[') {
        container(s, seek, pointer, *s->at == '{');
    } else if (*s->at == '"') {
        json_decref(string(s));
    } else {
        while (s->at < s->end && !strchr(",]} \t\r\n", *s->at)) step(s);
    }
}

static void seek_run(seek_t *seek, const char *at, size_t len)
{
    scan_t scan = {at, at + len, 1, 1};
    char pointer[FAIL_NAME_MAX] = "";

    value(&scan, seek, pointer);
}

bool json_place(const char *at, size_t len, const char *pointer, bool key, unsigned *ret_line,
                unsigned *ret_column)
{
    seek_t seek = {.pointer = pointer, .key = key};

    seek_run(&seek, at, len);
    if (!seek.found) return false;
    *ret_line = seek.line;
    *ret_column = seek.column;
    return true;
}

json_t *json_read(const char *at, size_t len, const char *name, fail_t *f)
{
    enum { FLAGS = JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL };
    json_error_t error;
    json_t *ret = json_loadb(at, len, FLAGS | JSON_REJECT_DUPLICATES, &error);
    if (ret) return ret;

    if (json_error_code(&error) == json_error_duplicate_key) {
        seek_t seek = {.seen = json_object()};
        seek_run(&seek, at, len);
        json_decref(seek.seen);
        const char *last = strrchr(seek.duplicate, '/');
        fail(f, ERR_JSON_DUPLICATE, "\"%s\" appears twice in one object", last ? last + 1 : "");
        fail_at(f, name, seek.line, seek.column, seek.duplicate);
        return NULL;
    }
    fail(f, ERR_JSON_SYNTAX, "%s is not JSON", name);
    fail_why(f, "%s", error.text);
    fail_at(f, name, error.line > 0 ? (unsigned)error.line : 0,
            error.column > 0 ? (unsigned)error.column : 0, NULL);
    return NULL;
}
