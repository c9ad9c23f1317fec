/* The C functions that the supervisor in JavaScript calls. For each syscall: JavaScript values in, a
 * vcall_t in the arena, one call of the host.
 *
 *   F1  XS leaves by longjmp whenever it likes: what a function holds, the engine owns;
 *   F2  XS moves its strings when it allocates: a pointer from xsToString() is read at once;
 *   F3  after the host has said no once, every further call throws without asking it. */
#include "vathost/xs/machine.h"

#include <string.h>

#include "vathost/xs/utf.h"
#include "wire/base/hash.h"
#include "wire/base/limits.h"

void xs_textdecoder(xsMachine *);
void xs_textdecoder_decode(xsMachine *);
void xs_textdecoder_get_encoding(xsMachine *);
void xs_textdecoder_get_ignoreBOM(xsMachine *);
void xs_textdecoder_get_fatal(xsMachine *);
void xs_textencoder(xsMachine *);
void xs_textencoder_encode(xsMachine *);
void xs_textencoder_encodeInto(xsMachine *);
void xs_base64_encode(xsMachine *);
void xs_base64_decode(xsMachine *);
void modInstallTextDecoder(xsMachine *);
void modInstallTextEncoder(xsMachine *);
void modInstallBase64(xsMachine *);

/* ---- strings ---- */

void host_string(xsMachine *the, text_t text)
{
    xsResult = xsStringBuffer(NULL, (xsIntegerValue)utf_cesu_bytes(text));
    utf_to_cesu(text, xsToString(xsResult));
}

/* SLOT, a string, in the arena. */
static text_t take_text(xsMachine *the, xsSlot *slot)
{
    const char *cesu = fxToString(the, slot);
    size_t len = strlen(cesu);
    char *at = arena_take(&engine_of(the)->arena, len);
    return (text_t){at, utf_from_cesu(cesu, len, at)};
}

/* Undefined and null are no reference. */
static vref_t take_ref(xsMachine *the, xsSlot *slot)
{
    int type = fxTypeOf(the, slot);
    if (type == xsUndefinedType || type == xsNullType) return (vref_t){{"", 0}};
    return (vref_t){take_text(the, slot)};
}

static size_t array_length(xsMachine *the, xsSlot *array)
{
    return (size_t)xsToInteger(xsGet(*array, xsID("length")));
}

/* ARRAY, which XS's collector knows about. Uses xsVar(0). */
static vrefs_t take_refs(xsMachine *the, xsSlot *array)
{
    size_t count = array_length(the, array);
    vref_t *refs = arena_take(&engine_of(the)->arena, count * sizeof *refs);
    for (size_t i = 0; i < count; i++) {
        xsVar(0) = xsGetIndex(*array, (xsIndex)i);
        refs[i] = take_ref(the, &xsVar(0));
    }
    return (vrefs_t){refs, count};
}

static vcapdata_t take_capdata(xsMachine *the, xsSlot *body, xsSlot *slots)
{
    text_t text = take_text(the, body);
    return (vcapdata_t){.body = {(const uint8_t *)text.at, text.len},
                        .slots = take_refs(the, slots)};
}

/* ---- syscalls ---- */

static xs_engine_t *host_begin(xsMachine *the)
{
    xs_engine_t *self = engine_of(the);
    if (!self || !self->host) xsUnknownError("there is no host outside a crank");
    if (self->failed) xsUnknownError("syscall failed: syscall translation error: prepare to die");
    arena_reset(&self->arena);
    return self;
}

static void host_end(xsMachine *the, xs_engine_t *self, const char *name, err_t err)
{
    if (!err) return;
    self->failed = err;
    xsUnknownError("syscall.%s failed: syscall translation error: prepare to die", name);
}

static void host_call(xsMachine *the, xs_engine_t *self, const char *name, const vcall_t *call)
{
    host_end(the, self, name, self->host->call(self->host->self, call));
}

/* send(target, body, slots, result) */
static void host_send(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    xsVars(1);
    vcall_t call = {.tag = TAG_send};
    call.body.send.target = take_ref(the, &xsArg(0));
    call.body.send.methargs = take_capdata(the, &xsArg(1), &xsArg(2));
    call.body.send.result = take_ref(the, &xsArg(3));
    host_call(the, self, "send", &call);
}

/* subscribe(promise) */
static void host_subscribe(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    vcall_t call = {.tag = TAG_subscribe};
    call.body.subscribe.promise = take_ref(the, &xsArg(0));
    host_call(the, self, "subscribe", &call);
}

