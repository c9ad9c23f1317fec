/* The agent: it is started when the kernel wants one, answers late and in any order, and dies. A fresh
 * one knows nothing.
 *
 *   A1   what may not be done twice is asked once
 *   A2   only channels that are open are asked for anything */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

static bool mentions(bin_t body, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= body.len; i++)
        if (memcmp(body.at + i, word, len) == 0) return true;
    return false;
}

static unsigned channel_at(const agent_t *agent, uint64_t channel)
{
    unsigned i = 0;
    while (i < agent->channel_count && agent->channels[i] != channel) i++;
    return i;
}

static void on_ask(sim_t *self, const msg_agent_ask_t *msg)
{
    agent_t *agent = &self->agent;
    bool twice =
        text_is(msg->what, "read") || (text_is(msg->what, "fetch") && !mentions(msg->body, "POST"));
    if (map_get(&self->errands, msg->errand) && !twice)
        sim_fail(self, "A1", "errand %" PRIu64 ", a %.*s, is asked a second time", msg->errand,
                 (int)msg->what.len, msg->what.at);
    map_put(&self->errands, msg->errand, self);
    if (msg->channel && channel_at(agent, msg->channel) == agent->channel_count)
        sim_fail(self, "A2", "errand %" PRIu64 " is about a channel that is not open", msg->errand);
    for (unsigned i = 0; i < agent->ask_count; i++)
        if (agent->asks[i] == msg->errand)
            sim_fail(self, "A1", "errand %" PRIu64 " is asked twice of one agent", msg->errand);
    if (agent->ask_count == AGENT_ASKS_MAX)
        sim_fail(self, "A1", "%u errands are open", AGENT_ASKS_MAX);
    agent->asks[agent->ask_count++] = msg->errand;
}

static void on_open(sim_t *self, const msg_agent_open_t *msg)
{
    agent_t *agent = &self->agent;
    bool there = channel_at(agent, msg->channel) < agent->channel_count;
    if (there || agent->channel_count == AGENT_CHANNELS_MAX)
        sim_fail(self, "A2", "a channel is opened twice, or there are too many");
    agent->channels[agent->channel_count++] = msg->channel;
}

static void on_close(sim_t *self, const msg_agent_close_t *msg)
{
    agent_t *agent = &self->agent;
    unsigned i = channel_at(agent, msg->channel);
    if (i == agent->channel_count) sim_fail(self, "A2", "a channel is closed that is not open");
    agent->channels[i] = agent->channels[--agent->channel_count];
}

/* FRAME NULL: one is wanted. Frames for one that ended are lost. */
void agent_take(sim_t *self, const blob_t *frame)
{
    msg_t msg;
    if (!frame) {
        if (self->agent.state == AGENT_OUT) self->agent.state = AGENT_STARTS;
        return;
    }
    if (self->agent.state != AGENT_IN) return;
    if (msg_decode(blob_bin(frame), &msg))
        sim_fail(self, "codec", "a frame to the agent cannot be read");
    switch (msg.tag) {
    case TAG_agent_open: on_open(self, &msg.body.agent_open); break;
    case TAG_agent_close: on_close(self, &msg.body.agent_close); break;
    case TAG_agent_ask: on_ask(self, &msg.body.agent_ask); break;
    default: sim_fail(self, "effect", "%s for the agent", message_find(msg.tag)->name);
    }
    msg_clear(&msg);
}

/* It is gone; TOLD: the broker notices. */
void agent_dies(sim_t *self, bool told)
{
    if (told && self->agent.state != AGENT_IN) return;
    sim_log(self, "the agent dies, with %u errands", self->agent.ask_count);
    self->agent = (agent_t){.gone = told};
}

/* Can it do anything? */
bool agent_moves(const sim_t *self)
{
    const agent_t *agent = &self->agent;
    return agent->gone || agent->state == AGENT_STARTS ||
           (agent->state == AGENT_IN && agent->ask_count);
}

static void answer(sim_t *self, chance_t *chance)
{
    static const char *const bodies[] = {
        "#\"a line\"", "#\"#undefined\"", "#{\"status\":200}",
        "#null",       "#\"$0\"",         "#{\"#error\":\"no\",\"name\":\"Error\"}"};
    agent_t *agent = &self->agent;
    unsigned at = roll(chance, agent->ask_count);
    const char *body = bodies[roll(chance, sizeof bodies / sizeof *bodies)];
    msg_agent_told_t told = {.errand = agent->asks[at],
                             .rejected = once_in(chance, 4),
                             .body = {(const uint8_t *)body, strlen(body)}};
    agent->asks[at] = agent->asks[--agent->ask_count];
    broker_step(self, INPUT_AGENT, 0, 0, sim_encode(self, TAG_agent_told, &told));
}

void agent_move(sim_t *self, chance_t *chance)
{
    agent_t *agent = &self->agent;
    if (agent->gone) {
        agent->gone = false;
        broker_step(self, INPUT_AGENT_GONE, 0, 0, NULL);
    } else if (agent->state == AGENT_STARTS) {
        agent->state = AGENT_IN;
        broker_step(self, INPUT_AGENT, 0, 0, NULL);
    } else {
        answer(self, chance);
    }
}
