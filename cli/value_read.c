#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/value.h"
#include "cli/value_write.h"
#include "wire/base/must.h"

typedef struct {
    value_t *value;
    const names_t *names;
    fail_t *f;
    const char *whole, *at;
    size_t argument; /* from 1 */
    unsigned depth;
} read_t;

static err_t wrong(read_t *r, const char *why)
{
    fail(r->f, ERR_VALUE_LITERAL, "argument %zu: %.200s cannot be read", r->argument, r->whole);
    fail_why(r->f, "character %zu: %s", (size_t)(r->at - r->whole) + 1, why);
    return ERR_VALUE_LITERAL;
}

static void blank(read_t *r) { r->at += strspn(r->at, " \t\r\n"); }

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$';
}

static err_t put_slot(read_t *r, buf_t *out, kref_t kref)
{
    char text[32];
    size_t i = 0;

    while (i < r->value->slot_count && !kref_same(r->value->slots[i], kref)) i++;
    if (i == r->value->slot_count) {
        if (i == SLOTS_MAX) return wrong(r, "too many references");
        r->value->slots = realloc(r->value->slots, (i + 1) * sizeof *r->value->slots);
        must(r->value->slots);
        r->value->slots[r->value->slot_count++] = kref;
    }
    snprintf(text, sizeof text, "\"%c%zu\"", kref_is_promise(kref) ? '&' : '$', i);
    return body_put(out, text);
}

static err_t add_code_point(buf_t *out, uint32_t c)
{
    uint8_t b[4];

    if (c < 0x80) {
        b[0] = (uint8_t)c;
        return buf_add(out, b, 1);
    }
    if (c < 0x800) {
        b[0] = (uint8_t)(0xc0 | c >> 6);
        b[1] = (uint8_t)(0x80 | (c & 0x3f));
        return buf_add(out, b, 2);
    }
    if (c < 0x10000) {
        b[0] = (uint8_t)(0xe0 | c >> 12);
        b[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        b[2] = (uint8_t)(0x80 | (c & 0x3f));
        return buf_add(out, b, 3);
    }
    b[0] = (uint8_t)(0xf0 | c >> 18);
    b[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    b[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    b[3] = (uint8_t)(0x80 | (c & 0x3f));
    return buf_add(out, b, 4);
}

static bool hex4(const char *at, uint32_t *ret)
{
    uint32_t n = 0;

    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A' + 10);
        else
            return false;
        n = n << 4 | digit;
    }
    *ret = n;
    return true;
}

static err_t read_escape(read_t *r, buf_t *out)
{
    static const char shorts[] = "b\bf\fn\nr\rt\tv\v\"\"''\\\\//";
    uint32_t high, low;
    char c = r->at[1];

    for (const char *s = shorts; *s; s += 2) {
        if (*s != c) continue;
        r->at += 2;
        return buf_add(out, s + 1, 1);
    }
    if (c == '0' && !(r->at[2] >= '0' && r->at[2] <= '9')) {
        r->at += 2;
        return buf_add(out, "", 1);
    }
    if (c != 'u' || !hex4(r->at + 2, &high)) return wrong(r, "this escape is not known");
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || r->at[6] != '\\' || r->at[7] != 'u' || !hex4(r->at + 8, &low) ||
            low < 0xdc00 || low >= 0xe000) {
            return wrong(r, "half a surrogate pair");
        }
        r->at += 12;
        return add_code_point(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    }
    r->at += 6;
    return add_code_point(out, high);
}

/* A string in single or double quotes; its text, decoded, to OUT. */
static err_t read_quoted(read_t *r, buf_t *out)
{
    char quote = *r->at;
    err_t err = ERR_OK;

    if (quote != '"' && quote != '\'') return wrong(r, "a string in quotes must stand here");
    r->at++;
    while (*r->at != quote && !err) {
        if (!*r->at) return wrong(r, "the string does not end");
        if (*r->at == '\\') {
            err = read_escape(r, out);
        } else {
            err = buf_add(out, r->at++, 1);
        }
    }
    if (!err) r->at++;
    return err;
}

static err_t read_string(read_t *r, buf_t *out)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);
    err_t err = read_quoted(r, &text);

    if (!err) err = body_put_string(out, (text_t){(const char *)text.at, text.len});
    buf_clear(&text);
    return err;
}

