/* Random raw vats, some of them rude: whatever they do, the audit finds nothing after any step, a
 * restart at any point changes nothing, and when all clusters are removed nothing is left. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "tests/support/kernel_rig.h"
#include "wire/base/map.h"

enum { VATS = 4, SEEDS = 60, STEPS = 120, KNOWN_MAX = 64, PINS_MAX = 8 };

typedef struct {
    kref_t known[KNOWN_MAX];
    size_t count;
    uint64_t objects, promises; /* serials it used in cranks that were applied, as it believes */
} mind_t;

typedef struct {
    rig_t *rig;
    uint64_t dice;
    mind_t minds[VATS + 1];
    unsigned rude; /* one in so many choices is wrong; 0: never on purpose */
    kref_t pins[PINS_MAX];
    size_t pin_count;
} world_t;

static uint64_t roll(world_t *w, uint64_t sides)
{
    w->dice ^= w->dice << 13;
    w->dice ^= w->dice >> 7;
    w->dice ^= w->dice << 17;
    return w->dice % sides;
}

static void learn(mind_t *mind, kref_t kref)
{
    if (kref_none(kref)) return;
    for (size_t i = 0; i < mind->count; i++)
        if (kref_same(mind->known[i], kref)) return;
    if (mind->count < KNOWN_MAX) mind->known[mind->count++] = kref;
}

static void forget(mind_t *mind, kref_t kref)
{
    for (size_t i = 0; i < mind->count; i++)
        if (kref_same(mind->known[i], kref)) mind->known[i--] = mind->known[--mind->count];
}

static void learn_data(mind_t *mind, const capdata_t *data)
{
    for (size_t i = 0; i < data->slots.count; i++) learn(mind, data->slots.at[i]);
}

static void learn_delivery(mind_t *mind, const msg_t *msg)
{
    if (msg->tag == TAG_deliver_message) {
        learn(mind, msg->body.deliver_message.target);
        learn(mind, msg->body.deliver_message.result);
        learn_data(mind, &msg->body.deliver_message.methargs);
    } else if (msg->tag == TAG_deliver_notify) {
        const resolutions_t *r = &msg->body.deliver_notify.resolutions;
        for (size_t i = 0; i < r->count; i++) learn_data(mind, &r->at[i].data);
        for (size_t i = 0; i < r->count; i++) forget(mind, r->at[i].promise);
    }
}

static kref_t next(mind_t *mind, uint32_t vat, bool promise)
{
    kref_t kref = promise ? kref_promise((vat_t){vat}, ++mind->promises)
                          : kref_object((vat_t){vat}, ++mind->objects);
    learn(mind, kref);
    return kref;
}

static kref_t pick(world_t *w, mind_t *mind, uint32_t vat, int kind)
{
    for (int tries = 0; tries < 6 && mind->count; tries++) {
        kref_t kref = mind->known[roll(w, mind->count)];
        if (kind < 0 || kref_is_promise(kref) == (kind == 1)) return kref;
    }
    if (w->rude && !roll(w, w->rude)) return kref_object((vat_t){(uint32_t)roll(w, 9)}, roll(w, 9));
    return next(mind, vat, kind < 0 ? roll(w, 2) : kind == 1);
}

/* An array with up to three slots. */
static size_t body(world_t *w, mind_t *mind, uint32_t vat, char out[160], kref_t slots[3])
{
    size_t count = roll(w, 4), at = 0;
    at += (size_t)sprintf(out, "[");
    for (size_t i = 0; i < count; i++) {
        slots[i] = pick(w, mind, vat, -1);
        at += (size_t)sprintf(out + at,
                              kref_is_promise(slots[i]) ? "%s\"&%zu\"" : "%s\"$%zu.Alleged: a\"",
                              i ? "," : "", i);
    }
    sprintf(out + at, "]");
    return count;
}

static void random_send(world_t *w, mind_t *mind, uint32_t vat, buf_t *calls)
{
    char args[160], text[192];
    kref_t slots[3], target = pick(w, mind, vat, -1);
    size_t count = body(w, mind, vat, args, slots);
    sprintf(text, "#[\"go\",%s]", args);
    kref_t result = roll(w, 3) ? next(mind, vat, true) : (kref_t){0};
    call_send(calls, target, text, slots, count, result);
    if (result.n && roll(w, 2)) call_subscribe(calls, result);
}

static void random_resolve(world_t *w, mind_t *mind, uint32_t vat, buf_t *calls, kref_t promise)
{
    char args[160], text[192];
    kref_t slots[3];
    if (roll(w, 3) == 0) {
        kref_t object = pick(w, mind, vat, 0);
        call_resolve(calls, promise, roll(w, 4) == 0, "#\"$0.Alleged: a\"", &object, 1);
    } else {
        size_t count = body(w, mind, vat, args, slots);
        sprintf(text, "#%s", args);
        call_resolve(calls, promise, roll(w, 4) == 0, text, slots, count);
    }
    forget(mind, promise);
}

