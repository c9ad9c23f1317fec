/* smallcaps_check(): one pass over the body with an explicit stack of a few bits per level. */
#include <string.h>

#include "wire/base/limits.h"
#include "wire/smallcaps/smallcaps.h"
#include "wire/smallcaps/string.h"

/* What is known of a container that is still open. A record shows only at its end whether it is
 * plain, a tagged value or an error, because JSON has no order: so what each would forbid is
 * noted on the way. */
enum {
    IS_ARRAY = 1 << 0,
    HAS_TAG = 1 << 1,
    HAS_PAYLOAD = 1 << 2,
    HAS_ERROR = 1 << 3,
    HAS_NAME = 1 << 4,
    HAS_ID = 1 << 5,
    NOT_PLAIN = 1 << 6,  /* a property name that a plain record cannot have */
    NOT_TAGGED = 1 << 7, /* a property besides "#tag" and "payload", or a tag that is no string */
    NOT_ERROR = 1 << 8,  /* a further property, or a message, name or errorId that is no string */
    TWICE = 1 << 9,      /* one of the names above appears twice */
};

/* What a value must be for what its property name makes of the record. */
typedef enum { ROLE_NONE, ROLE_TAG, ROLE_ERROR_TEXT } role_t;

/* What kind of value was read. */
typedef enum {
    VALUE_BROKEN,
    VALUE_STRING,
    VALUE_SYMBOL,
    VALUE_UNDEFINED,
    VALUE_ARRAY, /* only opened, as the next */
    VALUE_RECORD,
    VALUE_OTHER,
} value_t;

typedef struct {
    const uint8_t *at, *end;
    krefs_t slots;
    shape_t shape;
    size_t depth;
    uint16_t open[BODY_DEPTH_MAX];
    role_t role;      /* of the value that comes next */
    size_t top_count; /* elements of the outermost array so far */
} check_t;

static void skip_space(check_t *c)
{
    while (c->at < c->end &&
           (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) {
        c->at++;
    }
}

/* Takes BYTE, with space before it, when it is there. */
static bool take(check_t *c, char byte)
{
    skip_space(c);
    if (c->at == c->end || *c->at != (uint8_t)byte) return false;
    c->at++;
    return true;
}

static bool take_word(check_t *c, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0) return false;
    c->at += len;
    return true;
}

static bool take_digits(check_t *c)
{
    const uint8_t *begin = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') c->at++;
    return c->at > begin;
}

static bool here(const check_t *c, char a, char b)
{
    return c->at < c->end && (*c->at == (uint8_t)a || *c->at == (uint8_t)b);
}

static bool take_number(check_t *c)
{
    if (here(c, '-', '-')) c->at++;
    if (here(c, '0', '0'))
        c->at++;
    else if (!take_digits(c))
        return false;
    if (here(c, '.', '.')) {
        c->at++;
        if (!take_digits(c)) return false;
    }
    if (here(c, 'e', 'E')) {
        c->at++;
        if (here(c, '+', '-')) c->at++;
        if (!take_digits(c)) return false;
    }
    return true;
}

static value_t take_string(check_t *c)
{
    string_t string;
    size_t slot;

    if (!string_scan(&c->at, c->end, &string)) return VALUE_BROKEN;
    switch (string_kind(&string, &slot)) {
    case STRING_BROKEN: return VALUE_BROKEN;
    case STRING_TEXT: return VALUE_STRING;
    case STRING_UNDEFINED: return VALUE_UNDEFINED;
    case STRING_SYMBOL: return VALUE_SYMBOL;
    case STRING_NUMBER:
    case STRING_BIGINT: return VALUE_OTHER;
    case STRING_OBJECT:
        return slot < c->slots.count && kref_is_object(c->slots.at[slot]) ? VALUE_OTHER
                                                                          : VALUE_BROKEN;
    case STRING_PROMISE:
        return slot < c->slots.count && kref_is_promise(c->slots.at[slot]) ? VALUE_OTHER
                                                                           : VALUE_BROKEN;
    }
    return VALUE_BROKEN;
}

static value_t open_container(check_t *c, bool array)
{
    c->at++;
    if (c->depth == BODY_DEPTH_MAX) return VALUE_BROKEN;
    c->open[c->depth++] = array ? IS_ARRAY : 0;
    return array ? VALUE_ARRAY : VALUE_RECORD;
}

/* A whole value, or the opening of a container. */
static value_t take_value(check_t *c)
{
    skip_space(c);
    if (c->at == c->end) return VALUE_BROKEN;
    switch (*c->at) {
    case '"': return take_string(c);
    case '[': return open_container(c, true);
    case '{': return open_container(c, false);
    case 'n': return take_word(c, "null") ? VALUE_OTHER : VALUE_BROKEN;
    case 't': return take_word(c, "true") ? VALUE_OTHER : VALUE_BROKEN;
    case 'f': return take_word(c, "false") ? VALUE_OTHER : VALUE_BROKEN;
    default: return take_number(c) ? VALUE_OTHER : VALUE_BROKEN;
    }
}

