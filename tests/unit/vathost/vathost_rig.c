#include "tests/unit/vathost/vathost_rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/hash.h"

vathost_t *host;
void (*broker)(const msg_t *msg);
void (*worker)(void);
size_t opens, hellos, pings;
uint64_t opened_ms[EVENTS];
keys_t own, joining;
const keys_t *with;
static int wakes = -1, other = -1, signals;
static id128_t instance;

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wake(int fd)
{
    uint64_t one = 1;
    cr_assert_eq(write(fd, &one, sizeof one), (ssize_t)sizeof one);
}

void end_host(void) { wake(signals); }

/* ---- the dealer ---- */

static struct {
    dealer_event_t event;
    buf_t frame;
} queue[EVENTS];
static size_t first, behind;

void happens(dealer_event_t event)
{
    cr_assert_lt(behind - first, EVENTS);
    queue[behind++ % EVENTS].event = event;
    wake(wakes);
}

void broker_says(msg_tag_t tag, const void *body)
{
    buf_t *frame = &queue[behind % EVENTS].frame;
    frame->max = FRAME_BYTES_MAX;
    buf_reset(frame);
    cr_assert_eq(msg_encode(tag, body, frame), ERR_OK);
    happens(DEALER_FRAME);
}

void dealer_keys(dealer_t *self, const keys_t *keys)
{
    (void)self;
    with = keys;
}

err_t dealer_open(dealer_t *self)
{
    (void)self;
    first = behind;
    close(wakes);
    close(other);
    wakes = eventfd(0, EFD_NONBLOCK);
    other = eventfd(0, EFD_NONBLOCK);
    cr_assert_lt(opens, EVENTS, "it tries far too often");
    opened_ms[opens++] = now_ms();
    happens(DEALER_UP);
    return ERR_OK;
}

void dealer_fds(const dealer_t *self, int ret[DEALER_FDS])
{
    (void)self;
    ret[0] = wakes;
    ret[1] = other;
}

dealer_event_t dealer_take(dealer_t *self, bin_t *ret)
{
    uint64_t many;
    (void)self;
    if (worker) worker();
    if (first == behind) {
        (void)!read(wakes, &many, sizeof many);
        return DEALER_NOTHING;
    }
    size_t at = first++ % EVENTS;
    *ret = (bin_t){queue[at].frame.at, queue[at].frame.len};
    return queue[at].event;
}

bool dealer_send(dealer_t *self, bin_t frame)
{
    msg_t msg;
    (void)self;
    cr_assert_eq(msg_decode(frame, &msg), ERR_OK);
    if (msg.tag == TAG_hello) {
        if (hellos++)
            cr_expect(id_same(instance, msg.body.hello.instance), "one process, one instance");
        instance = msg.body.hello.instance;
    }
    pings += msg.tag == TAG_ping;
    broker(&msg);
    msg_clear(&msg);
    return true;
}

/* ---- the crew: what the rig of the guests does not have ---- */

life_t lives[LIVES];
size_t crews, crews_wanted;
uint64_t crew_ms[LIVES];
bool program_there = true;
static bool crew_said;
static int crew_wakes = -1;

static crew_t *a_crew(void)
{
    cr_assert_lt(crews, LIVES, "it tries far too often");
    crew_ms[crews++] = now_ms();
    crew_said = false;
    return (crew_t *)lives; /* not NULL, which is none */
}
err_t crew_new(const char *program, crew_t **ret)
{
    (void)program;
    if (!program_there && crews++) return ERR_PROCESS_FAILED;
    *ret = a_crew();
    return ERR_OK;
}
void crew_destroy(crew_t **self_p)
{
    if (*self_p) close(crew_wakes);
    *self_p = NULL;
}
int crew_fd(const crew_t *self)
{
    (void)self;
    crew_wakes = eventfd(1, EFD_NONBLOCK); /* always readable */
    return crew_wakes;
}
crew_event_t crew_take(crew_t *self)
{
    size_t n = crews - 1;
    (void)self;
    if (!crew_said && (lives[n].ready || !lives[n].status)) {
        crew_said = true;
        return (crew_event_t){.kind = CREW_READY, .engine = "engine"};
    }
    if (lives[n].status) return (crew_event_t){.kind = CREW_GONE, .status = lives[n].status};
    if (crews == crews_wanted) end_host();
    return (crew_event_t){.kind = CREW_NOTHING};
}

/* ---- brokers ---- */

void welcome(const msg_t *msg, uint64_t epoch)
{
    msg_welcome_t welcome = {.proto = 1,
                             .nonce = msg->body.hello.nonce,
                             .epoch = epoch,
                             .kernel = kernel,
                             .host = {1},
                             .session = SESSION};
    broker_says(TAG_welcome, &welcome);
}

void refuses(err_t err)
{
    msg_refuse_t refuse = {err, TAG_hello, text_of("no")};
    broker_says(TAG_refuse, &refuse);
}

void make_host(const keys_t *join)
{
    host = vathost_new(&(vathost_options_t){.state = dir,
                                            .name = "h",
                                            .program = "none",
                                            .keys = &own,
                                            .join = join,
                                            .vault = vault,
                                            .crew = a_crew(),
                                            .signals = signals,
                                            .ready_fd = open("/dev/null", O_WRONLY)});
}

void vathost_make(void)
{
    char why[256];
    signal(SIGPIPE, SIG_IGN);
    snprintf(dir, sizeof dir, "/tmp/vathost-XXXXXX");
    cr_assert(mkdtemp(dir));
    cr_assert_eq(vault_new(dir, &vault), ERR_OK);
    cr_assert_eq(keys_open(dir, "host", &own, why), ERR_OK, "%s", why);
    cr_assert_eq(keys_open(dir, "join", &joining, why), ERR_OK, "%s", why);
    signals = eventfd(0, EFD_NONBLOCK);
    make_host(NULL);
}

void vathost_unmake(void)
{
    char command[128];
    vathost_destroy(&host);
    vault_destroy(&vault);
    for (size_t i = 0; i < EVENTS; i++) buf_clear(&queue[i].frame);
    frames_clear(&told);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}
