#include "broker/agent/told.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/base/limits.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

static bin_t bin_of(const buf_t *buf) { return (bin_t){buf->at, buf->len}; }

static void add(buf_t *out, const char *text) { must(buf_text(out, text) == ERR_OK); }

static void tell(const told_t *self, uint64_t errand, const char *body)
{
    text_t text = text_of(body);
    self->told(self->self, errand, false, (bin_t){(const uint8_t *)text.at, text.len});
}

void told_undefined(const told_t *self, uint64_t errand) { tell(self, errand, "#\"#undefined\""); }

void told_null(const told_t *self, uint64_t errand) { tell(self, errand, "#null"); }

void told_text(const told_t *self, uint64_t errand, text_t text)
{
    buf_t body = buf_of(CAPDATA_BYTES_MAX);
    add(&body, "#");
    must(smallcaps_string(&body, text) == ERR_OK);
    self->told(self->self, errand, false, bin_of(&body));
    buf_clear(&body);
}

void told_failed(const told_t *self, uint64_t errand, const char *name, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    buf_t body = buf_of(CAPDATA_BYTES_MAX);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add(&body, "#{\"#error\":");
    must(smallcaps_string(&body, text_of(text)) == ERR_OK);
    add(&body, ",\"name\":");
    must(smallcaps_string(&body, text_of(name)) == ERR_OK);
    add(&body, "}");
    self->told(self->self, errand, true, bin_of(&body));
    buf_clear(&body);
}
