/* A vathost that is asked to end, and its workers' last checkpoints. Method: vathost_rig.h. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/vathost/vathost_rig.h"

TestSuite(vathost_end, .init = vathost_make, .fini = vathost_unmake);

static uint64_t asked_ms;
static bool asked;

/* The worker's side, driven by what the host says to the broker: it attaches when its vat is placed, the
 * broker gives it a run and asks the host to end; then it makes its last checkpoint, or hangs. */
static void worker_says(msg_tag_t tag, const void *body)
{
    uint8_t head[FRAME_HEAD_BYTES];
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    frames_head(frame.len, head);
    cr_assert_eq(write(far_end, head, sizeof head), (ssize_t)sizeof head);
    cr_assert_eq(write(far_end, frame.at, frame.len), (ssize_t)frame.len);
    buf_clear(&frame);
}

static void places_a_vat(const msg_t *msg)
{
    msg_attached_t attached = {.vat = vat, .inc = 1, .pgen = 1, .run = 5};
    msg_vat_new_t new = new_of(3, 1);
    switch (msg->tag) {
    case TAG_hello:
        welcome(msg, EPOCH);
        broker_says(TAG_vat_new, &new);
        broker_says(TAG_ping, &(msg_ping_t){EPOCH});
        break;
    case TAG_pong: /* the worker was started */
        worker_says(TAG_attach, &(msg_attach_t){.vat = vat, .inc = 1, .pgen = 1});
        break;
    case TAG_attach:
        broker_says(TAG_attached, &attached);
        asked_ms = now_ms();
        end_host();
        break;
    default: break;
    }
}

static void looks(void)
{
    for (const msg_t *msg; far_end >= 0 && (msg = hears());) {
        if (msg->tag != TAG_checkpoint_ask) continue;
        asked = msg->body.checkpoint_ask.run == 5 && msg->body.checkpoint_ask.vat.n == vat.n;
    }
}

static void answers(void)
{
    bool was = asked;
    looks();
    if (asked && !was)
        worker_says(TAG_checkpoint, &(msg_checkpoint_t){.vat = vat, .inc = 1, .pgen = 1, .run = 5});
}

Test(vathost_end, waits_a_moment_for_a_worker_that_hangs)
{
    broker = places_a_vat;
    worker = looks;
    cr_expect_eq(vathost_run(host), ERR_OK);
    uint64_t took = now_ms() - asked_ms;
    cr_expect(asked);
    cr_expect(took >= 1500 && took < 5000, "%llu ms", (unsigned long long)took);
}

Test(vathost_end, does_not_wait_for_one_that_answers)
{
    broker = places_a_vat;
    worker = answers;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect(asked);
    cr_expect_lt(now_ms() - asked_ms, 1500);
}