/* resolve([promise, rejected, body, slots, and the next four...]) */
static void host_resolve(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    xsVars(3);
    size_t count = array_length(the, &xsArg(0)) / 4;
    vresolution_t *all = arena_take(&self->arena, count * sizeof *all);
    for (size_t i = 0; i < count; i++) {
        xsIndex at = (xsIndex)(i * 4);
        xsVar(1) = xsGetIndex(xsArg(0), at);
        all[i].promise = take_ref(the, &xsVar(1));
        xsVar(1) = xsGetIndex(xsArg(0), at + 1);
        all[i].rejected = xsToBoolean(xsVar(1));
        xsVar(1) = xsGetIndex(xsArg(0), at + 2);
        xsVar(2) = xsGetIndex(xsArg(0), at + 3);
        all[i].data = take_capdata(the, &xsVar(1), &xsVar(2));
    }
    vcall_t call = {.tag = TAG_resolve, .body.resolve.resolutions = {all, count}};
    host_call(the, self, "resolve", &call);
}

/* exit(failure, body, slots) */
static void host_exit(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    xsVars(1);
    vcall_t call = {.tag = TAG_exit};
    call.body.exit.failure = xsToBoolean(xsArg(0));
    call.body.exit.info = take_capdata(the, &xsArg(1), &xsArg(2));
    host_call(the, self, "exit", &call);
}

/* dropImports(refs), and its three sisters */
static void host_refs(xsMachine *the, msg_tag_t tag, const char *name)
{
    xs_engine_t *self = host_begin(the);
    xsVars(1);
    /* All four have one field, the list, so one member of the union serves for all. */
    vcall_t call = {.tag = tag, .body.drop_imports.refs = take_refs(the, &xsArg(0))};
    host_call(the, self, name, &call);
}

_Static_assert(sizeof(vcall_drop_imports_t) == sizeof(vrefs_t) &&
                   sizeof(vcall_retire_imports_t) == sizeof(vrefs_t) &&
                   sizeof(vcall_retire_exports_t) == sizeof(vrefs_t) &&
                   sizeof(vcall_abandon_exports_t) == sizeof(vrefs_t),
               "the four lists are alike");

static void host_drop_imports(xsMachine *the) { host_refs(the, TAG_drop_imports, "dropImports"); }
static void host_retire_imports(xsMachine *the)
{
    host_refs(the, TAG_retire_imports, "retireImports");
}
static void host_retire_exports(xsMachine *the)
{
    host_refs(the, TAG_retire_exports, "retireExports");
}
static void host_abandon_exports(xsMachine *the)
{
    host_refs(the, TAG_abandon_exports, "abandonExports");
}

/* ---- the vat store ---- */

typedef err_t store_read_t(void *self, text_t key, text_t *ret, bool *ret_found);

static void host_read(xsMachine *the, xs_engine_t *self, store_read_t *read, const char *name)
{
    text_t found = {"", 0};
    bool is_found = false;
    host_end(the, self, name, read(self->host->self, take_text(the, &xsArg(0)), &found, &is_found));
    if (is_found) host_string(the, found);
}

/* storeGet(key), storeNext(prior): a string, or undefined */
static void host_store_get(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    host_read(the, self, self->host->store_get, "vatstoreGet");
}

static void host_store_next(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    host_read(the, self, self->host->store_next, "vatstoreGetNextKey");
}

static void host_store_set(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    text_t key = take_text(the, &xsArg(0)), value = take_text(the, &xsArg(1));
    host_end(the, self, "vatstoreSet", self->host->store_set(self->host->self, key, value));
}

static void host_store_delete(xsMachine *the)
{
    xs_engine_t *self = host_begin(the);
    text_t key = take_text(the, &xsArg(0));
    host_end(the, self, "vatstoreDelete", self->host->store_delete(self->host->self, key));
}

/* ---- what is not a syscall ---- */

/* hostConsole(level, source, text). While the snapshot is made there is nobody to read it. */
static void host_console(xsMachine *the)
{
    xs_engine_t *self = engine_of(the);
    if (!self || !self->host) return;
    arena_reset(&self->arena);
    unsigned level = (unsigned)xsToInteger(xsArg(0));
    text_t source = take_text(the, &xsArg(1)), text = take_text(the, &xsArg(2));
    self->host->console(self->host->self, level, source, text);
}

static void host_gc(xsMachine *the) { xsCollectGarbage(); }

/* meterOff(): the reading. meterOn(reading): as if nothing had happened in between. */
static void host_meter_off(xsMachine *the)
{
    xs_engine_t *self = engine_of(the);
    if (self) self->meter_off++;
    xsResult = xsNumber(xsGetCurrentMeter(the));
}

