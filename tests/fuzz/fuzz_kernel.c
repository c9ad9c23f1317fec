/* Laws: whatever hosts and clients say that can be decoded, the kernel stays consistent (its audit
 * finds nothing after any step) and never aborts; all that it says can be decoded; a kernel made
 * from its rows has nothing to change but its epoch; and when all clusters are removed, no vat,
 * authority, queue or open promise is left.
 *
 * The bytes choose what is said, by whom, and which krefs are named: mostly such as a vat holds or
 * may make next, so that many cranks are legal. What a worker would know is read from the rows. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz_kernel.h"
#include "wire/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 250 };

/* ---- one step, and the laws ---- */

static void finding(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    fprintf(stderr, "audit: %s: %s: %s\n", rule, row, should);
}

static void keep_row(void *context, const row_t *row) { rowset_apply(context, row); }

static void check_frame(world_t *w, bin_t frame)
{
    msg_t msg;
    must(msg_decode(frame, &msg) == ERR_OK);
    if (msg.tag == TAG_welcome) w->session = msg.body.welcome.session;
    if (msg.tag == TAG_attached)
        w->runs[msg.body.attached.vat.n % VATS_MAX] = msg.body.attached.run;
    if (msg.tag == TAG_deliver) {
        msg_t inner;
        must(msg_decode(msg.body.deliver.delivery, &inner) == ERR_OK);
        msg_clear(&inner);
    }
    msg_clear(&msg);
}

static void check_effects(world_t *w, const effects_t *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        const effect_t *effect = &effects->items[i];
        if (effect->frame && effect->kind != EFFECT_BACKUP) check_frame(w, blob_bin(effect->frame));
        if (effect->kind == EFFECT_PULL) {
            w->pulled = effect->vat;
            w->copy = effect->copy;
        }
        if (effect->kind != EFFECT_ROWS) continue;
        const row_t *vat = rowset_find(&w->rows, ROW_vat, effect->vat.n, 0);
        must(vat && effect->first &&
             effect->first <= effect->last); /* those trimmed meanwhile do not come */
        must(effect->last <= effect->applied && effect->last - effect->first < FETCH_ROWS_MAX);
    }
}

void world_step(world_t *w, input_t input)
{
    w->steps++;
    input.now_us = UINT64_C(1700000000000000) + w->steps * 1500;
    memcpy(input.entropy, &w->steps, sizeof w->steps);
    effects_t effects = {0};
    kernel_step(w->kernel, &input, &effects);
    must(kernel_audit(w->kernel, finding, NULL) == 0);
    kernel_flush(w->kernel, keep_row, &w->rows);
    check_effects(w, &effects);
    effects_clear(&effects);
    bool due = kernel_chores(w->kernel) || kernel_overdue(w->kernel, input.now_us);
    if (w->steps % 3 == 0 && due) world_step(w, (input_t){.kind = INPUT_CHORE});
}

void world_say(world_t *w, input_t input, msg_tag_t tag, const void *body)
{
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    msg_t msg;
    if (msg_encode(tag, body, &frame) == ERR_OK) {
        must(msg_decode((bin_t){frame.at, frame.len}, &msg) == ERR_OK);
        input.msg = &msg;
        world_step(w, input);
        msg_clear(&msg);
    }
    buf_clear(&frame);
}

void world_host_says(world_t *w, uint64_t host, msg_tag_t tag, const void *body)
{
    if (roll(w, 32) == 31) host = 1 + roll(w, HOSTS); /* speaks for another host's vat */
    world_say(w, (input_t){.kind = INPUT_HOST, .from = (uint32_t)host}, tag, body);
}

void world_client_says(world_t *w, msg_tag_t tag, const void *body)
{
    world_say(w, (input_t){.kind = INPUT_CLIENT, .from = 1 + roll(w, CLIENTS)}, tag, body);
}

id128_t world_request(world_t *w)
{
    id128_t id = {{0}};
    uint64_t n = roll(w, 16) ? ++w->ids : 1 + roll(w, 8);
    memcpy(id.b, &n, sizeof n);
    return id;
}

/* ---- looking around ---- */

const row_t *world_row(const world_t *w, row_table_t table, uint64_t owner, unsigned n)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t left = count ? n % count : 0;
        for (size_t i = 0; i < w->rows.count; i++) {
            const row_t *row = &w->rows.rows[i];
            bool it = row->table == table && (!owner || row->body.held.vat == owner);
            if (!it) continue;
            if (!pass)
                count++;
            else if (!left--)
                return row;
        }
    }
    return NULL;
}

const row_vat_t *world_vat(world_t *w)
{
    const row_t *row = world_row(w, ROW_vat, 0, byte(w));
    return row ? &row->body.vat : NULL;
}

