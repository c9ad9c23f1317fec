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

/* One of its own that was a cancel token. */
static own_t *used_token(model_t *self, chance_t *chance)
{
    unsigned at = self->own_count ? roll(chance, self->own_count) : 0;
    for (unsigned i = 0; i < self->own_count; i++) {
        own_t *own = &self->own[(at + i) % self->own_count];
        if (own->token && own->rooted) return own;
    }
    return NULL;
}

/* ---- arguments ---- */

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

/* Has the vat what it takes? Nothing of a message that is not sent may count as exported. */
static bool has_all(model_t *self, chance_t *chance, const char *arguments)
{
    bool good = self->own_count + CARGO_MAX < OWN_MAX;
    for (const char *at = strchr(arguments, '%'); at && good; at = strchr(at, '%')) {
        switch (*++at) {
        case 'N':
        case 'T': good = held_kind(self, chance, KIND_timer_brand); break;
        case 'C': good = used_token(self, chance); break;
        case '{':
            at++;
            good = held_kind(self, chance, kind_in_braces(&at));
            break;
        default: break;
        }
    }
    return good;
}

static void put_own(model_t *self, chance_t *chance, cargo_t *cargo, char what)
{
    own_t *own = NULL;
    if (what == 'C') own = used_token(self, chance);
    if (!own && what != 'H' && roll(chance, 3)) own = model_rooted(self, chance);
    if (!own) own = model_new_own(self, true);
    if (what == 'c') own->token = true;
    model_add_own(cargo, own);
    model_mention(cargo, cargo->count - 1);
}

static void put_import(model_t *self, chance_t *chance, cargo_t *cargo, ask_kind_t kind)
{
    model_add_import(cargo, held_kind(self, chance, kind));
    model_mention(cargo, cargo->count - 1);
}

/* With the brand that it has. */
static void put_time(model_t *self, chance_t *chance, cargo_t *cargo, const char *member,
                     uint64_t n)
{
    model_print(cargo, "{\"%s\":\"+%llu\",\"timerBrand\":", member, (unsigned long long)n);
    put_import(self, chance, cargo, KIND_timer_brand);
    model_print(cargo, "}");
}

static void put_some(model_t *self, chance_t *chance, cargo_t *cargo)
{
    unsigned first = cargo->count;
    model_load(self, chance, cargo, 3);
    model_print(cargo, "[");
    for (unsigned i = first; i < cargo->count; i++) {
        if (i > first) model_print(cargo, ",");
        model_mention(cargo, i);
    }
    model_print(cargo, "]");
}

/* *AT: behind the '%', moved on. */
static void put(model_t *self, chance_t *chance, cargo_t *cargo, const char **at)
{
    bool soon = roll(chance, 3); /* else it may be cancelled before */
    uint64_t near = self->stamp_ms + roll(chance, soon ? 60 : 800) - 10;
    unsigned little = 1 + roll(chance, soon ? 40 : 600);
    char what = *(*at)++;
    switch (what) {
    case 'n': model_print(cargo, "\"+%u\"", little); return;
    case 'i': model_print(cargo, "%u", little); return;
    case 't': model_print(cargo, "\"+%llu\"", (unsigned long long)near); return;
    case 'N': put_time(self, chance, cargo, "relValue", little); return;
    case 'T': put_time(self, chance, cargo, "absValue", near); return;
    case 'k': model_print(cargo, "%u", roll(chance, 5)); return;
    case 'u': model_print(cargo, "\"+%u\"", roll(chance, 4)); return;
    case 'a': put_some(self, chance, cargo); return;
    case '{': put_import(self, chance, cargo, kind_in_braces(at)); return;
    default: put_own(self, chance, cargo, what); return;
    }
}

static void fill(model_t *self, chance_t *chance, cargo_t *cargo, unsigned ask)
{
    *cargo = (cargo_t){0};
    model_print(cargo, "#[\"%s\",[", asks[ask].method);
    for (const char *at = asks[ask].arguments; *at;) {
        if (*at == '%') {
            at++;
            put(self, chance, cargo, &at);
        } else {
            model_print(cargo, "%c", *at++);
        }
    }
    model_print(cargo, "]]");
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
        bool much = kind == KIND_timer || kind == KIND_admin_node ||
                    (kind == KIND_vat_admin && !self->made);
        for (unsigned n = leads ? 1 : much ? 4 : 2; n > 0; n--) kinds[count++] = kind;
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
    if (!import || !self->budget) return false;
    snprintf(target, sizeof target, "o-%u", import->n);
    ask_kind_t kind = import->kind;
    for (unsigned tries = 0; tries < 3; tries++) {
        unsigned ask = some_ask(chance, kind);
        if (ask == ASKS) return false;
        bool makes = kind == KIND_vat_admin && strncmp(asks[ask].method, "createVat", 9) == 0;
        if ((makes && (self->made || self->config.dynamic)) ||
            !has_all(self, chance, asks[ask].arguments))
            continue;
        self->made = self->made || makes;
        fill(self, chance, &cargo, ask);
        bool wakes = strstr(asks[ask].arguments, "%h") || strstr(asks[ask].arguments, "%H");
        return model_send(self, target, &cargo, wakes || roll(chance, 12));
    }
    return false;
}
