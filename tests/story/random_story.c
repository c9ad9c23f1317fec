/* Vats that do what chance says, within what liveslots would ever do, while accidents happen. Nothing is
 * compared line by line: after every frame the audit must find nothing and names must be authority,
 * every replay must give the same hash, every promise is told once, and the story must end. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/world.h"

enum { KNOWN = 64, VREF = 24, SENDS = 25 };

typedef char name_t[VREF];

typedef struct {
    name_t at[KNOWN];
    size_t count;
} names_t;

/* A vat's memory. It follows from its deliveries alone: start empties it, chance is the seed's. */
typedef struct {
    uint64_t chance;
    names_t objects;  /* to be called or passed: imports, and own ones to be passed */
    names_t foreign;  /* promises that somebody else decides */
    names_t decided;  /* promises that this vat decides */
    unsigned next_object, next_promise, sends;
} memory_t;

static unsigned roll(memory_t *self, unsigned sides)
{
    uint64_t z = self->chance += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) >> 33) % sides;
}

static bool knows(const names_t *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->at[i], name) == 0) return true;
    }
    return false;
}

static void learn(names_t *list, const char *name)
{
    if (list->count == KNOWN || knows(list, name)) return;
    snprintf(list->at[list->count++], VREF, "%s", name);
}

static void forget(names_t *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->at[i], name) != 0) continue;
        memmove(list->at[i], list->at[i + 1], (--list->count - i) * sizeof(name_t));
        return;
    }
}

static const char *pick(memory_t *self, const names_t *list)
{
    return list->at[roll(self, (unsigned)list->count)];
}

static void text_of_vref(name_t ret, vref_t vref) { snprintf(ret, VREF, "%.*s", (int)vref.s.len, vref.s.at); }

static void see(memory_t *self, const engine_host_t *host, const vrefs_t *slots)
{
    for (size_t i = 0; i < slots->count; i++) {
        name_t name;
        text_of_vref(name, slots->at[i]);
        if (name[0] == 'o') {
            learn(&self->objects, name);
        } else if (!knows(&self->decided, name) && !knows(&self->foreign, name) && self->foreign.count < KNOWN) {
            learn(&self->foreign, name);
            cr_expect_eq(script_subscribe(host, name), ERR_OK);
        }
    }
}

/* Some references, and a body that mentions them in order. */
typedef struct {
    char slots[8 * VREF], body[256];
    unsigned count;
} cargo_t;

static void add_slot(cargo_t *cargo, const char *name)
{
    char mention[16];
    snprintf(mention, sizeof mention, "%s\"%c%u\"", cargo->count ? "," : "", name[0] == 'o' ? '$' : '&', cargo->count);
    if (cargo->count++) strcat(cargo->slots, " ");
    strcat(cargo->slots, name);
    strcat(cargo->body, mention);
}

static cargo_t load(memory_t *self)
{
    cargo_t cargo = {0};
    for (unsigned n = roll(self, 4); n > 0; n--) {
        name_t fresh;
        switch (roll(self, 5)) {
        case 0:
            if (self->objects.count) add_slot(&cargo, pick(self, &self->objects));
            break;
        case 1:
            if (self->foreign.count) add_slot(&cargo, pick(self, &self->foreign));
            break;
        case 2:
            if (self->decided.count) add_slot(&cargo, pick(self, &self->decided));
            break;
        case 3:
            snprintf(fresh, sizeof fresh, "o+%u", ++self->next_object);
            learn(&self->objects, fresh);
            add_slot(&cargo, fresh);
            break;
        case 4:
            if (self->decided.count == KNOWN) break;
            snprintf(fresh, sizeof fresh, "p+%u", ++self->next_promise);
            learn(&self->decided, fresh);
            add_slot(&cargo, fresh);
            break;
        }
    }
    return cargo;
}

static void send(memory_t *self, const engine_host_t *host)
{
    char body[300];
    name_t target, result = "";

    if (self->sends == SENDS) return;
    const names_t *list = roll(self, 4) ? &self->objects : &self->foreign;
    if (!list->count) return;
    for (unsigned tries = 0; ; tries++) {
        snprintf(target, sizeof target, "%s", pick(self, list));
        if (strncmp(target, "o+", 2) != 0) break;
        if (tries == 10) return; /* all its own: liveslots would not ask the kernel */
    }
    cargo_t cargo = load(self);
    snprintf(body, sizeof body, "#[\"m\",[%s]]", cargo.body);
    if (roll(self, 4) && self->foreign.count < KNOWN) {
        snprintf(result, sizeof result, "p+%u", ++self->next_promise);
        learn(&self->foreign, result);
    }
    self->sends++;
    cr_expect_eq(script_send(host, target, body, cargo.slots, result), ERR_OK);
    if (*result) cr_expect_eq(script_subscribe(host, result), ERR_OK);
}

