/* Vats that move to another host, and vats that are brought back because theirs is gone for good. Both are one
 * flip in one step: the placement generation rises, so that nothing of the old place counts any more; the new
 * one begins with the copy that the broker has, or with nothing; what the log holds beyond is run again there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/crank/crank.h"
#include "broker/kernel/hooks.h"
#include "broker/kernel/host/own.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/vat.h"
#include "wire/base/planted.h"

/* Vats of one host that move at a time while it is drained. */
enum { DRAIN_MOVES_MAX = 16 };

/* Can the vat go on elsewhere without a word from its host? */
static bool placeable(const kvat_t *vat)
{
    return vat->mirror ? vat->mirror->row.d >= vat->row.safe : vat->row.safe == 0;
}

/* Moved, but no worker has said so. */
static bool arriving(const kvat_t *vat)
{
    return vat->row.moving && vat->row.moving == vat->row.host;
}

/* Placed on its host to begin with what is here, and nobody says that it did: its host may have no room for it. One
 * that was brought back is known by its copy, which is of an older placement, and the newest that it can start from. */
static bool bare(const kvat_t *vat)
{
    const mirror_t *copy = vat->mirror;
    bool back = !vat->row.moving && copy && copy->row.pgen != vat->row.pgen && !copy->unsure &&
                vat->row.checkpoint == copy->row.d;
    return !vat->attached && placeable(vat) && (arriving(vat) || back);
}

/* The flip. */
static void place(kernel_t *k, kvat_t *vat, khost_t *to)
{
    must(placeable(vat));
    khost_t *from = host_find(k, vat->row.host);
    msg_vat_end_t end = {vat->id, vat->row.inc, vat->row.pgen};
    if (!PLANTED(old_place_untold)) send_host(k, vat->row.host, TAG_vat_end, &end);
    vat_counted(k, vat, false);
    vat->row.host = to->row.host;
    vat->row.pgen++;
    vat_counted(k, vat, true);
    vat->attached = vat->asked = vat->renew = vat->ship = false;
    vat->fetched = 0;

    /* What the old place could start from says nothing about the new one. */
    static const hash_t none;
    checkpoint_is(k, vat, vat->mirror ? vat->mirror->row.d : 0,
                  vat->mirror ? vat->mirror->chain : none);
    touch(k, &vat->head);
    checkpoint_look(k, vat);
    k->hosts_check = true;
    event_life(k, "vat-moved", vat, to, from ? from->row.name : (text_t){0});
    vat_ready(k, vat);
}

/* ---- the answer ---- */

static bool request_take(kernel_t *k, kvat_t *vat, id128_t *ret)
{
    vat->row.moving = 0;
    touch(k, &vat->head);
    k->hosts_check = true;
    if (!vat->move_request) return false;
    memcpy(ret->b, blob_bin(vat->move_request).at, sizeof ret->b);
    blob_destroy(&vat->move_request);
    vat->row.move_request = (bin_t){0};
    return true;
}

/* The vat does not move, or what moved is not what was asked for. */
void move_fail(kernel_t *k, kvat_t *vat, err_t err, const char *why)
{
    id128_t id;
    if (!vat->row.moving) return;
    if (request_take(k, vat, &id)) {
        char what[128];
        snprintf(what, sizeof what, "v%u: %.90s", vat->id.n, err_text(err));
        reply_failed(k, vat->move_client, id, true, err, what, why);
    }
    if (vat_alive(vat)) checkpoint_look(k, vat);
}

/* A worker of VAT attached: when it was moved, it is where it was moved to. */
void move_attached(kernel_t *k, kvat_t *vat)
{
    id128_t id;
    if (!arriving(vat)) return;
    if (request_take(k, vat, &id)) reply_done(k, vat->move_client, id);
    checkpoint_look(k, vat);
}

/* ---- moving ---- */

/* A copy is here: flips when it may. */
void move_mirrored(kernel_t *k, kvat_t *vat)
{
    if (!vat->row.moving || arriving(vat) || !vat->mirror || vat->mirror->unsure) return;
    khost_t *to = host_find(k, vat->row.moving);
    if (vat->row.state == VAT_RUNNING && to && host_takes(to) && placeable(vat)) {
        place(k, vat, to);
        return;
    }
    move_fail(k, vat, ERR_MOVE_FAILED, "that host is not ready any more");
}

/* VAT begins again where it stands, from a copy that was made there. False: there is none that would do. */
bool move_anew(kernel_t *k, kvat_t *vat)
{
    const mirror_t *copy = vat->mirror;
    khost_t *here = host_find(k, vat->row.host);
    if (!copy || copy->unsure || copy->row.pgen != vat->row.pgen || !here || !placeable(vat))
        return false;
    place(k, vat, here);
    return true;
}

