/* Laws: whatever is said to the kernel's own objects (vatAdmin, timers, kernelFacet, a vat's own
 * globals, an IO channel), the kernel does not abort, its audit finds nothing after any step, a
 * kernel made from its rows goes on, and nothing of a cluster is left when it is removed.
 *
 * The bytes choose the object, the method and the arguments: values of all kinds, with names that mean
 * something to somebody. A client says it, as a vat would. What is answered is said again. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/kernel_rig.h"
#include "wire/base/limits.h"
#include "wire/base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { POOL_MAX = 64, SLOTS = 8, DEPTH = 6, STEPS_MAX = 60, VATS = 24 };

typedef struct {
    const uint8_t *at, *end;
    rig_t *rig;
    kref_t pool[POOL_MAX]; /* what may be named: objects and promises */
    size_t pool_count;
    kref_t slots[SLOTS]; /* of the message that is made */
    size_t slot_count;
    buf_t text, calls;
    uint64_t now_ms;
} world_t;

static unsigned byte(world_t *w) { return w->at < w->end ? *w->at++ : 0; }
static unsigned roll(world_t *w, unsigned sides) { return byte(w) % sides; }

static void know(world_t *w, kref_t kref)
{
    for (size_t i = 0; i < w->pool_count; i++)
        if (kref_same(w->pool[i], kref)) return;
    if (w->pool_count < POOL_MAX) w->pool[w->pool_count++] = kref;
}

/* ---- messages ---- */

static const char *const methods[] = {
    "__getMethodNames__",
    "addDelay",
    "after",
    "cancel",
    "changeOptions",
    "clear",
    "close",
    "createMeter",
    "createTimerService",
    "createVat",
    "createVatAdminService",
    "createVatByName",
    "delay",
    "disable",
    "done",
    "fetch",
    "getBundleCap",
    "getBundleID",
    "getBundleIDByName",
    "getClock",
    "getCriticalVatKey",
    "getCurrentTimestamp",
    "getNamedBundleCap",
    "getPresence",
    "getStatus",
    "getSubcluster",
    "getSubclusters",
    "getSystemSubclusterRoot",
    "getTimerBrand",
    "getUpdateSince",
    "isMyClock",
    "isMyTimerService",
    "launchSubcluster",
    "makeNotifier",
    "makeRepeater",
    "ping",
    "pingVat",
    "queueMessage",
    "read",
    "repeatAfter",
    "reset",
    "schedule",
    "setWakeup",
    "terminateSubcluster",
    "terminateWithFailure",
    "upgrade",
    "%@@asyncIterator",
    "next",
    "wakeAt",
    "write",
    "waitForBundleCap",
};

static const char *const words[] = {
    "",
    "worker",
    "b1-worker",
    "b1-00",
    "v1",
    "v2",
    "s1",
    "s2",
    "ko1.0",
    "ko2.0",
    "kp0.1",
    "never",
    "name",
    "bootstrap",
    "vats",
    "bundleName",
    "bundleHash",
    "bundleSpec",
    "bundles",
    "parameters",
    "globals",
    "setTimeout",
    "Date",
    "network",
    "allowedHosts",
    "services",
    "timer",
    "io",
    "type",
    "file",
    "path",
    "/tmp/x",
    "console",
    "critical",
    "managerType",
    "reapInterval",
    "vatParameters",
    "upgradeMessage",
    "absValue",
    "relValue",
    "timerBrand",
    "url",
    "http://a.example/",
    "c0",
    "wake",
    "a\\\"\\\\\\u0000\\ud800",
    "nodeOptions",
    "xsnap",
};

#define ANY_OF(w, list) (list)[roll(w, sizeof(list) / sizeof *(list))]

static void put(world_t *w, const char *text) { must(buf_text(&w->text, text) == ERR_OK); }

static void put_word(world_t *w)
{
    put(w, "\"");
    put(w, ANY_OF(w, words));
    put(w, "\"");
}

