/* What is under way. A link keeps its order for each vat; frames of different vats overtake each other.
 * While a connection lives nothing is lost; when it ends, what was under way is lost, or arrives late. */
#include <stdlib.h>

#include "tests/sim/own.h"
#include "wire/base/must.h"

static channel_t *channel_of(sim_t *self, way_t way, unsigned host, unsigned vat)
{
    unsigned cell = host * (VATS_MAX + 1) + vat;
    switch (way) {
    case WAY_DOWN: return &self->down[cell];
    case WAY_UP: return &self->up[cell];
    case WAY_ASK: return &self->ask;
    case WAY_TELL: return &self->tell;
    }
    return NULL;
}

static blob_t *pop(channel_t *channel)
{
    frame_t *frame = channel->head;
    blob_t *blob = frame->blob;
    channel->head = frame->next;
    if (!channel->head) channel->tail = NULL;
    channel->count--;
    free(frame);
    return blob;
}

static void append(channel_t *channel, blob_t *blob)
{
    frame_t *frame = malloc(sizeof *frame);
    must(frame);
    *frame = (frame_t){NULL, blob};
    *(channel->tail ? &channel->tail->next : &channel->head) = frame;
    channel->tail = frame;
    channel->count++;
}

static void clear(channel_t *channel)
{
    while (channel->head) {
        blob_t *blob = pop(channel);
        blob_destroy(&blob);
    }
}

/* Frames that say of themselves which run they belong to may come late, or twice. What opens or closes
 * a session is ordered by the session layer. */
static bool may_be_late(way_t way, bin_t frame)
{
    switch (msg_peek(frame)) {
    case TAG_result:
    case TAG_fetch:
    case TAG_lost:
    case TAG_diverged:
    case TAG_names: return way == WAY_UP;
    case TAG_deliver:
    case TAG_attached:
    case TAG_vat_end:
    case TAG_names_get: return way == WAY_DOWN;
    default: return false;
    }
}

static void make_late(sim_t *self, way_t way, unsigned host, unsigned vat, blob_t *blob)
{
    if (self->calm || !sim_on(self, FAULT_late) || self->late_count == LATE_MAX ||
        !may_be_late(way, blob_bin(blob)))
        return;
    self->late[self->late_count++] = (late_t){way, host, vat, blob_ref(blob)};
}

/* Takes BLOB. */
void net_push(sim_t *self, way_t way, unsigned host, unsigned vat, blob_t *blob)
{
    must(vat <= VATS_MAX && host < HOSTS_MAX);
    bool client = way == WAY_ASK || way == WAY_TELL;
    bool open = client ? self->client != 0 : self->hosts[host].open;
    if (!open) {
        make_late(self, way, host, vat, blob);
        blob_destroy(&blob);
        return;
    }
    chance_t chance = chance_of(self->options->seed, 'd', ++self->draws, 0, 0);
    if (!client && self->config.weights[FAULT_late] && once_in(&chance, 40))
        make_late(self, way, host, vat, blob);
    append(channel_of(self, way, host, vat), blob);
}

void net_post(sim_t *self, way_t way, unsigned host, unsigned vat, msg_tag_t tag, const void *body)
{
    net_push(self, way, host, vat, sim_encode(self, tag, body));
}

static void cut_channel(sim_t *self, channel_t *channel, way_t way, unsigned host, unsigned vat,
                        chance_t *chance)
{
    /* What the worker's pipe holds already is not lost with the connection. */
    unsigned stay = way == WAY_DOWN && vat && channel->count ? roll(chance, channel->count + 1) : 0;
    channel_t rest = {0};
    for (; channel->count > 0;) {
        blob_t *blob = pop(channel);
        if (stay > 0 && msg_peek(blob_bin(blob)) == TAG_deliver) {
            stay--;
            append(&rest, blob);
            continue;
        }
        stay = 0;
        if (roll(chance, 3) == 0) make_late(self, way, host, vat, blob);
        blob_destroy(&blob);
    }
    *channel = rest;
}

void net_cut(sim_t *self, unsigned host, chance_t *chance)
{
    shost_t *h = &self->hosts[host];
    if (!h->open) return;
    sim_log(self, "cut h%u", host + 1);
    for (unsigned v = 0; v <= VATS_MAX; v++) {
        cut_channel(self, channel_of(self, WAY_DOWN, host, v), WAY_DOWN, host, v, chance);
        cut_channel(self, channel_of(self, WAY_UP, host, v), WAY_UP, host, v, chance);
        self->workers[host][v].attached = false;
    }
    copies_cut(self, host);
    if (h->routed == h->session) h->gone = true;
    h->open = h->up = false;
}

