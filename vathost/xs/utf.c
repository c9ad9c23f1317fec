#include "vathost/xs/utf.h"

#include <string.h>

static const uint32_t replacement = 0xFFFD;

/* True when no byte of it is 0 or above 0x7F: the same in both encodings. */
static bool is_plain(const char *at, size_t len)
{
    const uint64_t high = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        if ((word | (word - ones)) & high) return false;
    }
    for (; i < len; i++)
        if ((unsigned char)at[i] - 1u > 0x7E) return false;
    return true;
}

/* Reads one character of UTF-8; sets RET_LEN to how many bytes it took. */
static uint32_t utf8_read(const unsigned char *at, size_t len, size_t *ret_len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = at[0];
    size_t n = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
    *ret_len = 1;
    if (n == 1) return lead;
    if (n == 0 || n > len) return replacement;
    uint32_t c = lead & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (at[i] >> 6 != 2) return replacement;
        c = c << 6 | (at[i] & 0x3F);
    }
    if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return replacement;
    *ret_len = n;
    return c;
}

static size_t unit_write(uint32_t c, char *into)
{
    if (c < 0x80) {
        into[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        into[0] = (char)(0xC0 | c >> 6);
        into[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    into[0] = (char)(0xE0 | c >> 12);
    into[1] = (char)(0x80 | (c >> 6 & 0x3F));
    into[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

size_t utf_cesu_bytes(text_t text)
{
    if (is_plain(text.at, text.len)) return text.len;
    size_t bytes = 0, taken;
    for (size_t i = 0; i < text.len; i += taken) {
        uint32_t c = utf8_read((const unsigned char *)text.at + i, text.len - i, &taken);
        bytes += c == 0 ? 2 : c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 6;
    }
    return bytes;
}

void utf_to_cesu(text_t text, char *into)
{
    if (is_plain(text.at, text.len)) {
        if (text.len) memcpy(into, text.at, text.len);
        return;
    }
    size_t taken;
    for (size_t i = 0; i < text.len; i += taken) {
        uint32_t c = utf8_read((const unsigned char *)text.at + i, text.len - i, &taken);
        if (c == 0) {
            *into++ = (char)0xC0;
            *into++ = (char)0x80;
        } else if (c < 0x10000) {
            into += unit_write(c, into);
        } else {
            into += unit_write(0xD800 + ((c - 0x10000) >> 10), into);
            into += unit_write(0xDC00 + ((c - 0x10000) & 0x3FF), into);
        }
    }
}

/* Reads one UTF-16 unit of CESU-8, which XS made and which is therefore well-formed. */
static uint32_t cesu_read(const unsigned char *at, size_t len, size_t *ret_len)
{
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : 3;
    if (n > len) n = 1;
    *ret_len = n;
    if (n == 1) return at[0] < 0x80 ? at[0] : replacement;
    if (n == 2) return (uint32_t)(at[0] & 0x1F) << 6 | (at[1] & 0x3F);
    return (uint32_t)(at[0] & 0x0F) << 12 | (uint32_t)(at[1] & 0x3F) << 6 | (at[2] & 0x3F);
}

size_t utf_from_cesu(const char *cesu, size_t len, char *into)
{
    if (is_plain(cesu, len)) {
        if (len) memcpy(into, cesu, len);
        return len;
    }
    char *const start = into;
    const unsigned char *at = (const unsigned char *)cesu;
    size_t taken, taken_low;
    for (size_t i = 0; i < len; i += taken) {
        uint32_t c = cesu_read(at + i, len - i, &taken);
        if (c < 0xD800 || c >= 0xE000) {
            into += unit_write(c, into);
            continue;
        }
        uint32_t low = i + taken < len ? cesu_read(at + i + taken, len - i - taken, &taken_low) : 0;
        if (c >= 0xDC00 || low < 0xDC00 || low >= 0xE000) {
            into += unit_write(replacement, into);
            continue;
        }
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        *into++ = (char)(0xF0 | c >> 18);
        *into++ = (char)(0x80 | (c >> 12 & 0x3F));
        *into++ = (char)(0x80 | (c >> 6 & 0x3F));
        *into++ = (char)(0x80 | (c & 0x3F));
        taken += taken_low;
    }
    return (size_t)(into - start);
}
