/* The agent, as the shell sees it: started when the kernel wants one, again with back-off when it
 * ended, and judged by nothing but what it says: it is our own process. */
#include <sys/wait.h>

#include "broker/broker_own.h"
#include "wire/base/failpoint.h"
#include "wire/base/log.h"

enum {
    PAUSE_FIRST_MS = 100, /* before the next start; doubled up to the other */
    PAUSE_LAST_MS = 10 * 1000,
    STEADY_MS = 10 * 1000, /* one that ran for so long ended by chance: the pause is short again */
    FRAMES_MAX = 512,      /* taken in one turn, */
    BYTES_MAX = 8 * 1024 * 1024, /* and so many bytes: others have a turn as well */
};

/* The kernel asked for an agent, or for a frame to go to it. That one is the one it was meant for: an
 * agent is started when the wish for it has left, and then all that was said before has left too. */
void outside_effect(broker_t *self, const effect_t *effect)
{
    if (!effect->frame)
        self->agent.wanted = !self->agent.runs;
    else if (self->agent.runs) {
        FAILPOINT(broker_sends_agent);
        self->is.port.agent_send(self->is.port.self, blob_bin(effect->frame));
    }
}

static void start(broker_t *self, uint64_t now)
{
    agent_state_t *agent = &self->agent;
    bool paused = agent->pause_ms != 0;

    agent->pause_ms = paused ? 2 * agent->pause_ms : PAUSE_FIRST_MS;
    if (agent->pause_ms > PAUSE_LAST_MS) agent->pause_ms = PAUSE_LAST_MS;
    agent->next_ms = now + agent->pause_ms;
    if (!self->is.port.agent_start(self->is.port.self)) {
        if (!paused) log_error("agent_start", kv_str("why", err_text(ERR_PROCESS_FAILED)));
        return;
    }
    agent->wanted = false;
    agent->runs = true;
    agent->started_ms = now;
    log_info("agent_start");
    FAILPOINT(broker_agent_started);
    broker_step(self, INPUT_AGENT, 0, NULL, NULL);
}

static void ended(broker_t *self, uint64_t now, int status)
{
    self->agent.runs = false;
    if (now - self->agent.started_ms >= STEADY_MS) {
        self->agent.pause_ms = 0;
        self->agent.next_ms = now;
    }
    log_warn(
        "agent_end", kv_str("how", WIFSIGNALED(status) ? "signal" : "exit"),
        kv_num("number", (uint64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status))));
    broker_step(self, INPUT_AGENT_GONE, 0, NULL, NULL);
}

/* An agent that says what it may not is of another version, or mad: a fresh one may do better. */
static void take_frame(broker_t *self, bin_t frame)
{
    msg_t msg;
    err_t err = msg_decode(frame, &msg);
    if (!err && msg.tag == TAG_agent_told) {
        broker_step(self, INPUT_AGENT, 0, &msg, NULL);
    } else {
        log_warn("frame_refused", kv_str("from", "agent"),
                 kv_str("why", err_name(err ? err : ERR_WIRE_TURN)));
        self->is.port.agent_end(self->is.port.self);
    }
    if (!err) msg_clear(&msg);
}

bool outside_turn(broker_t *self)
{
    uint64_t now = broker_now_ms(self);
    size_t bytes = 0;
    bool any = false, empty = false;

    for (int i = 0; i < FRAMES_MAX && bytes < BYTES_MAX && self->agent.runs && !empty; i++) {
        bin_t frame = {0};
        int status = 0;
        agent_event_t event = self->is.port.agent_take(self->is.port.self, &frame, &status);
        empty = event == AGENT_NOTHING;
        any = any || !empty;
        bytes += frame.len;
        if (event == AGENT_FRAME) take_frame(self, frame);
        if (event == AGENT_ENDED) ended(self, now, status);
    }
    self->agent.more = self->agent.runs && !empty;
    if (!self->agent.wanted || self->agent.runs || now < self->agent.next_ms) return any;
    start(self, now);
    return true;
}

int outside_wait_ms(const broker_t *self, int most_ms)
{
    uint64_t now = broker_now_ms(self);
    if (self->agent.more) return 0; /* what is here already wakes nobody */
    if (!self->agent.wanted || self->agent.runs) return most_ms;
    if (self->agent.next_ms <= now) return 0;
    uint64_t left = self->agent.next_ms - now;
    return left < (uint64_t)most_ms ? (int)left : most_ms;
}
