/* One delivery: arguments built in C, run until nothing is left to run, report read.
 *
 *   R1  the meter's jump is the outermost: an abort of XS lands behind xsEndMetering();
 *   R2  idle means: no promise job, no finalizer, no turn waits. Nothing outside can wake a vat;
 *   R3  after an abort the machine is dead, whatever stopped it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vathost/xs/machine.h"
#include "vathost/xs/platform.h"
#include "vathost/xs/utf.h"

static xsBooleanValue on_meter(xsMachine *the, xsUnsignedValue reading)
{
    const xs_engine_t *self = engine_of(the);
    if (clock_is_over()) return 0;
    return self->meter_off || !self->meter_max || reading <= self->meter_max;
}

/* ---- the delivery's arguments: each function leaves a value in xsResult ---- */

static void give_text(xsMachine *the, text_t text) { host_string(the, text); }

static void give_ref(xsMachine *the, vref_t ref)
{
    if (ref.s.len) {
        give_text(the, ref.s);
    } else {
        xsResult = xsUndefined;
    }
}

/* Uses xsVar(0). */
static void give_refs(xsMachine *the, vrefs_t refs)
{
    xsVar(0) = xsNewArray((xsIntegerValue)refs.count);
    for (size_t i = 0; i < refs.count; i++) {
        give_text(the, refs.at[i].s);
        xsSetIndex(xsVar(0), (xsIndex)i, xsResult);
    }
    xsResult = xsVar(0);
}

static void give_body(xsMachine *the, const vcapdata_t *data)
{
    give_text(the, (text_t){(const char *)data->body.at, data->body.len});
}

/* promise, rejected, body, slots, and the next four. Uses xsVar(0) and (1). */
static void give_resolutions(xsMachine *the, const vresolutions_t *resolutions)
{
    xsVar(1) = xsNewArray((xsIntegerValue)resolutions->count * 4);
    for (size_t i = 0; i < resolutions->count; i++) {
        const vresolution_t *resolution = &resolutions->at[i];
        xsIndex at = (xsIndex)(i * 4);
        give_ref(the, resolution->promise);
        xsSetIndex(xsVar(1), at, xsResult);
        xsSetIndex(xsVar(1), at + 1, resolution->rejected ? xsTrue : xsFalse);
        give_body(the, &resolution->data);
        xsSetIndex(xsVar(1), at + 2, xsResult);
        give_refs(the, resolution->data.slots);
        xsSetIndex(xsVar(1), at + 3, xsResult);
    }
    xsResult = xsVar(1);
}

static const char *refs_kind(msg_tag_t tag)
{
    switch (tag) {
    case TAG_deliver_drop_exports: return "dropExports";
    case TAG_deliver_retire_exports: return "retireExports";
    case TAG_deliver_retire_imports: return "retireImports";
    default: return NULL;
    }
}

/* Hands DELIVERY to JavaScript, whose functions are in xsVar(5); leaves the report in xsResult. */
static void deliver(xsMachine *the, xs_engine_t *self, const vdelivery_t *delivery)
{
    switch (delivery->tag) {
    case TAG_deliver_start:
        give_text(the, text_of(self->vat_id));
        xsVar(2) = xsResult;
        give_text(the, (text_t){self->bundle, self->bundle_len});
        xsVar(3) = xsResult;
        give_body(the, &delivery->data);
        xsVar(4) = xsResult;
        give_refs(the, delivery->data.slots);
        xsVar(1) = xsResult;
        give_text(the, text_of(self->globals));
        xsResult =
            xsCall5(xsVar(5), xsID("start"), xsVar(2), xsVar(3), xsVar(4), xsVar(1), xsResult);
        return;
    case TAG_deliver_message:
        give_ref(the, delivery->target);
        xsVar(2) = xsResult;
        give_body(the, &delivery->data);
        xsVar(3) = xsResult;
        give_refs(the, delivery->data.slots);
        xsVar(4) = xsResult;
        give_ref(the, delivery->result);
        xsResult = xsCall4(xsVar(5), xsID("message"), xsVar(2), xsVar(3), xsVar(4), xsResult);
        return;
    case TAG_deliver_notify:
        give_resolutions(the, &delivery->resolutions);
        xsResult = xsCall1(xsVar(5), xsID("notify"), xsResult);
        return;
    case TAG_deliver_reap: xsResult = xsCall0(xsVar(5), xsID("reap")); return;
    default:
        give_text(the, text_of(refs_kind(delivery->tag)));
        xsVar(2) = xsResult;
        give_refs(the, delivery->refs);
        xsResult = xsCall2(xsVar(5), xsID("refs"), xsVar(2), xsResult);
    }
}

/* ---- the run ---- */

static void run_to_idle(xsMachine *the)
{
    do {
        xsRunLoop(the);
        xsResult = xsCall0(xsVar(5), xsID("turn"));
    } while (xsToBoolean(xsResult));
}

static void report_rejection(void *machine)
{
    xsMachine *the = machine;
    xsVar(0) = xsException;
    xsCall1(xsVar(5), xsID("unhandled"), xsVar(0));
}

/* SLOT, a string, as UTF-8 that ends in 0 and in a whole character. */
static void reason_set(engine_report_t *ret, text_t text)
{
    size_t len = text.len < REASON_BYTES_MAX ? text.len : REASON_BYTES_MAX - 1;
    while (len < text.len && len && ((unsigned char)text.at[len] >> 6) == 2) len--;
    memcpy(ret->reason, text.at, len);
    ret->reason[len] = '\0';
}