static void put_slot(world_t *w)
{
    char text[64];
    if (w->slot_count == SLOTS || !w->pool_count) {
        put(w, "null");
        return;
    }
    kref_t kref = w->pool[roll(w, (unsigned)w->pool_count)];
    snprintf(text, sizeof text, kref_is_promise(kref) ? "\"&%zu\"" : "\"$%zu.Alleged: x\"",
             w->slot_count);
    w->slots[w->slot_count++] = kref;
    put(w, text);
}

static void put_number(world_t *w)
{
    static const char *const numbers[] = {
        "0",
        "1",
        "10",
        "-1",
        "1.5",
        "1e3",
        "9007199254740992",
        "1e400",
        "\"+0\"",
        "\"+1\"",
        "\"+20\"",
        "\"+300\"",
        "\"-7\"",
        "\"+1700000000000\"",
        "\"#NaN\"",
        "\"+9223372036854775807\"",
        "\"+99999999999999999999\"",
    };
    put(w, ANY_OF(w, numbers));
}

static void put_value(world_t *w, unsigned depth);

static void put_list(world_t *w, unsigned depth, bool named)
{
    unsigned count = roll(w, 5);
    put(w, named ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        if (i) put(w, ",");
        if (named) put_word(w);
        if (named) put(w, ":");
        put_value(w, depth + 1);
    }
    put(w, named ? "}" : "]");
}

static void put_value(world_t *w, unsigned depth)
{
    static const char *const others[] = {
        "null", "true", "false", "\"#undefined\"", "\"%x\"", "{\"#error\":\"m\",\"name\":\"E\"}"};
    unsigned kind = roll(w, depth < DEPTH ? 16 : 10);
    if (kind < 3)
        put_number(w);
    else if (kind < 5)
        put_slot(w);
    else if (kind < 8)
        put_word(w);
    else if (kind < 10)
        put(w, ANY_OF(w, others));
    else if (kind < 12)
        put_list(w, depth, false);
    else if (kind < 15)
        put_list(w, depth, true);
    else {
        put(w, "{\"#tag\":\"t\",\"payload\":");
        put_value(w, depth + 1);
        put(w, "}");
    }
}

/* One that the timer takes. */
static void put_time(world_t *w)
{
    static const char *const times[] = {"\"+0\"", "\"+1\"", "\"+5\"", "\"+40\"", "7"};
    put(w, ANY_OF(w, times));
}

static void put_arguments(world_t *w)
{
    unsigned how = roll(w, 4);
    put(w, ",[");
    for (unsigned i = 0, count = how ? roll(w, 5) : 0; i < count; i++) {
        if (i) put(w, ",");
        if (how == 1 && i < 2)
            put_time(w);
        else if (how == 2 && i == 0)
            put_word(w);
        else if (how != 3)
            put_slot(w);
        else
            put_value(w, 0);
    }
    put(w, "]]");
}

static void client_drain(world_t *w)
{
    const msg_t *msg;
    while ((msg = rig_reply(w->rig, 1))) {
        if (msg->tag != TAG_settled) continue;
        const krefs_t *slots = &msg->body.settled.value.slots;
        for (size_t i = 0; i < slots->count; i++) know(w, slots->at[i]);
    }
}

static void say(world_t *w)
{
    if (!w->pool_count) return;
    client_drain(w);
    kref_t target = w->pool[roll(w, (unsigned)w->pool_count)];
    buf_reset(&w->text);
    w->slot_count = 0;
    put(w, "#[\"");
    put(w, ANY_OF(w, methods));
    put(w, "\"");
    put_arguments(w);
    msg_call_t call = {.request = rig_id(w->rig),
                       .target = target,
                       .methargs = {{w->text.at, w->text.len}, {w->slots, w->slot_count}},
                       .no_result = roll(w, 8) == 7};
    const msg_t *reply = rig_ask(w->rig, TAG_call, &call);
    must(reply && (reply->tag == TAG_sent || reply->tag == TAG_failed));
    if (reply->tag == TAG_failed || kref_none(reply->body.sent.result)) return;
    msg_await_t await = {rig_id(w->rig), reply->body.sent.result};
    if (roll(w, 8) == 7) know(w, await.promise);
    rig_ask_from(w->rig, 1, TAG_await, &await);
    client_drain(w);
}

