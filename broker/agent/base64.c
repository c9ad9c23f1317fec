#include "broker/agent/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

err_t base64_add(buf_t *out, bin_t bytes)
{
    err_t err = ERR_OK;
    for (size_t i = 0; i < bytes.len && !err; i += 3) {
        size_t left = bytes.len - i;
        uint32_t bits = (uint32_t)bytes.at[i] << 16;
        if (left > 1) bits |= (uint32_t)bytes.at[i + 1] << 8;
        if (left > 2) bits |= bytes.at[i + 2];
        const char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                              left > 1 ? digits[bits >> 6 & 63] : '=',
                              left > 2 ? digits[bits & 63] : '='};
        err = buf_add(out, four, sizeof four);
    }
    return err;
}

/* The value of a digit, 64 for anything else. */
static uint32_t value(char c)
{
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (uint32_t)(found - digits) : 64;
}

/* One group of four, of which PADS stand for nothing. */
static err_t read_group(buf_t *out, const char *at, size_t pads)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t six = i < 4 - pads ? value(at[i]) : 0;
        if (six > 63) return ERR_BAD_VALUE;
        bits = bits << 6 | six;
    }
    const uint8_t three[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    return buf_add(out, three, 3 - pads);
}

err_t base64_read(buf_t *out, text_t text)
{
    err_t err = text.len % 4 ? ERR_BAD_VALUE : ERR_OK;
    for (size_t i = 0; i < text.len && !err; i += 4) {
        size_t pads = 0;
        if (i + 4 == text.len && text.at[i + 3] == '=') pads = text.at[i + 2] == '=' ? 2 : 1;
        err = read_group(out, text.at + i, pads);
    }
    return err;
}
