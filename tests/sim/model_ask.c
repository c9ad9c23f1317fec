/* What a model vat asks of the kernel's own objects, which it knows by the names that bodies give them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/model_own.h"
#include "wire/base/must.h"

static const char *const ifaces[KIND_COUNT] = {
#define SERVICE(kind, iface) [KIND_##kind] = (iface),
#include "broker/kernel/service.def"
#undef SERVICE
};

static const struct {
    ask_kind_t kind;
    const char *method, *arguments;
} asks[] = {
#define ASK(kind, method, arguments) {KIND_##kind, #method, (arguments)},
#include "tests/sim/asks.def"
#undef ASK
};
enum { ASKS = sizeof asks / sizeof asks[0] };

const char *model_iface(ask_kind_t kind) { return ifaces[kind]; }

/* The word of service.def for each kind. */
static const char *const words[KIND_COUNT] = {
    "",
#define SERVICE(kind, iface) #kind,
#include "broker/kernel/service.def"
#undef SERVICE
};

static ask_kind_t kind_named(const char *name, size_t len)
{
    for (ask_kind_t kind = KIND_PLAIN + 1; kind < KIND_COUNT; kind++)
        if (strlen(ifaces[kind]) == len && memcmp(ifaces[kind], name, len) == 0) return kind;
    return KIND_PLAIN;
}

/* What the body says that a slot is: "$3.Alleged: timerService". */
ask_kind_t model_kind(const vcapdata_t *data, size_t slot)
{
    char mark[32];
    int len = snprintf(mark, sizeof mark, "\"$%zu.Alleged: ", slot);
    const char *at = (const char *)data->body.at, *end = at + data->body.len;
    while (end - at > len && memcmp(at, mark, (size_t)len) != 0) at++;
    if (end - at <= len) return KIND_PLAIN;
    at += len;
    const char *quote = memchr(at, '"', (size_t)(end - at));
    return quote ? kind_named(at, (size_t)(quote - at)) : KIND_PLAIN;
}

/* A held import of KIND. */
static const import_t *held_kind(model_t *self, chance_t *chance, ask_kind_t kind)
{
    unsigned at = self->import_count ? roll(chance, self->import_count) : 0;
    for (unsigned i = 0; i < self->import_count; i++) {
        const import_t *import = &self->imports[(at + i) % self->import_count];
        if (import->held && import->reached && import->kind == kind) return import;
    }
    return NULL;
}

/* ---- arguments ---- */

static bool put_own(model_t *self, chance_t *chance, cargo_t *cargo, char what)
{
    own_t *own = NULL;
    bool fresh = what == 'H' || once_in(chance, 3);
    if (what == 'C') {
        unsigned at = self->own_count ? roll(chance, self->own_count) : 0;
        for (unsigned i = 0; i < self->own_count && !own; i++) {
            own_t *one = &self->own[(at + i) % self->own_count];
            if (one->token && one->rooted) own = one;
        }
    } else {
        own = fresh ? model_new_own(self, true) : model_rooted(self, chance);
    }
    if (!own) return false;
    if (what == 'c') own->token = true;
    model_add_own(cargo, own);
    model_mention(cargo, cargo->count - 1);
    return true;
}

static bool put_import(model_t *self, chance_t *chance, cargo_t *cargo, ask_kind_t kind)
{
    const import_t *import = held_kind(self, chance, kind);
    if (!import) return false;
    model_add_import(cargo, import);
    model_mention(cargo, cargo->count - 1);
    return true;
}

/* With the brand that it has, if any. */
static bool put_time(model_t *self, chance_t *chance, cargo_t *cargo, const char *member, uint64_t n)
{
    model_print(cargo, "{\"%s\":\"+%llu\",\"timerBrand\":", member, (unsigned long long)n);
    bool good = put_import(self, chance, cargo, KIND_timer_brand);
    model_print(cargo, "}");
    return good;
}

