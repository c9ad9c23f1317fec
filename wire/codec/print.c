/* msg_print(): a message as one line for people. Long values are cut, and whatever a peer put into a
 * text, the line stays one line of printable UTF-8. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/must.h"
#include "wire/base/utf8.h"
#include "wire/codec/codec.h"

/* What is printed of one text or body, and of one list. */
enum { SHOWN_BYTES = 160, SHOWN_ITEMS = 8 };

/* Keeps the first error, so that the printing functions read as a sequence. */
typedef struct {
    buf_t *out;
    err_t err;
} printer_t;

static void print(printer_t *self, const char *at, size_t len)
{
    if (!self->err) self->err = buf_add(self->out, at, len);
}

static void say(printer_t *self, const char *format, ...) LIKE_PRINTF(2);
static void say(printer_t *self, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (!self->err) self->err = buf_print_list(self->out, format, args);
    va_end(args);
}

static void print_quoted(printer_t *self, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    size_t shown = len < SHOWN_BYTES ? len : SHOWN_BYTES, i = 0;

    print(self, "\"", 1);
    while (i < shown) {
        size_t step = utf8_len(at + i, len - i);
        bool control =
            step && (at[i] < 0x20 || at[i] == 0x7f || (at[i] == 0xc2 && at[i + 1] < 0xa0));
        if (step == 1 && (at[i] == '"' || at[i] == '\\')) {
            say(self, "\\%c", at[i]);
        } else if (step && !control) {
            print(self, (const char *)at + i, step);
        } else {
            if (!step) step = 1;
            for (size_t j = 0; j < step; j++) say(self, "\\x%02x", at[i + j]);
        }
        i += step;
    }
    print(self, "\"", 1);
    if (i < len) say(self, "...(%zu bytes)", len);
}

static void print_hex(printer_t *self, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) say(self, "%02x", at[i]);
}

static void print_kref(printer_t *self, kref_t kref)
{
    char text[KREF_TEXT_MAX];

    kref_text(kref, text);
    print(self, text, strlen(text));
}

static void print_krefs(printer_t *self, krefs_t krefs)
{
    print(self, "[", 1);
    for (size_t i = 0; i < krefs.count && i < SHOWN_ITEMS; i++) {
        if (i) print(self, ", ", 2);
        print_kref(self, krefs.at[i]);
    }
    if (krefs.count > SHOWN_ITEMS) say(self, ", ...(%zu)", krefs.count);
    print(self, "]", 1);
}

static void print_capdata(printer_t *self, const capdata_t *data)
{
    say(self, "{body: ");
    print_quoted(self, data->body.at, data->body.len);
    say(self, ", slots: ");
    print_krefs(self, data->slots);
    print(self, "}", 1);
}

static void print_resolutions(printer_t *self, resolutions_t list)
{
    print(self, "[", 1);
    for (size_t i = 0; i < list.count && i < SHOWN_ITEMS; i++) {
        say(self, i ? ", {promise: " : "{promise: ");
        print_kref(self, list.at[i].promise);
        say(self, ", rejected: %s, data: ", list.at[i].rejected ? "true" : "false");
        print_capdata(self, &list.at[i].data);
        print(self, "}", 1);
    }
    if (list.count > SHOWN_ITEMS) say(self, ", ...(%zu)", list.count);
    print(self, "]", 1);
}

static void print_field(printer_t *self, kind_t kind, const void *value)
{
    const text_t *text = value;
    const msgid_t *id = value;

    switch (kind) {
    case KIND_u64: say(self, "%" PRIu64, *(const uint64_t *)value); break;
    case KIND_bool: say(self, *(const bool *)value ? "true" : "false"); break;
    case KIND_vat: say(self, "v%" PRIu32, ((const vat_t *)value)->n); break;
    case KIND_host: say(self, "h%" PRIu32, ((const host_t *)value)->n); break;
    case KIND_cluster: say(self, "s%" PRIu32, ((const cluster_t *)value)->n); break;
    case KIND_kref: print_kref(self, *(const kref_t *)value); break;
    case KIND_krefs: print_krefs(self, *(const krefs_t *)value); break;
    case KIND_text: print_quoted(self, text->at, text->len); break;
    case KIND_bin: say(self, "<%zu bytes>", ((const bin_t *)value)->len); break;
    case KIND_hash: print_hex(self, value, sizeof(hash_t)); break;
    case KIND_id: print_hex(self, value, sizeof(id128_t)); break;
    case KIND_msgid: say(self, "v%" PRIu32 "/%" PRIu64 "#%" PRIu32, id->vat.n, id->d, id->n); break;
    case KIND_capdata: print_capdata(self, value); break;
    case KIND_resolutions: print_resolutions(self, *(const resolutions_t *)value); break;
    }
}

err_t msg_print(msg_tag_t tag, const void *body, buf_t *out)
{
    const message_t *message = message_find(tag);
    must(message);
    must(body);

    size_t before = out->len;
    printer_t printer = {.out = out};
    print(&printer, message->name, strlen(message->name));
    for (size_t i = 0; i < message->field_count; i++) {
        const field_t *field = &message->fields[i];
        print(&printer, i ? ", " : " {", 2);
        print(&printer, field->name, strlen(field->name));
        print(&printer, ": ", 2);
        print_field(&printer, field->kind, (const char *)body + field->offset);
    }
    print(&printer, "}", 1);
    if (printer.err) out->len = before;
    return printer.err;
}
