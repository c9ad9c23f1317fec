/* Which rows changed since the last flush. A record is in the list at most once; what is born and
 * dies between two flushes leaves no trace. */
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/state/state.h"

void touch(kernel_t *k, head_t *head)
{
    if (head->dirty_at) return;

    k->dirty = grown(k->dirty, &k->dirty_room, k->dirty_count + 1, sizeof *k->dirty);
    k->dirty[k->dirty_count++] = head;
    head->dirty_at = k->dirty_count;
}

static uint64_t id_part(id128_t id, int from)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) n = n << 8 | id.b[from + i];
    return n;
}

/* The key columns as two numbers: enough to order and to name every row. */
static void key_of(const kernel_t *k, const head_t *head, uint64_t *a, uint64_t *b)
{
    const void *at = head;
    *b = 0;
    switch (head->table) {
    case ROW_counter: *a = (uint64_t)((const counter_t *)at - k->counters); return;
    case ROW_host: *a = ((const khost_t *)at)->row.host; return;
    case ROW_cluster: *a = ((const kcluster_t *)at)->row.cluster; return;
    case ROW_config: *a = ((const config_t *)at)->row.cluster; return;
    case ROW_vat: *a = ((const kvat_t *)at)->row.vat; return;
    case ROW_object: *a = ((const object_t *)at)->row.kref; return;
    case ROW_service: *a = ((const service_t *)at)->row.kref; return;
    case ROW_promise: *a = ((const promise_t *)at)->row.kref; return;
    case ROW_entry:
        *a = ((const entry_t *)at)->row.holder;
        *b = ((const entry_t *)at)->row.seq;
        return;
    case ROW_held:
        *a = ((const held_t *)at)->row.vat;
        *b = ((const held_t *)at)->row.kref;
        return;
    case ROW_log:
        *a = ((const log_t *)at)->row.vat;
        *b = ((const log_t *)at)->row.d;
        return;
    case ROW_mirror: *a = ((const mirror_t *)at)->row.vat; return;
    case ROW_divergence: *a = ((const divergence_t *)at)->row.vat; return;
    case ROW_pending: *a = ((const pending_t *)at)->row.promise; return;
    case ROW_timer: *a = ((const ktimer_t *)at)->row.timer; return;
    case ROW_errand: *a = ((const errand_t *)at)->row.errand; return;
    case ROW_hold: *a = ((const hold_t *)at)->row.kref; return;
    case ROW_request:
        *a = id_part(((const request_t *)at)->id, 0);
        *b = id_part(((const request_t *)at)->id, 8);
        return;
    case ROW_TABLES: break;
    }
    must(false && "a row of no table");
}

static void gone_add(kernel_t *k, change_t change)
{
    change.gone = true;
    k->gone = grown(k->gone, &k->gone_room, k->gone_count + 1, sizeof *k->gone);
    k->gone[k->gone_count++] = change;
}

/* What changed in the record is not written: its row is deleted by number, see bury_log(). */
void untouch(kernel_t *k, head_t *head)
{
    if (head->dirty_at) k->dirty[head->dirty_at - 1] = NULL;
    head->dirty_at = 0;
}

/* The record leaves the state: takes it out of the dirty list, and its row out of the store. It may
 * come back with another key afterwards (an entry that moves to another queue does). */
void bury(kernel_t *k, head_t *head)
{
    untouch(k, head);
    if (!head->stored) return;

    change_t change = {.table = head->table};
    key_of(k, head, &change.a, &change.b);
    gone_add(k, change);
    head->stored = false;
}

/* A log row whose bytes are only in the store. */
void bury_log(kernel_t *k, const kvat_t *vat, uint64_t d)
{
    gone_add(k, (change_t){.table = ROW_log, .a = vat->row.vat, .b = d});
}

static void *lend(kernel_t *k, size_t bytes)
{
    k->lent = grown(k->lent, &k->lent_room, k->lent_count + 1, sizeof *k->lent);
    return k->lent[k->lent_count++] = take(bytes);
}

static bin_t slots_bytes(kernel_t *k, const value_t *value)
{
    if (!value || !value->slot_count) return (bin_t){0};

    uint8_t *at = lend(k, value->slot_count * 8);
    for (size_t i = 0; i < value->slot_count; i++)
        for (size_t j = 0; j < 8; j++) at[i * 8 + j] = (uint8_t)(value->slots[i].n >> (56 - 8 * j));
    return (bin_t){at, value->slot_count * 8};
}

static row_log_t log_row(const log_t *log)
{
    row_log_t row = log->row;
    row.delivery = blob_bin(log->delivery);
    row.hash = (bin_t){log->hash.b, sizeof log->hash.b};
    if (row.outcome) {
        row.calls = blob_bin(log->calls);
        row.result_hash = (bin_t){log->result_hash.b, sizeof log->result_hash.b};
        row.chain = (bin_t){log->chain.b, sizeof log->chain.b};
    }
    row.trace = (bin_t){log->trace.b, sizeof log->trace.b};
    return row;
}

