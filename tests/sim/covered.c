/* Which methods of the kernel's own objects were executed, and how that ended. */
#include <stdint.h>
#include <string.h>

#include "tests/sim/own.h"

enum {
#define SERVICE(kind, iface) KIND_##kind,
#include "broker/kernel/service.def"
#undef SERVICE
};
static const char *const ifaces[] = {
#define SERVICE(kind, iface) (iface),
#include "broker/kernel/service.def"
#undef SERVICE
};
static const struct {
    unsigned kind;
    const char *method, *name;
} asks[ASKS_MAX] = {
#define ASK(kind, method, arguments) {KIND_##kind, #method, #kind "." #method},
#include "tests/sim/asks.def"
#undef ASK
};

const char *sim_ask(unsigned n)
{
    if (n == ASKS_MAX) return "anything else";
    return n && strcmp(asks[n].name, asks[n - 1].name) == 0 ? NULL : asks[n].name;
}

/* The first place that says it. */
static unsigned place_of(const msg_event_t *event)
{
    for (unsigned n = 0; n < ASKS_MAX; n++)
        if (text_is(event->kind, ifaces[asks[n].kind]) && text_is(event->method, asks[n].method))
            return n;
    return ASKS_MAX;
}

void covered_asked(sim_t *self, const msg_event_t *event)
{
    unsigned n = place_of(event);
    self->result->coverage[n].asked++;
    if (!kref_none(event->promise))
        map_put(&self->owed, event->promise.n, &self->result->coverage[n]);
}

void covered_settled(sim_t *self, const msg_event_t *event)
{
    coverage_t *row = map_get(&self->owed, event->promise.n);
    if (!row) return;
    map_remove(&self->owed, event->promise.n);
    *(event->rejected ? &row->rejected : &row->fulfilled) += 1;
}
