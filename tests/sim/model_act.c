/* What a model vat does of its own accord, one action at a time. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/model_own.h"
#include "wire/base/must.h"

void model_print(cargo_t *cargo, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(cargo->body + cargo->len, BODY_MAX - cargo->len, format, args);
    va_end(args);
    must(len >= 0 && cargo->len + (size_t)len < BODY_MAX);
    cargo->len += (size_t)len;
}

/* Mentions reference SLOT, with the name that says what it is, if that is known. */
void model_mention(cargo_t *cargo, unsigned slot)
{
    char sign = cargo->names[slot][0] == 'o' ? '$' : '&';
    ask_kind_t kind = cargo->kinds[slot];
    model_print(cargo, "\"%c%u%s%s\"", sign, slot, kind ? ".Alleged: " : "",
                kind ? model_iface(kind) : "");
}

static const import_t *held_import(model_t *self, chance_t *chance)
{
    unsigned at = self->import_count ? roll(chance, self->import_count) : 0;
    for (unsigned i = 0; i < self->import_count; i++) {
        const import_t *import = &self->imports[(at + i) % self->import_count];
        if (import->held && import->reached) return import;
    }
    return NULL;
}

own_t *model_rooted(model_t *self, chance_t *chance)
{
    unsigned at = self->own_count ? roll(chance, self->own_count) : 0;
    for (unsigned i = 0; i < self->own_count; i++) {
        own_t *own = &self->own[(at + i) % self->own_count];
        if (own->rooted) return own;
    }
    return NULL;
}

static vpromise_t *some_promise(model_t *self, chance_t *chance, bool decided)
{
    unsigned at = self->promise_count ? roll(chance, self->promise_count) : 0;
    for (unsigned i = 0; i < self->promise_count; i++) {
        vpromise_t *promise = &self->promises[(at + i) % self->promise_count];
        if (promise->decided == decided) return promise;
    }
    return NULL;
}

static void name_promise(name_t name, const vpromise_t *promise)
{
    snprintf(name, NAME_MAX, "p%c%u", promise->sign, promise->n);
}

static const char *new_promise(model_t *self, name_t name, bool decided)
{
    if (self->promise_count + CARGO_MAX >= PROMISES_MAX) return NULL;
    name_promise(name, model_wait(self, '+', ++self->next_promise, decided));
    return name;
}

static void export_it(own_t *own) { own->exported = own->known = true; }

/* NULL: there are too many. */
own_t *model_new_own(model_t *self, bool rooted)
{
    if (self->own_count == OWN_MAX) return NULL;
    own_t *own = &self->own[self->own_count++];
    *own = (own_t){.n = ++self->next_object, .rooted = rooted};
    return own;
}

/* There must be room. */
static void add_name(cargo_t *cargo, const char *name, ask_kind_t kind)
{
    must(cargo->count < CARGO_MAX);
    snprintf(cargo->names[cargo->count], NAME_MAX, "%s", name);
    cargo->kinds[cargo->count] = kind;
    cargo->slots[cargo->count] = (vref_t){text_of(cargo->names[cargo->count])};
    cargo->count++;
}

void model_add_own(cargo_t *cargo, own_t *own)
{
    name_t name;
    export_it(own);
    model_own_name(name, own);
    add_name(cargo, name, KIND_PLAIN);
}

void model_add_import(cargo_t *cargo, const import_t *import)
{
    name_t name;
    snprintf(name, sizeof name, "o-%u", import->n);
    add_name(cargo, name, import->kind);
}

/* One more reference of any kind; none when the vat has nothing of the kind that chance wants. */
static void add_one(model_t *self, chance_t *chance, cargo_t *cargo)
{
    const import_t *import;
    const vpromise_t *promise;
    own_t *own;
    name_t name;

    switch (roll(chance, 7)) {
    case 0:
        if ((import = held_import(self, chance))) model_add_import(cargo, import);
        return;
    case 1:
        if ((own = model_rooted(self, chance))) model_add_own(cargo, own);
        return;
    case 2:
        if (!(own = model_new_own(self, once_in(chance, 3)))) return;
        own->durable = once_in(chance, 2);
        model_add_own(cargo, own);
        return;
    case 3:
    case 6:
        if (!(promise = some_promise(self, chance, false))) return;
        name_promise(name, promise);
        break;
    case 4:
        if (!(promise = some_promise(self, chance, true))) return;
        name_promise(name, promise);
        break;
    default:
        if (!new_promise(self, name, true)) return;
        break;
    }
    add_name(cargo, name, KIND_PLAIN);
}

void model_load(model_t *self, chance_t *chance, cargo_t *cargo, unsigned most)
{
    for (unsigned n = roll(chance, most + 1); n > 0; n--) add_one(self, chance, cargo);
}

