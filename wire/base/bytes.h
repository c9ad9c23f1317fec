/* The few plain types that everything else is made of. All of them borrow what they point at. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
typedef struct { const char *at; size_t len; } text_t;   /* UTF-8, not NUL-terminated */
typedef struct { const uint8_t *at; size_t len; } bin_t;
typedef struct { uint8_t b[32]; } hash_t;                /* BLAKE2b-256, or all zero: none */
typedef struct { uint8_t b[16]; } id128_t;               /* random, or all zero: none */
/* clang-format on */

static inline text_t text_of(const char *s)
{
    size_t len = 0;
    while (s[len]) len++;
    return (text_t){s, len};
}

/* Byte by byte, as they are spelled. */
static inline bool text_same(text_t a, text_t b)
{
    return a.len == b.len && (!a.len || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool text_is(text_t text, const char *word) { return text_same(text, text_of(word)); }