/* ---- vats ---- */

/* A vat answers its oldest delivery: settles what it is asked for, or what it was asked for before. */
static void answer(world_t *w)
{
    uint32_t vat = 1 + roll(w, VATS);
    const msg_t *msg = rig_delivery(w->rig, vat);
    if (!msg) return;
    if (roll(w, 16) == 15) {
        rig_fail(w->rig, vat, ERR_VAT_FAILED, "no");
        client_drain(w);
        return;
    }
    kref_t result =
        msg->tag == TAG_deliver_message ? msg->body.deliver_message.result : (kref_t){0};
    unsigned how = roll(w, 4);
    if (!kref_none(result) && how)
        call_resolve(&w->calls, result, how == 1, how == 2 ? "#[\"x\"]" : "#{\"a\":1}", NULL, 0);
    if (msg->tag == TAG_deliver_start) buf_reset(&w->calls);
    rig_result(w->rig, vat, &w->calls);
    client_drain(w);
}

/* ---- the stage ---- */

static void begin(world_t *w)
{
    msg_launch_channel_t channel = {.name = text_of("log"),
                                    .type = text_of("file"),
                                    .place = text_of("/tmp/x"),
                                    .direction = 3};
    rig_launch_t options = {.services = "vatAdmin timer kernelFacet",
                            .globals = "setTimeout fetch Date",
                            .hosts = "a.example",
                            .bundle = "worker",
                            .channel = &channel,
                            .system = true,
                            .no_start = true,
                            .ocap = roll(w, 2)};
    w->rig = rig_new();
    w->now_ms = 100;
    rig_host(w->rig, 1);
    rig_at(w->rig, w->now_ms);
    must(!rig_launch(w->rig, "x y", &options));
    for (uint32_t vat = 1; vat <= 2; vat++) {
        const msg_t *start = rig_delivery(w->rig, vat);
        know(w, start->body.deliver_start.parameters.slots.at[0]);
        know(w, kref_root((vat_t){vat}));
        rig_empty(w->rig, vat);
    }
    client_drain(w);
    const krefs_t *slots = &rig_delivery(w->rig, 1)->body.deliver_message.methargs.slots;
    for (size_t i = 0; i < slots->count; i++) know(w, slots->at[i]);
}

static void end(world_t *w)
{
    for (uint32_t cluster = 1; rig_rows(w->rig, ROW_cluster) > 0; cluster++)
        rig_ask_from(w->rig, 1, TAG_cluster_rm, &(msg_cluster_rm_t){rig_id(w->rig), {cluster}});
    client_drain(w);
    must(rig_rows(w->rig, ROW_timer) == 0);
    must(rig_rows(w->rig, ROW_cluster) == 0);
    must(rig_rows(w->rig, ROW_errand) == 0);
    must(rig_rows(w->rig, ROW_pending) == 0);
    rig_restart(w->rig, false);
    rig_destroy(&w->rig);
    buf_clear(&w->text);
    buf_clear(&w->calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_t w = {.at = data,
                 .end = data + size,
                 .text = buf_of(CAPDATA_BYTES_MAX),
                 .calls = buf_of(CRANK_BYTES_MAX)};
    begin(&w);
    for (unsigned steps = 0; w.at < w.end && steps < STEPS_MAX; steps++) {
        unsigned what = roll(&w, 16);
        if (what < 10) {
            say(&w);
        } else if (what < 13) {
            answer(&w);
        } else if (what < 15) {
            w.now_ms += roll(&w, 64);
            rig_at(w.rig, w.now_ms - roll(&w, 8));
            client_drain(&w);
        } else {
            rig_restart(w.rig, false);
            client_drain(&w);
        }
    }
    end(&w);
    return 0;
}
