/* Text at the border of XS. Inside, strings are CESU-8: a character beyond U+FFFF is two surrogates
 * of three bytes each, and U+0000 is C0 80, so that a string ends at its first 0 byte. Outside, they
 * are UTF-8 with a length.
 *
 *   T1  what UTF-8 can say comes back the same after both ways;
 *   T2  a lone surrogate, which UTF-8 cannot say, leaves as U+FFFD, as TextEncoder has it;
 *   T3  bytes that are not UTF-8 enter as U+FFFD, one for each byte. */
#pragma once
#include "wire/base/bytes.h"

/* Bytes that utf_to_cesu() writes for TEXT, without a 0 at the end. */
size_t utf_cesu_bytes(text_t text);

/* Writes TEXT as CESU-8 to INTO, which has utf_cesu_bytes(TEXT) bytes. */
void utf_to_cesu(text_t text, char *into);

/* Writes CESU, LEN bytes, as UTF-8 to INTO, which has LEN bytes. Returns how many were needed. */
size_t utf_from_cesu(const char *cesu, size_t len, char *into);