static void settle(memory_t *self, const engine_host_t *host)
{
    char body[300];
    name_t promise;

    if (!self->decided.count) return;
    snprintf(promise, sizeof promise, "%s", pick(self, &self->decided));
    cargo_t cargo = load(self);
    bool object = cargo.count == 1 && cargo.slots[0] == 'o' && roll(self, 2);
    if (object) {
        snprintf(body, sizeof body, "#%s", cargo.body);
    } else {
        snprintf(body, sizeof body, "#[%s]", cargo.body);
    }
    cr_expect_eq(script_resolve(host, promise, roll(self, 4) == 0, body, cargo.slots), ERR_OK);
    forget(&self->decided, promise);
}

static void live(void *context, const vdelivery_t *delivery, const engine_host_t *host,
                 engine_report_t *ret)
{
    memory_t *self = context;
    (void)ret;
    memcpy(&self->chance, delivery->seed.b, sizeof self->chance);
    if (delivery->tag == TAG_deliver_start) {
        *self = (memory_t){.chance = self->chance};
        return;
    }
    if (delivery->tag == TAG_deliver_message) {
        name_t result;
        text_of_vref(result, delivery->result);
        see(self, host, &delivery->data.slots);
        if (*result) {
            forget(&self->foreign, result);
            learn(&self->decided, result);
        }
    } else if (delivery->tag == TAG_deliver_notify) {
        for (size_t i = 0; i < delivery->resolutions.count; i++) {
            name_t name;
            text_of_vref(name, delivery->resolutions.at[i].promise);
            cr_expect(!knows(&self->decided, name), "%s is told to its own decider", name);
            forget(&self->foreign, name);
        }
        for (size_t i = 0; i < delivery->resolutions.count; i++) {
            const vcapdata_t *data = &delivery->resolutions.at[i].data;
            for (size_t j = 0; j < data->slots.count; j++) {
                name_t name;
                bool told = false;
                text_of_vref(name, data->slots.at[j]);
                for (size_t k = 0; k < delivery->resolutions.count; k++) {
                    name_t one;
                    text_of_vref(one, delivery->resolutions.at[k].promise);
                    told = told || strcmp(one, name) == 0;
                }
                if (!told) see(self, host, &(vrefs_t){&data->slots.at[j], 1});
            }
        }
    }
    for (unsigned n = roll(self, 4); n > 0; n--) send(self, host);
    for (unsigned n = roll(self, 3); n > 0; n--) settle(self, host);
}

static void story(unsigned seed, unsigned window, bool accidents)
{
    static const char *const names[] = {"alice", "bob", "carol", "dave"};
    memory_t memories[4] = {0};
    memory_t chance = {.chance = seed * 7919u + 1};
    world_t *world = world_new(seed);

    world_window(world, window);
    for (size_t i = 0; i < 4; i++) world_vat(world, names[i], live, &memories[i]);
    world_launch(world);
    unsigned calls = 0, happened = 0;
    for (bool moved = true; moved;) {
        moved = world_move(world);
        if (*world_state(world, "alice") == 'r' && calls < 12 && (!moved || roll(&chance, 10) == 0)) {
            moved = true;
            world_call(world, world_root(world, names[calls++ % 4]), "#[\"kick\",[]]");
        }
        /* Not for ever: who is always killed before it has caught up gets nowhere. */
        if (!accidents || happened == 20 || roll(&chance, 40)) continue;
        happened++;
        switch (roll(&chance, 12)) {
        case 0: case 1: case 2: case 3: case 4: case 5:
            world_kill_worker(world, names[roll(&chance, 4)]);
            break;
        case 6: case 7: world_cut(world); break;
        case 8: case 9: case 10: world_restart_broker(world); break;
        case 11:
            /* Not before the launch is answered: then the cluster would be gone. */
            if (*world_state(world, "alice") == 'r') world_kill_vat(world, names[1 + roll(&chance, 3)]);
            break;
        }
    }
    world_remove_cluster(world);
    world_settle(world);
    cr_assert_eq(world_rows(world, ROW_cluster), 0, "seed %u", seed);
    cr_assert_eq(world_rows(world, ROW_held), 0, "seed %u", seed);
    cr_assert_eq(world_rows(world, ROW_entry), 0, "seed %u", seed);
    for (unsigned n = 0; n < 4; n++) world_cut(world); /* logs are trimmed bit by bit, with other steps */
    world_settle(world);
    cr_assert_eq(world_rows(world, ROW_log), 0, "seed %u", seed);
    world_destroy(&world);
}

/* STORY_SEEDS=FIRST-LAST tells others than the usual ones. */
static void stories(unsigned window, bool accidents)
{
    unsigned first = 1, last = 60;
    const char *wanted = getenv("STORY_SEEDS");
    if (wanted) sscanf(wanted, "%u-%u", &first, &last);
    for (unsigned seed = first; seed <= last; seed++) {
        if (wanted) fprintf(stderr, "seed %u window %u\n", seed, window);
        story(seed, window, accidents);
    }
}

Test(story_random, nothing_happens) { stories(1, false); }
Test(story_random, accidents_happen) { stories(1, true); }
Test(story_random, accidents_happen_with_many_in_flight)
{
    stories(4, true);
    stories(16, true);
}
