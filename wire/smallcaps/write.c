/* The few bodies that the kernel writes itself. */
#include <stdio.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/utf8.h"
#include "wire/smallcaps/smallcaps.h"

/* One character that may not stand as it is in a JSON string, spelled as JSON.stringify does. */
static err_t add_escape(buf_t *out, uint8_t c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

    const char *found = c ? strchr(from, c) : NULL;
    return found ? buf_print(out, "\\%c", to[found - from]) : buf_print(out, "\\u%04x", c);
}

static err_t add_chars(buf_t *out, text_t text)
{
    const uint8_t *at = (const uint8_t *)text.at;
    size_t i = 0;
    err_t err = ERR_OK;

    while (i < text.len && !err) {
        /* As much as can stand as it is, in one piece. */
        size_t plain = i, step = 0;
        while (plain < text.len && at[plain] >= 0x20 && at[plain] != '"' && at[plain] != '\\' &&
               (step = utf8_len(at + plain, text.len - plain))) {
            plain += step;
        }
        if (plain > i) err = buf_add(out, at + i, plain - i);
        i = plain;
        if (err || i == text.len) break;
        err = at[i] < 0x80 ? add_escape(out, at[i]) : buf_text(out, "\xef\xbf\xbd");
        i++;
    }
    return err;
}

static err_t add_string(buf_t *out, text_t text)
{
    bool special = text.len && text.at[0] >= '!' && text.at[0] <= '-';

    err_t err = buf_text(out, special ? "\"!" : "\"");
    if (!err) err = add_chars(out, text);
    return err ? err : buf_text(out, "\"");
}

err_t smallcaps_string(buf_t *out, text_t text)
{
    size_t before = out->len;

    err_t err = add_string(out, text);
    if (err) out->len = before;
    return err;
}

err_t smallcaps_error(buf_t *out, const char *text)
{
    size_t before = out->len;

    err_t err = buf_text(out, "#{\"#error\":");
    if (!err) err = add_string(out, text_of(text));
    if (!err) err = buf_text(out, ",\"name\":\"Error\"}");
    if (err) out->len = before;
    return err;
}
