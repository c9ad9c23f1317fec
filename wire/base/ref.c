#include "wire/base/ref.h"

#include <inttypes.h>
#include <stdio.h>

/* Reads all LEN bytes as a decimal number without sign or leading zeros, at most MAX. */
static bool number_parse(const char *text, size_t len, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (len == 0 || (len > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (n > (max - digit) / 10) return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

char *kref_text(kref_t kref, char buf[KREF_TEXT_MAX])
{
    if (kref_none(kref)) {
        snprintf(buf, KREF_TEXT_MAX, "none");
    } else {
        snprintf(buf, KREF_TEXT_MAX, "k%c%" PRIu32 ".%" PRIu64, kref_is_promise(kref) ? 'p' : 'o',
                 kref_issuer(kref).n, kref_serial(kref));
    }
    return buf;
}

bool kref_parse(const char *text, size_t len, kref_t *ret)
{
    uint64_t issuer, serial;
    size_t dot = 2;

    if (len < 2 || text[0] != 'k' || (text[1] != 'o' && text[1] != 'p')) return false;
    while (dot < len && text[dot] != '.') dot++;
    if (dot == len) return false;
    if (!number_parse(text + 2, dot - 2, KREF_ISSUER_MAX, &issuer)) return false;
    if (!number_parse(text + dot + 1, len - dot - 1, KREF_SERIAL_MAX, &serial)) return false;
    if (issuer == 0 && serial == 0) return false;

    vat_t vat = {(uint32_t)issuer};
    *ret = text[1] == 'p' ? kref_promise(vat, serial) : kref_object(vat, serial);
    return true;
}

bool id_parse(char prefix, const char *text, size_t len, uint32_t *ret)
{
    uint64_t n;

    if (len < 2 || text[0] != prefix) return false;
    if (!number_parse(text + 1, len - 1, UINT32_MAX, &n) || n == 0) return false;
    *ret = (uint32_t)n;
    return true;
}
