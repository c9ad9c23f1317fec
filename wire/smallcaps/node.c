/* Reading a checked body: a node is a place in it, and nothing is built. Whatever looks for something
 * goes over the text in a loop. */
#include <stdio.h>
#include <string.h>

#include "wire/base/limits.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"
#include "wire/smallcaps/string.h"

static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

/* AT is at an opening quote: behind the closing one. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\' && end - at > 1) at++;
    }
    return at < end ? at + 1 : end;
}

/* Behind the value that begins at AT. */
static const uint8_t *skip_value(const uint8_t *at, const uint8_t *end)
{
    size_t depth = 0;

    do {
        if (at == end) return end;
        if (*at == '"') {
            at = skip_string(at, end);
        } else if (*at == '[' || *at == '{') {
            depth++;
            at++;
        } else if (depth > 0) {
            if (*at == ']' || *at == '}') depth--;
            at++;
        } else {
            while (at < end && !strchr(",]} \t\n\r", *at)) at++;
        }
    } while (depth > 0);
    return at;
}

static node_t node_at(node_t whole, const uint8_t *at)
{
    at = skip_space(at, whole.end);
    return (node_t){whole.data, at, skip_value(at, whole.end)};
}

static const node_t none;

node_t node_root(const capdata_t *data)
{
    if (data->body.len < 2 || data->body.at[0] != '#') return none;
    return node_at((node_t){data, data->body.at, data->body.at + data->body.len},
                   data->body.at + 1);
}

static uint8_t first_byte(node_t self) { return self.data && self.at < self.end ? *self.at : 0; }

/* The string that SELF is, scanned, and what it stands for. */
static string_kind_t scan(node_t self, string_t *ret, size_t *ret_slot)
{
    const uint8_t *at = self.at;
    if (first_byte(self) != '"' || !string_scan(&at, self.end, ret)) return STRING_BROKEN;
    return string_kind(ret, ret_slot);
}

static node_kind_t text_kind(node_t self)
{
    string_t string;
    size_t slot;

    switch (scan(self, &string, &slot)) {
    case STRING_BROKEN: return NODE_NONE;
    case STRING_TEXT: return NODE_TEXT;
    case STRING_UNDEFINED: return NODE_UNDEFINED;
    case STRING_NUMBER: return NODE_NUMBER;
    case STRING_BIGINT: return NODE_BIGINT;
    case STRING_SYMBOL: return NODE_SYMBOL;
    case STRING_OBJECT: return NODE_OBJECT;
    case STRING_PROMISE: return NODE_PROMISE;
    }
    return NODE_NONE;
}

/* The child behind CHILD (the first for none) of anything with brackets. */
static bool child_next(node_t parent, node_t *child, node_t *ret_name)
{
    bool named = *parent.at == '{';
    const uint8_t *at = skip_space(child->data ? child->end : parent.at + 1, parent.end);

    if (child->data && at < parent.end && *at == ',') at = skip_space(at + 1, parent.end);
    if (at == parent.end || *at == ']' || *at == '}') return false;
    node_t name = none;
    if (named) {
        name = node_at(parent, at);
        at = skip_space(name.end, parent.end);
        if (at < parent.end) at++; /* the colon */
    }
    *child = node_at(parent, at);
    if (ret_name) *ret_name = name;
    return true;
}

/* What the brackets make: only a name shows it, and those that a plain record may have as well say
 * nothing yet. */
static node_kind_t record_kind(node_t self)
{
    node_t child = none, name;
    string_t string;

    while (child_next(self, &child, &name)) {
        const uint8_t *at = name.at;
        if (first_byte(name) != '"' || !string_scan(&at, name.end, &string)) return NODE_NONE;
        if (string_is(&string, "#tag")) return NODE_TAGGED;
        if (string_is(&string, "#error")) return NODE_ERROR;
        if (!string_is(&string, "payload") && !string_is(&string, "name") &&
            !string_is(&string, "errorId")) {
            break;
        }
    }
    return NODE_RECORD;
}

node_kind_t node_kind(node_t self)
{
    switch (first_byte(self)) {
    case 0: return NODE_NONE;
    case '"': return text_kind(self);
    case '[': return NODE_ARRAY;
    case '{': return record_kind(self);
    case 'n': return NODE_NULL;
    case 't':
    case 'f': return NODE_BOOL;
    default: return NODE_NUMBER;
    }
}

bool node_next(node_t parent, node_t *child, node_t *ret_name)
{
    /* The whole is looked at once, not for every child. */
    if (!child->data) {
        node_kind_t kind = node_kind(parent);
        if (kind != NODE_ARRAY && kind != NODE_RECORD) return false;
    }
    return child_next(parent, child, ret_name);
}

node_t node_item(node_t array, size_t i)
{
    node_t child = none;

    if (first_byte(array) != '[') return none;
    while (child_next(array, &child, NULL)) {
        if (i-- == 0) return child;
    }
    return none;
}

