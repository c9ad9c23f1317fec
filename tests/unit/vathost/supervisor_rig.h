/* What the tests of the supervisor at its border share: an engine with a script, deliveries in a line, the c-list. */
#pragma once
#include <string.h>

#include "tests/support/script_engine.h"
#include "tests/support/vat_rig.h"

static inline rig_t rig_of(vat_t vat, script_t *script, void *context)
{
    return rig_with(vat, script_engine_new(script, context));
}

static inline capdata_t capdata(const char *body, const kref_t *slots, size_t count)
{
    return (capdata_t){{(const uint8_t *)body, strlen(body)}, {slots, count}};
}

#define SLOTS(...) \
    (const kref_t[]){__VA_ARGS__}, sizeof((const kref_t[]){__VA_ARGS__}) / sizeof(kref_t)

static inline kref_t ko(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static inline kref_t kp(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }

static inline err_t message(rig_t *rig, kref_t target, const char *body, const kref_t *slots,
                            size_t count, kref_t result)
{
    msg_deliver_message_t msg = {
        .target = target, .methargs = capdata(body, slots, count), .result = result};
    return run(rig, TAG_deliver_message, &msg);
}

static inline err_t notify(rig_t *rig, const resolution_t *list, size_t count)
{
    msg_deliver_notify_t msg = {.resolutions = {list, count}};
    return run(rig, TAG_deliver_notify, &msg);
}

static inline const char *heard(const rig_t *rig)
{
    return script_heard(rig->engine, script_count(rig->engine) - 1);
}

typedef struct {
    const char *vref;
    kref_t kref;
    uint64_t flags;
    size_t count;
} look_t;

static inline void look_at(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    look_t *look = context;
    look->count++;
    if (vref.s.len == strlen(look->vref) && memcmp(vref.s.at, look->vref, vref.s.len) == 0) {
        look->kref = kref;
        look->flags = flags;
    }
}

static inline look_t look(const rig_t *rig, const char *vref)
{
    look_t found = {.vref = vref};
    supervisor_pairs(rig->supervisor, look_at, &found);
    return found;
}

/* A script is a list of steps, one for each delivery. */
typedef void step_t(const engine_host_t *host, engine_report_t *ret);
typedef struct {
    step_t *steps[8];
    size_t at;
} steps_t;

static inline void follow(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                          engine_report_t *ret)
{
    (void)delivery;
    steps_t *self = context;
    step_t *step = self->steps[self->at++];
    if (step) step(host, ret);
}

static inline err_t poke(rig_t *rig)
{
    return message(rig, ko(3, 0), "#[\"poke\",[]]", NULL, 0, (kref_t){0});
}
