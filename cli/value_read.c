#include "cli/value_read.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/value_write.h"

err_t reader_wrong(reader_t *r, const char *why)
{
    err_t err = r->argument ? ERR_VALUE_LITERAL : ERR_EXPRESSION;

    if (r->argument)
        fail(r->f, err, "argument %zu: %s", r->argument, why);
    else
        fail(r->f, err, "%s", why);
    fail_caret(r->f, r->whole, (size_t)(r->at - r->whole));
    return err;
}

void reader_blank(reader_t *r)
{
    for (;;) {
        r->at += strspn(r->at, " \t\r\n");
        if (r->at[0] != '/' || r->at[1] != '/') return;
        r->at += strcspn(r->at, "\n");
    }
}

bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$';
}

size_t word_len(const char *at)
{
    size_t len = 0;

    while (word_char(at[len])) len++;
    return len;
}

size_t word_kref(const char *at, kref_t *ret)
{
    size_t len = word_len(at);

    if (at[len] != '.') return 0;
    len += 1 + word_len(at + len + 1);
    return kref_parse(at, len, ret) ? len : 0;
}

err_t reader_put(reader_t *r, buf_t *out, kref_t kref)
{
    size_t i;

    if (value_slot(r->value, kref, &i)) return reader_wrong(r, "too many references");
    return buf_print(out, "\"%c%zu\"", kref_is_promise(kref) ? '&' : '$', i);
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

static err_t read_escape(reader_t *r, buf_t *out)
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
    if (c != 'u' || !hex4(r->at + 2, &high)) return reader_wrong(r, "this escape is not known");
    if (high >= 0xd800 && high < 0xe000) {
        if (high >= 0xdc00 || r->at[6] != '\\' || r->at[7] != 'u' || !hex4(r->at + 8, &low) ||
            low < 0xdc00 || low >= 0xe000) {
            return reader_wrong(r, "half a surrogate pair");
        }
        r->at += 12;
        return add_code_point(out, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    }
    r->at += 6;
    return add_code_point(out, high);
}

/* A string in single or double quotes; its text, decoded, to OUT. */
static err_t read_quoted(reader_t *r, buf_t *out)
{
    char quote = *r->at;
    err_t err = ERR_OK;

    if (quote != '"' && quote != '\'') return reader_wrong(r, "a string in quotes must stand here");
    r->at++;
    while (*r->at != quote && !err) {
        if (!*r->at) return reader_wrong(r, "the string does not end");
        if (*r->at == '\\') {
            err = read_escape(r, out);
        } else {
            err = buf_add(out, r->at++, 1);
        }
    }
    if (!err) r->at++;
    return err;
}

err_t reader_string(reader_t *r, buf_t *out)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);
    err_t err = read_quoted(r, &text);

    if (!err) err = body_put_string(out, (text_t){(const char *)text.at, text.len});
    buf_clear(&text);
    return err;
}

static err_t read_number(reader_t *r, buf_t *out)
{
    const char *from = r->at, *digits = from + (*from == '-');
    size_t whole = strspn(digits, "0123456789");
    const char *end = digits + whole;

    if (whole > 1 && *digits == '0') return reader_wrong(r, "a number does not begin with 0");
    if (*end == 'n') {
        if (!whole) return reader_wrong(r, "digits must stand before n");
        bool zero = *digits == '0';
        err_t err = buf_text(out, *from == '-' && !zero ? "\"-" : "\"+");
        if (!err) err = buf_add(out, digits, whole);
        r->at = end + 1;
        return err ? err : buf_text(out, "\"");
    }
    if (*end == '.') {
        size_t fraction = strspn(++end, "0123456789");
        if (!fraction) return reader_wrong(r, "digits must stand behind the point");
        end += fraction;
    }
    if (!whole) return reader_wrong(r, "a number must begin with a digit");
    if (*end == 'e' || *end == 'E') {
        const char *power = end + 1 + (end[1] == '+' || end[1] == '-');
        if (!strspn(power, "0123456789")) return reader_wrong(r, "the exponent has no digits");
        end = power + strspn(power, "0123456789");
    }
    r->at = end;
    return body_put_number(out, strtod(from, NULL));
}

