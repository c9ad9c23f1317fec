/* Copies of checkpoints and backups, as the shell does them: what the kernel wants fetched, deleted and copied is
 * done between its steps, never while the outbox empties. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_own.h"
#include "wire/base/log.h"
#include "wire/base/must.h"

static void ask(void *context, uint32_t host, const msg_checkpoint_get_t *get)
{
    broker_t *self = context;
    const peer_t *peer = peers_at(self->peers, DOOR_HOSTS, host);
    if (peer) outbox_frame(self, DOOR_HOSTS, &peer->route, TAG_checkpoint_get, get);
}

/* For broker_lost(). */
static void remember_lost(broker_t *self, vat_t vat)
{
    size_t len = strlen(self->lost);
    if (len + sizeof " v4294967295 ..." > sizeof self->lost)
        snprintf(self->lost + len, sizeof self->lost - len, "%s",
                 self->lost[len - 1] == '.' ? "" : " ...");
    else
        snprintf(self->lost + len, sizeof self->lost - len, "%sv%u", len ? " " : "", vat.n);
}

static void told(void *context, vat_t vat, const copy_t *copy, err_t err)
{
    broker_t *self = context;
    if (err && self->is.adopt) remember_lost(self, vat);
    input_t input = {
        .kind = err ? INPUT_UNMIRRORED : INPUT_MIRRORED, .vat = vat, .copy = *copy, .err = err};
    /* A store that cannot be read has nothing to say about it, and ends the process with the next commit. */
    if (!err && broker_chain(self, vat, copy->d, &input.chain)) input.chain = (hash_t){{0}};
    log_info(err ? "checkpoint_lost" : "checkpoint_here", kv_num("vat", vat.n),
             kv_num("delivery", copy->d), kv_num("bytes", copy->bytes),
             kv_str("why", err ? err_name(err) : ""));
    broker_input(self, &input, NULL);
}

static uint64_t clock_ms(void *context) { return broker_now_ms(context); }

err_t shipping_open(broker_t *self)
{
    char why[256];
    err_t err = checkpoints_new(self->is.dir, &(checkpoints_port_t){self, ask, told, clock_ms},
                                &self->checkpoints, why);
    if (err) {
        snprintf(self->why, sizeof self->why, "%s", why);
        return err;
    }
    self->backup = backup_new(
        &(backup_options_t){self->is.dir, self->is.store, self->checkpoints, self->kernel});
    return ERR_OK;
}

err_t shipping_adopt(broker_t *self)
{
    char why[256];
    err_t err = backup_of(self->is.dir, kernel_id(self->kernel), why);
    if (err) {
        snprintf(self->why, sizeof self->why, "%s", why);
        return err;
    }
    checkpoints_verify_all(self->checkpoints, self->kernel);
    kernel_adopt(self->kernel);
    return ERR_OK;
}

void shipping_clean(broker_t *self) { checkpoints_clean(self->checkpoints, self->kernel); }

void shipping_close(broker_t *self)
{
    backup_destroy(&self->backup);
    checkpoints_destroy(&self->checkpoints);
}

void shipping_effect(broker_t *self, const effect_t *effect)
{
    if (!self->checkpoints) return;
    if (effect->kind == EFFECT_PULL) {
        checkpoints_pull(self->checkpoints, effect->to, effect->vat, &effect->copy);
    } else if (effect->kind == EFFECT_DISCARD) {
        checkpoints_discard(self->checkpoints, effect->vat, &effect->copy);
    } else {
        bin_t path = blob_bin(effect->frame);
        const void *at = path.at;
        backup_begin(self->backup, (text_t){at, path.len});
    }
}

void shipping_gone(broker_t *self, uint32_t host)
{
    if (self->checkpoints) checkpoints_host_gone(self->checkpoints, host);
}

/* What is wrong with the file of COPY is told: who finds it damaged would ask for it for ever. */
static bool copy_fails(broker_t *self, uint32_t host, vat_t vat, const copy_t *copy, err_t err)
{
    if (err == ERR_CHECKPOINT_BROKEN) told(self, vat, copy, host ? err : ERR_STORE_DAMAGED);
    return err != ERR_OK;
}

/* The kernel may give up what is left on the host for its copy: not for one that is damaged. */
void shipping_heapless(broker_t *self, uint32_t host, const msg_attach_t *msg)
{
    copy_t copy;
    if (!self->checkpoints || !kernel_copy(self->kernel, msg->vat, host, &copy)) return;
    if (copy.pgen != msg->pgen) return;
    err_t err = checkpoints_verify(self->checkpoints, msg->vat, &copy);
    if (err == ERR_CHECKPOINT_BROKEN) told(self, msg->vat, &copy, err);
}

/* Behind the end of a copy there is nothing more to say. */
void shipping_get(broker_t *self, const arrival_t *arrival, uint32_t host,
                  const msg_checkpoint_get_t *get)
{
    msg_checkpoint_part_t part = {
        .vat = get->vat, .pgen = get->pgen, .d = get->d, .offset = get->offset};
    copy_t copy;
    uint8_t *piece = malloc(BUNDLE_PART_BYTES_MAX);
    must(piece);
    bool here =
        self->checkpoints && kernel_copy(self->kernel, get->vat, host, &copy) && copy.d == get->d;
    if (!here && host && kernel_asked_in_vain(self->kernel, host, get)) {
        log_error("checkpoint_gone", kv_num("vat", get->vat.n), kv_num("delivery", get->d));
        input_t input = {.kind = INPUT_UNMIRRORED,
                         .from = host,
                         .vat = get->vat,
                         .copy = {.pgen = get->pgen, .d = get->d},
                         .err = ERR_HEAP_LOST};
        broker_input(self, &input, NULL);
    }
    if (here && get->offset == 0 &&
        copy_fails(self, host, get->vat, &copy,
                   checkpoints_begin(self->checkpoints, get->vat, &copy)))
        here = false;
    if (here && get->offset < copy.bytes) {
        part.data.at = piece;
        part.data.len = checkpoints_read(self->checkpoints, get->vat, &copy, get->offset, piece,
                                         BUNDLE_PART_BYTES_MAX);
        if (part.data.len) part.total = copy.bytes;
        /* Who has what is before this piece would ask for it again and again. */
        if (!part.data.len)
            copy_fails(self, host, get->vat, &copy,
                       checkpoints_verify(self->checkpoints, get->vat, &copy));
    }
    if (!here || get->offset < copy.bytes) broker_reply(self, arrival, TAG_checkpoint_part, &part);
    free(piece);
}

void shipping_part(broker_t *self, uint32_t host, const msg_checkpoint_part_t *part)
{
    if (self->checkpoints) checkpoints_part(self->checkpoints, host, part);
}

bool shipping_backup(broker_t *self)
{
    err_t err = ERR_OK;
    if (!self->backup || !backup_waiting(self->backup)) return false;
    if (!backup_turn(self->backup, &err)) return true;
    input_t input = {.kind = INPUT_BACKED_UP, .err = err, .why = backup_why(self->backup)};
    broker_input(self, &input, NULL);
    return true;
}

bool shipping_turn(broker_t *self)
{
    return self->checkpoints && checkpoints_turn(self->checkpoints);
}

bool shipping_due(const broker_t *self)
{
    if (!self->checkpoints) return false;
    return backup_waiting(self->backup) || checkpoints_due(self->checkpoints);
}
