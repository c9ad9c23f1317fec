#include "tests/story/puppet.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/story/world_own.h"

enum { PUPPETS = 4, WORDS = 5, WORD = 48, METHOD = 1024 };

typedef struct {
    char name[WORD];
    bool retires;
    size_t read; /* how much of what it heard was looked at */
} puppet_t;

static puppet_t puppets[PUPPETS];
static unsigned puppet_count;

static puppet_t *named(const char *name)
{
    for (unsigned i = 0; i < puppet_count; i++)
        if (strcmp(puppets[i].name, name) == 0) return &puppets[i];
    cr_assert_fail("no vat %s", name);
    return NULL;
}

/* ---- commands ---- */

typedef struct {
    char word[WORDS][WORD];
} command_t;

static void say_send(const engine_host_t *host, const command_t *c)
{
    char body[256], slots[WORD] = "";
    const char *result = c->word[4];
    unsigned n = 0;
    int len = snprintf(body, sizeof body, "#[\"%s\",[", c->word[2]);
    if (strcmp(c->word[3], "-") != 0) {
        snprintf(slots, sizeof slots, "%s", c->word[3]);
        for (char *at = slots, *next; at; at = next, n++) {
            if ((next = strchr(at, ','))) *next++ = ' ';
            len += snprintf(body + len, sizeof body - (size_t)len, "%s\"%c%u\"", n ? "," : "",
                            *at == 'o' ? '$' : '&', n);
        }
    }
    snprintf(body + len, sizeof body - (size_t)len, "]]");
    (void)script_send(host, c->word[1], body, slots, *result == '-' ? "" : result);
    if (strcmp(c->word[0], "ask") == 0) (void)script_subscribe(host, result);
}

static bool is_vref(const char *word)
{
    return (word[0] == 'o' || word[0] == 'p') && (word[1] == '+' || word[1] == '-');
}

static void say_resolve(const engine_host_t *host, const command_t *c, bool rejected)
{
    char body[WORD + 8], slot[WORD] = "";
    const char *value = c->word[2];
    bool list = value[0] == '[';
    if (is_vref(value + list)) {
        snprintf(slot, sizeof slot, "%s", value + list);
        if (list) slot[strlen(slot) - 1] = '\0';
        snprintf(body, sizeof body, list ? "#[\"%c0\"]" : "#\"%c0\"", *slot == 'o' ? '$' : '&');
    } else {
        snprintf(body, sizeof body, "#\"%s\"", value);
    }
    (void)script_resolve(host, c->word[1], rejected, body, slot);
}

static void say_exit(const engine_host_t *host, const command_t *c, bool failure)
{
    char body[WORD + 8];
    snprintf(body, sizeof body, "#\"%s\"", c->word[1]);
    (void)script_exit(host, failure, body, "");
}

static void run(const engine_host_t *host, const command_t *c)
{
    static const struct {
        const char *verb;
        msg_tag_t tag;
    } refs[] = {{"drop", TAG_drop_imports},
                {"retire", TAG_retire_imports},
                {"own", TAG_retire_exports},
                {"abandon", TAG_abandon_exports}};
    const char *verb = c->word[0];

    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        if (strcmp(verb, refs[i].verb) != 0) continue;
        (void)script_refs(host, refs[i].tag, c->word[1]);
        return;
    }
    if (strcmp(verb, "send") == 0 || strcmp(verb, "ask") == 0)
        say_send(host, c);
    else if (strcmp(verb, "sub") == 0)
        (void)script_subscribe(host, c->word[1]);
    else if (strcmp(verb, "ok") == 0)
        say_resolve(host, c, false);
    else if (strcmp(verb, "no") == 0)
        say_resolve(host, c, true);
    else if (strcmp(verb, "exit") == 0)
        say_exit(host, c, false);
    else if (strcmp(verb, "exit-bad") == 0)
        say_exit(host, c, true);
    else
        cr_assert_fail("no command %s", verb);
}

static void run_all(const engine_host_t *host, char *text)
{
    for (char *at = text, *next; at; at = next) {
        command_t c = {{{0}}};
        if ((next = strstr(at, " ; "))) {
            *next = '\0';
            next += 3;
        }
        cr_assert_geq(sscanf(at, "%47s %47s %47s %47s %47s", c.word[0], c.word[1], c.word[2],
                             c.word[3], c.word[4]),
                      2, "not a command: %s", at);
        run(host, &c);
    }
}

/* What a vat is told begins with !, so that it is not taken for what other vats send. */
static void puppet(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                   engine_report_t *ret)
{
    const puppet_t *self = context;
    char method[METHOD], result[WORD];
    (void)ret;
    if (delivery->tag == TAG_deliver_drop_exports && self->retires) {
        for (size_t i = 0; i < delivery->refs.count; i++) {
            snprintf(method, sizeof method, "%.*s", (int)delivery->refs.at[i].s.len,
                     delivery->refs.at[i].s.at);
            (void)script_refs(host, TAG_retire_exports, method);
        }
    }
    if (delivery->tag != TAG_deliver_message) return;
    bool boot = script_method(delivery, "bootstrap");
    cr_assert_lt(delivery->data.body.len, sizeof method);
    snprintf(method, sizeof method, "%.*s", (int)delivery->data.body.len - 3,
             (const char *)delivery->data.body.at + 3);
    *strchr(method, '"') = '\0';
    if (method[0] != '!' && !boot) return;
    bool from_puppet = !strchr(method, ' ');
    for (char *at = method; from_puppet && *at; at++)
        if (*at == '^') *at = ' ';
    if (!boot) run_all(host, method + 1);
    snprintf(result, sizeof result, "%.*s", (int)delivery->result.s.len, delivery->result.s.at);
    if (*result) (void)script_resolve(host, result, false, "#\"told\"", "");
}

