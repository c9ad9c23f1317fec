/* A vathost's session, its link, and its end. There is no network and no process: the test is the dealer, the
 * broker behind it, and the crew. Each broker is a function that answers what the host says. */
#include "vathost/vathost.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vathost/guests_rig.h"
#include "wire/base/hash.h"

enum { EVENTS = 64, EPOCH = 7, SESSION = 99 };

static vathost_t *host;
static int wakes = -1, other = -1, signals;
static void (*broker)(const msg_t *msg);
static void (*worker)(void); /* gets a look at its socket at each turn */
static id128_t instance;
static size_t opens, hellos, pings;
static uint64_t opened_ms[EVENTS];
static keys_t own, joining;
static const keys_t *with; /* the pair that the dealer was last given */

static uint64_t now_ms(void)
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

static void end_host(void) { wake(signals); }

/* ---- the dealer ---- */

static struct {
    dealer_event_t event;
    buf_t frame;
} queue[EVENTS];
static size_t first, behind;

static void happens(dealer_event_t event)
{
    cr_assert_lt(behind - first, EVENTS);
    queue[behind++ % EVENTS].event = event;
    wake(wakes);
}

static void broker_says(msg_tag_t tag, const void *body)
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

enum { LIVES = 16, KILLED = SIGKILL, FAILED = 1 << 8 };

/* One zygote after the other: how each ends, and whether it was ready before; the one behind them works. */
static struct {
    bool ready;
    int status;
} lives[LIVES];
static size_t crews, crews_wanted;
static uint64_t crew_ms[LIVES];
static bool crew_said, program_there = true;
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

static void welcome(const msg_t *msg, uint64_t epoch)
{
    msg_welcome_t welcome = {.proto = 1,
                             .nonce = msg->body.hello.nonce,
                             .epoch = epoch,
                             .kernel = kernel,
                             .host = {1},
                             .session = SESSION};
    broker_says(TAG_welcome, &welcome);
}

static void refuses(err_t err)
{
    msg_refuse_t refuse = {err, TAG_hello, text_of("no")};
    broker_says(TAG_refuse, &refuse);
}

static void make_host(const keys_t *join)
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

static void make(void)
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

static void unmake(void)
{
    char command[128];
    vathost_destroy(&host);
    vault_destroy(&vault);
    for (size_t i = 0; i < EVENTS; i++) buf_clear(&queue[i].frame);
    frames_clear(&told);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(vathost, .init = make, .fini = unmake);

/* ---- sessions ---- */

static void takes_all(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    welcome(msg, EPOCH);
    end_host();
}

Test(vathost, ends_when_it_is_asked_to)
{
    broker = takes_all;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 1);
}

static msg_tag_t said[4];
static size_t says_so_far;
static uint64_t present;

/* In the first session the kernel is a new one, and nothing is kept. */
static void listens(const msg_t *msg)
{
    char path[PATH_BYTES_MAX];
    if (hellos == 1) {
        if (msg->tag == TAG_hello) welcome(msg, EPOCH);
        if (msg->tag == TAG_present) vault_path(vault, vat, 1, path);
        if (msg->tag == TAG_present) happens(DEALER_DOWN);
        return;
    }
    if (says_so_far < 4) said[says_so_far++] = msg->tag;
    if (msg->tag == TAG_hello) welcome(msg, EPOCH);
    if (msg->tag == TAG_present) present = msg->body.present.session;
    if (msg->tag == TAG_guests || says_so_far == 4) end_host();
}

Test(vathost, proves_that_it_is_there_before_anything_else)
{
    broker = listens;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect(said[0] == TAG_hello && said[1] == TAG_present && said[2] == TAG_guests);
    cr_expect_eq(present, SESSION);
}

static void finds_it_stale(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    if (hellos < 3)
        refuses(ERR_STALE_SESSION);
    else
        takes_all(msg);
}

Test(vathost, a_stale_session_is_followed_by_the_next)
{
    broker = finds_it_stale;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 3);
    cr_expect_eq(opens, 3, "nothing of the old link arrives in the next");
    cr_expect_geq(opened_ms[1] - opened_ms[0], 900, "two that share a key do not chase each other");
}

static void knows_a_clone(const msg_t *msg)
{
    if (msg->tag == TAG_hello) refuses(ERR_HOST_CLONED);
}

static void has_disavowed_it(const msg_t *msg)
{
    if (msg->tag == TAG_hello) refuses(ERR_HOST_DISAVOWED);
}

Test(vathost, a_clone_ends)
{
    broker = knows_a_clone;
    cr_expect_eq(vathost_run(host), ERR_HOST_CLONED);
    cr_expect_eq(opens, 1);
}

