/* Pages of a vat's log for a client: the kernel made the head, the rows come from the store. */
#include <string.h>

#include "broker/broker_own.h"
#include "wire/base/must.h"

enum {
    PAGE_BYTES = 4 * 1024 * 1024, /* a page that is longer takes no more rows: others wait for it */
    PAGE_ROWS = 1000,
    READ_ROWS = 16,    /* read at a time, so that little is read in vain */
    FRAME_ROOM = 4096, /* kept free for what is around the rows */
};

typedef struct {
    buf_t rows;
    size_t count;
    uint64_t next; /* the first row that is not in the page */
    bool full;
} page_t;

static void read_fixed(void *to, size_t len, bin_t from)
{
    if (from.len == len) memcpy(to, from.at, len);
}

static err_t add_row(void *context, const row_t *row)
{
    page_t *page = context;
    const row_log_t *log = &row->body.log;
    msg_log_row_t msg = {.d = log->d,
                         .verdict = log->outcome,
                         .code = log->code,
                         .attempts = log->attempts,
                         .cause = {{(uint32_t)log->msg_vat}, log->msg_d, (uint32_t)log->msg_n},
                         .delivery = log->delivery,
                         .calls = log->calls};
    read_fixed(msg.result_hash.b, sizeof msg.result_hash.b, log->result_hash);
    read_fixed(msg.trace.b, sizeof msg.trace.b, log->trace);
    if (page->full) return ERR_OK;
    page->next = log->d;
    page->full = page->rows.len > PAGE_BYTES || page->count == PAGE_ROWS;
    if (page->full) return ERR_OK;
    if (msg_encode(TAG_log_row, &msg, &page->rows)) {
        page->full = page->count != 0; /* it has the next page for itself */
        if (page->full) return ERR_OK;
        msg.calls = (bin_t){0}; /* both of full size fit into no frame */
        if (msg_encode(TAG_log_row, &msg, &page->rows)) return ERR_STORE_DAMAGED;
    }
    page->count++;
    return ERR_OK;
}

err_t history_page(broker_t *self, const effect_t *effect, blob_t **ret)
{
    msg_t msg;
    err_t err = ERR_OK;
    if (effect->first > effect->last || msg_decode(blob_bin(effect->frame), &msg)) {
        *ret = blob_ref(effect->frame);
        return ERR_OK;
    }
    page_t page = {.rows = buf_of(FRAME_BYTES_MAX - FRAME_ROOM)};
    msg_rows_t *rows = &msg.body.rows;
    must(!buf_add(&page.rows, rows->rows.at, rows->rows.len));
    for (uint64_t d = effect->first; d <= effect->last && !page.full && !err; d += READ_ROWS) {
        uint64_t last = effect->last - d < READ_ROWS ? effect->last : d + READ_ROWS - 1;
        err = store_log(self->is.store, effect->vat, d, last, add_row, &page);
    }
    if (!err) {
        rows->rows = (bin_t){page.rows.at, page.rows.len};
        rows->next = page.full ? page.next : 0;
        buf_reset(&self->frame);
        must(msg_encode(TAG_rows, rows, &self->frame) == ERR_OK);
        *ret = blob_new(self->frame.at, self->frame.len);
    }
    buf_clear(&page.rows);
    msg_clear(&msg);
    return err;
}
