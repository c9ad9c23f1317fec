/* What hosts and their workers say: mostly what is right where the vat stands, and now and then something bent. */
#include <string.h>

#include "tests/fuzz/fuzz_kernel.h"
#include "wire/base/hash.h"

void host_hello(world_t *w)
{
    static const char *const names[] = {"h", "west", "east"};
    unsigned host = roll(w, HOSTS);
    memset(w->runs, 0, sizeof w->runs);
    msg_hello_t msg = {1,
                       1,
                       {{7}},
                       roll(w, 32) == 31 ? 1000 : 0,
                       text_of(names[roll(w, 3)]),
                       {0},
                       {{(uint8_t)roll(w, 3)}}};
    if (roll(w, 32) == 31) msg.proto_min = 9;
    input_t input = {.kind = INPUT_HOST, .key = {{(uint8_t)(host + 1)}}};
    world_say(w, input, TAG_hello, &msg);
}

void host_attach(world_t *w)
{
    const row_vat_t *vat = world_vat(w);
    if (!vat) return;
    unsigned how = roll(w, 16);
    msg_attach_t msg = {
        .vat = {(uint32_t)vat->vat}, .inc = vat->inc, .pgen = vat->pgen, .nonce = {{1}}};
    if (how < 12) msg.last = vat->applied, msg.chain = hash_at(vat->chain);
    if (how == 13) msg.last = vat->applied / 2;
    if (how == 14) msg.last = vat->assigned + roll(w, 2);
    if (how == 15) msg.pgen += roll(w, 2), msg.last = vat->applied;
    unsigned more = roll(w, 16);
    msg.checkpoint = more < 10 ? vat->checkpoint : more < 13 ? vat->safe : roll(w, 40);
    if (more > 10) msg.last = msg.checkpoint, msg.chain = hash_at(vat->checkpoint_chain);
    if (more == 14) msg.acked = vat->applied + roll(w, 2);
    msg.heap = more == 11 || roll(w, 32) == 31;
    if (more == 15) msg.note = text_of("it took the older one");
    world_host_says(w, vat->host, TAG_attach, &msg);
}

/* A worker that stands where the broker does; HEAPLESS: with a checkpoint just made that it cannot read. */
static void attach_well(world_t *w, const row_vat_t *vat, bool heapless)
{
    msg_attach_t msg = {.vat = {(uint32_t)vat->vat},
                        .inc = vat->inc,
                        .pgen = vat->pgen,
                        .nonce = {{1}},
                        .checkpoint =
                            vat->checkpoint <= vat->applied ? vat->checkpoint : vat->oldest,
                        .heap = heapless,
                        .last = vat->applied,
                        .chain = hash_at(vat->chain)};
    if (heapless || msg.checkpoint > msg.last) msg.checkpoint = msg.last;
    input_t input = {.kind = INPUT_HOST, .from = (uint32_t)vat->host};
    world_say(w, input, TAG_attach, &msg);
}

/* The row of VAT as it is when a worker speaks for it. */
static const row_vat_t *attached(world_t *w, const row_vat_t *vat)
{
    uint64_t n = vat->vat;
    if (w->runs[n % VATS_MAX] != vat->run || !vat->run) attach_well(w, vat, false);
    const row_t *row = rowset_find(&w->rows, ROW_vat, n, 0);
    return row ? &row->body.vat : NULL;
}

void host_checkpoint(world_t *w)
{
    const row_vat_t *vat = world_vat(w);
    if (!vat || !(vat = attached(w, vat))) return;
    unsigned how = roll(w, 16);
    if (roll(w, 16) == 15) {
        attach_well(w, vat, true);
        return;
    }
    msg_checkpoint_t msg = {.vat = {(uint32_t)vat->vat},
                            .inc = vat->inc,
                            .pgen = vat->pgen,
                            .run = vat->run,
                            .d = vat->applied,
                            .chain = hash_at(vat->chain),
                            .oldest = roll(w, 2) ? vat->checkpoint : vat->applied,
                            .asleep = roll(w, 4) == 3,
                            .bytes = 4096};
    if (how == 15) msg.chain.b[0] ^= 1;
    if (how == 14) msg.d += roll(w, 3);
    if (how == 13) msg.oldest = roll(w, 20);
    if (how == 12) msg.run--;
    world_host_says(w, vat->host, TAG_checkpoint, &msg);
}

void host_guests(world_t *w)
{
    uint8_t rows[4 * 12] = {0};
    for (unsigned i = 0; i < 4; i++) {
        rows[12 * i + 3] = (uint8_t)roll(w, VATS);
        rows[12 * i + 11] = (uint8_t)roll(w, 3);
    }
    msg_guests_t msg = {{rows, sizeof rows - roll(w, 13)}};
    world_host_says(w, 1 + roll(w, HOSTS), TAG_guests, &msg);
}

static void bend(world_t *w, msg_result_t *msg)
{
    switch (roll(w, 10)) {
    case 0: msg->vat.n += 1; break;
    case 1: msg->inc += 1; break;
    case 2: msg->run -= 1; break;
    case 3: msg->d += 1; break;
    case 4: msg->d -= 1; break;
    case 5: msg->chain.b[0] ^= 1; break;
    case 6: msg->delivery_hash.b[0] ^= 1; break;
    case 7:
        msg->outcome = roll(w, 2) ? ERR_VAT_LIMIT_COMPUTE + roll(w, 5) : 5000 + byte(w);
        msg->reason = text_of(roll(w, 2) ? "" : "why");
        break;
    case 8: msg->calls.len /= 2; break;
    default: msg->d = 0; break;
    }
}