/* All of them, behind what is there of an array. */
static void mention_all(cargo_t *cargo)
{
    for (unsigned i = 0; i < cargo->count; i++) {
        if (cargo->body[cargo->len - 1] != '[') model_print(cargo, ",");
        model_mention(cargo, i);
    }
}

static vcapdata_t data_of(const cargo_t *cargo)
{
    return (vcapdata_t){{(const uint8_t *)cargo->body, cargo->len}, {cargo->slots, cargo->count}};
}

static void act_subscribe(model_t *self, const char *name)
{
    vcall_t call = {.tag = TAG_subscribe};
    call.body.subscribe.promise = (vref_t){text_of(name)};
    model_call(self, &call);
}

/* What the kernel's own objects understand, as far as it comes to rest by itself. %t: now and a little
 * more, %n: a little. Mentioned references come behind it. */
static const char *const asked[] = {
    "createTimerService\",[null",
    "createVatAdminService\",[null",
    "getCriticalVatKey\",[null",
    "getNamedBundleCap\",[\"w\"",
    "getBundleCap\",[\"b1-good\"",
    "getBundleID\",[null",
    "getCurrentTimestamp\",[null",
    "getClock\",[null",
    "getTimerBrand\",[null",
    "delay\",[%n",
    "addDelay\",[%n",
    "wakeAt\",[%t",
    "setWakeup\",[%t",
    "makeNotifier\",[%n,%n",
    "getUpdateSince\",[\"#undefined\"",
    "cancel\",[",
    "done\",[null",
    "isMyTimerService\",[",
    "__getMethodNames__\",[null",
};

/* The beginning of a body that asks for something of the kernel. */
static void ask_for(const model_t *self, chance_t *chance, cargo_t *cargo)
{
    model_print(cargo, "#[\"");
    for (const char *at = asked[roll(chance, sizeof asked / sizeof *asked)]; *at; at++) {
        if (*at != '%') {
            model_print(cargo, "%c", *at);
            continue;
        }
        bool time = *++at == 't';
        unsigned long long n = (time ? self->stamp_ms : 1) + roll(chance, 40);
        model_print(cargo, "\"+%llu\"", n);
    }
}

/* False: the vat has no budget left. */
bool model_send(model_t *self, const char *target, cargo_t *cargo, bool wanted)
{
    name_t result = "";
    if (!self->budget) return false;
    self->budget--;
    if (wanted) new_promise(self, result, false);
    vcall_t call = {.tag = TAG_send};
    call.body.send = (vcall_send_t){{text_of(target)}, data_of(cargo), {text_of(result)}};
    model_call(self, &call);
    if (*result) act_subscribe(self, result);
    return true;
}

static void act_send(model_t *self, chance_t *chance)
{
    name_t target;
    cargo_t cargo = {0};
    if (!self->budget) return;
    if (self->config.asks && once_in(chance, 2) && model_ask(self, chance)) return;

    const import_t *import = roll(chance, 3) ? held_import(self, chance) : NULL;
    const vpromise_t *promise = import ? NULL : some_promise(self, chance, false);
    if (!import && !promise) return;
    if (import)
        snprintf(target, sizeof target, "o-%u", import->n);
    else
        name_promise(target, promise);
    model_load(self, chance, &cargo, 3);
    ++self->tokens;
    bool asks = self->config.asks && once_in(chance, 4);
    if (asks)
        ask_for(self, chance, &cargo);
    else
        model_print(&cargo, "#[\"m\",[\"%u.%u.%u\"", self->config.vat, self->crank, self->tokens);
    mention_all(&cargo);
    model_print(&cargo, "]]");
    model_send(self, target, &cargo, asks || roll(chance, 4));
}

/* A value for PROMISE: data, or one object by itself; never one promise by itself. */
static void value_for(model_t *self, chance_t *chance, const vpromise_t *promise, cargo_t *cargo)
{
    *cargo = (cargo_t){0};
    if (!promise->plain) model_load(self, chance, cargo, 3);
    bool alone = cargo->count == 1 && cargo->names[0][0] == 'o' && roll(chance, 3);
    if (alone) {
        model_print(cargo, "#");
        model_mention(cargo, 0);
        return;
    }
    model_print(cargo, "#[%u", ++self->tokens);
    mention_all(cargo);
    model_print(cargo, "]");
}

enum { BATCH_MAX = 3 };

