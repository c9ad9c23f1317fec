/* Bundles that are not here: asked of the broker once for all guests who wait for them. A vat without a
 * worker waits for what its log begins with, a worker for what its upgrade names; never both. */
#include <stdio.h>
#include <string.h>

#include "vathost/guests_own.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

enum { RETRY_MS = 2000 };

/* The bundle that is on its way from the broker for GUEST, or NULL. */
static const char *awaited(const guest_t *guest)
{
    const worker_t *worker = guest->worker;
    if (worker) return *worker->want && !worker->ask_at_ms ? worker->want : NULL;
    return guest->fetching ? guest->bundle : NULL;
}

static bool awaits(const guest_t *guest, const char *bundle)
{
    const char *name = awaited(guest);
    return name && strcmp(name, bundle) == 0;
}

/* Does anybody await BUNDLE, OTHER not counted? */
static bool on_its_way(const guests_t *self, const guest_t *other, const char *bundle)
{
    for (const guest_t *guest = self->awake; guest; guest = guest->next) {
        if (guest != other && awaits(guest, bundle)) return true;
    }
    return false;
}

static void fetch(guests_t *self, const char *bundle)
{
    msg_bundle_get_t get = {text_of(bundle), bundles_offset(self->options.bundles, bundle)};
    guests_tell_broker(self, TAG_bundle_get, &get);
}

bool bundle_of_start(guests_t *self, guest_t *guest, char path[PATH_BYTES_MAX])
{
    must(!guest->worker);
    guest->fetching = !bundles_find(self->options.bundles, guest->bundle, path, PATH_BYTES_MAX);
    if (!guest->fetching) return true;
    if (!on_its_way(self, guest, guest->bundle)) fetch(self, guest->bundle);
    return false;
}

/* ---- files for upgrades ---- */

/* Answers a worker's BUNDLE_WANT; PATH "" when there is no such bundle. Its clock goes on. */
static void give(guests_t *self, worker_t *worker, const char *path, uint64_t now_ms)
{
    char name[NAME_BYTES_MAX + 1];
    memcpy(name, worker->want, sizeof name);
    worker->want[0] = '\0';
    worker->ask_at_ms = 0;
    worker->since_ms = now_ms;
    msg_bundle_file_t file = {text_of(name), text_of(path)};
    guests_tell_worker(self, worker, TAG_bundle_file, &file);
}

/* Gives the worker its file, or asks the broker for it. */
static void seek(guests_t *self, worker_t *worker, uint64_t now_ms)
{
    char path[PATH_BYTES_MAX];
    worker->ask_at_ms = 0;
    if (bundles_find(self->options.bundles, worker->want, path, sizeof path)) {
        give(self, worker, path, now_ms);
    } else if (!on_its_way(self, worker->guest, worker->want)) {
        fetch(self, worker->want);
    }
}

bool bundle_want(guests_t *self, worker_t *worker, const msg_bundle_want_t *msg, uint64_t now_ms)
{
    if (msg->vat.n != worker->guest->vat.n || *worker->want) return false; /* one at a time */
    memcpy(worker->want, msg->bundle.at, msg->bundle.len);
    worker->want[msg->bundle.len] = '\0';
    if (bundles_name(msg->bundle))
        seek(self, worker, now_ms);
    else
        give(self, worker, "", now_ms);
    return true;
}

void bundle_tick(guests_t *self, worker_t *worker, uint64_t now_ms)
{
    if (worker->ask_at_ms && worker->ask_at_ms <= now_ms) seek(self, worker, now_ms);
}

/* ---- what the broker sends ---- */

/* The vat has no code to begin with: the broker ends it, if it never ran. */
static void tell_missing(guests_t *self, const guest_t *guest)
{
    char reason[NAME_BYTES_MAX + 64];
    snprintf(reason, sizeof reason, "%s: %s", err_text(ERR_BUNDLE_UNKNOWN), guest->bundle);
    msg_lost_t lost = {guest->vat, guest->inc,         guest->pgen,    0,
                       1,          ERR_BUNDLE_UNKNOWN, text_of(reason)};
    guests_tell_broker(self, TAG_lost, &lost);
}

/* What GUEST awaits is here (DONE), does not exist (not EXISTS), or did not come whole. */
static void came(guests_t *self, guest_t *guest, bool done, bool exists, uint64_t now_ms)
{
    worker_t *worker = guest->worker;
    if (worker && done) {
        seek(self, worker, now_ms);
    } else if (worker && exists) {
        worker->ask_at_ms = now_ms + RETRY_MS;
    } else if (worker) {
        give(self, worker, "", now_ms);
    } else {
        guest->fetching = false;
        if (!exists) tell_missing(self, guest);
        if (done)
            guests_start(self, guest, now_ms);
        else
            guests_start_later(guest, now_ms + RETRY_MS);
    }
}

void bundle_part(guests_t *self, const msg_bundle_part_t *msg, uint64_t now_ms)
{
    char name[NAME_BYTES_MAX + 1];
    bundles_state_t state = BUNDLES_WRONG;

    if (!bundles_name(msg->bundle)) return;
    snprintf(name, sizeof name, "%.*s", (int)msg->bundle.len, msg->bundle.at);
    if (!on_its_way(self, NULL, name)) return;
    if (msg->total) {
        state = bundles_add(self->options.bundles, name, msg->offset, msg->total, msg->data);
    }
    if (state == BUNDLES_MORE) {
        fetch(self, name);
        return;
    }
    if (state == BUNDLES_WRONG) {
        log_error("bundle_fetch", kv_str("bundle", name),
                  kv_str("why", err_name(msg->total ? ERR_BUNDLE_BROKEN : ERR_BUNDLE_UNKNOWN)));
    }
    for (guest_t *guest = self->awake, *next; guest; guest = next) {
        next = guest->next;
        if (awaits(guest, name)) came(self, guest, state == BUNDLES_DONE, msg->total > 0, now_ms);
    }
}

/* Nobody before GUEST awaits the same: of those who wait for a bundle one asks. */
static bool is_first(const guests_t *self, const guest_t *guest)
{
    for (const guest_t *other = self->awake; other != guest; other = other->next) {
        if (awaits(other, awaited(guest))) return false;
    }
    return true;
}

void bundle_session(guests_t *self)
{
    for (const guest_t *guest = self->awake; guest; guest = guest->next) {
        if (awaited(guest) && is_first(self, guest)) fetch(self, awaited(guest));
    }
}
