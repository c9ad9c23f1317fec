/* Copies of checkpoints at the broker: a vat's host says that one is there to be fetched, the shell fetches it,
 * and from then on its row names it. One for each vat at most, the newest. They are what vats that move go on
 * from, those of hosts that are gone for good, and those of a backup.
 *
 *   the log reaches back to the copy: safe <= d, as long as its row stands. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/hash.h"
#include "wire/base/planted.h"

/* Vats that ship at a time for a backup: each takes its host a moment, and the broker a file. */
enum { BACKUP_SHIPS_MAX = 16 };

/* A host that is there and gives none for so long keeps nobody from a backup any more. */
#define BACKUP_PATIENCE_US (UINT64_C(600) * 1000 * 1000)

static copy_t mirror_copy(const mirror_t *mirror)
{
    return (copy_t){.pgen = mirror->row.pgen,
                    .d = mirror->row.d,
                    .bytes = mirror->row.bytes,
                    .chain = mirror->chain,
                    .hash = mirror->hash};
}

bool kernel_copy(const kernel_t *k, vat_t id, uint32_t host, copy_t *ret)
{
    const kvat_t *vat = vat_find(k, id.n);
    if (!vat || !vat->mirror || (host && vat->row.host != host)) return false;
    *ret = mirror_copy(vat->mirror);
    return true;
}

void kernel_copies(const kernel_t *k, copy_visit_t *visit, void *context)
{
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        const kvat_t *vat = vat_find(k, vats[i]);
        if (!vat->mirror) continue;
        copy_t copy = mirror_copy(vat->mirror);
        visit(context, vat->id, &copy);
    }
    free(vats);
}

/* ---- asking for one ---- */

/* It is on the way to another host, which it has not reached. */
static bool leaving(const kvat_t *vat)
{
    return vat->row.moving && vat->row.moving != vat->row.host;
}

/* A copy is to come, once. */
static bool awaited(const kvat_t *vat) { return vat->ship || leaving(vat) || makes_ship(vat); }

/* Nothing of a vat in quarantine is: a copy that its host makes now may be of the other history. */
static bool wanted(const kvat_t *vat)
{
    return vat->row.state != VAT_QUARANTINED && (vat->row.mirror || awaited(vat));
}

/* Has VAT make a checkpoint, and ship a copy when one is wanted: now, or when a worker is there that has run
 * what is applied. */
void ship_ask(kernel_t *k, kvat_t *vat)
{
    vat_push(k, vat);
    if (vat->attached && vat->fetched == UINT64_MAX) ship_attached(k, vat);
}

/* A worker is there that has run what is applied. */
void ship_attached(kernel_t *k, const kvat_t *vat)
{
    bool ship = awaited(vat);
    if (!ship && !vat->makes) return;
    msg_checkpoint_ask_t ask = {vat->id, vat->row.inc, vat->row.pgen, vat->row.run, ship};
    send_host(k, vat->row.host, TAG_checkpoint_ask, &ask);
}

/* ---- it comes ---- */

static bool same_copy(const copy_t *a, const copy_t *b)
{
    return a->pgen == b->pgen && a->d == b->d && hash_same(a->hash, b->hash);
}

/* The host need not keep the file: it is here, or not wanted, or of no use. Only then it announces another. */
static void file_may_go(kernel_t *k, uint64_t host, vat_t vat, const copy_t *copy)
{
    msg_checkpoint_get_t get = {vat, copy->pgen, copy->d, copy->bytes};
    send_host(k, host, TAG_checkpoint_get, &get);
}

/* What waited for a copy of VAT goes on. */
static void copy_here(kernel_t *k, kvat_t *vat)
{
    if (vat->ship) k->hosts_check = true;
    vat->ship = vat->stuck = false;
    k->backup.late_us = time_after(k->now_us, BACKUP_PATIENCE_US);
    makes_look(k, vat);
    move_mirrored(k, vat);
    checkpoint_look(k, vat);
}

static void unavailable(kernel_t *k, kvat_t *vat, err_t err);

