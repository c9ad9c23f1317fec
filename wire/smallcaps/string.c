#include "wire/smallcaps/string.h"

#include <string.h>

#include "wire/base/utf8.h"

/* What stands in head[] for a character that no comparison may match. */
enum { OTHER = 0x7f };

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* AT is behind a backslash. Moves it behind the escape; sets RET to the character, OTHER when it is
 * not ASCII. */
static bool escape_scan(const uint8_t **at, const uint8_t *end, char *ret)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

    if (*at == end) return false;
    uint8_t c = *(*at)++;
    if (c != 'u') {
        const char *found = c ? strchr(from, c) : NULL;
        if (found) *ret = to[found - from];
        return found;
    }
    if (end - *at < 4) return false;
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(*(*at)++);
        if (digit < 0) return false;
        value = value << 4 | digit;
    }
    *ret = value < 0x7f ? (char)value : OTHER;
    return true;
}

/* One character, decoded, as it may stand between the quotes. */
static bool char_scan(const uint8_t **at, const uint8_t *end, char *ret)
{
    uint8_t c = **at;

    if (c == '\\') {
        (*at)++;
        return escape_scan(at, end, ret);
    }
    if (c < 0x20) return false;
    size_t step = utf8_len(*at, (size_t)(end - *at));
    if (!step) return false;
    *at += step;
    *ret = step == 1 ? (char)c : OTHER;
    return true;
}

/* Are the next eight bytes ASCII that stands for itself? Long strings are nearly always that. */
static bool plain_eight(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t x;

    if (end - at < 8) return false;
    memcpy(&x, at, sizeof x);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    /* Sets the top bit of each byte that is below 0x20, or zero; carries only ever say "no" wrongly. */
    uint64_t stops = (x - ones * 0x20) | (quote - ones) | (backslash - ones) | x;
    return !(stops & tops);
}

bool string_scan(const uint8_t **at_p, const uint8_t *end, string_t *ret)
{
    const uint8_t *at = *at_p + 1, *begin = at, *second = at;

    ret->len = 0;
    ret->rest_digits = true;
    for (;;) {
        while (ret->len >= STRING_HEAD_MAX && !ret->rest_digits && plain_eight(at, end)) {
            at += 8;
            ret->len += 8;
        }
        if (at == end) return false;
        if (*at == '"') break;

        char c;
        if (!char_scan(&at, end, &c)) return false;
        if (ret->len == 0)
            second = at;
        else if (c < '0' || c > '9')
            ret->rest_digits = false;
        if (ret->len < STRING_HEAD_MAX) ret->head[ret->len] = c;
        ret->len++;
    }
    ret->raw = (text_t){(const char *)begin, (size_t)(at - begin)};
    ret->raw_rest = (text_t){(const char *)second, (size_t)(at - second)};
    *at_p = at + 1;
    return true;
}

static bool starts(const string_t *self, size_t at, const char *text)
{
    size_t len = strlen(text);
    return self->len >= at + len && at + len <= STRING_HEAD_MAX &&
           memcmp(self->head + at, text, len) == 0;
}

bool string_is(const string_t *self, const char *text)
{
    return self->len == strlen(text) && starts(self, 0, text);
}

static string_kind_t constant_kind(const string_t *self)
{
    if (string_is(self, "#undefined")) return STRING_UNDEFINED;
    if (string_is(self, "#NaN") || string_is(self, "#Infinity") || string_is(self, "#-Infinity")) {
        return STRING_NUMBER;
    }
    return STRING_BROKEN;
}

/* "%name" is a registered symbol, "%@@name" a well-known one, "%@@@@name" the registered "@@name". */
static string_kind_t symbol_kind(const string_t *self)
{
    static const char *const known[] = {
        "%@@asyncIterator", "%@@hasInstance", "%@@isConcatSpreadable",
        "%@@iterator",      "%@@match",       "%@@matchAll",
        "%@@replace",       "%@@search",      "%@@species",
        "%@@split",         "%@@toPrimitive", "%@@toStringTag",
        "%@@unscopables",
    };

    if (!starts(self, 1, "@@") || starts(self, 3, "@@")) return STRING_SYMBOL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (string_is(self, known[i])) return STRING_SYMBOL;
    }
    return STRING_BROKEN;
}

/* "$i", "$i.iface" and "&i": the index as the encoder spells it, and an interface name that the
 * receiver's Remotable() takes. */
static string_kind_t slot_kind(const string_t *self, size_t *ret_slot)
{
    bool promise = self->head[0] == '&';
    size_t i = 1, slot = 0;

    while (i < self->len && i < 8 && self->head[i] >= '0' && self->head[i] <= '9') {
        slot = slot * 10 + (size_t)(self->head[i] - '0');
        i++;
    }
    if (i == 1 || (i > 2 && self->head[1] == '0')) return STRING_BROKEN;
    if (i < self->len) {
        bool iface = !promise && self->head[i] == '.' &&
                     (starts(self, i + 1, "Alleged: ") || starts(self, i + 1, "DebugName: ") ||
                      (starts(self, i + 1, "Remotable") && self->len == i + 10));
        if (!iface) return STRING_BROKEN;
    }
    *ret_slot = slot;
    return promise ? STRING_PROMISE : STRING_OBJECT;
}

string_kind_t string_kind(const string_t *self, size_t *ret_slot)
{
    if (self->len == 0) return STRING_TEXT;
    switch (self->head[0]) {
    case '!': return STRING_TEXT;
    case '#': return constant_kind(self);
    case '%': return symbol_kind(self);
    case '+':
    case '-': return self->len > 1 && self->rest_digits ? STRING_BIGINT : STRING_BROKEN;
    case '$':
    case '&': return slot_kind(self, ret_slot);
    case '"':
    case '\'':
    case '(':
    case ')':
    case '*':
    case ',': return STRING_BROKEN;
    default: return STRING_TEXT;
    }
}

/* One character as it is spelled: what is behind "\\u" is half a pair perhaps. */
static uint32_t spelled_next(text_t *text)
{
    const uint8_t *at = (const uint8_t *)text->at, *end = at + text->len;
    uint32_t ret = 0;

    if (*at != '\\') {
        size_t len = utf8_len(at, text->len);
        static const uint8_t bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
        ret = *at++ & bits[len];
        for (size_t i = 1; i < len; i++) ret = ret << 6 | (*at++ & 0x3fu);
        if (!len) at = end; /* it was no scanned string */
    } else if (text->len >= 6 && at[1] == 'u') {
        for (size_t i = 2; i < 6; i++) ret = ret << 4 | ((uint32_t)hex_value(at[i]) & 0xf);
        at += 6;
    } else {
        char c = 0;
        at++;
        if (!escape_scan(&at, end, &c)) at = end;
        ret = (uint8_t)c;
    }
    text->len = (size_t)(end - at);
    text->at = (const char *)at;
    return ret;
}

bool string_next(text_t *text, uint32_t *ret)
{
    if (text->len == 0) return false;

    uint32_t c = spelled_next(text);
    if (c >= 0xd800 && c < 0xdc00 && text->len) {
        text_t behind = *text;
        uint32_t low = spelled_next(&behind);
        if (low >= 0xdc00 && low < 0xe000) {
            *text = behind;
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    *ret = c >= 0xd800 && c < 0xe000 ? 0xfffd : c;
    return true;
}