static void act_resolve(model_t *self, chance_t *chance, unsigned most)
{
    name_t names[BATCH_MAX];
    cargo_t cargo[BATCH_MAX];
    vresolution_t batch[BATCH_MAX];
    vpromise_t chosen[BATCH_MAX];
    unsigned count = 0;

    for (; count < most; count++) {
        const vpromise_t *promise = some_promise(self, chance, true);
        bool twice = !promise;
        for (unsigned i = 0; i < count && !twice; i++)
            twice = chosen[i].n == promise->n && chosen[i].sign == promise->sign;
        if (twice) break;
        chosen[count] = *promise;
        name_promise(names[count], promise);
    }
    for (unsigned i = 0; i < count; i++) {
        value_for(self, chance, &chosen[i], &cargo[i]);
        batch[i] = (vresolution_t){{text_of(names[i])}, roll(chance, 5) == 0, data_of(&cargo[i])};
    }
    if (!count) return;
    vcall_t call = {.tag = TAG_resolve};
    call.body.resolve.resolutions = (vresolutions_t){batch, count};
    model_call(self, &call);
    for (unsigned i = 0; i < count; i++)
        model_forget(self, model_promise(self, chosen[i].sign, chosen[i].n));
}

/* At once, with a plain value. */
void model_settle(model_t *self, const vpromise_t *promise, bool rejected)
{
    name_t name;
    name_promise(name, promise);
    vresolution_t one = {{text_of(name)}, rejected, {{(const uint8_t *)"#0", 2}, {0}}};
    vcall_t call = {.tag = TAG_resolve};
    call.body.resolve.resolutions = (vresolutions_t){&one, 1};
    model_call(self, &call);
    model_forget(self, promise);
}

void model_resolve_all(model_t *self)
{
    chance_t none = {0};
    for (unsigned i = 0; i < self->promise_count; i++) self->promises[i].plain = true;
    while (!self->over && some_promise(self, &none, true)) act_resolve(self, &none, 1);
}

/* An object of its own that nobody reaches any more is deleted at once. */
static void act_eager_export(model_t *self, chance_t *chance)
{
    own_t *own = &self->own[roll(chance, self->own_count)];
    name_t name;
    if (own->rooted || own->exported || !own->known) return;
    model_own_name(name, own);
    *own = self->own[--self->own_count];
    model_gc_call(self, TAG_retire_exports, (const name_t *)&name, 1);
}

/* A vat that does not wait for bringOutYourDead; others with enableDisavow are like it. */
static void act_eager(model_t *self, chance_t *chance)
{
    if (once_in(chance, 3)) {
        act_eager_export(self, chance);
        return;
    }
    if (!self->import_count) return;
    import_t *import = &self->imports[roll(chance, self->import_count)];
    name_t name;
    snprintf(name, sizeof name, "o-%u", import->n);
    if (import->reached) {
        import->held = import->reached = false;
        model_gc_call(self, TAG_drop_imports, (const name_t *)&name, 1);
        if (roll(chance, 2)) return;
    }
    *import = self->imports[--self->import_count];
    model_gc_call(self, TAG_retire_imports, (const name_t *)&name, 1);
}

static void act_abandon(model_t *self, chance_t *chance)
{
    own_t *own = &self->own[roll(chance, self->own_count)];
    name_t name;
    if (!own->n || !own->known) return;
    model_own_name(name, own);
    *own = self->own[--self->own_count];
    model_gc_call(self, TAG_abandon_exports, (const name_t *)&name, 1);
}

static void act_exit(model_t *self, chance_t *chance)
{
    cargo_t cargo = {0};
    model_load(self, chance, &cargo, 2);
    model_print(&cargo, "#[0");
    mention_all(&cargo);
    model_print(&cargo, "]");
    vcall_t call = {.tag = TAG_exit};
    call.body.exit = (vcall_exit_t){once_in(chance, 2), data_of(&cargo)};
    model_call(self, &call);
    self->over = true;
}

static void act_store(model_t *self, chance_t *chance)
{
    unsigned cell = roll(chance, CELLS);
    char key[16], value[24];
    snprintf(key, sizeof key, "k%u", cell);
    err_t err;
    if (once_in(chance, 4)) {
        self->cell_set[cell] = false;
        err = self->host->store_delete(self->host->self, text_of(key));
    } else {
        self->cells[cell] = chance_bits(chance);
        self->cell_set[cell] = true;
        snprintf(value, sizeof value, "%llx", (unsigned long long)self->cells[cell]);
        err = self->host->store_set(self->host->self, text_of(key), text_of(value));
    }
    if (err && self->naughty != self->crank)
        model_fail(self, "V4", "the vat store refuses a write");
}

static void rude_send(model_t *self, const char *target, const char *body, const char *slot,
                      const char *result)
{
    vref_t slots[1] = {{text_of(slot)}};
    vcall_t call = {.tag = TAG_send};
    call.body.send = (vcall_send_t){{text_of(target)},
                                    {{(const uint8_t *)body, strlen(body)}, {slots, *slot ? 1 : 0}},
                                    {text_of(result)}};
    model_call(self, &call);
}