void net_cut_client(sim_t *self)
{
    clear(&self->ask);
    clear(&self->tell);
    if (!self->client) return;
    sim_log(self, "client %u is gone", self->client_number);
    self->client = 0;
}

void net_clear(sim_t *self)
{
    for (unsigned i = 0; i < CELL_COUNT; i++) {
        clear(&self->down[i]);
        clear(&self->up[i]);
    }
    clear(&self->ask);
    clear(&self->tell);
    while (self->late_count > 0) blob_destroy(&self->late[--self->late_count].blob);
}

/* ---- a lie ---- */

static void take(sim_t *self, way_t way, unsigned host, unsigned vat, blob_t *blob);

/* Is FRAME the next result of the vat, and does the kernel listen to who sends it? */
static bool may_forge(sim_t *self, unsigned host, unsigned vat, bin_t frame)
{
    msg_t msg;
    if (self->pending_count || msg_peek(frame) != TAG_result || msg_decode(frame, &msg))
        return false;
    const msg_result_t *result = &msg.body.result;
    const row_vat_t *row = vat_row(self, vat);
    bool next = row && row->state < 2 && result->d == row->applied + 1 && result->run == row->run &&
                result->pgen == row->pgen;
    msg_clear(&msg);
    return next && self->hosts[host].routed == self->hosts[host].session &&
           self->workers[host][vat].attached;
}

/* The vat must end by it. */
static void tell_lie(sim_t *self, unsigned host, unsigned vat, blob_t *lie, bool diverged)
{
    const row_vat_t *before = vat_row(self, vat);
    uint64_t d = before ? before->applied + 1 : 1;
    sim_log(self, "v%u lies", vat);
    self->lied[vat] = true;
    self->diverged[vat] = diverged;
    self->liar = vat;
    broker_step(self, INPUT_HOST, self->hosts[host].number, host, lie);
    broker_commit(self);
    self->liar = 0;
    const row_vat_t *row = vat_row(self, vat);
    bool applied = row && row->applied >= d;
    if (diverged && !applied) return; /* in quarantine, or brought back from a copy already */
    if (row && row->state != 2) sim_fail(self, "L1", "a lie of v%u is taken for a crank", vat);
}

/* The next result of some vat is replaced by a lie on its way. */
void net_forge(sim_t *self, chance_t *chance)
{
    broker_commit(self);
    unsigned at = roll(chance, CELL_COUNT);
    for (unsigned i = 0; i < CELL_COUNT; i++) {
        unsigned cell = (at + i) % CELL_COUNT, vat = cell % (VATS_MAX + 1),
                 host = cell / (VATS_MAX + 1);
        channel_t *channel = &self->up[cell];
        if (!channel->count || !vat || !may_forge(self, host, vat, blob_bin(channel->head->blob)))
            continue;
        blob_t *lie = forge(self, vat, blob_bin(channel->head->blob), WISH_NONE, chance);
        if (!lie) continue;
        blob_t *truth = pop(channel);
        blob_destroy(&truth);
        tell_lie(self, host, vat, lie, false);
        return;
    }
}

/* Has the opportunity come? */
static bool granted(sim_t *self, unsigned host, unsigned vat, blob_t *frame)
{
    if (!self->wish || !vat || !may_forge(self, host, vat, blob_bin(frame))) return false;
    chance_t chance = chance_of(self->options->seed, 'w', ++self->draws, 0, 0);
    blob_t *lie = forge(self, vat, blob_bin(frame), self->wish, &chance);
    if (!lie) return false;
    bool diverged = self->wish == WISH_DIVERGED;
    self->wish = WISH_NONE;
    tell_lie(self, host, vat, lie, diverged);
    return true;
}

/* ---- one thing moves ---- */

typedef enum {
    MOVE_FRAME,
    MOVE_LATE,
    MOVE_OPEN,
    MOVE_GONE,
    MOVE_CLIENT,
    MOVE_COMMIT,
    MOVE_AGENT,
    MOVE_PULL,
    MOVE_ADOPT,
    MOVE_CHORE
} move_kind_t;
typedef struct {
    move_kind_t kind;
    way_t way;
    unsigned host, vat;
} move_t;

/* Longer than the kernel waits for anybody. */
enum { PATIENCE_US = 60 * 1000 * 1000 };

enum { MOVES_MAX = 2 * CELL_COUNT + 2 * HOSTS_MAX + LATE_MAX + 8 + VATS_MAX + CELL_COUNT };