kref_t world_kref(world_t *w)
{
    unsigned kind = roll(w, 4);
    const row_t *row = kind < 2 ? world_row(w, kind ? ROW_promise : ROW_object, 0, byte(w)) : NULL;
    if (row && kind == 0) return (kref_t){row->body.object.kref};
    if (row && kind == 1) return (kref_t){row->body.promise.kref};
    vat_t vat = {roll(w, VATS)};
    return kind & 1 ? kref_promise(vat, roll(w, 6)) : kref_object(vat, roll(w, 6));
}

/* ---- restart ---- */

static void keep_counters(void *context, const row_t *row)
{
    must(row->table == ROW_counter && !row->gone);
    rowset_apply(context, row);
}

static void restart(world_t *w)
{
    kernel_destroy(&w->kernel);
    memset(w->runs, 0, sizeof w->runs);
    w->pulled = (vat_t){0};
    w->kernel = kernel_new();
    trace_destroy(&w->trace);
    w->trace = trace_new();
    kernel_traced(w->kernel, TRACES_ALL, trace_take, w->trace);
    if (roll(w, 4) == 3) kernel_host_loss(w->kernel, 30000);
    for (size_t i = 0; i < w->rows.count; i++)
        must(kernel_load(w->kernel, &w->rows.rows[i]) == ERR_OK);
    uint8_t entropy[32] = {1};
    err_t err = kernel_loaded(w->kernel, entropy);
    if (err) kernel_audit(w->kernel, finding, NULL);
    must(err == ERR_OK);
    kernel_flush(w->kernel, keep_counters, &w->rows);
}

static void remove_all(world_t *w)
{
    const row_t *row;
    w->at = w->end; /* no bent frames any more */
    while ((row = world_row(w, ROW_cluster, 0, 0))) {
        msg_cluster_rm_t msg = {.cluster = {(uint32_t)row->body.cluster.cluster}};
        uint64_t id = UINT64_C(1) << 40 | ++w->ids;
        memcpy(msg.request.b, &id, sizeof id);
        world_client_says(w, TAG_cluster_rm, &msg);
    }
    while (kernel_chores(w->kernel)) world_step(w, (input_t){.kind = INPUT_CHORE});
    for (size_t i = 0; i < w->rows.count; i++) {
        row = &w->rows.rows[i];
        must(row->table != ROW_held && row->table != ROW_entry && row->table != ROW_pending);
        must(row->table != ROW_timer && row->table != ROW_errand);
        if (row->table == ROW_promise) must(row->body.promise.state != 0);
        if (row->table == ROW_vat) must(row->body.vat.state == 2);
    }
}

/* Whatever happened, a client that asks gets it in frames. */
static void remembered(const world_t *w)
{
    buf_t rows = buf_of(FRAME_BYTES_MAX);
    msg_trace_t ask = {.first = 0};
    size_t count = 0;
    do {
        buf_reset(&rows);
        must(!trace_page(w->trace, &ask, &rows, &ask.first));
        msg_t row, event;
        for (bin_t rest = {rows.at, rows.len}; rest.len > 0; count++) {
            must(!msg_next(&rest, &row));
            must(!msg_decode(row.body.trace_row.event, &event));
            msg_clear(&event);
            msg_clear(&row);
        }
    } while (ask.first);
    must(count == trace_count(w->trace));
    buf_clear(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_t w = {.at = data, .end = data + size};
    restart(&w);
    kernel_watched(w.kernel, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    client_first(&w);
    while (w.at < w.end && w.steps < STEPS_MAX) {
        unsigned what = roll(&w, 64);
        if (what < 1)
            host_hello(&w);
        else if (what < 3)
            client_launch(&w);
        else if (what < 5)
            host_attach(&w);
        else if (what < 8)
            host_checkpoint(&w);
        else if (what < 44)
            host_result(&w);
        else if (what < 50)
            client_call(&w);
        else if (what < 55)
            client_asks(&w);
        else if (what < 57)
            client_ends(&w);
        else if (what < 59)
            host_fetch(&w);
        else if (what < 60) {
            unsigned which = roll(&w, 8);
            if (which < 1)
                host_strange(&w);
            else if (which < 2)
                host_guests(&w);
            else if (which < 4)
                host_lost(&w);
            else if (which < 6)
                agent_says(&w);
            else
                client_changes(&w);
        } else if (what < 61)
            restart(&w);
        else if (what < 63)
            client_moves(&w);
        else
            world_step(&w, (input_t){.kind = INPUT_CLIENT_GONE, .from = 1});
    }
    remove_all(&w);
    remembered(&w);
    restart(&w);
    kernel_destroy(&w.kernel);
    trace_destroy(&w.trace);
    rowset_clear(&w.rows);
    return 0;
}