static text_t string_of(xsMachine *the, xsSlot *slot)
{
    xs_engine_t *self = engine_of(the);
    const char *cesu = fxToString(the, slot);
    size_t len = strlen(cesu);
    char *at = arena_take(&self->arena, len);
    return (text_t){at, utf_from_cesu(cesu, len, at)};
}

/* The code that JavaScript gave, among those it may give. */
static err_t outcome_named(text_t name)
{
    static const err_t known[] = {ERR_NO_BUILD_ROOT, ERR_BUILD_ROOT_THREW, ERR_BUNDLE_FORMAT,
                                  ERR_BUNDLE_BROKEN};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (text_is(name, err_name(known[i]))) return known[i];
    }
    return name.len ? ERR_VAT_FAILED : ERR_OK;
}

/* Reads the report in xsVar(6). */
static void read_report(xsMachine *the, const vdelivery_t *delivery, engine_report_t *ret)
{
    xs_engine_t *self = engine_of(the);
    arena_reset(&self->arena);
    if (!xsToBoolean(xsGet(xsVar(6), xsID("settled")))) {
        bool starting = delivery->tag == TAG_deliver_start;
        ret->outcome = starting ? ERR_BUILD_ROOT_THREW : ERR_VAT_FAILED;
        reason_set(ret, text_of(starting ? "buildRootObject did not settle within the crank"
                                         : "liveslots did not finish the delivery"));
        return;
    }
    xsVar(0) = xsGet(xsVar(6), xsID("code"));
    ret->outcome = outcome_named(string_of(the, &xsVar(0)));
    xsVar(0) = xsGet(xsVar(6), xsID("reason"));
    reason_set(ret, string_of(the, &xsVar(0)));
}

/* Runs DELIVERY and fills in all of RET but what an abort of XS means. Uses all seven variables:
 * 0 to 4 for arguments, 5 our functions in JavaScript, 6 the report. */
static void run(xs_engine_t *self, const vdelivery_t *delivery, engine_report_t *ret)
{
    xsBeginHost(self->machine);
    {
        xsVars(7);
        xsTry
        {
            xsVar(5) = xsGet(xsGlobal, xsID("vat"));
            deliver(the, self, delivery);
            xsVar(6) = xsResult;
            run_to_idle(the);
            platform_check_rejections(the, report_rejection);
            ret->computrons = xsGetCurrentMeter(the);
            read_report(the, delivery, ret);
        }
        xsCatch
        {
            arena_reset(&self->arena);
            ret->outcome = ERR_VAT_FAILED;
            xsVar(0) = xsException;
            reason_set(ret, string_of(the, &xsVar(0)));
        }
    }
    xsEndHost(self->machine);
}

/* ---- the end ---- */

static void say_limit(engine_report_t *ret, err_t outcome, const char *what, uint64_t limit)
{
    ret->outcome = outcome;
    snprintf(ret->reason, sizeof ret->reason, "%s (limit %" PRIu64 "%s)", err_text(outcome), limit,
             what);
}

static void report_abort(xs_engine_t *self, engine_report_t *ret)
{
    ret->dead = true;
    if (!ret->computrons) ret->computrons = xsGetCurrentMeter(self->machine);
    switch (self->machine->abortStatus) {
    case xsTooMuchComputationExit:
        if (clock_is_over()) {
            say_limit(ret, ERR_VAT_LIMIT_WALL, " ms", self->wall_ms);
        } else {
            say_limit(ret, ERR_VAT_LIMIT_COMPUTE, " computrons", self->computrons);
        }
        return;
    case xsNotEnoughMemoryExit:
    case xsNoMoreKeysExit: say_limit(ret, ERR_VAT_LIMIT_HEAP, " bytes", self->heap_bytes); return;
    case xsStackOverflowExit:
        ret->outcome = ERR_VAT_LIMIT_STACK;
        reason_set(ret, text_of(err_text(ERR_VAT_LIMIT_STACK)));
        return;
    default:
        ret->outcome = ERR_VAT_FAILED;
        snprintf(ret->reason, sizeof ret->reason, "XS gave up (%d)", self->machine->abortStatus);
    }
}

/* What lives when nothing runs follows from the vat alone, and not from when garbage was collected: so the limit is
 * looked at here. A replay has been through it. Deliveries that run none of the vat's code, and may be what makes
 * room, go through. */
static bool heap_is_full(const xs_engine_t *self, const vdelivery_t *delivery)
{
    uint64_t limit = self->used_base + self->heap_bytes;
    if (!self->heap_bytes || self->is_replay) return false;
    if (delivery->tag == TAG_deliver_reap || refs_kind(delivery->tag)) return false;
    if (platform_used(self->machine) <= limit) return false;
    platform_collect(self->machine);
    return platform_used(self->machine) > limit;
}

void crank_run(xs_engine_t *self, const vdelivery_t *delivery, engine_report_t *ret)
{
    xsMachine *machine = self->machine;
    platform_stack_taken(machine);
    xsBeginMetering(machine, on_meter, 1);
    {
        run(self, delivery, ret);
    }
    xsEndMetering(machine);
    platform_stack_given_back(machine);
    if (!machine->abortStatus && heap_is_full(self, delivery))
        machine->abortStatus = xsNotEnoughMemoryExit;
    if (machine->abortStatus) {
        report_abort(self, ret);
    } else if (self->failed) {
        ret->outcome = ERR_VAT_FAILED;
        reason_set(ret, text_of("a syscall was refused"));
    }
    arena_reset(&self->arena);
}