/* Are the characters of RAW, decoded, exactly WANT? */
static bool characters_are(text_t raw, const char *want)
{
    uint32_t c;

    while (*want && string_next(&raw, &c)) {
        if (c != (uint8_t)*want++) return false;
    }
    return *want == 0 && raw.len == 0;
}

/* The inside of a text, without the '!' that keeps it from being something else. */
static text_t text_inside(const string_t *string)
{
    return string->len && string->head[0] == '!' ? string->raw_rest : string->raw;
}

node_t node_member(node_t record, const char *name)
{
    node_t child = none, child_name, found = none;
    node_kind_t kind = node_kind(record);
    string_t string;

    if (kind != NODE_RECORD && kind != NODE_TAGGED && kind != NODE_ERROR) return none;
    while (child_next(record, &child, &child_name)) {
        const uint8_t *at = child_name.at;
        if (!string_scan(&at, child_name.end, &string)) return none;
        /* "#tag" and "#error" are no texts: those names are themselves. */
        text_t inside = kind == NODE_RECORD ? text_inside(&string) : string.raw;
        if (characters_are(inside, name)) found = child;
    }
    return found;
}

size_t node_count(node_t parent)
{
    size_t count = 0;

    for (node_t child = none; node_next(parent, &child, NULL);) count++;
    return count;
}

static err_t add_character(buf_t *out, uint32_t c)
{
    uint8_t byte[4];
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = len; i-- > 1; c >>= 6) byte[i] = (uint8_t)(0x80 | (c & 0x3f));
    static const uint8_t head[] = {0, 0, 0xc0, 0xe0, 0xf0};
    byte[0] = (uint8_t)(head[len] | c);
    return buf_add(out, byte, len);
}

err_t node_text(node_t self, buf_t *out)
{
    string_t string;
    size_t slot, before = out->len;
    uint32_t c;
    err_t err = ERR_OK;

    string_kind_t kind = scan(self, &string, &slot);
    if (kind != STRING_TEXT && kind != STRING_SYMBOL) return ERR_BODY_BROKEN;
    text_t rest = kind == STRING_SYMBOL ? string.raw_rest : text_inside(&string);
    while (!err && string_next(&rest, &c)) err = add_character(out, c);
    if (err) out->len = before;
    return err;
}

bool node_is(node_t self, const char *text)
{
    string_t string;
    size_t slot;

    return scan(self, &string, &slot) == STRING_TEXT && characters_are(text_inside(&string), text);
}

/* A number's digits so far: `value`, and as many zeros behind it that may turn out to be the last. */
typedef struct {
    uint64_t value;
    int64_t zeros;
    bool large;
} digits_t;

static bool times_ten(uint64_t *value)
{
    return !__builtin_mul_overflow(*value, 10, value) && *value <= INT64_MAX;
}

static void digit_add(digits_t *self, uint32_t digit)
{
    if (digit == 0) {
        if (self->value) self->zeros++;
        return;
    }
    while (self->zeros >= 0 && !self->large) {
        self->large = !times_ten(&self->value);
        self->zeros--;
    }
    self->value += self->large ? 0 : digit;
    self->large |= self->value > INT64_MAX;
    self->zeros = 0;
}

/* The value times ten to the EXPONENT (and to the zeros), when that is whole and small enough. */
static bool digits_whole(digits_t self, int64_t exponent, uint64_t *ret)
{
    if (self.large) return false;
    if (self.value == 0) exponent = self.zeros = 0;
    exponent += self.zeros;
    if (exponent < 0 || exponent > 18) return false;
    while (exponent-- > 0) {
        if (!times_ten(&self.value)) return false;
    }
    *ret = self.value;
    return true;
}

static bool number_whole(node_t self, uint64_t *ret)
{
    const uint8_t *at = self.at;
    digits_t digits = {0};
    int64_t exponent = 0, more = 0;

    bool minus = *at == '-';
    bool fraction = false;
    for (at += minus; at < self.end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        digit_add(&digits, *at - '0');
        exponent -= fraction;
    }
    if (at < self.end) at++; /* the e */
    bool down = at < self.end && *at == '-';
    for (; at < self.end; at++) {
        if (*at >= '0' && *at <= '9' && more < CAPDATA_BYTES_MAX) more = more * 10 + *at - '0';
    }
    exponent += down ? -more : more;
    return !(minus && digits.value) && digits_whole(digits, exponent, ret);
}

static bool bigint_whole(const string_t *string, uint64_t *ret)
{
    text_t rest = string->raw_rest;
    digits_t digits = {0};
    uint32_t c;

    while (string_next(&rest, &c)) digit_add(&digits, c - '0');
    return !(string->head[0] == '-' && digits.value) && digits_whole(digits, 0, ret);
}