err_t reader_expect(reader_t *r, char c, const char *why)
{
    reader_blank(r);
    if (*r->at != c) return reader_wrong(r, why);
    r->at++;
    return ERR_OK;
}

static err_t read_array(reader_t *r, buf_t *out)
{
    err_t err = buf_text(out, "[");

    r->at++;
    reader_blank(r);
    for (bool first = true; *r->at != ']' && !err; first = false) {
        if (!first) {
            err = reader_expect(r, ',', "a comma or ] must stand here");
            reader_blank(r);
            if (err || *r->at == ']') break;
            err = buf_text(out, ",");
        }
        if (!err) err = reader_value(r, out);
        reader_blank(r);
    }
    if (err) return err;
    r->at++;
    return buf_text(out, "]");
}

static err_t read_key(reader_t *r, buf_t *key)
{
    if (*r->at == '"' || *r->at == '\'') return read_quoted(r, key);

    size_t len = word_len(r->at);
    if (!len) return reader_wrong(r, "a key must stand here");
    err_t err = buf_add(key, r->at, len);
    r->at += len;
    return err;
}

static err_t read_entry(reader_t *r, record_t *record)
{
    buf_t key = buf_of(CAPDATA_BYTES_MAX);
    err_t err = read_key(r, &key);
    text_t text = {key.at ? (const char *)key.at : "", key.len};

    for (size_t i = 0; i < record->count && !err; i++) {
        const entry_t *other = &record->at[i];
        if (other->key_len == text.len && memcmp(other->key, text.at, text.len) == 0) {
            err = reader_wrong(r, "the key stands twice");
        }
    }
    if (!err) err = reader_expect(r, ':', "a colon must stand here");
    reader_blank(r);
    if (!err) err = reader_value(r, &record_add(record, text)->value);
    buf_clear(&key);
    return err;
}

static err_t read_record(reader_t *r, buf_t *out)
{
    record_t record = {0};
    err_t err = ERR_OK;

    r->at++;
    reader_blank(r);
    for (bool first = true; *r->at != '}' && !err; first = false) {
        if (!first) {
            err = reader_expect(r, ',', "a comma or } must stand here");
            reader_blank(r);
            if (err || *r->at == '}') break;
        }
        err = read_entry(r, &record);
        reader_blank(r);
    }
    if (!err) err = record_put(&record, out);
    if (!err) r->at++;
    record_clear(&record);
    return err;
}

/* tagged("copySet", [1]) behind its parenthesis */
static err_t read_tagged(reader_t *r, buf_t *out)
{
    err_t err = buf_text(out, "{\"#tag\":");

    reader_blank(r);
    if (!err) err = reader_string(r, out);
    if (!err) err = reader_expect(r, ',', "a comma must stand here");
    reader_blank(r);
    if (!err) err = buf_text(out, ",\"payload\":");
    if (!err) err = reader_value(r, out);
    if (!err) err = buf_text(out, "}");
    return err ? err : reader_expect(r, ')', "a ) must stand here");
}

/* Words with a body of their own, then those that stand before a parenthesis or point. */
static const char *const literals[] = {
    "undefined", "null",           "true",       "false",          "NaN",         "Infinity",
    "Error",     "EvalError",      "RangeError", "ReferenceError", "SyntaxError", "TypeError",
    "URIError",  "AggregateError", "tagged",     "bytes",          "Symbol",      NULL};
static const char *const bodies[] = {"\"#undefined\"", "null",     "true",
                                     "false",          "\"#NaN\"", "\"#Infinity\""};
enum { BODIES = sizeof bodies / sizeof *bodies, TAGGED = 14, BYTES, SYMBOL, LITERALS };

const char *const *literal_words(void) { return literals; }

/* Which of the words it is; LITERALS: none. */
static size_t literal_find(const char *word, size_t len)
{
    size_t i = 0;

    while (literals[i] && (strlen(literals[i]) != len || memcmp(literals[i], word, len) != 0)) i++;
    return i;
}