Test(vathost, one_that_was_declared_gone_ends)
{
    broker = has_disavowed_it;
    cr_expect_eq(vathost_run(host), ERR_HOST_DISAVOWED);
}

static void goes_back(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    welcome(msg, hellos == 1 ? EPOCH : EPOCH - 1);
    if (hellos == 1) happens(DEALER_DOWN);
}

Test(vathost, a_broker_that_forgot_is_refused)
{
    broker = goes_back;
    cr_expect_eq(vathost_run(host), ERR_BROKER_WENT_BACK);
}

static void has_forgotten_the_session(const msg_t *msg)
{
    static bool asked;
    if (msg->tag != TAG_hello) return;
    welcome(msg, EPOCH);
    if (asked)
        end_host();
    else
        refuses(ERR_NEED_HELLO);
    asked = true;
}

Test(vathost, says_hello_when_it_is_asked_to)
{
    broker = has_forgotten_the_session;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(hellos, 2);
    cr_expect_eq(opens, 1);
}

/* ---- the link ---- */

static void cuts(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    happens(DEALER_DOWN);
    if (hellos == 6) end_host();
}

/* ---- a list that a host is not on ---- */

static size_t joins;
static bool on_the_list, closed;

static void refuses_strangers(const msg_t *msg)
{
    if (msg->tag == TAG_join) {
        char key[KEY_TEXT_BYTES + 1];
        cr_expect_eq(with, &joining);
        key_text(msg->body.join.key, key);
        cr_expect_str_eq(key, own.public_key);
        joins++;
        on_the_list = !closed;
        if (closed)
            refuses(ERR_KEY_REFUSED);
        else
            broker_says(TAG_joined, &(msg_joined_t){msg->body.join.nonce});
    }
    if (msg->tag != TAG_hello) return;
    cr_expect_eq(with, &own, "nothing but JOIN is said with a join key");
    if (on_the_list) {
        welcome(msg, EPOCH);
        end_host();
    } else {
        refuses(ERR_KEY_REFUSED);
    }
    if (closed && hellos == 2) end_host();
}

static void joining_host(void)
{
    vathost_destroy(&host);
    broker = refuses_strangers;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
}

Test(vathost, a_host_with_a_join_key_puts_its_own_on_the_list)
{
    joining_host();
    cr_expect_eq(joins, 1);
    cr_expect_eq(hellos, 2);
    cr_expect_eq(opens, 3);
}

Test(vathost, one_that_is_on_the_list_does_not_use_it)
{
    on_the_list = true;
    joining_host();
    cr_expect_eq(joins, 0);
    cr_expect_eq(opens, 1);
}

Test(vathost, a_join_key_that_is_refused_is_no_reason_to_hurry)
{
    closed = true;
    joining_host();
    cr_expect_eq(joins, 1);
    cr_expect_eq(hellos, 2);
    cr_expect_geq(opened_ms[2] - opened_ms[1], 1000);
}

/* What is wrong is the disk of the broker, or the rush: not this host's key. */
static void says_why(const msg_t *msg)
{
    static const err_t why[] = {ERR_JOINS_WAIT, ERR_STORE_FULL, ERR_STORE_FULL};
    if (msg->tag == TAG_hello) {
        refuses(ERR_KEY_REFUSED);
    } else if (msg->tag == TAG_join) {
        refuses(why[joins]);
        if (++joins == 3) end_host();
    }
}

Test(vathost, why_it_may_not_join_is_said_once_as_the_broker_says_it)
{
    char said[4096], line[32];
    vathost_destroy(&host);
    cr_redirect_stderr();
    broker = says_why;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
    fflush(stderr);
    FILE *file = cr_get_redirected_stderr();
    size_t len = fread(said, 1, sizeof said - 1, file);
    said[len] = 0;
    cr_expect_eq(joins, 3);
    snprintf(line, sizeof line, "error E%d:", ERR_JOINS_WAIT);
    cr_expect(strstr(said, line), "%s", said);
    snprintf(line, sizeof line, "error E%d:", ERR_STORE_FULL);
    const char *first = strstr(said, line);
    cr_expect(first && !strstr(first + 1, line), "%s", said);
    cr_expect_null(strstr(said, "E6002"), "%s", said);
}

/* Somebody else's word for it is not taken. */
static void joined_by_another(const msg_t *msg)
{
    if (msg->tag == TAG_hello) {
        refuses(ERR_KEY_REFUSED);
    } else if (msg->tag == TAG_join) {
        joins++;
        broker_says(TAG_joined, &(msg_joined_t){{{1}}});
        end_host();
    }
}