bool node_whole(node_t self, uint64_t *ret)
{
    string_t string;
    size_t slot;

    uint8_t first = first_byte(self);
    if (first == '-' || (first >= '0' && first <= '9')) return number_whole(self, ret);
    return scan(self, &string, &slot) == STRING_BIGINT && bigint_whole(&string, ret);
}

bool node_bool(node_t self, bool *ret)
{
    uint8_t first = first_byte(self);
    if (first != 't' && first != 'f') return false;
    *ret = first == 't';
    return true;
}

kref_t node_slot(node_t self)
{
    string_t string;
    size_t slot;

    string_kind_t kind = scan(self, &string, &slot);
    if (kind != STRING_OBJECT && kind != STRING_PROMISE) return (kref_t){0};
    return slot < self.data->slots.count ? self.data->slots.at[slot] : (kref_t){0};
}

/* ---- cutting a value out ---- */

/* What is known of the slots of the whole. Places are counted from 1. */
typedef struct {
    const capdata_t *data;
    uint32_t named[SLOTS_MAX]; /* where the body first gives it an interface name, behind the dot */
    uint16_t place[SLOTS_MAX]; /* its number in the cut */
    buf_t *body;
    kref_t *slots;
    size_t count;
} cut_t;

/* The interface name of an object's STRING, as it is spelled, behind its dot. */
static text_t iface_of(const string_t *string)
{
    text_t rest = string->raw_rest;
    uint32_t c;

    while (string_next(&rest, &c)) {
        if (c == '.') return rest;
    }
    return (text_t){NULL, 0};
}

/* Finds the next slot from *AT on and moves *AT behind it; RET_FROM is where it begins. */
static bool slot_find(const cut_t *cut, const uint8_t **at, const uint8_t *end,
                      const uint8_t **ret_from, string_t *string, size_t *slot)
{
    while ((*at = memchr(*at, '"', (size_t)(end - *at)))) {
        *ret_from = *at;
        if (!string_scan(at, end, string)) return false;
        string_kind_t kind = string_kind(string, slot);
        if (kind != STRING_OBJECT && kind != STRING_PROMISE) continue;
        if (*slot < cut->data->slots.count && *slot < SLOTS_MAX) return true;
    }
    return false;
}

static void names_find(cut_t *cut)
{
    const uint8_t *begin = cut->data->body.at, *end = begin + cut->data->body.len;
    const uint8_t *at = begin, *from;
    string_t string;
    size_t slot;

    while (slot_find(cut, &at, end, &from, &string, &slot)) {
        text_t iface = iface_of(&string);
        if (iface.at && !cut->named[slot]) {
            cut->named[slot] = (uint32_t)((const uint8_t *)iface.at - begin);
        }
    }
}

/* One mention of SLOT, which is spelled as SIGN and its number. */
static err_t mention_add(cut_t *cut, char sign, size_t slot)
{
    char text[32];
    bool first = !cut->place[slot];

    if (first) {
        cut->slots[cut->count++] = cut->data->slots.at[slot];
        cut->place[slot] = (uint16_t)cut->count;
    }
    int len = snprintf(text, sizeof text, "\"%c%u", sign, cut->place[slot] - 1u);
    must(len > 0 && (size_t)len < sizeof text);
    err_t err = buf_add(cut->body, text, (size_t)len);
    if (!err && first && cut->named[slot]) {
        const uint8_t *name = cut->data->body.at + cut->named[slot];
        const uint8_t *end = skip_string(name - 1, cut->data->body.at + cut->data->body.len);
        err = buf_add(cut->body, ".", 1);
        return err ? err : buf_add(cut->body, name, (size_t)(end - name));
    }
    return err ? err : buf_add(cut->body, "\"", 1);
}

static err_t cut_text(cut_t *cut, node_t self)
{
    const uint8_t *at = self.at, *done = self.at, *from;
    string_t string;
    size_t slot;

    err_t err = buf_add(cut->body, "#", 1);
    while (!err && slot_find(cut, &at, self.end, &from, &string, &slot)) {
        err = buf_add(cut->body, done, (size_t)(from - done));
        if (!err) err = mention_add(cut, string.head[0], slot);
        done = at;
    }
    return err ? err : buf_add(cut->body, done, (size_t)(self.end - done));
}

err_t node_cut(node_t self, buf_t *body, kref_t *slots, size_t *ret_count)
{
    cut_t cut;
    size_t before = body->len;

    if (node_kind(self) == NODE_NONE) return ERR_BODY_BROKEN;
    cut.data = self.data;
    cut.body = body;
    cut.slots = slots;
    cut.count = 0;
    size_t known = self.data->slots.count < SLOTS_MAX ? self.data->slots.count : SLOTS_MAX;
    memset(cut.named, 0, known * sizeof *cut.named);
    memset(cut.place, 0, known * sizeof *cut.place);
    names_find(&cut);
    err_t err = cut_text(&cut, self);
    if (err)
        body->len = before;
    else
        *ret_count = cut.count;
    return err;
}
