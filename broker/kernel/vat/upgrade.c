/* Upgrades: a row of the log that ends one incarnation of a vat and begins the next (SwingSet 7.1).
 *
 * It waits in the vat's queue like a message and is alone in flight. The worker does both halves in one
 * crank: a last reap of the old heap, giving up what was not durable, the start of the new code. Here
 * follows what the old incarnation still owed: the promises that it decided are rejected, before
 * anything that the crank asks for. When the crank fails, none of it has happened. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/refs/refs.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

/* ---- queueing ---- */

/* The entry's note: the bundle, a newline, the message. */
static text_t note_bundle(const entry_t *entry)
{
    text_t note = blob_text(entry->note);
    const char *end = memchr(note.at, '\n', note.len);
    return (text_t){note.at, end ? (size_t)(end - note.at) : note.len};
}

static text_t note_message(const entry_t *entry)
{
    text_t note = blob_text(entry->note), bundle = note_bundle(entry);
    if (bundle.len == note.len) return (text_t){0};
    return (text_t){note.at + bundle.len + 1, note.len - bundle.len - 1};
}

/* The entry for an upgrade of VAT to BUNDLE, in no queue yet. */
entry_t *upgrade_entry(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters, text_t message,
                       cause_t cause)
{
    AUTO(value) wrapped = globals_wrap(k, vat, parameters);
    entry_t *entry = entry_new(k, ENTRY_UPGRADE, (kref_t){0}, (kref_t){0}, wrapped, cause);
    message = text_cut(message, TEXT_BYTES_MAX - NAME_BYTES_MAX - 8);
    entry->note =
        blob_print("%.*s\n%.*s", (int)bundle.len, bundle.at, (int)message.len, message.at);
    entry->row.note = blob_text(entry->note);
    entry->row.holder = vat->row.vat;
    return entry;
}

/* One waits for each upgrade, so that the oldest is always that of the row in flight. RESULT hears of it;
 * none: nobody. */
pending_t *upgrade_owe(kernel_t *k, kvat_t *vat, kref_t result)
{
    if (kref_none(result)) {
        result = kref_promise((vat_t){0}, count_up(k, COUNTER_next_promise));
        promise_new(k, result);
    }
    pending_t *pending = pending_new(k, PENDING_UPGRADE, result, vat, (kref_t){0});
    pending->row.number = count_up(k, COUNTER_next_errand);
    return pending;
}

/* Queues the upgrade of VAT to BUNDLE. Returns the row that waits for the outcome. */
pending_t *upgrade_push(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters,
                        text_t message, kref_t result, cause_t cause)
{
    queue_push(&k->work, upgrade_entry(k, vat, bundle, parameters, message, cause));
    return upgrade_owe(k, vat, result);
}

/* ---- assigning ---- */

/* What the old incarnation decides and does not wait for itself, ascending; the caller frees it. */
static kref_t *forgotten(const kvat_t *vat, size_t *ret_count)
{
    size_t count = 0;
    for (const promise_t *at = vat->decides; at; at = at->decided_next) count++;
    uint64_t *numbers = take((count + 1) * sizeof *numbers);
    size_t n = 0;
    for (const promise_t *at = vat->decides; at; at = at->decided_next) {
        const held_t *held = held_find(vat, kref_of(at->row.kref));
        bool waits = held->row.flags & HELD_SUBSCRIBED && !PLANTED(upgrade_forgets_waited);
        if (!waits) numbers[n++] = at->row.kref;
    }
    sort_numbers(numbers, n);
    kref_t *krefs = take((n + 1) * sizeof *krefs);
    for (size_t i = 0; i < n; i++) krefs[i] = kref_of(numbers[i]);
    free(numbers);
    *ret_count = n;
    return krefs;
}

/* Tells whoever asked for it that it did not happen. */
static void fail(kernel_t *k, kvat_t *vat, text_t why, cause_t cause)
{
    pending_t *pending = pending_of_vat(vat, PENDING_UPGRADE);
    must(pending);
    AUTO(value)
    value = value_failed(k, pending->has_request ? why : text_of("vat-upgrade failure"));
    pending_settle(k, pending, true, value, cause);
}

/* The row for ENTRY; NULL: the vat decides more promises than a row can name, and stays as it is. */
log_t *upgrade_assign(kernel_t *k, kvat_t *vat, const entry_t *entry)
{
    size_t count;
    kref_t *krefs = forgotten(vat, &count);
    if (count > UPGRADE_PROMISES_MAX) {
        free(krefs);
        fail(k, vat, text_of("it decides too many promises"), entry_cause(entry));
        return NULL;
    }
    log_t *log = log_parameters(k, vat, entry);
    if (PLANTED(failed_upgrade_gives)) parameters_introduce(k, vat, log);
    msg_deliver_upgrade_t msg = {.stamp_ms = stamp(k, vat),
                                 .seed = draw_id(k),
                                 .bundle = note_bundle(entry),
                                 .parameters = value_data(entry->value),
                                 .message = note_message(entry),
                                 .forgotten = {krefs, count}};
    log_bytes(k, log, TAG_deliver_upgrade, &msg);
    free(krefs);
    return log;
}

/* ---- the outcome ---- */