static err_t read_number(read_t *r, buf_t *out)
{
    const char *from = r->at, *digits = from + (*from == '-');
    size_t whole = strspn(digits, "0123456789");
    const char *end = digits + whole;

    if (whole > 1 && *digits == '0') return wrong(r, "a number does not begin with 0");
    if (*end == 'n') {
        if (!whole) return wrong(r, "digits must stand before n");
        bool zero = *digits == '0';
        err_t err = body_put(out, *from == '-' && !zero ? "\"-" : "\"+");
        if (!err) err = buf_add(out, digits, whole);
        r->at = end + 1;
        return err ? err : body_put(out, "\"");
    }
    if (*end == '.') {
        size_t fraction = strspn(++end, "0123456789");
        if (!fraction) return wrong(r, "digits must stand behind the point");
        end += fraction;
    }
    if (!whole) return wrong(r, "a number must begin with a digit");
    if (*end == 'e' || *end == 'E') {
        const char *power = end + 1 + (end[1] == '+' || end[1] == '-');
        if (!strspn(power, "0123456789")) return wrong(r, "the exponent has no digits");
        end = power + strspn(power, "0123456789");
    }
    r->at = end;
    return body_put_number(out, strtod(from, NULL));
}

static err_t read_value(read_t *r, buf_t *out);

static err_t expect(read_t *r, char c, const char *why)
{
    blank(r);
    if (*r->at != c) return wrong(r, why);
    r->at++;
    return ERR_OK;
}

static err_t read_array(read_t *r, buf_t *out)
{
    err_t err = body_put(out, "[");

    r->at++;
    blank(r);
    for (bool first = true; *r->at != ']' && !err; first = false) {
        if (!first) {
            err = expect(r, ',', "a comma or ] must stand here");
            blank(r);
            if (err || *r->at == ']') break;
            err = body_put(out, ",");
        }
        if (!err) err = read_value(r, out);
        blank(r);
    }
    if (err) return err;
    r->at++;
    return body_put(out, "]");
}

static err_t read_key(read_t *r, buf_t *key)
{
    if (*r->at == '"' || *r->at == '\'') return read_quoted(r, key);

    size_t len = 0;
    while (word_char(r->at[len])) len++;
    if (!len) return wrong(r, "a key must stand here");
    err_t err = buf_add(key, r->at, len);
    r->at += len;
    return err;
}

static err_t read_entry(read_t *r, record_t *record)
{
    buf_t key = buf_of(CAPDATA_BYTES_MAX);
    err_t err = read_key(r, &key);
    text_t text = {key.at ? (const char *)key.at : "", key.len};

    for (size_t i = 0; i < record->count && !err; i++) {
        const entry_t *other = &record->at[i];
        if (other->key_len == text.len && memcmp(other->key, text.at, text.len) == 0) {
            err = wrong(r, "the key stands twice");
        }
    }
    if (!err) err = expect(r, ':', "a colon must stand here");
    blank(r);
    if (!err) err = read_value(r, &record_add(record, text)->value);
    buf_clear(&key);
    return err;
}

static err_t read_record(read_t *r, buf_t *out)
{
    record_t record = {0};
    err_t err = ERR_OK;

    r->at++;
    blank(r);
    for (bool first = true; *r->at != '}' && !err; first = false) {
        if (!first) {
            err = expect(r, ',', "a comma or } must stand here");
            blank(r);
            if (err || *r->at == '}') break;
        }
        err = read_entry(r, &record);
        blank(r);
    }
    if (!err) err = record_put(&record, out);
    if (!err) r->at++;
    record_clear(&record);
    return err;
}

/* tagged("copySet", [1]) behind its parenthesis */
static err_t read_tagged(read_t *r, buf_t *out)
{
    err_t err = body_put(out, "{\"#tag\":");

    blank(r);
    if (!err) err = read_string(r, out);
    if (!err) err = expect(r, ',', "a comma must stand here");
    blank(r);
    if (!err) err = body_put(out, ",\"payload\":");
    if (!err) err = read_value(r, out);
    if (!err) err = body_put(out, "}");
    return err ? err : expect(r, ')', "a ) must stand here");
}