static void fill(kernel_t *k, const head_t *head, row_body_t *body)
{
    const void *at = head;
    switch (head->table) {
    case ROW_counter: {
        const counter_t *counter = at;
        body->counter =
            (row_counter_t){text_of(counter_names[counter - k->counters]), counter->value};
        return;
    }
    case ROW_host: body->host = ((const khost_t *)at)->row; return;
    case ROW_cluster: body->cluster = ((const kcluster_t *)at)->row; return;
    case ROW_config: body->config = ((const config_t *)at)->row; return;
    case ROW_vat: body->vat = ((const kvat_t *)at)->row; return;
    case ROW_object: body->object = ((const object_t *)at)->row; return;
    case ROW_service: {
        const service_t *service = at;
        body->service = service->row;
        body->service.body = value_data(service->value).body;
        body->service.slots = slots_bytes(k, service->value);
        return;
    }
    case ROW_promise: {
        const promise_t *promise = at;
        body->promise = promise->row;
        body->promise.body = value_data(promise->value).body;
        body->promise.slots = slots_bytes(k, promise->value);
        return;
    }
    case ROW_entry: {
        const entry_t *entry = at;
        body->entry = entry->row;
        body->entry.body = value_data(entry->value).body;
        body->entry.slots = slots_bytes(k, entry->value);
        body->entry.trace = (bin_t){entry->trace.b, sizeof entry->trace.b};
        return;
    }
    case ROW_held: body->held = ((const held_t *)at)->row; return;
    case ROW_log: body->log = log_row(at); return;
    case ROW_mirror: {
        const mirror_t *mirror = at;
        body->mirror = mirror->row;
        body->mirror.chain = (bin_t){mirror->chain.b, sizeof mirror->chain.b};
        body->mirror.hash = (bin_t){mirror->hash.b, sizeof mirror->hash.b};
        return;
    }
    case ROW_divergence: body->divergence = ((const divergence_t *)at)->row; return;
    case ROW_pending: {
        const pending_t *pending = at;
        body->pending = pending->row;
        if (pending->has_request)
            body->pending.request = (bin_t){pending->request.b, sizeof pending->request.b};
        return;
    }
    case ROW_timer: body->timer = ((const ktimer_t *)at)->row; return;
    case ROW_errand: body->errand = ((const errand_t *)at)->row; return;
    case ROW_hold: body->hold = ((const hold_t *)at)->row; return;
    case ROW_request: {
        const request_t *request = at;
        body->request = request->row;
        body->request.id = (bin_t){request->id.b, sizeof request->id.b};
        body->request.reply = blob_bin(request->reply);
        return;
    }
    case ROW_TABLES: break;
    }
    must(false && "a row of no table");
}

static void fill_gone(kernel_t *k, const change_t *change, row_body_t *body)
{
    *body = (row_body_t){0};
    switch (change->table) {
    case ROW_cluster: body->cluster.cluster = change->a; return;
    case ROW_vat: body->vat.vat = change->a; return;
    case ROW_object: body->object.kref = change->a; return;
    case ROW_promise: body->promise.kref = change->a; return;
    case ROW_entry: body->entry.holder = change->a, body->entry.seq = change->b; return;
    case ROW_held: body->held.vat = change->a, body->held.kref = change->b; return;
    case ROW_log: body->log.vat = change->a, body->log.d = change->b; return;
    case ROW_config: body->config.cluster = change->a; return;
    case ROW_mirror: body->mirror.vat = change->a; return;
    case ROW_divergence: body->divergence.vat = change->a; return;
    case ROW_service: body->service.kref = change->a; return;
    case ROW_pending: body->pending.promise = change->a; return;
    case ROW_timer: body->timer.timer = change->a; return;
    case ROW_errand: body->errand.errand = change->a; return;
    case ROW_hold: body->hold.kref = change->a; return;
    case ROW_request: {
        uint8_t *id = lend(k, 16);
        for (int i = 0; i < 8; i++) {
            id[i] = (uint8_t)(change->a >> (56 - 8 * i));
            id[8 + i] = (uint8_t)(change->b >> (56 - 8 * i));
        }
        body->request.id = (bin_t){id, 16};
        return;
    }
    case ROW_counter:
    case ROW_host:
    case ROW_TABLES: break;
    }
    must(false && "a row that is never deleted");
}

/* By table and key, so that the store walks its trees in order; the delete of a key first. */
static int compare(const void *left, const void *right)
{
    const change_t *x = left, *y = right;
    if (x->table != y->table) return x->table < y->table ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    return (int)y->gone - (int)x->gone;
}

static bool same_key(const change_t *x, const change_t *y)
{
    return x->table == y->table && x->a == y->a && x->b == y->b;
}

/* What the last flush lent out is free again: rows that were applied, and slot lists. */
void flush_clear(kernel_t *k)
{
    for (size_t i = 0; i < k->lent_count; i++) free(k->lent[i]);
    k->lent_count = 0;
    log_t *kept = NULL;
    while (k->spent) {
        log_t *log = k->spent;
        k->spent = log->next;
        if (log->head.dirty_at) {
            log->next = kept;
            kept = log;
        } else {
            log_free(log);
        }
    }
    k->spent = kept;
}

void kernel_flush(kernel_t *k, row_visit_t *visit, void *context)
{
    flush_clear(k);
    k->flushes++;

    size_t count = k->gone_count;
    k->gone = grown(k->gone, &k->gone_room, count + k->dirty_count, sizeof *k->gone);
    for (size_t i = 0; i < k->dirty_count; i++) {
        head_t *head = k->dirty[i];
        if (!head) continue;
        change_t change = {.table = head->table, .record = head};
        key_of(k, head, &change.a, &change.b);
        k->gone[count++] = change;
        head->dirty_at = 0;
        head->stored = true;
    }
    k->dirty_count = k->gone_count = 0;
    if (count) qsort(k->gone, count, sizeof *k->gone, compare);

    for (size_t i = 0; i < count; i++) {
        /* A row that went and came back is one change: what it is now. */
        if (i + 1 < count && same_key(&k->gone[i], &k->gone[i + 1])) continue;
        row_t row = {.table = k->gone[i].table, .gone = k->gone[i].gone};
        if (row.gone)
            fill_gone(k, &k->gone[i], &row.body);
        else
            fill(k, k->gone[i].record, &row.body);
        visit(context, &row);
    }
}

void log_free(log_t *log)
{
    blob_destroy(&log->delivery);
    blob_destroy(&log->calls);
    free(log);
}