Test(vathost, an_answer_to_another_join_is_none)
{
    vathost_destroy(&host);
    broker = joined_by_another;
    make_host(&joining);
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(joins, 1);
    cr_expect_eq(opens, 2, "it still waits");
}

Test(vathost, attempts_come_further_and_further_apart)
{
    broker = cuts;
    uint64_t began = now_ms();
    cr_expect_eq(vathost_run(host), ERR_OK);
    uint64_t took = now_ms() - began;
    cr_expect_eq(opens, 6);
    cr_expect_geq(took, 3000);
    cr_expect_leq(opened_ms[1] - opened_ms[0], 700, "the first comes soon");
}

static void falls_silent(const msg_t *msg)
{
    if (msg->tag != TAG_hello) return;
    if (hellos == 1)
        welcome(msg, EPOCH);
    else
        takes_all(msg);
}

Test(vathost, a_link_that_is_half_open_is_noticed_in_time)
{
    broker = falls_silent;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_assert_eq(opens, 2);
    uint64_t took = opened_ms[1] - opened_ms[0];
    cr_expect(took > LINK_LOST_MS / 2 && took <= LINK_LOST_MS + 500, "%llu ms",
              (unsigned long long)took);
    cr_expect_geq(pings, LINK_LOST_MS / LINK_BEAT_MS - 3);
}

/* ---- the end ---- */

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

Test(vathost, waits_a_moment_for_a_worker_that_hangs)
{
    broker = places_a_vat;
    worker = looks;
    cr_expect_eq(vathost_run(host), ERR_OK);
    uint64_t took = now_ms() - asked_ms;
    cr_expect(asked);
    cr_expect(took >= 1500 && took < 5000, "%llu ms", (unsigned long long)took);
}

Test(vathost, does_not_wait_for_one_that_answers)
{
    broker = places_a_vat;
    worker = answers;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect(asked);
    cr_expect_lt(now_ms() - asked_ms, 1500);
}

/* ---- zygotes ---- */

static void says_nothing(const msg_t *msg) { (void)msg; }

static void live(size_t first, size_t behind_last, bool ready, int status)
{
    for (size_t i = first; i < behind_last; i++) {
        lives[i].ready = ready;
        lives[i].status = status;
    }
}

Test(vathost, a_zygote_that_is_killed_is_replaced_for_ever)
{
    broker = says_nothing;
    live(0, 3, false, KILLED);
    live(3, 8, true, KILLED);
    crews_wanted = 9;
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_assert_eq(crews, 9);
    cr_expect_lt(crew_ms[1] - crew_ms[0], 100, "at once");
    cr_expect_geq(crew_ms[6] - crew_ms[5], 1600);
    cr_expect_geq(crew_ms[7] - crew_ms[6], 3200 - 50, "then less and less often");
}

Test(vathost, one_that_ends_by_itself_before_any_worked_ends_the_host)
{
    broker = says_nothing;
    live(0, 1, false, FAILED);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 1);
    cr_expect(strstr(vathost_why(host), "exit code 1"), "%s", vathost_why(host));
}

Test(vathost, several_that_end_by_themselves_end_the_host)
{
    broker = says_nothing;
    live(0, 1, true, KILLED);
    live(1, 3, false, FAILED);
    live(3, 4, false, KILLED); /* counts for nobody */
    live(4, 7, false, SIGSEGV);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 7);
    cr_expect(strstr(vathost_why(host), "signal 11"), "%s", vathost_why(host));
}

Test(vathost, ends_when_there_is_no_program_for_the_next)
{
    broker = says_nothing;
    program_there = false;
    live(0, 1, true, KILLED);
    cr_expect_eq(vathost_run(host), ERR_PROCESS_FAILED);
    cr_expect_eq(crews, 6);
    cr_expect(strstr(vathost_why(host), "no program"), "%s", vathost_why(host));
}

/* A worker ends with its zygote and starts with the next: no sooner, and not later for the deaths before. */
static void places_one_that_loses_its_zygote(const msg_t *msg)
{
    msg_vat_new_t new = new_of(3, 1);
    if (msg->tag == TAG_hello) {
        welcome(msg, EPOCH);
        lives[0].status = KILLED;
        broker_says(TAG_vat_new, &new);
        crews_wanted = 5;
    }
}

Test(vathost, workers_wait_for_the_zygote)
{
    broker = places_one_that_loses_its_zygote;
    live(1, 4, true, KILLED);
    cr_expect_eq(vathost_run(host), ERR_OK);
    cr_expect_eq(crews, 5);
    cr_expect_eq(started, 5);
}
