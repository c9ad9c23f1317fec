#include "cli/scratch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/link.h"
#include "cli/process.h"
#include "wire/base/must.h"
#include "wire/base/own.h"
#include "wire/frames/pipe.h"

enum {
    ATTACH_MS = 30 * 1000,
    SLICE_MS = 250, /* how long a signal waits */
    GOODBYE_MS = 2000,
    RUN = 1,
    LIVE = 0,
    SKIP = 2,
    GIVEN_UP = 2,      /* as LOG_ROW has it */
    NEVER = UINT32_MAX /* it makes no checkpoints */
};

struct scratch {
    pid_t pid;
    pipe_t pipe;
    char folder[PATH_MAX];
    vat_t vat;
    uint64_t inc, pgen, last;
    msg_t msg;
    bool has_msg;
};

static bool tell(scratch_t *self, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);

    must(!msg_encode(tag, body, &frame));
    bool sent = pipe_send(&self->pipe, (bin_t){frame.at, frame.len});
    buf_clear(&frame);
    return sent;
}

/* The next frame to SELF->msg. */
static err_t hear(scratch_t *self, uint64_t end, fail_t *f)
{
    bin_t frame;

    if (self->has_msg) msg_clear(&self->msg);
    self->has_msg = false;
    for (;;) {
        switch (pipe_take(&self->pipe, &frame)) {
        case FRAMES_ONE: {
            err_t err = msg_decode(frame, &self->msg);
            self->has_msg = !err;
            return err ? fail(f, err, "the worker's answer cannot be read") : ERR_OK;
        }
        case FRAMES_BROKEN: return fail(f, ERR_WIRE_LIMIT, "the worker's answer cannot be read");
        case FRAMES_MORE: break;
        }
        uint64_t now = now_ms();
        if (signal_caught() || now >= end)
            return fail(f, ERR_TIMED_OUT, "the worker is not done in time");
        struct pollfd item = {self->pipe.fd, POLLIN, 0};
        if (pipe_waiting(&self->pipe)) item.events |= POLLOUT;
        if (poll(&item, 1, end - now < SLICE_MS ? (int)(end - now) : SLICE_MS) <= 0) continue;
        bool there = !(item.revents & POLLOUT) || pipe_flush(&self->pipe);
        if (there && item.revents & ~POLLOUT) there = pipe_read(&self->pipe);
        if (!there) return fail(f, ERR_VAT_CRASHED, "the worker ended");
    }
}

