/* A vathost without a network and without processes: the test is the dealer, the broker behind it, and the crew. Each
 * broker is a function that answers what the host says. */
#pragma once
#include <signal.h>

#include "tests/unit/vathost/guests_rig.h"
#include "vathost/vathost.h"

enum { EVENTS = 64, EPOCH = 7, SESSION = 99 };

extern vathost_t *host;
extern void (*broker)(const msg_t *msg);
extern void (*worker)(void); /* gets a look at its socket at each turn */

/* How often the host opened a link, and when; said HELLO; said PING. */
extern size_t opens, hellos, pings;
extern uint64_t opened_ms[EVENTS];
extern keys_t own, joining;
extern const keys_t *with; /* the pair that the dealer was last given */

uint64_t now_ms(void);
/* Somebody asks the host to end. */
void end_host(void);

/* What the dealer tells the host next. */
void happens(dealer_event_t event);
void broker_says(msg_tag_t tag, const void *body);
void welcome(const msg_t *msg, uint64_t epoch);
void refuses(err_t err);

/* One zygote after the other: how each ends, and whether it was ready before; the one behind them works. */
enum { LIVES = 16, KILLED = SIGKILL, FAILED = 1 << 8 };
typedef struct {
    bool ready;
    int status;
} life_t;
extern life_t lives[LIVES];
extern size_t crews, crews_wanted; /* started so far; at so many the host is asked to end */
extern uint64_t crew_ms[LIVES];
extern bool program_there;

/* Of the suite: with a host that has no join key. */
void vathost_make(void);
void vathost_unmake(void);
void make_host(const keys_t *join);
