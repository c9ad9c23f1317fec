#include "tests/unit/vathost/guests_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

const vat_t vat = {3};
int far_end = -1;
uint64_t token;
size_t started, killed, attaches, others, gets, losts;
guests_t *guests;
vault_t *vault;
char dir[64];
const id128_t kernel = {{7}};
msg_t heard;

/* ---- the crew, and bundles: all are there but the missing one ---- */

const char *missing = "";
bundles_state_t added = BUNDLES_DONE;
uint64_t come;
frames_t told;
static buf_t heard_frame;

err_t crew_start(crew_t *self, uint64_t its, const char *bundle, int *ret_fd)
{
    int fds[2];
    (void)bundle;
    cr_assert(self, "there is no zygote");
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

bool bundles_name(text_t text) { return text.len > 2 && memcmp(text.at, "b1-", 3) == 0; }
bool bundles_find(bundles_t *self, const char *name, char *ret_path, size_t room)
{
    (void)self;
    snprintf(ret_path, room, "/bundles/%s", name);
    return strcmp(name, missing) != 0;
}
uint64_t bundles_offset(const bundles_t *self, const char *name)
{
    (void)self, (void)name;
    return come;
}
bundles_state_t bundles_add(bundles_t *self, const char *name, uint64_t offset, uint64_t total,
                            bin_t piece)
{
    (void)self, (void)offset, (void)total;
    come += piece.len;
    if (added == BUNDLES_DONE && strcmp(name, missing) == 0) missing = "";
    return added;
}

/* ---- the broker ---- */

static bool to_broker(void *context, bin_t frame)
{
    (void)context;
    if (heard.tag) msg_clear(&heard);
    heard_frame.max = FRAME_BYTES_MAX;
    buf_reset(&heard_frame);
    cr_assert_eq(buf_add(&heard_frame, frame.at, frame.len), ERR_OK);
    cr_assert_eq(msg_decode((bin_t){heard_frame.at, heard_frame.len}, &heard), ERR_OK);
    switch (heard.tag) {
    case TAG_attach: attaches++; break;
    case TAG_bundle_get: gets++; break;
    case TAG_lost: losts++; break;
    default: others++;
    }
    return true;
}

void from_broker(msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    cr_assert_eq(msg_decode((bin_t){frame.at, frame.len}, &msg), ERR_OK);
    guests_take(guests, &msg, (bin_t){frame.at, frame.len}, 1);
    guests_flush(guests);
    msg_clear(&msg);
    buf_clear(&frame);
}

/* ---- the worker ---- */

void says(msg_tag_t tag, const void *body)
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

static int epoll = -1;
size_t begin_max = 100;

void next_process(void)
{
    guests_destroy(&guests);
    vault_destroy(&vault);
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    guests_options_t options = {.crew = (crew_t *)dir, /* not NULL, which is none */
                                .vault = vault,
                                .begin_max = begin_max,
                                .epoll = epoll,
                                .send = to_broker};
    guests = guests_new(&options);
    guests_session(guests, kernel);
}

void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/guests-XXXXXX");
    cr_assert(mkdtemp(dir));
    epoll = epoll_create1(0);
    next_process();
    msg_vat_new_t new = {
        .vat = vat, .inc = 1, .pgen = 1, .name = text_of("alice"), .bundle = text_of("b1-old")};
    from_broker(TAG_vat_new, &new);
    cr_assert_eq(started, 1);
}

void teardown(void)
{
    char command[128];
    guests_destroy(&guests);
    vault_destroy(&vault);
    frames_clear(&told);
    if (heard.tag) msg_clear(&heard);
    buf_clear(&heard_frame);
    close(far_end);
    close(epoll);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}
/* What the worker is told next, but for STARTs; NULL when there is nothing. */
const msg_t *hears(void)
{
    static msg_t msg;
    bin_t frame;
    int flags = fcntl(far_end, F_GETFL);
    fcntl(far_end, F_SETFL, flags | O_NONBLOCK);
    if (msg.tag) msg_clear(&msg);
    do {
        msg.tag = 0;
        while (frames_next(&told, &frame) != FRAMES_ONE) {
            if (frames_read(&told, far_end) <= 0) return NULL;
        }
        cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    } while (msg.tag == TAG_start);
    return &msg;
}

void delivers(msg_tag_t tag, uint64_t d)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    msg_deliver_upgrade_t upgrade = {.bundle = text_of("b1-new")};
    msg_deliver_reap_t reap = {0};
    const void *body = tag == TAG_deliver_upgrade ? (void *)&upgrade : (void *)&reap;
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    msg_deliver_t msg = {
        .vat = vat, .inc = 1, .pgen = 1, .d = d, .delivery = {frame.at, frame.len}};
    from_broker(TAG_deliver, &msg);
    buf_clear(&frame);
}

void touch(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
}

bool is_there(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

msg_vat_new_t new_of(uint32_t n, uint64_t pgen)
{
    return (msg_vat_new_t){
        .vat = {n}, .inc = 1, .pgen = pgen, .name = text_of("alice"), .bundle = text_of("b1-old")};
}

void attached_to(uint64_t run)
{
    msg_attach_t attach = {.vat = vat, .inc = 1, .pgen = 1};
    says(TAG_attach, &attach);
    msg_attached_t attached = {.vat = vat, .inc = 1, .pgen = 1, .run = run};
    from_broker(TAG_attached, &attached);
}