/* Notes what a property name says of its record, and what its value must be. */
static void note_name(check_t *c, const string_t *name, uint16_t *flags)
{
    static const struct {
        const char *name;
        uint16_t flag, more;
        role_t role;
    } known[] = {
        {"#tag", HAS_TAG, NOT_PLAIN | NOT_ERROR, ROLE_TAG},
        {"payload", HAS_PAYLOAD, NOT_ERROR, ROLE_NONE},
        {"#error", HAS_ERROR, NOT_PLAIN | NOT_TAGGED, ROLE_ERROR_TEXT},
        {"name", HAS_NAME, NOT_TAGGED, ROLE_ERROR_TEXT},
        {"errorId", HAS_ID, NOT_TAGGED, ROLE_ERROR_TEXT},
    };

    c->role = ROLE_NONE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!string_is(name, known[i].name)) continue;
        if (*flags & known[i].flag) *flags |= TWICE;
        *flags |= (uint16_t)(known[i].flag | known[i].more);
        c->role = known[i].role;
        return;
    }

    /* The decoder tolerates further properties of an error, but throws on some of them ("message", a
     * "toString" that is no function, some values of "cause"), and no encoder writes any. */
    *flags |= NOT_TAGGED | NOT_ERROR;
    size_t unused;
    if (string_kind(name, &unused) != STRING_TEXT) *flags |= NOT_PLAIN;
}

static bool take_name(check_t *c, uint16_t *flags)
{
    string_t name;

    skip_space(c);
    if (c->at == c->end || *c->at != '"' || !string_scan(&c->at, c->end, &name)) return false;
    note_name(c, &name, flags);
    return take(c, ':');
}

/* Is a record with these FLAGS, now complete, one that a decoder takes? */
static bool record_fine(uint16_t flags)
{
    if (flags & HAS_TAG) return (flags & HAS_PAYLOAD) && !(flags & (NOT_TAGGED | TWICE));
    if (flags & HAS_ERROR) return (flags & HAS_NAME) && !(flags & (NOT_ERROR | TWICE));
    return !(flags & NOT_PLAIN);
}

/* SHAPE_METHARGS: is VALUE right as the element number top_count of the outermost array? */
static bool element_fine(const check_t *c, value_t value)
{
    if (c->shape != SHAPE_METHARGS) return true;
    if (c->top_count == 0) {
        return value == VALUE_STRING || value == VALUE_SYMBOL || value == VALUE_UNDEFINED;
    }
    return c->top_count == 1 && value == VALUE_ARRAY;
}

/* The next member of the innermost open container: a value, behind its name in a record. */
static value_t take_member(check_t *c)
{
    size_t depth = c->depth;
    uint16_t *flags = &c->open[depth - 1];
    bool array = *flags & IS_ARRAY;

    if (!array && !take_name(c, flags)) return VALUE_BROKEN;
    role_t role = c->role;
    value_t value = take_value(c);
    if (!array && value != VALUE_STRING) {
        if (role == ROLE_TAG) *flags |= NOT_TAGGED;
        if (role == ROLE_ERROR_TEXT) *flags |= NOT_ERROR;
    }
    if (depth == 1) {
        if (array && !element_fine(c, value)) return VALUE_BROKEN;
        c->top_count++;
    }
    return value;
}

static bool at_closing(const check_t *c, value_t opened)
{
    char bracket = opened == VALUE_ARRAY ? ']' : '}';
    return here(c, bracket, bracket);
}

/* Closes containers as far as their brackets come, up to a comma or the end of the outermost. */
static bool take_ends(check_t *c)
{
    while (c->depth > 0 && !take(c, ',')) {
        uint16_t flags = c->open[c->depth - 1];
        if (!take(c, flags & IS_ARRAY ? ']' : '}')) return false;
        if (!(flags & IS_ARRAY) && !record_fine(flags)) return false;
        c->depth--;
    }
    return true;
}

static bool check_body(check_t *c)
{
    value_t value = take_value(c);

    if (c->shape == SHAPE_METHARGS && value != VALUE_ARRAY) return false;
    while (value != VALUE_BROKEN) {
        bool opened = value == VALUE_ARRAY || value == VALUE_RECORD;
        skip_space(c);
        if (!opened || at_closing(c, value)) {
            if (!take_ends(c)) return false;
            if (c->depth == 0) break;
        }
        value = take_member(c);
    }
    skip_space(c);
    if (c->shape == SHAPE_METHARGS && c->top_count != 2) return false;
    return value != VALUE_BROKEN && c->at == c->end;
}

err_t smallcaps_check(const capdata_t *data, shape_t shape)
{
    if (data->body.len < 2 || data->body.at[0] != '#') return ERR_BODY_BROKEN;

    check_t check = {.at = data->body.at + 1,
                     .end = data->body.at + data->body.len,
                     .slots = data->slots,
                     .shape = shape};
    return check_body(&check) ? ERR_OK : ERR_BODY_BROKEN;
}