static unsigned moves_of(const sim_t *self, move_t moves[MOVES_MAX])
{
    unsigned count = 0;
    for (unsigned h = 0; h < self->config.hosts; h++) {
        for (unsigned v = 0; v <= self->top; v++) {
            unsigned cell = h * (VATS_MAX + 1) + v;
            if (self->down[cell].count) moves[count++] = (move_t){MOVE_FRAME, WAY_DOWN, h, v};
            if (self->up[cell].count) moves[count++] = (move_t){MOVE_FRAME, WAY_UP, h, v};
        }
        for (unsigned v = 1; v <= self->top; v++)
            if (self->workers[h][v].wants && self->hosts[h].up)
                moves[count++] = (move_t){MOVE_ADOPT, WAY_DOWN, h, v};
        if (!self->hosts[h].open && !self->hosts[h].lost)
            moves[count++] = (move_t){MOVE_OPEN, WAY_UP, h, 0};
        if (self->hosts[h].gone) moves[count++] = (move_t){MOVE_GONE, WAY_UP, h, 0};
    }
    for (unsigned v = 1; v <= self->top; v++)
        if (self->pulls[v].wanted) moves[count++] = (move_t){MOVE_PULL, WAY_UP, 0, v};
    if (self->ask.count) moves[count++] = (move_t){MOVE_FRAME, WAY_ASK, 0, 0};
    if (self->tell.count) moves[count++] = (move_t){MOVE_FRAME, WAY_TELL, 0, 0};
    if (!self->client) moves[count++] = (move_t){.kind = MOVE_CLIENT};
    if (self->pending_count) moves[count++] = (move_t){.kind = MOVE_COMMIT};
    if (self->late_count) moves[count++] = (move_t){.kind = MOVE_LATE};
    if (agent_moves(self)) moves[count++] = (move_t){.kind = MOVE_AGENT};
    if (kernel_overdue(self->kernel, self->now_us)) moves[count++] = (move_t){.kind = MOVE_CHORE};
    return count;
}

static void take(sim_t *self, way_t way, unsigned host, unsigned vat, blob_t *blob)
{
    bin_t bin = blob_bin(blob);
    sim_hash(self, bin.at, bin.len);
    switch (way) {
    case WAY_DOWN: host_take(self, host, vat, blob); return;
    case WAY_UP:
        if (granted(self, host, vat, blob))
            blob_destroy(&blob);
        else
            broker_step(self, INPUT_HOST, self->hosts[host].number, host, blob);
        return;
    case WAY_ASK: broker_step(self, INPUT_CLIENT, self->client_number, 0, blob); return;
    case WAY_TELL: client_take(self, blob); return;
    }
}

static void move(sim_t *self, const move_t *one, chance_t *chance)
{
    switch (one->kind) {
    case MOVE_FRAME:
        take(self, one->way, one->host, one->vat,
             pop(channel_of(self, one->way, one->host, one->vat)));
        return;
    case MOVE_OPEN: host_open(self, one->host); return;
    case MOVE_GONE:
        self->hosts[one->host].gone = false;
        broker_step(self, INPUT_HOST_GONE, self->hosts[one->host].number, one->host, NULL);
        return;
    case MOVE_CLIENT: client_open(self); return;
    case MOVE_COMMIT: broker_commit(self); return;
    case MOVE_AGENT: agent_move(self, chance); return;
    case MOVE_PULL: copies_come(self, one->vat); return;
    case MOVE_ADOPT: copies_adopt(self, worker_at(self, one->host, one->vat)); return;
    case MOVE_CHORE: broker_step(self, INPUT_CHORE, 0, 0, NULL); return;
    case MOVE_LATE: {
        unsigned at = roll(chance, self->late_count);
        late_t late = self->late[at];
        self->late[at] = self->late[--self->late_count];
        sim_log(self, "late:");
        if (late.way == WAY_UP && !self->hosts[late.host].number)
            blob_destroy(&late.blob);
        else
            take(self, late.way, late.host, late.vat, late.blob);
        return;
    }
    }
}

/* Something that can happen happens. False: nothing is under way. */
bool net_move(sim_t *self, chance_t *chance)
{
    move_t moves[MOVES_MAX];
    unsigned count = moves_of(self, moves);
    if (!count) {
        bool overdue = kernel_overdue(self->kernel, self->now_us + PATIENCE_US);
        uint64_t wake = kernel_wake_us(self->kernel);
        if (overdue) self->now_us += PATIENCE_US;
        if (!overdue && wake != UINT64_MAX) { /* the clock was set back, and back again */
            if (wake > self->now_us) self->now_us = wake;
            overdue = true;
        }
        if (!overdue && !kernel_chores(self->kernel)) return false;
        moves[count++] = (move_t){.kind = MOVE_CHORE};
    }
    move(self, &moves[roll(chance, count)], chance);
    return true;
}