/* {incarnationNumber, name, upgradeMessage}; SwingSet counts incarnations from 0, we from 1. */
static value_t *disconnect(kernel_t *k, const kvat_t *vat, text_t message)
{
    buf_t text = buf_of(6 * TEXT_BYTES_MAX + 16); /* a control character takes six */
    must(smallcaps_string(&text, message) == ERR_OK);
    value_t *value = value_print(
        k, NULL, 0,
        "#{\"incarnationNumber\":%llu,\"name\":\"vatUpgraded\",\"upgradeMessage\":%.*s}",
        (unsigned long long)vat->row.inc - 1, (int)text.len, (const char *)text.at);
    buf_clear(&text);
    return value;
}

/* The promises that the old incarnation decided are rejected; it forgot those that it does not wait for. */
static void reject_promises(kernel_t *k, kvat_t *vat, uint64_t d, text_t message, cause_t cause)
{
    size_t count = 0, n = 0;
    for (const promise_t *at = vat->decides; at; at = at->decided_next) count++;
    uint64_t *krefs = take((count + 1) * sizeof *krefs);
    for (const promise_t *at = vat->decides; at; at = at->decided_next) krefs[n++] = at->row.kref;
    sort_numbers(krefs, count);
    AUTO(value) why = disconnect(k, vat, message);
    for (size_t i = 0; i < count; i++) {
        held_t *held = held_find(vat, kref_of(krefs[i]));
        bool waits = held->row.flags & HELD_SUBSCRIBED;
        if (PLANTED(upgrade_keeps_promises)) continue;
        promise_settle(k, promise_find(k, kref_of(krefs[i])), true, why, cause);
        if (!waits) held_forget(k, held, d - 1, false);
    }
    free(krefs);
}

/* The crank of row LOG was checked and is about to be applied. */
void upgrade_apply(kernel_t *k, kvat_t *vat, const log_t *log, cause_t cause)
{
    msg_t msg;
    must(msg_decode(blob_bin(log->delivery), &msg) == ERR_OK);
    const msg_deliver_upgrade_t *upgrade = &msg.body.deliver_upgrade;
    reject_promises(k, vat, log->row.d, upgrade->message, cause);
    timers_without_vat(k, vat);
    errands_without_vat(k, vat);
    blob_destroy(&vat->bundle);
    vat->bundle = text_blob(upgrade->bundle);
    vat->row.bundle = blob_text(vat->bundle);
    vat->row.inc++;
    vat->baggage = 0;
    touch(k, &vat->head);
    msg_clear(&msg);
}

/* It was applied. */
void upgrade_done(kernel_t *k, kvat_t *vat, cause_t cause)
{
    pending_t *pending = pending_of_vat(vat, PENDING_UPGRADE);
    must(pending);
    AUTO(value)
    value = value_print(k, NULL, 0, "#{\"incarnationNumber\":%llu}",
                        (unsigned long long)vat->row.inc - 1);
    event_life(k, "vat-upgrade", vat, NULL, vat->row.bundle);
    pending_settle(k, pending, false, value, cause);
}

/* It failed, because of WHY. The caller has marked the row, so that nobody runs it again. */
void upgrade_failed(kernel_t *k, kvat_t *vat, text_t why, cause_t cause)
{
    char text[TEXT_BYTES_MAX];
    text_t shown = text_cut(why, TEXT_BYTES_MAX - 64);
    snprintf(text, sizeof text, "the upgrade failed: %.*s", (int)shown.len, shown.at);
    event_life(k, "vat-upgrade", vat, NULL, text_of(text));
    fail(k, vat, why, cause);
}

/* ---- clients ---- */

void on_upgrade(kernel_t *k, uint32_t client, const msg_upgrade_t *msg)
{
    const request_t *known = request_find(k, msg->request);
    if (known && !known->reply) { /* the answer goes to whoever asked last */
        const kvat_t *vat = vat_find(k, msg->vat.n);
        for (pending_t *at = vat ? vat->owed : NULL; at; at = at->next)
            if (at->has_request && id_same(at->request, msg->request)) at->client = client;
        return;
    }
    if (request_repeated(k, client, msg->request)) return;
    kvat_t *vat = vat_asked(k, client, msg->request, msg->vat);
    if (!vat) return;

    bin_t body =
        msg->parameters.len ? msg->parameters : (bin_t){(const uint8_t *)"#\"#undefined\"", 13};
    capdata_t parameters = {body, {0}};
    err_t err = bundle_hash(msg->bundle) ? ERR_OK : ERR_BUNDLE_UNKNOWN;
    if (vat->row.state == VAT_QUARANTINED) err = ERR_VAT_DIVERGED;
    if (!err) err = parameters_check(&parameters);
    if (err) {
        reply_failed(k, client, msg->request, true, err, err_text(err), "");
        return;
    }
    request_pending(k, msg->request);
    AUTO(value) value = value_of(&parameters);
    text_t message = msg->message.len ? msg->message : text_of("vat upgraded");
    pending_t *pending =
        upgrade_push(k, vat, msg->bundle, value, message, (kref_t){0}, cause_input(k));
    pending->has_request = true;
    pending->request = msg->request;
    pending->client = client;
}