bool word_is_error(const char *word)
{
    size_t i = literal_find(word, strlen(word));
    return i >= BODIES && i < TAGGED;
}

bool word_is_literal(const char *word, size_t len) { return literal_find(word, len) != LITERALS; }

/* TypeError("m") behind its parenthesis */
static err_t read_error(reader_t *r, buf_t *out, const char *name, size_t len)
{
    err_t err = buf_text(out, "{\"#error\":");

    reader_blank(r);
    if (!err) err = *r->at == ')' ? buf_text(out, "\"\"") : reader_string(r, out);
    if (!err) err = buf_text(out, ",\"name\":\"");
    if (!err) err = buf_add(out, name, len);
    if (!err) err = buf_text(out, "\"}");
    return err ? err : reader_expect(r, ')', "a ) must stand here");
}

/* Symbol.asyncIterator, Symbol.for("x") behind "Symbol" */
err_t reader_symbol(reader_t *r, buf_t *out)
{
    static const char *const known[] = {"asyncIterator", "hasInstance", "isConcatSpreadable",
                                        "iterator",      "match",       "matchAll",
                                        "replace",       "search",      "species",
                                        "split",         "toPrimitive", "toStringTag",
                                        "unscopables"};
    buf_t name = buf_of(CAPDATA_BYTES_MAX);
    err_t err = buf_add(&name, "%", 1);

    r->at++;
    size_t len = word_len(r->at);
    if (len == 3 && memcmp(r->at, "for", 3) == 0) {
        buf_t text = buf_of(CAPDATA_BYTES_MAX);
        r->at += len;
        if (!err) err = reader_expect(r, '(', "a ( must stand here");
        reader_blank(r);
        if (!err) err = read_quoted(r, &text);
        if (!err && text.len > 1 && memcmp(text.at, "@@", 2) == 0) err = buf_text(&name, "@@");
        if (!err) err = buf_add(&name, text.at, text.len);
        if (!err) err = reader_expect(r, ')', "a ) must stand here");
        buf_clear(&text);
    } else {
        size_t i = 0, count = sizeof known / sizeof *known;
        while (i < count && (strlen(known[i]) != len || memcmp(known[i], r->at, len) != 0)) i++;
        if (i == count)
            err = reader_wrong(r, "only well-known symbols and Symbol.for(\"x\") can be passed");
        if (!err) err = buf_text(&name, "@@");
        if (!err) err = buf_add(&name, r->at, len);
        if (!err) r->at += len;
    }
    if (!err) err = json_add_string(out, (text_t){(const char *)name.at, name.len});
    buf_clear(&name);
    return err;
}

static err_t read_name(reader_t *r, buf_t *out)
{
    char name[NAME_BYTES_MAX + 1];
    size_t len = 0;
    kref_t kref;

    r->at++;
    while (word_char(r->at[len]) || r->at[len] == '-' || r->at[len] == '/') len++;
    if (!len || len >= sizeof name) return reader_wrong(r, "a name must stand behind @");
    memcpy(name, r->at, len);
    name[len] = 0;
    if (!r->names) return reader_wrong(r, "names mean nothing here");
    err_t err = r->names->find(r->names->context, name, &kref, r->f);
    r->at += len;
    return err ? err : reader_put(r, out, kref);
}

static err_t bare_word(reader_t *r, const char *word, size_t len)
{
    if (!r->argument) return reader_wrong(r, "a value does not end with this word");
    fail(r->f, ERR_BARE_WORD, "argument %zu: \"%.*s\" is a bare word", r->argument, (int)len, word);
    fail_try(r->f, "s:%.*s     the string \"%.*s\"", (int)len, word, (int)len, word);
    fail_try(r->f, "@%.*s      the object named %.*s", (int)len, word, (int)len, word);
    return ERR_BARE_WORD;
}

