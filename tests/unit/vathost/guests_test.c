/* What a vathost lets pass between its workers and the broker. There is no process: the test is the
 * crew, and the far end of each worker's socket. */
#include "vathost/guests.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/frames/frames.h"

static const vat_t vat = {3};
static int far_end = -1;
static uint64_t token;
static size_t started, killed, attaches, others;
static guests_t *guests;

/* ---- the crew, and a bundle that is always there ---- */

err_t crew_start(crew_t *self, uint64_t its, const char *bundle, int *ret_fd)
{
    int fds[2];
    (void)self, (void)bundle;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *ret_fd = fds[0];
    far_end = fds[1];
    token = its;
    started++;
    return ERR_OK;
}

void crew_kill(crew_t *self, uint64_t its)
{
    (void)self;
    cr_assert_eq(its, token);
    killed++;
}

bool bundles_name(text_t text) { return text.len > 0; }
bool bundles_find(bundles_t *self, const char *name, char *ret_path, size_t room)
{
    (void)self;
    snprintf(ret_path, room, "%s", name);
    return true;
}
uint64_t bundles_offset(const bundles_t *self, const char *name)
{
    (void)self, (void)name;
    return 0;
}
bundles_state_t bundles_add(bundles_t *self, const char *name, uint64_t offset, uint64_t total,
                            bin_t piece)
{
    (void)self, (void)name, (void)offset, (void)total, (void)piece;
    return BUNDLES_WRONG;
}

/* ---- the broker ---- */

static bool to_broker(void *context, bin_t frame)
{
    (void)context;
    ++*(msg_peek(frame) == TAG_attach ? &attaches : &others);
    return true;
}

static void from_broker(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    cr_assert_eq(msg_decode((bin_t){frame.at, frame.len}, &msg), ERR_OK);
    guests_take(guests, &msg, (bin_t){frame.at, frame.len}, 1);
    msg_clear(&msg);
    buf_clear(&frame);
}

/* ---- the worker ---- */

static void says(msg_tag_t tag, const void *body)
{
    uint8_t head[FRAME_HEAD_BYTES];
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    frames_head(frame.len, head);
    cr_assert_eq(write(far_end, head, sizeof head), (ssize_t)sizeof head);
    cr_assert_eq(write(far_end, frame.at, frame.len), (ssize_t)frame.len);
    buf_clear(&frame);
    guests_pipe(guests, token, 1);
}

static void setup(void)
{
    guests_options_t options = {
        .state = "/nonexistent", .epoll = epoll_create1(0), .send = to_broker};
    guests = guests_new(&options);
    msg_vat_new_t new = {
        .vat = vat, .inc = 1, .pgen = 1, .name = text_of("alice"), .bundle = text_of("b1")};
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(started, 1);
}

static void teardown(void)
{
    guests_destroy(&guests);
    close(far_end);
}
TestSuite(guests, .init = setup, .fini = teardown);

/* Every ATTACH has the broker send all that is in flight: a worker that says it for ever would have
 * megabytes sent for a few bytes. */
Test(guests, a_worker_attaches_once_for_each_start)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    guests_session(guests);
    guests_session(guests); /* it was busy during the first: it answers both */
    says(TAG_attach, &attach);
    says(TAG_attach, &attach);
    cr_assert_eq(attaches, 3);
    cr_assert_eq(killed, 0);

    says(TAG_attach, &attach);
    cr_assert_eq(attaches, 3, "the broker does not hear of it");
    cr_assert_eq(killed, 1);
}

Test(guests, a_worker_speaks_for_its_own_vat_only)
{
    msg_fetch_t fetch = {.vat = vat, .inc = 1, .pgen = 1, .first = 1, .count = 1};
    says(TAG_fetch, &fetch);
    cr_assert_eq(others, 1);
    fetch.vat.n++;
    says(TAG_fetch, &fetch);
    cr_assert_eq(others, 1);
    cr_assert_eq(killed, 1);
}
