#include "vathost/supervisor/vref.h"

/* Steps over one canonical decimal at *AT. */
static bool number(const char **at, const char *end)
{
    const char *first = *at;
    while (*at < end && **at >= '0' && **at <= '9') (*at)++;
    return *at > first && (*first != '0' || *at == first + 1);
}

static bool one(const char **at, const char *end, char c)
{
    if (*at == end || **at != c) return false;
    (*at)++;
    return true;
}

bool vref_parse(vref_t vref, vref_kind_t *ret)
{
    const char *at = vref.s.at, *end = at + vref.s.len;
    vref_kind_t kind = {0};

    if (vref.s.len < 3 || vref.s.len > VREF_BYTES_MAX) return false;
    kind.promise = one(&at, end, 'p');
    if (!kind.promise && !one(&at, end, 'o')) return false;
    kind.exported = one(&at, end, '+');
    if (!kind.exported && !one(&at, end, '-')) return false;

    if (kind.exported && !kind.promise) kind.durable = one(&at, end, 'd');
    if (kind.durable || (kind.exported && !kind.promise && one(&at, end, 'v'))) {
        if (!number(&at, end) || !one(&at, end, '/') || !number(&at, end)) return false;
        if (one(&at, end, ':') && !number(&at, end)) return false;
    } else if (!number(&at, end)) {
        return false;
    }
    if (at != end) return false;

    *ret = kind;
    return true;
}
