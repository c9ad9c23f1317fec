#include "cli/recall.h"

#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"
#include "wire/base/must.h"

static const msg_event_t *event_of(const recalled_t *one) { return &one->event.body.event; }

static void add(recall_t *self, const msg_trace_row_t *row)
{
    msg_t event;

    if (msg_decode(row->event, &event)) return; /* of a version that this one does not know */
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 64;
        self->at = reallocarray(self->at, self->room, sizeof *self->at);
        must(self->at);
    }
    self->at[self->count++] = (recalled_t){event, row->seq, row->durable_us, row->bytes};
}

static void page_keep(recall_t *self, buf_t page)
{
    if (self->page_count == self->page_room) {
        self->page_room = self->page_room ? 2 * self->page_room : 8;
        self->pages = reallocarray(self->pages, self->page_room, sizeof *self->pages);
        must(self->pages);
    }
    self->pages[self->page_count++] = page;
}

err_t recall_get(link_t *link, const msg_trace_t *ask, recall_t *ret, fail_t *f)
{
    msg_trace_t page = *ask;
    rows_t rows;

    *ret = (recall_t){0};
    do {
        page.request = request_id();
        err_t err = rows_ask(link, TAG_trace, &page, ANSWER_MS, &rows, f);
        if (err) return err;
        for (const msg_t *row; (row = rows_next(&rows));) {
            if (row->tag == TAG_trace_row) add(ret, &row->body.trace_row);
        }
        page.first = rows.next;
        page_keep(ret, rows.bytes);
        /* What the others are found by may be forgotten meanwhile; the trace itself goes on. */
        if (ask->msg.d || ask->d || ask->promise.n) {
            if (ret->count) page.trace = event_of(&ret->at[0])->trace;
        }
    } while (page.first);
    return ERR_OK;
}

void recall_add(recall_t *self, const msg_event_t *event, uint64_t durable_us, uint64_t bytes)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);

    must(!msg_encode(TAG_event, event, &frame));
    add(self, &(msg_trace_row_t){self->count + 1, durable_us, bytes, {frame.at, frame.len}});
    page_keep(self, frame);
}

void recall_clear(recall_t *self)
{
    for (size_t i = 0; i < self->count; i++) msg_clear(&self->at[i].event);
    for (size_t i = 0; i < self->page_count; i++) buf_clear(&self->pages[i]);
    free(self->at);
    free(self->pages);
    *self = (recall_t){0};
}

/* ---- references ---- */

static bool number_read(const char **at, uint64_t *ret)
{
    char *end;

    if (**at < '0' || **at > '9') return false;
    *ret = strtoull(*at, &end, 10);
    *at = end;
    return true;
}

/* v3/41 and v3/41#2 */
static bool position_read(const char *at, msg_trace_t *ret)
{
    uint64_t vat, d, n = 0;
    bool message;

    if (*at++ != 'v' || !number_read(&at, &vat) || vat > KREF_ISSUER_MAX || *at++ != '/' ||
        !number_read(&at, &d)) {
        return false;
    }
    message = *at == '#';
    if (message && (at++, !number_read(&at, &n))) return false;
    if (*at || d == 0 || n > UINT32_MAX || (vat == 0 && !message)) return false;
    if (message) {
        ret->msg = (msgid_t){{(uint32_t)vat}, d, (uint32_t)n};
    } else {
        ret->vat.n = (uint32_t)vat;
        ret->d = d;
    }
    return true;
}

static bool id_read(const char *at, id128_t *ret)
{
    static const char digits[] = "0123456789abcdef";

    if (strlen(at) != 2 * sizeof ret->b) return false;
    for (size_t i = 0; i < 2 * sizeof ret->b; i++) {
        const char *digit = strchr(digits, at[i]);
        if (!digit) return false;
        ret->b[i / 2] = (uint8_t)(ret->b[i / 2] << 4 | (digit - digits));
    }
    return memcmp(ret, &(id128_t){{0}}, sizeof *ret) != 0;
}

err_t recall_ref(const char *ref, msg_trace_t *ret, fail_t *f)
{
    *ret = (msg_trace_t){0};
    if (kref_parse(ref, strlen(ref), &ret->promise) && kref_is_promise(ret->promise)) return ERR_OK;
    *ret = (msg_trace_t){0};
    if (position_read(ref, ret) || id_read(ref, &ret->trace)) return ERR_OK;
    fail(f, ERR_BAD_VALUE, "\"%.200s\" is nothing that can be traced", ref);
    fail_why(f, "a message v3/41#2, a delivery v3/41, a promise kp3.7, or a trace of 32 digits");
    fail_try(f, "vatctl logs --traffic -n 20     messages with their names");
    return ERR_BAD_VALUE;
}