static void host_meter_on(xsMachine *the)
{
    xs_engine_t *self = engine_of(the);
    if (self && self->meter_off) self->meter_off--;
    xsSetCurrentMeter(the, (xsUnsignedValue)xsToNumber(xsArg(0)));
}

/* ---- time and chance, which are part of the delivery ---- */

static const vdelivery_t *delivery_of(xsMachine *the)
{
    const xs_engine_t *self = engine_of(the);
    if (!self || !self->delivery) xsUnknownError("there is no time outside a crank");
    return self->delivery;
}

/* hostStamp(): milliseconds since 1970, the same for the whole crank */
static void host_stamp(xsMachine *the) { xsResult = xsNumber((double)delivery_of(the)->stamp_ms); }

enum { CHANCE_BLOCK_BYTES = 64 }; /* what hash_expand() gives at most */

/* hostRandom(n): an ArrayBuffer of N bytes that follow from the delivery's seed. Each call begins
 * with a block of its own, and the blocks are counted from 0 in each delivery. */
static void host_random(xsMachine *the)
{
    const vdelivery_t *delivery = delivery_of(the);
    xs_engine_t *self = engine_of(the);
    xsIntegerValue n = xsToInteger(xsArg(0));
    uint8_t seed[32] = {0};

    if (n < 0 || n > RANDOM_BYTES_MAX) xsRangeError("too many random bytes for one call");
    memcpy(seed, delivery->seed.b, sizeof delivery->seed.b);
    arena_reset(&self->arena);
    size_t len = (size_t)n;
    xsSetCurrentMeter(the, xsGetCurrentMeter(the) + (xsUnsignedValue)(len / BYTES_PER_COMPUTRON));
    uint8_t *bytes = arena_take(&self->arena, len);
    for (size_t at = 0; at < len; at += CHANCE_BLOCK_BYTES) {
        size_t block = len - at < CHANCE_BLOCK_BYTES ? len - at : CHANCE_BLOCK_BYTES;
        hash_expand(seed, self->chance++, bytes + at, block);
    }
    xsResult = xsArrayBuffer(bytes, n);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    xsCallback function;
    int arguments;
} functions[] = {
    {"send", host_send, 4},
    {"subscribe", host_subscribe, 1},
    {"resolve", host_resolve, 1},
    {"exit", host_exit, 3},
    {"dropImports", host_drop_imports, 1},
    {"retireImports", host_retire_imports, 1},
    {"retireExports", host_retire_exports, 1},
    {"abandonExports", host_abandon_exports, 1},
    {"storeGet", host_store_get, 1},
    {"storeNext", host_store_next, 1},
    {"storeSet", host_store_set, 2},
    {"storeDelete", host_store_delete, 1},
    {"hostConsole", host_console, 3},
    {"gc", host_gc, 0},
    {"meterOff", host_meter_off, 0},
    {"meterOn", host_meter_on, 1},
    {"harden", fx_harden, 1},
    {"hostStamp", host_stamp, 0},
    {"hostRandom", host_random, 1},
    {"hostDigest", host_digest, 2},
    {"hostLibrary", host_library, 0},
};

xsCallback host_callbacks[] = {
    host_send,
    host_subscribe,
    host_resolve,
    host_exit,
    host_drop_imports,
    host_retire_imports,
    host_retire_exports,
    host_abandon_exports,
    host_store_get,
    host_store_next,
    host_store_set,
    host_store_delete,
    host_console,
    host_gc,
    host_meter_off,
    host_meter_on,
    fx_harden,
    xs_textdecoder,
    xs_textdecoder_decode,
    xs_textdecoder_get_encoding,
    xs_textdecoder_get_ignoreBOM,
    xs_textdecoder_get_fatal,
    xs_textencoder,
    xs_textencoder_encode,
    xs_textencoder_encodeInto,
    xs_base64_encode,
    xs_base64_decode,
    host_stamp,
    host_random,
    host_digest,
    host_library,
};
const int host_callback_count = sizeof host_callbacks / sizeof host_callbacks[0];

static void install(xsMachine *machine, const char *name, xsCallback function, int arguments)
{
    char id[24]; /* XS wants to be able to write in it */
    strcpy(id, name);
    xsBeginHost(machine);
    {
        xsResult = xsNewHostFunction(function, arguments);
        xsDefine(xsGlobal, xsID(id), xsResult, xsDontEnum);
    }
    xsEndHost(machine);
}

void host_install(xsMachine *machine)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        install(machine, functions[i].name, functions[i].function, functions[i].arguments);
    modInstallTextDecoder(machine);
    modInstallTextEncoder(machine);
    modInstallBase64(machine);
}