static err_t read_word(reader_t *r, buf_t *out)
{
    const char *word = r->at;
    kref_t kref;
    size_t kref_len = word_kref(word, &kref), len = word_len(word);
    size_t literal = literal_find(word, len);

    if (kref_len) {
        r->at += kref_len;
        return reader_put(r, out, kref);
    }
    if (literal < BODIES) {
        r->at += len;
        return buf_text(out, bodies[literal]);
    }
    if (literal == SYMBOL && word[len] == '.') {
        r->at += len;
        return reader_symbol(r, out);
    }
    if (word[len] == '(') {
        r->at += len + 1;
        if (literal == TAGGED) return read_tagged(r, out);
        if (literal < TAGGED) return read_error(r, out, word, len);
        r->at = word;
        if (literal == BYTES) {
            err_t err = reader_wrong(r, "byte arrays cannot be passed yet");
            return r->f->err = err ? ERR_BYTES_UNSUPPORTED : err;
        }
        return reader_wrong(r,
                            "nothing is evaluated but tagged(), Error() and its kin, Symbol.for()");
    }
    return len ? bare_word(r, word, len) : reader_wrong(r, "no value begins like this");
}

static bool taken(reader_t *r, buf_t *out, err_t *ret)
{
    bool is_taken = false;

    if (!r->term || !(word_char(*r->at) || *r->at == '@')) return false;
    *ret = r->term(r, out, &is_taken);
    return is_taken || *ret;
}

err_t reader_value(reader_t *r, buf_t *out)
{
    err_t err;

    if (++r->depth > BODY_DEPTH_MAX) return reader_wrong(r, "too deep");
    reader_blank(r);
    if (strncmp(r->at, "-Infinity", 9) == 0 && !word_char(r->at[9])) {
        r->at += 9;
        err = buf_text(out, "\"#-Infinity\"");
    } else if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9')) {
        err = read_number(r, out);
        if (!err && word_char(*r->at)) err = reader_wrong(r, "a number ends before this");
    } else if (*r->at == '"' || *r->at == '\'') {
        err = reader_string(r, out);
    } else if (*r->at == '[') {
        err = read_array(r, out);
    } else if (*r->at == '{') {
        err = read_record(r, out);
    } else if (taken(r, out, &err)) {
        /* the shell's: a name, or a message */
    } else if (*r->at == '@') {
        err = read_name(r, out);
    } else {
        err = read_word(r, out);
    }
    r->depth--;
    return err;
}

static err_t read_argument(reader_t *r, buf_t *out)
{
    if (strncmp(r->whole, "s:", 2) == 0) return body_put_string(out, text_of(r->whole + 2));

    err_t err = reader_value(r, out);
    reader_blank(r);
    if (!err && *r->at) {
        /* Two words, or a word with a dash in it, are a text without its quotes. */
        if (word_char(*r->whole) && !(*r->whole >= '0' && *r->whole <= '9')) {
            return bare_word(r, r->whole, strlen(r->whole));
        }
        err = reader_wrong(r, "the value ends before this");
    }
    return err;
}

err_t value_methargs(value_t *self, const char *method, char *const *arguments, size_t count,
                     const names_t *names, fail_t *f)
{
    reader_t r = {.value = self, .names = names, .f = f, .whole = method, .at = method};
    buf_t *out = &self->body;
    err_t err = buf_text(out, "#[");

    if (!err) {
        if (strncmp(method, "Symbol.", 7) == 0) {
            r.at += 6;
            err = reader_symbol(&r, out);
            if (!err && *r.at) err = reader_wrong(&r, "the symbol ends before this");
        } else {
            err = body_put_string(out, text_of(method));
        }
    }
    if (!err) err = buf_text(out, ",[");
    for (size_t i = 0; i < count && !err; i++) {
        r.whole = r.at = arguments[i];
        r.argument = i + 1;
        if (i) err = buf_text(out, ",");
        if (!err) err = read_argument(&r, out);
    }
    if (!err) err = buf_text(out, "]]");
    if (err == ERR_WIRE_LIMIT) fail(f, ERR_VALUE_LITERAL, "the arguments are too large");
    return err == ERR_WIRE_LIMIT ? ERR_VALUE_LITERAL : err;
}