void on_ready(kernel_t *k, uint32_t from, const msg_checkpoint_ready_t *msg)
{
    kvat_t *vat = vat_find(k, msg->vat.n);
    copy_t copy = {msg->pgen, msg->d, msg->total, msg->chain, msg->hash};
    if (!vat || !vat_alive(vat) || vat->row.host != from || vat->row.pgen != msg->pgen) {
        file_may_go(k, from, msg->vat, &copy); /* and the rest of it when its worker attaches */
        return;
    }
    bool older = vat->mirror && msg->d < vat->mirror->row.d;
    bool fits = msg->d && msg->d >= vat->row.safe && msg->d <= vat->row.assigned && !older &&
                msg->total && msg->total <= CHECKPOINT_FILE_BYTES_MAX;
    copy_t have = vat->mirror ? mirror_copy(vat->mirror) : (copy_t){0};
    bool same = vat->mirror && same_copy(&have, &copy); /* nothing happened since */
    if (!wanted(vat) || !fits || same) {
        file_may_go(k, from, vat->id, &copy);
        if (same) copy_here(k, vat);
        if (msg->total > CHECKPOINT_FILE_BYTES_MAX) unavailable(k, vat, ERR_CHECKPOINT_LARGE);
        return;
    }
    effect_t *effect = effect_add(k, EFFECT_PULL, from);
    effect->vat = vat->id;
    effect->copy = copy;
}

static void discard(kernel_t *k, vat_t vat, copy_t copy)
{
    const kvat_t *it = vat_find(k, vat.n);
    copy_t named = it && it->mirror ? mirror_copy(it->mirror) : (copy_t){0};
    if (it && it->mirror && same_copy(&named, &copy)) return; /* its row names it */
    effect_t *effect = effect_add(k, EFFECT_DISCARD, 0);
    effect->vat = vat;
    effect->copy = PLANTED(wrong_copy_discarded) && named.d ? named : copy;
}

void mirror_drop(kernel_t *k, kvat_t *vat)
{
    mirror_t *mirror = vat->mirror;
    if (!mirror) return;
    vat->mirror = NULL;
    discard(k, vat->id, mirror_copy(mirror));
    bury(k, &mirror->head);
    free(mirror);
}

/* Is what the host sent of the history that the log holds, as far as that is known here? */
static bool copy_agrees(const kernel_t *k, const kvat_t *vat, const input_t *input)
{
    hash_t chain = input->chain;
    if (input->copy.d > vat->row.applied) return true; /* see mirror_applied() */
    if (!checkpoint_chain_at(k, vat, input->copy.d, &chain) && hash_none(chain)) return true;
    return hash_same(chain, input->copy.chain);
}

/* The file is here and whole. */
void on_mirrored(kernel_t *k, const input_t *input)
{
    kvat_t *vat = vat_find(k, input->vat.n);
    const copy_t *copy = &input->copy;
    if (vat && vat->row.pgen == copy->pgen) file_may_go(k, vat->row.host, vat->id, copy);
    bool late = !vat || !vat_alive(vat) || vat->row.state == VAT_QUARANTINED ||
                vat->row.pgen != copy->pgen || copy->d < vat->row.safe ||
                copy->d > vat->row.assigned || (vat->mirror && copy->d < vat->mirror->row.d);
    if (late) {
        discard(k, input->vat, *copy);
        return;
    }
    if (!copy_agrees(k, vat, input)) {
        discard(k, input->vat, *copy);
        vat_quarantine(k, vat, ERR_VAT_FORKED,
                       "a copy of its state has another history than the log's");
        return;
    }
    mirror_t *mirror = vat->mirror;
    copy_t before = mirror ? mirror_copy(mirror) : *copy;
    if (!mirror) {
        mirror = vat->mirror = take(sizeof *mirror);
        mirror->head.table = ROW_mirror;
    }
    mirror->row =
        (row_mirror_t){.vat = vat->row.vat, .d = copy->d, .pgen = copy->pgen, .bytes = copy->bytes};
    mirror->chain = copy->chain;
    mirror->hash = copy->hash;
    mirror->unsure = copy->d > vat->row.applied;
    touch(k, &mirror->head);
    if (!same_copy(&before, copy)) discard(k, vat->id, before);
    copy_here(k, vat);
}