static bool put_some(model_t *self, chance_t *chance, cargo_t *cargo)
{
    unsigned first = cargo->count;
    if (first + 3 > CARGO_MAX) return false;
    model_load(self, chance, cargo, 3);
    model_print(cargo, "[");
    for (unsigned i = first; i < cargo->count; i++) {
        if (i > first) model_print(cargo, ",");
        model_mention(cargo, i);
    }
    model_print(cargo, "]");
    return true;
}

static ask_kind_t kind_in_braces(const char **at)
{
    size_t len = strcspn(*at, "}");
    ask_kind_t kind = KIND_PLAIN + 1;
    while (kind < KIND_COUNT && (strlen(words[kind]) != len || memcmp(words[kind], *at, len) != 0))
        kind++;
    must(kind < KIND_COUNT);
    *at += len + 1;
    return kind;
}

/* *AT: behind the '%', moved on. False: the vat has nothing of this kind. */
static bool put(model_t *self, chance_t *chance, cargo_t *cargo, const char **at)
{
    bool soon = roll(chance, 3); /* else it may be cancelled before */
    uint64_t near = self->stamp_ms + roll(chance, soon ? 60 : 800) - 10;
    unsigned little = 1 + roll(chance, soon ? 40 : 600);
    char what = *(*at)++;
    switch (what) {
    case 'n': model_print(cargo, "\"+%u\"", little); return true;
    case 'i': model_print(cargo, "%u", little); return true;
    case 't': model_print(cargo, "\"+%llu\"", (unsigned long long)near); return true;
    case 'N': return put_time(self, chance, cargo, "relValue", little);
    case 'T': return put_time(self, chance, cargo, "absValue", near);
    case 'u': model_print(cargo, "\"+%u\"", roll(chance, 4)); return true;
    case 'a': return put_some(self, chance, cargo);
    case '{': return put_import(self, chance, cargo, kind_in_braces(at));
    default: return put_own(self, chance, cargo, what);
    }
}

static bool fill(model_t *self, chance_t *chance, cargo_t *cargo, unsigned ask)
{
    *cargo = (cargo_t){0};
    model_print(cargo, "#[\"%s\",[", asks[ask].method);
    for (const char *at = asks[ask].arguments; *at;) {
        if (*at == '%') {
            at++;
            if (!put(self, chance, cargo, &at)) return false;
        } else {
            model_print(cargo, "%c", *at++);
        }
    }
    model_print(cargo, "]]");
    return true;
}

/* ---- one question ---- */

static unsigned some_ask(chance_t *chance, ask_kind_t kind)
{
    unsigned found[ASKS], count = 0;
    for (unsigned i = 0; i < ASKS; i++)
        if (asks[i].kind == kind) found[count++] = i;
    return count ? found[roll(chance, count)] : ASKS;
}

/* One of the kinds of which the vat holds something; those that only lead to others seldom. */
static const import_t *some_object(model_t *self, chance_t *chance)
{
    ask_kind_t kinds[4 * KIND_COUNT];
    unsigned count = 0;
    for (ask_kind_t kind = KIND_PLAIN + 1; kind < KIND_COUNT; kind++) {
        bool leads = kind == KIND_vat_admin_root || kind == KIND_timer_root;
        if (!held_kind(self, chance, kind)) continue;
        for (unsigned n = leads ? 1 : kind == KIND_timer ? 4 : 2; n > 0; n--) kinds[count++] = kind;
    }
    return count ? held_kind(self, chance, kinds[roll(chance, count)]) : NULL;
}

/* Sends one of the kernel's objects something that it understands. False: the vat holds none, or has not
 * what it would take. */
bool model_ask(model_t *self, chance_t *chance)
{
    cargo_t cargo;
    name_t target;
    const import_t *import = some_object(self, chance);
    if (!import) return false;
    snprintf(target, sizeof target, "o-%u", import->n);
    ask_kind_t kind = import->kind;
    for (unsigned tries = 0; tries < 3; tries++) {
        unsigned ask = some_ask(chance, kind);
        if (ask == ASKS) return false;
        if (fill(self, chance, &cargo, ask))
            return model_send(self, target, &cargo, roll(chance, 12));
    }
    return false;
}