static bool error_name(const char *word, size_t len)
{
    static const char *const names[] = {"Error",       "EvalError", "RangeError", "ReferenceError",
                                        "SyntaxError", "TypeError", "URIError",   "AggregateError"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == len && memcmp(names[i], word, len) == 0) return true;
    }
    return false;
}

/* TypeError("m") behind its parenthesis */
static err_t read_error(read_t *r, buf_t *out, const char *name, size_t len)
{
    err_t err = body_put(out, "{\"#error\":");

    blank(r);
    if (!err) err = *r->at == ')' ? body_put(out, "\"\"") : read_string(r, out);
    if (!err) err = body_put(out, ",\"name\":\"");
    if (!err) err = buf_add(out, name, len);
    if (!err) err = body_put(out, "\"}");
    return err ? err : expect(r, ')', "a ) must stand here");
}

/* Symbol.asyncIterator, Symbol.for("x") behind "Symbol" */
static err_t read_symbol(read_t *r, buf_t *out)
{
    static const char *const known[] = {"asyncIterator", "hasInstance", "isConcatSpreadable",
                                        "iterator",      "match",       "matchAll",
                                        "replace",       "search",      "species",
                                        "split",         "toPrimitive", "toStringTag",
                                        "unscopables"};
    buf_t name = buf_of(CAPDATA_BYTES_MAX);
    size_t len = 0;
    err_t err = buf_add(&name, "%", 1);

    r->at++;
    while (word_char(r->at[len])) len++;
    if (len == 3 && memcmp(r->at, "for", 3) == 0) {
        buf_t text = buf_of(CAPDATA_BYTES_MAX);
        r->at += len;
        if (!err) err = expect(r, '(', "a ( must stand here");
        blank(r);
        if (!err) err = read_quoted(r, &text);
        if (!err && text.len > 1 && memcmp(text.at, "@@", 2) == 0) err = body_put(&name, "@@");
        if (!err) err = buf_add(&name, text.at, text.len);
        if (!err) err = expect(r, ')', "a ) must stand here");
        buf_clear(&text);
    } else {
        size_t i = 0, count = sizeof known / sizeof *known;
        while (i < count && (strlen(known[i]) != len || memcmp(known[i], r->at, len) != 0)) i++;
        if (i == count)
            err = wrong(r, "only well-known symbols and Symbol.for(\"x\") can be passed");
        if (!err) err = body_put(&name, "@@");
        if (!err) err = buf_add(&name, r->at, len);
        if (!err) r->at += len;
    }
    if (!err) err = json_add_string(out, (text_t){(const char *)name.at, name.len});
    buf_clear(&name);
    return err;
}

static err_t read_name(read_t *r, buf_t *out)
{
    char name[NAME_BYTES_MAX + 1];
    size_t len = 0;
    kref_t kref;

    r->at++;
    while (word_char(r->at[len]) || r->at[len] == '-' || r->at[len] == '/') len++;
    if (!len || len >= sizeof name) return wrong(r, "a name must stand behind @");
    memcpy(name, r->at, len);
    name[len] = 0;
    if (!r->names) return wrong(r, "names mean nothing here");
    err_t err = r->names->find(r->names->context, name, &kref, r->f);
    r->at += len;
    return err ? err : put_slot(r, out, kref);
}

static err_t bare_word(read_t *r, const char *word, size_t len)
{
    fail(r->f, ERR_BARE_WORD, "argument %zu: \"%.*s\" is a bare word", r->argument, (int)len, word);
    fail_try(r->f, "s:%.*s     the string \"%.*s\"", (int)len, word, (int)len, word);
    fail_try(r->f, "@%.*s      the object named %.*s", (int)len, word, (int)len, word);
    return ERR_BARE_WORD;
}