static void backup_ends(kernel_t *k, err_t err, const char *why);

/* No copy will come of what was asked for: whatever waits for it hears that. */
static void unavailable(kernel_t *k, kvat_t *vat, err_t err)
{
    bool shipping = vat->ship;
    vat->ship = false;
    vat->stuck = true;
    makes_fail(k, vat, true, err, "");
    if (leaving(vat)) move_fail(k, vat, ERR_MOVE_FAILED, err_text(err));
    if (shipping && k->backup.here) backup_ends(k, ERR_BACKUP_FAILED, err_text(err));
    checkpoint_look(k, vat);
}

/* VAT was to go on from a copy that is of no use, and there is nothing else on its host: people are to see it. What the
 * log still holds is kept: from delivery 1 on a MOVE brings it back. */
static void base_lost(kernel_t *k, kvat_t *vat)
{
    checkpoint_is(k, vat, vat->row.safe, vat->safe_chain);
    vat_quarantine(k, vat, ERR_HEAP_LOST, "the copy that it was to go on from is damaged");
}

/* The copy that VAT's row names is of no use. Nobody waits for that one: a move or a backup under way asked for a new
 * one. Did the vat need it? A worker there needs none any more, and a host may have the file already that has none yet;
 * one that finds it BROKEN asked for it, and a copy of an older placement is what it was to begin with. */
static void named_lost(kernel_t *k, kvat_t *vat, err_t err)
{
    bool asked = vat->mirror->row.pgen != vat->row.pgen && err == ERR_CHECKPOINT_BROKEN;
    mirror_drop(k, vat);
    k->hosts_check = true; /* a backup wants another */
    if (vat->row.state == VAT_RUNNING && !vat->attached && asked) base_lost(k, vat);
}

/* Does HOST ask for what VAT was to begin with there, and there is none? */
static bool in_vain(const kvat_t *vat, uint64_t host, uint64_t pgen)
{
    return vat && vat->row.state == VAT_RUNNING && !vat->attached && !vat->mirror &&
           vat->row.host == host && vat->row.pgen == pgen;
}

bool kernel_asked_in_vain(const kernel_t *k, uint32_t host, const msg_checkpoint_get_t *get)
{
    return in_vain(vat_find(k, get->vat.n), host, get->pgen);
}

void on_unmirrored(kernel_t *k, const input_t *input)
{
    kvat_t *vat = vat_find(k, input->vat.n);
    if (!vat || !vat_alive(vat)) return;
    if (input->err == ERR_HEAP_LOST) {
        if (in_vain(vat, input->from, input->copy.pgen)) base_lost(k, vat);
        return;
    }
    copy_t here = vat->mirror ? mirror_copy(vat->mirror) : (copy_t){0};
    if (vat->mirror && same_copy(&here, &input->copy)) {
        named_lost(k, vat, input->err);
        return;
    }
    if (vat->row.pgen != input->copy.pgen) return;
    file_may_go(k, vat->row.host, vat->id, &input->copy);
    unavailable(k, vat, input->err);
}

/* ---- the log reaches back to it ---- */

/* Lowers MOST, the last row that may be deleted of what VAT's log begins with. False: none may, for now. */
bool mirror_lets_trim(const kernel_t *k, const kvat_t *vat, uint64_t *most)
{
    if (awaited(vat)) return false; /* a copy is on its way, of nobody knows which delivery */
    bool kept = vat->row.mirror || k->backup.here || vat->row.moving;
    if (!kept) return true;
    if (PLANTED(trims_past_mirror)) return true;
    uint64_t d = vat->mirror ? vat->mirror->row.d : vat->row.safe;
    if (d < *most) *most = d;
    return true;
}

/* Rows were deleted: a copy that the log does not reach back to is of no use. */
void mirror_trimmed(kernel_t *k, kvat_t *vat)
{
    if (vat->mirror && vat->mirror->row.d < vat->row.safe) mirror_drop(k, vat);
}