/* Its state on its host is of no use, the log's is: what may be brought back from its copy. */
static bool revivable(const kvat_t *vat)
{
    err_t error = (err_t)vat->row.error;
    return vat->row.state == VAT_QUARANTINED && placeable(vat) && !serial_elsewhere(vat) &&
           (error == ERR_VAT_REGRESSED || error == ERR_VAT_FORKED || error == ERR_HEAP_LOST);
}

/* What stands against moving VAT to HOST; ERR_OK: nothing. */
static err_t against(const kvat_t *vat, const khost_t *from, const khost_t *to, const char **why)
{
    *why = "";
    if (vat->row.moving && !arriving(vat)) *why = "it is being moved";
    if (vat->row.state == VAT_STARTING) *why = "it is starting";
    if (**why) return ERR_VAT_BUSY;
    if (arriving(vat) && !placeable(vat) && vat->row.state == VAT_RUNNING)
        *why = "it did not begin where it was moved to, and there is no copy of it to go on from";
    if (**why) return ERR_MOVE_FAILED;
    if (!to) *why = "no other host is ready that has the same engine";
    if (to == from && !revivable(vat)) *why = "it stands there";
    if (to && !to->connected) *why = "that host is away";
    if (to && to->row.state != HOST_USUAL)
        *why = "that host is drained, or in quarantine, or disavowed";
    if (**why) return ERR_MOVE_FAILED;
    if (!from || text_same(from->row.engine, to->row.engine)) return ERR_OK;
    *why = "its heap cannot be read there";
    return ERR_ENGINE_MISMATCH;
}

/* VAT is on its way to TO. When its host is away, or it never arrived there (ALONE: see bare()), the copy that is here
 * must do. False: there is none. */
static bool move_begin(kernel_t *k, kvat_t *vat, khost_t *to, bool alone)
{
    const khost_t *from = host_find(k, vat->row.host);
    bool revived = revivable(vat), away = alone || !from || !from->connected;
    if ((away || revived) && !placeable(vat)) return false;
    vat->row.moving = to->row.host;
    vat->stuck = false;
    touch(k, &vat->head);
    if (revived) vat_resume(k, vat);
    if (away || revived)
        place(k, vat, to);
    else
        ship_ask(k, vat);
    return true;
}

void on_move(kernel_t *k, uint32_t client, const msg_move_t *msg)
{
    kvat_t *vat = vat_find(k, msg->vat.n);
    bool waits = vat && request_same(vat->move_request, msg->request);
    if (waits) vat->move_client = client; /* the answer goes to whoever asked last */
    if (request_repeated(k, client, msg->request)) return;
    if (!(vat = vat_asked(k, client, msg->request, msg->vat))) return;
    khost_t *from = host_find(k, vat->row.host);
    if (vat->row.moving && !arriving(vat) && msg->host.n == vat->row.host) {
        move_fail(k, vat, ERR_MOVE_FAILED, "it is to stay where it is");
        reply_done(k, client, msg->request);
        return;
    }
    khost_t *to = msg->host.n ? host_find(k, msg->host.n) : host_roomiest(k, from);
    if (!msg->host.n && !to && revivable(vat)) to = from;
    const char *why = "";
    err_t err = msg->host.n && !to ? ERR_HOST_UNKNOWN : against(vat, from, to, &why);
    if (!err && vat->row.state == VAT_QUARANTINED && !revivable(vat)) {
        err = (err_t)vat->row.error;
        why = "it is in quarantine";
    }
    if (!err) {
        bool alone = bare(vat); /* as long as `moving` says that it arrives */
        move_fail(k, vat, ERR_MOVE_FAILED, "it is moved on");
        /* The answer may come within this step. */
        request_pending(k, msg->request);
        vat->move_client = client;
        vat->move_request = blob_new(msg->request.b, sizeof msg->request.b);
        vat->row.move_request = blob_bin(vat->move_request);
        if (move_begin(k, vat, to, alone)) return;
        vat->row.moving = to->row.host;
        move_fail(k, vat, ERR_MOVE_FAILED, "its host is away, and there is no copy of it");
        return;
    }
    char what[128];
    snprintf(what, sizeof what, "v%u: %.90s", vat->id.n, err_text(err));
    reply_failed(k, client, msg->request, true, err, what, why);
}

/* ---- many of them ---- */