static err_t read_word(read_t *r, buf_t *out)
{
    static const struct {
        const char *word, *body;
    } words[] = {{"undefined", "\"#undefined\""},
                 {"null", "null"},
                 {"true", "true"},
                 {"false", "false"},
                 {"NaN", "\"#NaN\""},
                 {"Infinity", "\"#Infinity\""}};
    const char *word = r->at;
    size_t len = 0, kref_len;
    kref_t kref;

    while (word_char(word[len])) len++;
    kref_len = len;
    if (word[len] == '.') {
        for (kref_len++; word_char(word[kref_len]);) kref_len++;
    }
    if (kref_parse(word, kref_len, &kref)) {
        r->at += kref_len;
        return put_slot(r, out, kref);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i].word) != len || memcmp(words[i].word, word, len) != 0) continue;
        r->at += len;
        return body_put(out, words[i].body);
    }
    if (len == 6 && memcmp(word, "Symbol", 6) == 0 && word[6] == '.') {
        r->at += len;
        return read_symbol(r, out);
    }
    if (word[len] == '(') {
        r->at += len + 1;
        if (len == 6 && memcmp(word, "tagged", 6) == 0) return read_tagged(r, out);
        if (error_name(word, len)) return read_error(r, out, word, len);
        if (len == 5 && memcmp(word, "bytes", 5) == 0) {
            return fail(r->f, ERR_BYTES_UNSUPPORTED,
                        "argument %zu: byte arrays cannot be passed yet", r->argument);
        }
        r->at = word;
        return wrong(r, "nothing is evaluated but tagged(), Error() and its kin, Symbol.for()");
    }
    return len ? bare_word(r, word, len) : wrong(r, "no value begins like this");
}

static err_t read_value(read_t *r, buf_t *out)
{
    err_t err;

    if (++r->depth > BODY_DEPTH_MAX) return wrong(r, "too deep");
    blank(r);
    if (strncmp(r->at, "-Infinity", 9) == 0 && !word_char(r->at[9])) {
        r->at += 9;
        err = body_put(out, "\"#-Infinity\"");
    } else if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) {
        err = read_number(r, out);
        if (!err && word_char(*r->at)) err = wrong(r, "a number ends before this");
    } else if (*r->at == '"' || *r->at == '\'') {
        err = read_string(r, out);
    } else if (*r->at == '[') {
        err = read_array(r, out);
    } else if (*r->at == '{') {
        err = read_record(r, out);
    } else if (*r->at == '@') {
        err = read_name(r, out);
    } else {
        err = read_word(r, out);
    }
    r->depth--;
    return err;
}

static err_t read_argument(read_t *r, buf_t *out)
{
    if (strncmp(r->whole, "s:", 2) == 0) return body_put_string(out, text_of(r->whole + 2));

    err_t err = read_value(r, out);
    blank(r);
    if (!err && *r->at) {
        /* Two words, or a word with a dash in it, are a text without its quotes. */
        if (word_char(*r->whole) && !(*r->whole >= '0' && *r->whole <= '9')) {
            return bare_word(r, r->whole, strlen(r->whole));
        }
        err = wrong(r, "the value ends before this");
    }
    return err;
}

err_t value_methargs(value_t *self, const char *method, char *const *arguments, size_t count,
                     const names_t *names, fail_t *f)
{
    read_t r = {.value = self, .names = names, .f = f, .whole = method, .at = method};
    buf_t *out = &self->body;
    err_t err = body_put(out, "#[");

    if (!err) {
        if (strncmp(method, "Symbol.", 7) == 0) {
            r.at += 6;
            err = read_symbol(&r, out);
            if (!err && *r.at) err = wrong(&r, "the symbol ends before this");
        } else {
            err = body_put_string(out, text_of(method));
        }
    }
    if (!err) err = body_put(out, ",[");
    for (size_t i = 0; i < count && !err; i++) {
        r.whole = r.at = arguments[i];
        r.argument = i + 1;
        if (i) err = body_put(out, ",");
        if (!err) err = read_argument(&r, out);
    }
    if (!err) err = body_put(out, "]]");
    if (err == ERR_WIRE_LIMIT) fail(f, ERR_VALUE_LITERAL, "the arguments are too large");
    return err == ERR_WIRE_LIMIT ? ERR_VALUE_LITERAL : err;
}
