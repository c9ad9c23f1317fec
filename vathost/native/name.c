#include "vathost/native/name.h"

#include <inttypes.h>
#include <stdio.h>

name_t name_of(vref_t vref)
{
    text_t text = vref.s;
    uint64_t n = 0;

    if (text.len < 3 || text.len >= NAME_TEXT_MAX) return (name_t){0};
    if ((text.at[0] != 'o' && text.at[0] != 'p') || (text.at[1] != '+' && text.at[1] != '-'))
        return (name_t){0};
    for (size_t i = 2; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || n >= NAME_EXPORT / 16) return (name_t){0};
        n = n * 10 + (uint64_t)(text.at[i] - '0');
    }
    if (text.at[0] == 'p') n |= NAME_PROMISE;
    if (text.at[1] == '+') n |= NAME_EXPORT;
    return (name_t){n};
}

vref_t name_vref(name_t name, char buf[NAME_TEXT_MAX])
{
    if (name_none(name)) return (vref_t){{NULL, 0}};
    int len = snprintf(buf, NAME_TEXT_MAX, "%c%c%" PRIu64, name_is_promise(name) ? 'p' : 'o',
                       name_is_export(name) ? '+' : '-', name.n & ~(NAME_PROMISE | NAME_EXPORT));
    return (vref_t){{buf, (size_t)len}};
}

void names_add(map_t *self, name_t name)
{
    static char there;
    map_put(self, name.n, &there);
}
