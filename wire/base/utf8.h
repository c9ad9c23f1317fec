/* Is it UTF-8? Texts on the wire and message bodies must be. */
#pragma once
#include "wire/base/bytes.h"

/* Well-formed as the Unicode standard says: shortest forms, no surrogates, at most U+10FFFF. */
bool utf8_check(const void *at, size_t len);

/* Bytes of the well-formed sequence that AT begins with, LEFT bytes being there; 0 when there is
 * none. */
size_t utf8_len(const uint8_t *at, size_t left);
