/* The two things the kernel reads out of a body that was checked before. */
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

text_t smallcaps_method(bin_t body)
{
    const text_t none = {"", 0};
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
