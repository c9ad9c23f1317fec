/* Results of a worker that the broker may ask for again: in memory, and in each checkpoint. */
#include <stdlib.h>
#include <string.h>

#include "vathost/worker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/must.h"

/* As many as a window has rows, each of them a crank at its limit; SQLite's own bound is 1 GB. */
enum { KEPT_BYTES_MAX = 900 * 1000 * 1000 };

static bin_t move_in(char **at, bin_t from)
{
    bin_t moved = {(const uint8_t *)*at, from.len};
    if (from.len) memcpy(*at, from.at, from.len);
    *at += from.len;
    return moved;
}

kept_t *worker_keep(worker_t *self, const msg_result_t *result)
{
    const msg_result_t *from = result;
    kept_t *kept = malloc(sizeof *kept + from->calls.len + from->console.len + from->reason.len);
    kept_t **end_p;
    must(kept);
    char *at = kept->bytes;

    kept->next = NULL;
    kept->result = *from;
    kept->result.calls = move_in(&at, from->calls);
    kept->result.console = move_in(&at, from->console);
    bin_t why = move_in(&at, (bin_t){(const uint8_t *)from->reason.at, from->reason.len});
    kept->result.reason = (text_t){(const char *)why.at, why.len};
    for (end_p = &self->kept; *end_p; end_p = &(*end_p)->next) {
    }
    *end_p = kept;
    return kept;
}

void worker_tell_result(worker_t *self, kept_t *kept)
{
    kept->result.inc = self->start.inc;
    kept->result.pgen = self->start.pgen;
    kept->result.run = self->run;
    worker_tell(self, TAG_result, &kept->result);
}

void worker_forget(worker_t *self, uint64_t applied)
{
    if (applied > self->applied) self->applied = applied;
    while (self->kept && self->kept->result.d <= self->applied) {
        kept_t *gone = self->kept;
        FAILPOINT(worker_forgets);
        self->kept = gone->next;
        free(gone);
    }
}

void worker_kept_write(const worker_t *self, buf_t *ret)
{
    *ret = buf_of(KEPT_BYTES_MAX);
    for (const kept_t *kept = self->kept; kept; kept = kept->next) {
        uint8_t head[FRAME_HEAD_BYTES] = {0};
        size_t start = ret->len;
        must(buf_add(ret, head, sizeof head) == ERR_OK);
        must(msg_encode(TAG_result, &kept->result, ret) == ERR_OK);
        frames_head(ret->len - start - sizeof head, ret->at + start);
    }
}

err_t worker_kept_read(worker_t *self, bin_t bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        size_t len = 0;
        msg_t msg;
        if (bytes.len - at < FRAME_HEAD_BYTES) return ERR_STORE_DAMAGED;
        for (int i = 0; i < FRAME_HEAD_BYTES; i++) len = len << 8 | bytes.at[at++];
        if (bytes.len - at < len) return ERR_STORE_DAMAGED;
        bin_t frame = {bytes.at + at, len};
        if (msg_peek(frame) != TAG_result || msg_decode(frame, &msg)) return ERR_STORE_DAMAGED;
        worker_keep(self, &msg.body.result);
        msg_clear(&msg);
        at += len;
    }
    return ERR_OK;
}