static void random_crank(world_t *w, uint32_t vat)
{
    mind_t *mind = &w->minds[vat];
    const msg_t *delivery = rig_delivery(w->rig, vat);
    learn_delivery(mind, delivery);
    kref_t result = {0};
    if (delivery->tag == TAG_deliver_message) result = delivery->body.deliver_message.result;

    buf_t calls = {0};
    if (delivery->tag == TAG_deliver_start) {
        rig_empty(w->rig, vat);
        return;
    }
    for (uint64_t n = roll(w, 4); n > 0; n--) random_send(w, mind, vat, &calls);
    if (roll(w, 3) == 0) call_subscribe(&calls, pick(w, mind, vat, 1));
    if (result.n && roll(w, 4)) random_resolve(w, mind, vat, &calls, result);
    if (roll(w, 4) == 0) random_resolve(w, mind, vat, &calls, next(mind, vat, true));
    if (w->rude && roll(w, w->rude) == 0) {
        kref_t import = pick(w, mind, vat, 0);
        call_refs(&calls, TAG_drop_imports, &import, 1);
        if (roll(w, 2)) call_refs(&calls, TAG_retire_imports, &import, 1);
        forget(mind, import);
    }
    if (w->rude && roll(w, 40) == 0) call_exit(&calls, roll(w, 2), "#\"bye\"");
    rig_result(w->rig, vat, &calls);
}

static bool pin(world_t *w, kref_t kref, bool unpin)
{
    msg_pin_t msg = {rig_id(w->rig), kref, unpin};
    return rig_ask(w->rig, TAG_pin, &msg)->tag == TAG_done;
}

/* The client pins something that a vat knows, takes a pin away, or revokes something. */
static void random_registry(world_t *w, uint32_t vat)
{
    const mind_t *mind = &w->minds[vat];
    kref_t kref = mind->count ? mind->known[roll(w, mind->count)] : kref_root((vat_t){vat});
    uint64_t way = roll(w, 5);
    if (way < 2 && w->pin_count < PINS_MAX) {
        if (pin(w, kref, false)) w->pins[w->pin_count++] = kref;
    } else if (way < 4 && w->pin_count) {
        size_t at = roll(w, w->pin_count);
        cr_assert(pin(w, w->pins[at], true), "what is pinned is there");
        w->pins[at] = w->pins[--w->pin_count];
    } else if (way == 4) {
        msg_revoke_t msg = {rig_id(w->rig), kref};
        rig_ask(w->rig, TAG_revoke, &msg);
    }
}

static void random_step(world_t *w)
{
    uint32_t vat = 1 + (uint32_t)roll(w, VATS);
    if (roll(w, 12) == 0) {
        msg_call_t call = {rig_id(w->rig), kref_root((vat_t){vat}),
                           rig_data("#[\"hi\",[]]", NULL, 0), roll(w, 2)};
        rig_ask(w->rig, TAG_call, &call);
    } else if (roll(w, 12) == 0) {
        random_registry(w, vat);
    } else if (roll(w, 25) == 0) {
        rig_restart(w->rig, roll(w, 2));
    } else if (w->rude && roll(w, 150) == 0) {
        msg_kill_t kill = {rig_id(w->rig), {vat}, text_of("dice")};
        rig_ask(w->rig, TAG_kill, &kill);
    } else if (rig_delivery(w->rig, vat)) {
        random_crank(w, vat);
    }
}

static uint64_t play(uint64_t seed, unsigned rude)
{
    world_t w = {.rig = rig_new(), .dice = seed * UINT64_C(0x9e3779b97f4a7c15), .rude = rude};
    rig_host(w.rig, 1);
    rig_host(w.rig, 2);
    rig_launch_t options = {.window = 1 + (unsigned)(seed % 4), .serial = seed % 5 == 0};
    cr_assert_eq(rig_launch(w.rig, "a b c d", &options)->tag, TAG_launched);
    for (int i = 0; i < STEPS; i++) random_step(&w);
    uint64_t cranks = rig_counter(w.rig, "cranks");

    msg_cluster_rm_t rm = {rig_id(w.rig), {1}};
    rig_ask(w.rig, TAG_cluster_rm, &rm);
    while (w.pin_count)
        cr_assert(pin(&w, w.pins[--w.pin_count], true),
                  "the end of its cluster is not that of a pin");
    const char *zero[] = {"vats",   "clusters", "objects",   "promises", "held",
                          "queued", "waiting",  "in_flight", "holds"};
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        cr_assert_eq(rig_counter(w.rig, zero[i]), 0, "%s after seed %lu", zero[i], seed);
    rig_destroy(&w.rig);
    return cranks;
}

Test(random, polite_vats)
{
    uint64_t cranks = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) cranks += play(seed, 0);
    cr_assert_gt(cranks, SEEDS * 20, "the dice did something: %lu cranks", cranks);
}

Test(random, rude_vats)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) play(seed + 1000, 12);
}

/* The map against an array. */
Test(random, the_map_is_a_map)
{
    enum { KEYS = 200 };
    static int marks[KEYS];
    bool in[KEYS] = {false};
    map_t map = {0};
    world_t w = {.dice = 99};
    for (int i = 0; i < 20000; i++) {
        uint64_t key = roll(&w, KEYS);
        if (roll(&w, 2)) {
            map_put(&map, key << 40, &marks[key]);
            in[key] = true;
        } else {
            cr_assert_eq(map_remove(&map, key << 40), in[key] ? &marks[key] : NULL);
            in[key] = false;
        }
        key = roll(&w, KEYS);
        cr_assert_eq(map_get(&map, key << 40), in[key] ? &marks[key] : NULL);
    }
    size_t count, expect = 0;
    uint64_t *keys = map_sorted(&map, &count);
    for (uint64_t key = 0; key < KEYS; key++)
        if (in[key]) cr_assert_eq(keys[expect++], key << 40);
    cr_assert_eq(count, expect);
    for (size_t i = 0; i < map.room; i++)
        if (map_cell(&map, i)) cr_assert_eq(map_get(&map, map_key(&map, i)), map_cell(&map, i));
    cr_assert_eq(map_key(&map, map.room), 0);
    free(keys);
    map_clear(&map);
}