static void rude_resolve(model_t *self, const char *promise, const char *body, const char *slot)
{
    vref_t slots[1] = {{text_of(slot)}};
    vresolution_t one = {
        {text_of(promise)}, false, {{(const uint8_t *)body, strlen(body)}, {slots, *slot ? 1 : 0}}};
    vcall_t call = {.tag = TAG_resolve};
    call.body.resolve.resolutions = (vresolutions_t){&one, 1};
    model_call(self, &call);
}

/* Something that no liveslots would do. Each of these must end the vat, whoever notices. */
static void act_rude(model_t *self, chance_t *chance)
{
    static const char *const good = "#[\"m\",[]]";
    name_t fresh, name = "o-50";
    const import_t *import = held_import(self, chance);
    if (import) snprintf(name, sizeof name, "o-%u", import->n);
    snprintf(fresh, sizeof fresh, "p+%u", ++self->next_promise);
    self->naughty = self->crank;

    switch (roll(chance, import ? 14 : 9)) {
    case 0: rude_send(self, "o-9999", good, "", ""); break;
    case 1: rude_send(self, "o+01", good, "", ""); break;
    case 2: rude_resolve(self, "p-9999", "#1", ""); break;
    case 3:
        rude_resolve(self, fresh, "#1", "");
        rude_resolve(self, fresh, "#2", ""); /* named again it is new, and it is not: see below */
        if (!self->over) act_subscribe(self, "o+0");
        break;
    case 4: act_subscribe(self, "o+0"); break;
    case 5: /* the root of a vat that a vat made may have been dropped */
        model_gc_call(self, TAG_retire_exports,
                      &(const name_t){[0] = 'o', '+', self->config.dynamic ? '9' : '0'}, 1);
        break;
    case 6: model_gc_call(self, TAG_drop_imports, &(const name_t){"o+0"}, 1); break;
    case 7: model_gc_call(self, TAG_abandon_exports, &(const name_t){"o+9999"}, 1); break;
    case 8: rude_resolve(self, fresh, "#\"&0\"", fresh); break;
    case 9:
        rude_send(self, name, "#[\"m\",[\"$0\"]]", "", "");
        break; /* a slot that is not there */
    case 10: rude_send(self, name, "#[\"m\",[\"&0\"]]", name, ""); break; /* of the other kind */
    case 11: rude_send(self, name, "#{\"m\":1}", "", ""); break;
    case 12: model_gc_call(self, TAG_retire_imports, (const name_t *)&name, 1); break;
    default: rude_send(self, name, good, "", "o+0"); break;
    }
    self->over = true;
}

/* The engine meets a limit: the crank counts for nothing, and the vat ends. */
static void act_fail(model_t *self)
{
    self->report->outcome = ERR_VAT_LIMIT_COMPUTE;
    self->report->dead = true;
    snprintf(self->report->reason, sizeof self->report->reason, "too much");
    self->over = true;
}

static void act_say(model_t *self)
{
    char line[32];
    snprintf(line, sizeof line, "crank %u", self->crank);
    self->host->console(self->host->self, 1, text_of("vat"), text_of(line));
}

/* Objects of the kernel are kept longer than others. */
static void let_one_go(model_t *self, chance_t *chance)
{
    if (!self->import_count) return;
    import_t *import = &self->imports[roll(chance, self->import_count)];
    if (!import->kind || once_in(chance, 4)) import->held = false;
}

static void act(model_t *self, chance_t *chance)
{
    const model_config_t *config = &self->config;
    if (config->rude && once_in(chance, 40)) {
        act_rude(self, chance);
        return;
    }
    if (config->exits && once_in(chance, 120)) {
        if (once_in(chance, 3))
            act_fail(self);
        else
            act_exit(self, chance);
        return;
    }
    if (once_in(chance, 25)) act_say(self);
    switch (roll(chance, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6: act_send(self, chance); return;
    case 7:
    case 8:
    case 9: act_resolve(self, chance, 1); return;
    case 10: act_resolve(self, chance, BATCH_MAX); return;
    case 11:
    case 12:
    case 13: let_one_go(self, chance); return;
    case 14:
        if (self->import_count) self->imports[roll(chance, self->import_count)].weak ^= true;
        return;
    case 15:
    case 16: {
        own_t *own = model_rooted(self, chance);
        if (own && own->n) own->rooted = false;
        return;
    }
    case 17: act_store(self, chance); return;
    case 18:
        if (config->eager) act_eager(self, chance);
        return;
    default:
        if (config->abandons && once_in(chance, 3)) act_abandon(self, chance);
        return;
    }
}

void model_act(model_t *self, chance_t *chance)
{
    const model_config_t *config = &self->config;
    unsigned count = roll(chance, 6);
    for (unsigned n = 0; n < count && !self->over; n++) {
        chance_t own = chance_of(config->seed, 'a', config->vat, self->crank, n);
        if (config->wanted(config->context, config->vat, self->crank, n)) act(self, &own);
    }
}