static err_t start(scratch_t *self, const char *bundle, fail_t *f)
{
    char program[PATH_MAX], number[16];
    char *argv[] = {program, (char *)(uintptr_t) "--alone", number, (char *)(uintptr_t)bundle,
                    NULL};
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    must(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    self->pipe = pipe_of(pair[0]);
    path_program("vatworker", program);
    snprintf(number, sizeof number, "%d", pair[1]);
    self->pid = process_start(argv, &(start_t){-1, STDERR_FILENO, pair[1], false, false}, f);
    close(pair[1]);
    return self->pid ? ERR_OK : f->err;
}

static bool tell_start(scratch_t *self, const msg_log_head_t *head, id128_t kernel,
                       const char *bundle, const char *database)
{
    char ship[PATH_MAX + 8];

    snprintf(ship, sizeof ship, "%s/ship", self->folder);
    return tell(self, TAG_start,
                &(msg_start_t){.vat = self->vat,
                               .inc = self->inc,
                               .pgen = self->pgen,
                               .name = head->name,
                               .bundle = text_of(bundle),
                               .database = text_of(database),
                               .dialect = head->dialect,
                               .computrons = head->computrons,
                               .wall_ms = NEVER,
                               .heap_bytes = head->heap_bytes,
                               .globals = head->globals,
                               .kernel = kernel,
                               .every_rows = NEVER,
                               .every_bytes = NEVER,
                               .idle_ms = NEVER,
                               .ship = text_of(ship)});
}

static err_t attach(scratch_t *self, fail_t *f)
{
    uint64_t end = now_ms() + ATTACH_MS;
    err_t err;

    do err = hear(self, end, f);
    while (!err && self->msg.tag != TAG_attach);
    if (err) return err;
    const msg_attach_t *said = &self->msg.body.attach;
    if (said->heap) {
        fail(f, ERR_SNAPSHOT_UNREADABLE, "the checkpoint of delivery %llu cannot be read",
             (unsigned long long)said->checkpoint);
        return ERR_SNAPSHOT_UNREADABLE;
    }
    self->last = said->last;
    msg_attached_t attached = {.vat = self->vat,
                               .inc = self->inc,
                               .pgen = self->pgen,
                               .run = RUN,
                               .nonce = said->nonce,
                               .applied = said->last};
    return tell(self, TAG_attached, &attached) ? ERR_OK
                                               : fail(f, ERR_VAT_CRASHED, "the worker ended");
}

scratch_t *scratch_new(const msg_log_head_t *head, id128_t kernel, const char *folder,
                       const char *database, fail_t *f)
{
    char bundle[PATH_MAX + NAME_BYTES_MAX + 2], path[PATH_MAX + NAME_BYTES_MAX + 2];

    AUTO(scratch) self = calloc(1, sizeof *self);
    must(self);
    self->pipe.fd = -1;
    self->vat = head->vat;
    self->inc = head->inc;
    self->pgen = head->mirror_pgen ? head->mirror_pgen : head->pgen;
    snprintf(self->folder, sizeof self->folder, "%s", folder);
    snprintf(bundle, sizeof bundle, "%s/%.*s", folder, (int)head->bundle.len, head->bundle.at);
    snprintf(path, sizeof path, "%s/%s", folder, database);
    if (start(self, bundle, f)) return NULL;
    if (!tell_start(self, head, kernel, bundle, path)) {
        fail(f, ERR_PROCESS_FAILED, "the worker ended at once");
        return NULL;
    }
    return attach(self, f) ? NULL : TAKE(self);
}

void scratch_destroy(scratch_t **self_p)
{
    scratch_t *self = *self_p;
    if (!self) return;

    if (self->has_msg) msg_clear(&self->msg);
    if (self->pipe.fd >= 0) pipe_close(&self->pipe);
    if (self->pid) process_stop(self->pid, GOODBYE_MS);
    free(self);
    *self_p = NULL;
}

uint64_t scratch_last(const scratch_t *self) { return self->last; }

static bool tell_bundle(scratch_t *self)
{
    char path[PATH_MAX + NAME_BYTES_MAX + 2];
    text_t bundle = self->msg.body.bundle_want.bundle;

    snprintf(path, sizeof path, "%s/%.*s", self->folder, (int)bundle.len, bundle.at);
    return tell(self, TAG_bundle_file, &(msg_bundle_file_t){bundle, text_of(path)});
}

err_t scratch_run(scratch_t *self, const msg_log_row_t *row, unsigned ms, const msg_result_t **ret,
                  fail_t *f)
{
    uint64_t end = now_ms() + ms;
    bool skip = row->verdict == GIVEN_UP;
    msg_deliver_t deliver = {.vat = self->vat,
                             .inc = self->inc,
                             .pgen = self->pgen,
                             .run = RUN,
                             .d = row->d,
                             .applied = row->d - 1,
                             .durable = row->d,
                             .verdict = skip ? SKIP : LIVE,
                             .expect = row->result_hash,
                             .trace = row->trace,
                             .cause = row->cause,
                             .delivery = row->delivery};

    *ret = NULL;
    bool there = tell(self, TAG_deliver, &deliver);
    for (; there && !skip;) {
        err_t err = hear(self, end, f);
        if (err == ERR_VAT_CRASHED) break;
        if (err) return err;
        if (self->msg.tag == TAG_bundle_want) {
            there = tell_bundle(self);
        } else if (self->msg.tag == TAG_result && self->msg.body.result.d == row->d) {
            *ret = &self->msg.body.result;
            break;
        }
    }
    if (!*ret && !skip)
        return fail(f, ERR_VAT_CRASHED, "the worker ended while it ran v%u/%llu", self->vat.n,
                    (unsigned long long)row->d);
    self->last = row->d;
    return ERR_OK;
}