/* Some vats of HOST, which is drained, begin to move. Returns what is in the way when nothing moves. */
const char *vats_drain(kernel_t *k, khost_t *host)
{
    size_t count, moving = 0;
    const char *stuck = NULL;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        const kvat_t *vat = vat_find(k, vats[i]);
        moving += vat->row.host == host->row.host && vat->row.moving && !bare(vat);
    }
    for (size_t i = 0; i < count && moving < DRAIN_MOVES_MAX; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        if (vat->row.host != host->row.host || !vat_alive(vat)) continue;
        bool alone = bare(vat);
        if (vat->row.moving && !alone) continue;
        if (vat->row.state == VAT_STARTING) continue; /* soon */
        if (vat->row.state == VAT_QUARANTINED && !revivable(vat)) {
            stuck = "a vat in quarantine stands there";
            continue;
        }
        if (vat->stuck && !alone) {
            stuck = "no copy could be had of a vat that stands there";
            continue;
        }
        khost_t *to = host_roomiest(k, host);
        if (!to) continue;
        if (alone) move_fail(k, vat, ERR_MOVE_FAILED, "it is moved on");
        if (move_begin(k, vat, to, alone)) moving++;
    }
    free(vats);
    return moving ? NULL : stuck;
}

static void bring_back(kernel_t *k, kvat_t *vat, khost_t *gone)
{
    bool quarantined = vat->row.state == VAT_QUARANTINED;
    move_fail(k, vat, ERR_MOVE_FAILED, "its host was declared gone for good");
    if (!placeable(vat)) {
        vat_end(k, vat, ERR_VAT_NOT_MIRRORED, text_blob(text_of(err_text(ERR_VAT_NOT_MIRRORED))),
                cause_input(k));
        return;
    }
    khost_t *to = host_roomiest(k, gone);
    if (!to || (quarantined && !revivable(vat))) return;
    if (quarantined) vat_resume(k, vat);
    place(k, vat, to);
}

/* HOST is gone for good: its vats go on elsewhere from what the broker has, now or when there is a place; or
 * they end. */
void vats_bring_back(kernel_t *k, khost_t *host)
{
    size_t count;
    if (PLANTED(lost_vats_stay)) return;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        if (vat && vat_alive(vat) && vat->row.host == host->row.host) bring_back(k, vat, host);
    }
    free(vats);
}

/* ---- a backup is adopted ---- */

void kernel_adopt(kernel_t *k)
{
    k->counters[COUNTER_epoch].value =
        (k->counters[COUNTER_epoch].value / ADOPTED_EPOCHS + 1) * ADOPTED_EPOCHS;
    touch(k, &k->counters[COUNTER_epoch].head);
    for (size_t i = 0; i < k->vats.room; i++) {
        kvat_t *vat = map_cell(&k->vats, i);
        if (!vat || !vat_alive(vat)) continue;
        vat->row.pgen += ADOPTED_EPOCHS;
        if (!placeable(vat)) continue;
        static const hash_t none;
        checkpoint_is(k, vat, vat->mirror ? vat->mirror->row.d : 0,
                      vat->mirror ? vat->mirror->chain : none);
        touch(k, &vat->head);
    }
}

/* Was a backup adopted, and has HOST not been here since? It may be gone with what the backup was made for. */
static bool unseen(const kernel_t *k, const khost_t *host)
{
    uint64_t epoch = k->counters[COUNTER_epoch].value;
    return !host->connected && epoch >= ADOPTED_EPOCHS &&
           host->row.epoch < epoch / ADOPTED_EPOCHS * ADOPTED_EPOCHS;
}

/* Where VAT goes on because its host did not come back; NULL: nowhere, or there is no need. */
static khost_t *adopter(const kernel_t *k, const kvat_t *vat)
{
    const khost_t *from = host_find(k, vat->row.host);
    bool lives = vat->row.state == VAT_STARTING || vat->row.state == VAT_RUNNING;
    if (!lives || !from || !unseen(k, from) || !placeable(vat)) return NULL;
    return host_roomiest(k, from);
}

/* When vats of hosts that did not come back after a backup was adopted are placed on others; UINT64_MAX: there
 * are none. Those that do come back get their own. */
uint64_t adopt_wake_us(const kernel_t *k)
{
    enum { ADOPT_PATIENCE_US = 5 * 1000 * 1000 };
    bool any = false;
    if (k->counters[COUNTER_epoch].value < ADOPTED_EPOCHS || !k->began_us) return UINT64_MAX;
    for (size_t i = 0; i < k->hosts.room && !any; i++) {
        const khost_t *host = map_cell(&k->hosts, i);
        any = host && host->vats && unseen(k, host);
    }
    for (size_t i = 0; i < k->vats.room && any; i++) {
        const kvat_t *vat = map_cell(&k->vats, i);
        if (vat && adopter(k, vat)) return time_after(k->began_us, ADOPT_PATIENCE_US);
    }
    return UINT64_MAX;
}

/* They go on from their copies, when it is time and another host is there. */
void vats_adopt(kernel_t *k)
{
    if (adopt_wake_us(k) > k->now_us) return;
    size_t count;
    uint64_t *vats = map_sorted(&k->vats, &count);
    for (size_t i = 0; i < count; i++) {
        kvat_t *vat = vat_find(k, vats[i]);
        khost_t *to = adopter(k, vat);
        if (to) place(k, vat, to);
    }
    free(vats);
}