/* A vat with a row in flight; NULL when none has. */
static const row_vat_t *busy_vat(world_t *w)
{
    unsigned n = byte(w);
    for (unsigned i = 0; i < VATS; i++) {
        const row_t *row = world_row(w, ROW_vat, 0, n + i);
        if (row && row->body.vat.assigned > row->body.vat.applied) return &row->body.vat;
    }
    return NULL;
}

void host_result(world_t *w)
{
    const row_vat_t *vat = busy_vat(w);
    if (!vat) {
        client_call(w);
        return;
    }
    vat = attached(w, vat);
    const row_t *log = vat ? rowset_find(&w->rows, ROW_log, vat->vat, vat->applied + 1) : NULL;
    if (!log) return;
    mind_t m = {.w = w,
                .vat = (uint32_t)vat->vat,
                .objects = vat->objects,
                .promises = vat->promises,
                .polite = roll(w, 8) != 7,
                .calls = buf_of(CRANK_BYTES_MAX)};
    if (vat->state != 0 || !m.polite) mind_calls(&m);
    msg_result_t msg = {.vat = {(uint32_t)vat->vat},
                        .inc = vat->inc,
                        .pgen = vat->pgen,
                        .run = vat->run,
                        .d = vat->applied + 1,
                        .delivery_hash = hash_at(log->body.log.hash),
                        .chain = hash_at(vat->chain),
                        .calls = {m.calls.at, m.calls.len}};
    uint64_t host = vat->host;
    unsigned odd = roll(w, 24);
    if (odd == 23) bend(w, &msg);
    if (odd == 22) msg.outcome = ERR_VAT_LIMIT_COMPUTE + roll(w, 4), msg.calls.len = 0;
    world_host_says(w, host, TAG_result, &msg);
    if (roll(w, 24) == 23) world_host_says(w, host, TAG_result, &msg); /* once more */
    buf_clear(&m.calls);
}

void host_fetch(world_t *w)
{
    static const uint64_t counts[] = {0, 1, 2, 64, 65, UINT64_MAX};
    const row_vat_t *vat = world_vat(w);
    if (!vat) return;
    uint64_t first = roll(w, 8) == 7 ? UINT64_MAX : roll(w, (unsigned)(vat->assigned % 200) + 3);
    msg_fetch_t msg = {{(uint32_t)vat->vat}, vat->inc, vat->pgen, vat->run, first,
                       counts[roll(w, 6)]};
    world_host_says(w, vat->host, TAG_fetch, &msg);
}

void host_lost(world_t *w)
{
    unsigned far = roll(w, 6); /* mostly of the row that is next */
    const row_vat_t *vat = far > 3 ? busy_vat(w) : world_vat(w);
    if (!vat || !(vat = attached(w, vat))) return;
    msg_lost_t msg = {.vat = {(uint32_t)vat->vat},
                      .inc = vat->inc,
                      .pgen = vat->pgen,
                      .run = vat->run - (roll(w, 8) == 7),
                      .d = vat->applied + (far > 3 ? 1 : far),
                      .error = roll(w, 2) ? ERR_VAT_CRASHED : byte(w)};
    msg_diverged_t diverged = {msg.vat, msg.inc, msg.pgen, msg.run, msg.d, 0, {0}};
    if (roll(w, 4))
        world_host_says(w, vat->host, TAG_lost, &msg);
    else
        world_host_says(w, vat->host, TAG_diverged, &diverged);
}

void host_strange(world_t *w)
{
    msg_pong_t msg = {byte(w)};
    world_host_says(w, 1 + roll(w, HOSTS), roll(w, 2) ? TAG_pong : TAG_ping, &msg);
}

void host_ready(world_t *w, const row_vat_t *vat)
{
    unsigned how = roll(w, 16);
    msg_checkpoint_ready_t msg = {.vat = {(uint32_t)vat->vat},
                                  .pgen = vat->pgen,
                                  .d = vat->applied,
                                  .chain = hash_at(vat->chain),
                                  .hash = {{1 + (uint8_t)roll(w, 3)}},
                                  .total = 1000};
    if (how == 15) msg.chain.b[0] ^= 1;
    if (how == 14) msg.d += roll(w, 3);
    if (how == 13) msg.d = roll(w, 20);
    if (how == 12) msg.pgen += roll(w, 3) - 1;
    if (how == 11) msg.total = 0;
    world_host_says(w, vat->host, TAG_checkpoint_ready, &msg);
}

void host_fetched(world_t *w)
{
    bool here = roll(w, 4) != 3;
    input_t input = {
        .kind = here ? INPUT_MIRRORED : INPUT_UNMIRRORED, .vat = w->pulled, .copy = w->copy};
    if (!w->pulled.n) return;
    if (!here) input.err = ERR_STORE_FULL;
    w->pulled = (vat_t){0};
    const row_t *row = rowset_find(&w->rows, ROW_log, input.vat.n, input.copy.d);
    if (row && row->body.log.outcome) input.chain = hash_at(row->body.log.chain);
    world_step(w, input);
}
