/* Values that the kernel makes, and what it takes out of those of others. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/state/state.h"

/* FORMAT makes a smallcaps body, '#' included, over SLOTS. */
value_t *value_print(kernel_t *k, const kref_t *slots, size_t count, const char *format, ...)
{
    va_list args, again;
    (void)k;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    must(len > 0);
    char *body = take((size_t)len + 1);
    vsnprintf(body, (size_t)len + 1, format, args);
    va_end(args);
    value_t *value = value_new((bin_t){(const uint8_t *)body, (size_t)len}, slots, count);
    capdata_t data = value_data(value);
    must(smallcaps_check(&data, SHAPE_ANY) == ERR_OK);
    free(body);
    return value;
}

/* Error(TEXT), of which no more than TEXT_BYTES_MAX bytes are shown. */
value_t *value_failed(kernel_t *k, text_t text)
{
    char line[TEXT_BYTES_MAX];
    text = text_cut(text, sizeof line - 1);
    memcpy(line, text.len ? text.at : "", text.len);
    line[text.len] = '\0';
    buf_reset(&k->frame);
    must(smallcaps_error(&k->frame, line) == ERR_OK);
    return value_new((bin_t){k->frame.at, k->frame.len}, NULL, 0);
}

/* The value at NODE as one of its own. Its slots are numbered anew: it may be longer than the body that it
 * was in, and than a body may be. */
value_t *value_cut(kernel_t *k, node_t node)
{
    kref_t *slots = take(SLOTS_MAX * sizeof *slots);
    size_t count = 0;
    buf_reset(&k->frame);
    must(node_cut(node, &k->frame, slots, &count) == ERR_OK);
    value_t *value = value_new((bin_t){k->frame.at, k->frame.len}, slots, count);
    free(slots);
    return value;
}

/* Left out, or undefined. */
bool node_absent(node_t node)
{
    node_kind_t kind = node_kind(node);
    return kind == NODE_NONE || kind == NODE_UNDEFINED;
}

/* The characters of a text, as many as fit with a NUL into OUT; of anything else, none. */
text_t node_copy(node_t node, char *out, size_t room)
{
    buf_t text = buf_of(CAPDATA_BYTES_MAX);
    size_t len = 0;
    if (node_kind(node) == NODE_TEXT && !node_text(node, &text)) {
        const void *at = text.at;
        len = text_cut((text_t){at, text.len}, room - 1).len;
        if (len) memcpy(out, text.at, len);
    }
    out[len] = '\0';
    buf_clear(&text);
    return (text_t){out, len};
}
