#define _GNU_SOURCE
#include "tests/unit/vathost/worker_rig.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/memstore.h"
#include "vathost/store/vatdb.h"
#include "wire/base/failpoint.h"

static err_t make_engine(void *context, const msg_start_t *start, engine_t **ret)
{
    rig_t *rig = context;
    cr_assert_eq(start->vat.n, vat.n);
    *ret = script_engine_new(rig->script, &rig->count);
    if (rig->database) script_heap(*ret, &rig->count, sizeof rig->count);
    return ERR_OK;
}

static err_t make_store(void *context, const msg_start_t *start, vatstore_t **ret)
{
    const rig_t *rig = context;
    if (rig->database) {
        const vatdb_options_t options = {rig->database, start->kernel, start->vat, start->pgen};
        return vatdb_open(&options, ret);
    }
    *ret = memstore_new();
    return ERR_OK;
}

static void *work(void *context)
{
    rig_t *rig = context;
    const worker_ports_t ports = {rig, make_engine, make_store};
    rig->exit = worker_run(rig->worker_fd, &ports);
    close(rig->worker_fd);
    return NULL;
}

static void become_worker(rig_t *rig)
{
    close(rig->fd);
    if (*rig->failpoint) setenv("VATYARD_FAILPOINT", rig->failpoint, 1);
    failpoint_start(FAILPOINT_worker);
    const worker_ports_t ports = {rig, make_engine, make_store};
    _exit((int)worker_run(rig->worker_fd, &ports));
}

void say(rig_t *rig, msg_tag_t tag, const void *body)
{
    uint8_t head[FRAME_HEAD_BYTES];
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    frames_head(frame.len, head);
    cr_assert_eq(send(rig->fd, head, sizeof head, MSG_NOSIGNAL), (ssize_t)sizeof head);
    cr_assert_eq(send(rig->fd, frame.at, frame.len, MSG_NOSIGNAL), (ssize_t)frame.len);
    buf_clear(&frame);
}

static bool is_about_checkpoints(msg_tag_t tag)
{
    return tag == TAG_checkpoint_begun || tag == TAG_checkpoint || tag == TAG_checkpoint_file;
}

const msg_body_t *hear(rig_t *rig, msg_tag_t tag)
{
    bin_t frame;
    do {
        if (rig->msg.tag) msg_clear(&rig->msg);
        rig->msg.tag = 0;
        while (frames_next(&rig->in, &frame) != FRAMES_ONE)
            cr_assert_gt(frames_read(&rig->in, rig->fd), 0);
        cr_assert_eq(msg_decode(frame, &rig->msg), ERR_OK);
    } while (is_about_checkpoints(rig->msg.tag) && !is_about_checkpoints(tag));
    cr_assert_eq(rig->msg.tag, tag, "heard %s", message_find(rig->msg.tag)->name);
    return &rig->msg.body;
}

const msg_body_t *start(rig_t *rig)
{
    msg_start_t msg = rig->options;
    msg.vat = vat;
    msg.inc = 1;
    if (!msg.pgen) msg.pgen = 1;
    say(rig, TAG_start, &msg);
    const msg_body_t *body = hear(rig, TAG_attach);
    rig->nonce = body->attach.nonce;
    return body;
}

void attached_again(rig_t *rig, uint64_t run, uint64_t applied, uint64_t again)
{
    msg_attached_t msg = {vat, 1, 1, run, rig->nonce, applied, again};
    say(rig, TAG_attached, &msg);
}

void attached(rig_t *rig, uint64_t run, uint64_t applied) { attached_again(rig, run, applied, 0); }

