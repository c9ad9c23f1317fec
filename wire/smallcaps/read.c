/* The two things the kernel reads out of a body that was checked before. */
#include <string.h>

#include "wire/smallcaps/smallcaps.h"
#include "wire/smallcaps/string.h"

static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
    return at;
}

bool smallcaps_single_slot(const capdata_t *data, kref_t *ret)
{
    if (data->body.len < 2 || data->body.at[0] != '#') return false;

    const uint8_t *end = data->body.at + data->body.len;
    const uint8_t *at = skip_space(data->body.at + 1, end);
    string_t string;
    size_t slot;
    if (at == end || *at != '"' || !string_scan(&at, end, &string)) return false;
    if (skip_space(at, end) != end) return false;
    string_kind_t kind = string_kind(&string, &slot);
    if (kind != STRING_OBJECT && kind != STRING_PROMISE) return false;
    if (slot >= data->slots.count) return false;
    *ret = data->slots.at[slot];
    return true;
}

static bool is_letter(uint8_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

/* The end of what nearly every method is: letters and digits, of which none means anything else. NULL: look
 * closer. */
static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    if (at == end || !is_letter(*at)) return NULL;
    while (at < end && (is_letter(*at) || (*at >= '0' && *at <= '9'))) at++;
    return at < end && *at == '"' ? at : NULL;
}

text_t smallcaps_method(bin_t body)
{
    const text_t none = {"", 0};
    const uint8_t *plain = NULL;
    if (body.len > 3 && memcmp(body.at, "#[\"", 3) == 0)
        plain = plain_end(body.at + 3, body.at + body.len);
    if (plain) return (text_t){(const char *)body.at + 3, (size_t)(plain - body.at) - 3};
    if (body.len < 2 || body.at[0] != '#') return none;

    const uint8_t *end = body.at + body.len;
    const uint8_t *at = skip_space(body.at + 1, end);
    if (at == end || *at != '[') return none;
    at = skip_space(at + 1, end);
    string_t string;
    size_t slot;
    if (at == end || *at != '"' || !string_scan(&at, end, &string)) return none;

    string_kind_t kind = string_kind(&string, &slot);
    if (kind == STRING_SYMBOL) return string.raw_rest;
    if (kind != STRING_TEXT) return none;
    return string.len && string.head[0] == '!' ? string.raw_rest : string.raw;
}