/* Delivery D is applied, and now its chain is known. */
void mirror_applied(kernel_t *k, kvat_t *vat, uint64_t d, hash_t chain)
{
    mirror_t *mirror = vat->mirror;
    if (!mirror || !mirror->unsure || mirror->row.d != d) return;
    mirror->unsure = false;
    if (hash_same(mirror->chain, chain)) {
        move_mirrored(k, vat);
        return;
    }
    mirror_drop(k, vat);
    if (vat->row.state == VAT_RUNNING)
        vat_quarantine(k, vat, ERR_VAT_FORKED,
                       "a copy of its state has another history than the log's");
}

/* ---- BACKUP ---- */

/* Could this vat be brought back from what the broker has? */
static bool lacks_copy(const kvat_t *vat)
{
    return (vat->row.state == VAT_RUNNING || vat->row.state == VAT_STARTING) && vat->row.safe &&
           !vat->mirror;
}

static void backup_clear(kernel_t *k)
{
    k->backup.here = k->backup.copying = false;
    blob_destroy(&k->backup.path);
    for (size_t i = 0; i < k->vats.room; i++) {
        kvat_t *vat = map_cell(&k->vats, i);
        if (!vat || !vat_alive(vat)) continue;
        vat->ship = false;
        checkpoint_look(k, vat);
    }
}

static void backup_ends(kernel_t *k, err_t err, const char *why)
{
    uint32_t client = k->backup.client;
    id128_t request = k->backup.request;
    backup_clear(k);
    if (err)
        reply_failed(k, client, request, true, err, err_text(err), why);
    else
        reply_done(k, client, request);
}

/* Vats without a copy ship one, some at a time; when all have one, the shell copies the database. */
void backup_goes_on(kernel_t *k)
{
    if (!k->backup.here || k->backup.copying) return;
    size_t count, waiting = 0;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count && waiting < BACKUP_SHIPS_MAX; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        if (!lacks_copy(vat)) continue;
        waiting++;
        const khost_t *host = host_find(k, vat->row.host);
        if (!host || !host->connected) {
            char why[128];
            snprintf(why, sizeof why, "v%u: its host is away, and there is no copy of it",
                     vat->id.n);
            free(vats);
            backup_ends(k, ERR_BACKUP_FAILED, why);
            return;
        }
        if (vat->ship) continue;
        vat->ship = true;
        ship_ask(k, vat);
    }
    free(vats);
    if (waiting) return;
    k->backup.copying = true;
    effect_add(k, EFFECT_BACKUP, 0)->frame = blob_ref(k->backup.path);
}

void on_backup(kernel_t *k, uint32_t client, const msg_backup_t *msg)
{
    if (request_repeated(k, client, msg->request)) return;
    if (k->backup.here) {
        if (id_same(k->backup.request, msg->request))
            k->backup.client = client; /* the answer goes to whoever asked last */
        else
            reply_failed(k, client, msg->request, true, ERR_BACKUP_FAILED,
                         err_text(ERR_BACKUP_FAILED), "another backup is being made");
        return;
    }
    k->backup.here = true;
    k->backup.client = client;
    k->backup.request = msg->request;
    k->backup.path = text_blob(msg->path);
    k->backup.late_us = time_after(k->now_us, BACKUP_PATIENCE_US);
    k->hosts_check = true;
}

uint64_t backup_wake_us(const kernel_t *k)
{
    return k->backup.here && !k->backup.copying ? k->backup.late_us : UINT64_MAX;
}

void backup_late(kernel_t *k)
{
    if (backup_wake_us(k) > k->now_us) return;
    char why[128] = "no copy came for ten minutes";
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        const kvat_t *vat = vat_find(k, vats[i]);
        if (!vat->ship) continue;
        snprintf(why, sizeof why, "v%u: its host gave no copy of it for ten minutes", vat->id.n);
        break;
    }
    free(vats);
    backup_ends(k, ERR_BACKUP_FAILED, why);
}

void on_backed_up(kernel_t *k, const input_t *input)
{
    if (k->backup.copying)
        backup_ends(k, input->err ? ERR_BACKUP_FAILED : ERR_OK, input->why ? input->why : "");
}