void deliver(rig_t *rig, uint64_t run, uint64_t d, uint64_t applied, uint64_t verdict,
             hash_t expect)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    msg_deliver_message_t message = {.target = kref_root(vat),
                                     .methargs = {{(const uint8_t *)"#[\"x\",[]]", 9}, {NULL, 0}}};
    cr_assert_eq(msg_encode(TAG_deliver_message, &message, &frame), ERR_OK);
    msg_deliver_t msg = {.vat = vat,
                         .inc = 1,
                         .pgen = 1,
                         .run = run,
                         .d = d,
                         .applied = applied,
                         .verdict = verdict,
                         .expect = expect,
                         .delivery = {frame.at, frame.len}};
    say(rig, TAG_deliver, &msg);
    buf_clear(&frame);
}

void live(rig_t *rig, uint64_t run, uint64_t d, uint64_t applied)
{
    deliver(rig, run, d, applied, 0, (hash_t){{0}});
}

void upgrade_row(rig_t *rig, uint64_t run, uint64_t d, uint64_t verdict, hash_t expect)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    msg_deliver_upgrade_t upgrade = {.bundle = text_of("b1-new"),
                                     .parameters = {{(const uint8_t *)"#{}", 3}, {NULL, 0}}};
    cr_assert_eq(msg_encode(TAG_deliver_upgrade, &upgrade, &frame), ERR_OK);
    msg_deliver_t msg = {.vat = vat,
                         .inc = 2,
                         .pgen = 1,
                         .run = run,
                         .d = d,
                         .applied = d - 1,
                         .verdict = verdict,
                         .expect = expect,
                         .delivery = {frame.at, frame.len}};
    say(rig, TAG_deliver, &msg);
    buf_clear(&frame);
}

void file(rig_t *rig, const char *path)
{
    msg_bundle_file_t msg = {text_of("b1-new"), text_of(path)};
    say(rig, TAG_bundle_file, &msg);
}

static rig_t *rig_make(script_t *script)
{
    rig_t *rig = calloc(1, sizeof *rig);
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    rig->fd = pair[0];
    rig->worker_fd = pair[1];
    rig->script = script;
    return rig;
}

rig_t *rig_new(script_t *script)
{
    rig_t *rig = rig_make(script);
    rig->thread = calloc(1, sizeof(pthread_t));
    cr_assert_eq(pthread_create(rig->thread, NULL, work, rig), 0);
    return rig;
}

rig_t *rig_on(const char *database, const msg_start_t *options, script_t *script,
              const char *failpoint)
{
    rig_t *rig = rig_make(script);
    rig->database = database;
    rig->options = *options;
    snprintf(rig->failpoint, sizeof rig->failpoint, "%s", failpoint);
    rig->pid = fork();
    cr_assert_geq(rig->pid, 0);
    if (rig->pid == 0) become_worker(rig);
    close(rig->worker_fd);
    return rig;
}

static void rig_free(rig_t *rig)
{
    if (rig->msg.tag) msg_clear(&rig->msg);
    frames_clear(&rig->in);
    close(rig->fd);
    free(rig->thread);
    free(rig);
}

static int wait_pid(rig_t *rig)
{
    int status = 0;
    cr_assert_eq(waitpid(rig->pid, &status, 0), rig->pid);
    return status;
}

worker_exit_t rig_end(rig_t *rig)
{
    bin_t frame;
    shutdown(rig->fd, SHUT_WR);
    if (rig->thread) pthread_join(*(pthread_t *)rig->thread, NULL);
    while (frames_read(&rig->in, rig->fd) > 0) {
    }
    while (frames_next(&rig->in, &frame) == FRAMES_ONE)
        cr_expect(is_about_checkpoints(msg_peek(frame)), "an unexpected frame, tag %d",
                  (int)msg_peek(frame));
    if (rig->pid) {
        int status = wait_pid(rig);
        cr_expect(WIFEXITED(status), "status %d", status);
        rig->exit = (worker_exit_t)WEXITSTATUS(status);
    }
    worker_exit_t code = rig->exit;
    rig_free(rig);
    return code;
}

void rig_dies(rig_t *rig)
{
    int status = wait_pid(rig);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d", status);
    rig_free(rig);
}

void rig_kill(rig_t *rig)
{
    kill(rig->pid, SIGKILL);
    rig_dies(rig);
}
