/* Which events are asked for. */
#include "cli/events_own.h"

bool event_is_traffic(const msg_event_t *event)
{
    return text_is(event->type, "send") || text_is(event->type, "deliver") ||
           text_is(event->type, "service") || text_is(event->type, "done") ||
           text_is(event->type, "resolve");
}

bool event_is_life(const msg_event_t *event)
{
    return !event_is_traffic(event) && !text_is(event->type, "console");
}

bool events_by_message(const events_t *self)
{
    return self->from || self->to || self->method || self->promise.n;
}

static bool of_these_vats(const events_t *self, const msg_event_t *event)
{
    char number[16];

    if (!self->vat_count) return true;
    snprintf(number, sizeof number, "v%u", event->vat.n);
    for (size_t i = 0; i < self->vat_count; i++) {
        const char *name = *self->vats[i] == '@' ? self->vats[i] + 1 : self->vats[i];
        if (text_is(event->name, name) || strcmp(number, name) == 0) return true;
    }
    return false;
}

static bool of_these_types(const events_t *self, const msg_event_t *event)
{
    if (!self->type_count) return true;
    for (size_t i = 0; i < self->type_count; i++) {
        if (text_is(event->type, self->types[i])) return true;
    }
    return false;
}

/* ---- messages ---- */

/* What a message that was shown is followed by: its delivery is done, its answer is settled and told. The
 * table forgets, so that it does not grow: what comes very late may be missing. */
static uint64_t *place(events_t *self, uint64_t key)
{
    return &self->followed[key * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

_Static_assert(sizeof((events_t){0}.followed) / sizeof(uint64_t) == 4096, "twelve bits");

static uint64_t delivery_key(const msg_event_t *event)
{
    return UINT64_C(1) << 62 | (uint64_t)event->vat.n << 36 | event->d;
}

static void follow(events_t *self, uint64_t key)
{
    if (key) *place(self, key) = key;
}

static bool is_followed(events_t *self, uint64_t key) { return key && *place(self, key) == key; }

static bool is_between(const events_t *self, const msg_event_t *event)
{
    bool send = text_is(event->type, "send");
    uint32_t to = event->vat.n;

    if (self->from && event->from.n != self->from_vat.n) return false;
    if (send) to = kref_is_object(event->target) ? kref_issuer(event->target).n : 0;
    return !self->to || (to && to == self->to_vat.n);
}

/* Whether EVENT is about a message that is asked for. */
static bool of_these_messages(events_t *self, const msg_event_t *event)
{
    bool done = text_is(event->type, "done"), resolve = text_is(event->type, "resolve");
    bool notify = text_is(event->kind, "notify");
    bool message = !done && !resolve && !notify && event_is_traffic(event);

    if (done) return is_followed(self, delivery_key(event));
    if (resolve || notify) {
        bool ret = is_followed(self, event->promise.n) ||
                   (self->promise.n && event->promise.n == self->promise.n);
        if (ret && notify) follow(self, delivery_key(event));
        return ret;
    }
    if (!message || !event->method.len) return false;
    if (self->promise.n && event->promise.n != self->promise.n) return false;
    if (self->method && !text_is(event->method, self->method)) return false;
    if (!is_between(self, event)) return false;
    follow(self, event->promise.n);
    if (text_is(event->type, "deliver")) follow(self, delivery_key(event));
    return true;
}

bool event_wanted(events_t *self, const msg_event_t *event)
{
    if (event->time_us < self->since_us) return false;
    if (!of_these_vats(self, event)) return false;
    if (self->life) return event_is_life(event) && of_these_types(self, event);
    if (events_by_message(self)) return of_these_messages(self, event);
    return true;
}
