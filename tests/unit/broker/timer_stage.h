/* The stage of the timer's stories: alice (v1) asks and hears the answers, bob's root is the handler that
 * is woken. The clock stands still until a test moves it. */
#pragma once
#include <inttypes.h>

#include "tests/support/kernel_rig.h"

#define TIME "{\"absValue\":\"+%" PRIu64 "\",\"timerBrand\":\"$0.Alleged: timerBrand\"}"

extern rig_t *rig;
extern buf_t calls;
extern kref_t service, brand; /* the cluster's timer */

/* The story once with one kernel, and once with one that is loaded from its rows before every move. */
#define TWICE(story)                  \
    Test(timer, story)                \
    {                                 \
        for (int i = 0; i < 2; i++) { \
            stage_begin(i);           \
            story();                  \
            stage_end();              \
        }                             \
    }

/* What alice was told of PROMISE; NULL: nothing yet. */
const resolution_t *told(kref_t promise);
/* Alice sends TARGET a message. Returns the promise of its result. */
kref_t ask_with(kref_t target, const char *body, const kref_t *slots, size_t count);
kref_t ask(kref_t target, const char *body);
kref_t ask_one(kref_t target, const char *body, kref_t slot);
void at(uint64_t ms);
void expect_body(kref_t promise, bool rejected, const char *body);
void expect_time(kref_t promise, uint64_t ms);
/* The answer of a notifier; a COUNT of 0: it was cancelled. */
void expect_update(kref_t promise, uint64_t ms, uint64_t count);
void expect_error(kref_t promise, const char *text);
void expect_flag(kref_t promise, bool flag);
void expect_undefined(kref_t promise);
/* The object that an answer is. */
kref_t object_of(kref_t promise, const char *iface);
/* He was woken at MS and has not answered. Returns the result that is asked of him. */
kref_t expect_woken(uint64_t ms);
/* A wake of setWakeup: nobody waits for an answer. */
void expect_wake(uint64_t ms);
/* Bob's answer to what is now his oldest delivery. */
void answers(kref_t result, bool rejected);
void expect_repeat(uint64_t ms);
void expect_asleep(void);
/* The kernel wants to be woken then; 0: never. */
void expect_alarm(uint64_t ms);
kref_t token(unsigned n);
/* An empty kernel with a host; it is 100 ms past 1970. */
void stage_new(bool with_restarts);
/* With the cluster of alice and bob, who holds all tokens. */
void stage_begin(bool with_restarts);
void stage_end(void);
kref_t now(void);
kref_t cancel(unsigned n);
kref_t wakeup(uint64_t when, unsigned cancel_token);
kref_t wake_at(uint64_t when, unsigned cancel_token);
kref_t repeat_after(uint64_t delay_ms, uint64_t interval, unsigned cancel_token);
kref_t notifier_new(uint64_t delay_ms, uint64_t interval, unsigned cancel_token);
/* A COUNT of 0: undefined. */
kref_t since(kref_t notifier, uint64_t count);