/* ---- the world ---- */

world_t *puppets_new(const char *names, unsigned window, unsigned seed)
{
    world_t *world = world_new(seed);
    puppet_count = 0;
    for (const char *at = names; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        cr_assert_lt(puppet_count, PUPPETS);
        puppet_t *self = &puppets[puppet_count++];
        *self = (puppet_t){0};
        snprintf(self->name, sizeof self->name, "%.*s", (int)len, at);
        world_vat(world, self->name, puppet, self);
        at += len;
    }
    world_window(world, window);
    world_launch(world);
    world_settle(world);
    cr_assert_str_eq(world_bootstrap(world), "ok #\"told\" {}");
    for (unsigned i = 0; i < puppet_count; i++) puppet_news(world, puppets[i].name);
    return world;
}

void puppets_meet(world_t *world)
{
    for (unsigned i = 1; i < puppet_count; i++) {
        char others[WORD] = "o+0", commands[2 * WORD];
        for (unsigned other = 1; other < puppet_count; other++) {
            char slot[16];
            snprintf(slot, sizeof slot, ",o-%u", 49 + other);
            if (other != i) strncat(others, slot, sizeof others - strlen(others) - 1);
        }
        snprintf(commands, sizeof commands, "send o-%u meet %s -", 49 + i, others);
        puppet_tell(world, puppets[0].name, commands);
    }
    for (unsigned i = 0; i < puppet_count; i++) puppet_news(world, puppets[i].name);
}

void puppet_ask(world_t *world, const char *name, const char *commands)
{
    char body[METHOD];
    snprintf(body, sizeof body, "#[\"!%s\",[]]", commands);
    world_call(world, world_root(world, name), body);
}

void puppet_tell(world_t *world, const char *name, const char *commands)
{
    puppet_ask(world, name, commands);
    world_settle(world);
}

void puppet_retires(const char *name) { named(name)->retires = true; }

const char *puppet_news(world_t *world, const char *name)
{
    static char news[8192];
    size_t len = 0;
    puppet_t *self = named(name);
    const char *heard = world_heard(world, name), *at = heard + self->read;
    for (const char *next; *at; at = next) {
        next = strchr(at, '\n') + 1;
        if (strncmp(at, "message o+0 #[\"!", 16) == 0) continue;
        cr_assert_lt(len + (size_t)(next - at), sizeof news);
        memcpy(news + len, at, (size_t)(next - at));
        len += (size_t)(next - at);
    }
    news[len] = '\0';
    self->read = (size_t)(at - heard);
    return news;
}

void puppet_heard(world_t *world, const char *name, const char *expect)
{
    const char *news = puppet_news(world, name);
    cr_assert_str_eq(news, expect, "%s heard\n%sand not\n%s", name, news, expect);
}

/* ---- what the broker has ---- */

const char *puppet_object(const world_t *world, kref_t kref)
{
    static char text[64];
    const row_t *row = rowset_find(&world->rows, ROW_object, kref.n, 0);
    if (!row) return "gone";
    const row_object_t *object = &row->body.object;
    int len = object->owner ? snprintf(text, sizeof text, "v%u", (unsigned)object->owner)
                            : snprintf(text, sizeof text, "orphan");
    snprintf(text + len, sizeof text - (size_t)len, " %u,%u", (unsigned)object->reachable,
             (unsigned)object->recognizable);
    return text;
}

const char *puppet_fate(world_t *world, kref_t kref)
{
    static char fate[512];
    char last[64] = "";
    fate[0] = '\0';
    do {
        const char *now = puppet_object(world, kref);
        if (strcmp(now, last) == 0) continue;
        size_t len = strlen(fate);
        snprintf(fate + len, sizeof fate - len, "%s%s", *last ? " > " : "", now);
        snprintf(last, sizeof last, "%s", now);
    } while (world_move(world));
    world_settle(world);
    return fate;
}

static vat_t number_of(const world_t *world, const char *name)
{
    return kref_issuer(world_root(world, name));
}

const char *puppet_holds(const world_t *world, const char *name, kref_t kref)
{
    const row_t *row = rowset_find(&world->rows, ROW_held, number_of(world, name).n, kref.n);
    if (!row) return "";
    return row->body.held.flags & 1 ? "R" : "_";
}

kref_t puppet_export(const world_t *world, const char *name, unsigned n)
{
    return kref_object(number_of(world, name), n);
}

kref_t puppet_promise(const world_t *world, const char *name, unsigned n)
{
    return kref_promise(number_of(world, name), n);
}

void puppets_in_all_ways(const char *names, puppet_plot_t *plot, const void *context)
{
    static const unsigned windows[] = {1, 4, 16};
    for (unsigned w = 0; w < 3; w++) {
        for (unsigned seed = 0; seed < 6; seed++) {
            world_t *world = puppets_new(names, windows[w], seed);
            plot(world, context);
            world_destroy(&world);
        }
    }
}
