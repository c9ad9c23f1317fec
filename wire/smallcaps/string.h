/* Strings inside a body: JSON's spelling, and what smallcaps makes of the decoded characters. Only for
 * wire/smallcaps. */
#pragma once
#include "wire/base/bytes.h"

/* Decoded characters kept for a look: enough for every constant, well-known symbol and the
 * beginning of an interface name behind a slot index. */
enum { STRING_HEAD_MAX = 32 };

/* One JSON string, scanned. */
typedef struct {
    char head[STRING_HEAD_MAX]; /* first decoded characters; 0x7f for all that are not ASCII */
    size_t len;       /* decoded characters (UTF-16 units or code points, not told apart) */
    bool rest_digits; /* every character after the first is a digit */
    text_t raw;       /* between the quotes, escapes as they are */
    text_t raw_rest;  /* the same without the first decoded character */
} string_t;

/* Scans the JSON string whose opening quote is at *AT, not behind END; moves *AT behind its closing
 * quote. False when it is not well-formed; *AT is then of no use. Lone surrogates written as escapes
 * are well-formed, as they are for JSON.parse. */
bool string_scan(const uint8_t **at, const uint8_t *end, string_t *ret);

/* Are the decoded characters exactly TEXT? TEXT is shorter than STRING_HEAD_MAX. */
bool string_is(const string_t *self, const char *text);

typedef enum {
    STRING_BROKEN, /* what a decoder throws on */
    STRING_TEXT,   /* a string */
    STRING_UNDEFINED,
    STRING_NUMBER, /* NaN, infinities */
    STRING_BIGINT,
    STRING_SYMBOL,
    STRING_OBJECT, /* "$i" */
    STRING_PROMISE,
} string_kind_t;

/* What it stands for as a value. For OBJECT and PROMISE sets RET_SLOT to the index. */
string_kind_t string_kind(const string_t *self, size_t *ret_slot);

/* Takes the next character off TEXT, the inside of a scanned string: its code point, U+FFFD for half a
 * pair of surrogates. False at the end. */
bool string_next(text_t *text, uint32_t *ret);
