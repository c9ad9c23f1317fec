/* Numbers that are given once, and chance. */
#include "broker/kernel/state/state.h"
#include "wire/base/hash.h"

const char *const counter_names[COUNTER_COUNT] = {
#define X(name) #name,
    COUNTERS(X)
#undef X
};

/* Adds one to a counter and returns what it is now. */
uint64_t count_up(kernel_t *k, counter_name_t name)
{
    touch(k, &k->counters[name].head);
    return ++k->counters[name].value;
}

/* N bytes (at most 64) of chance: every draw of a step is another one. */
void draw(kernel_t *k, void *at, size_t n) { hash_expand(k->entropy, ++k->draws, at, n); }

id128_t draw_id(kernel_t *k)
{
    id128_t id;
    draw(k, id.b, sizeof id.b);
    return id;
}

/* Something comes from outside: v0/<n>#0, and the root of all that follows from it. */
cause_t cause_input(kernel_t *k)
{
    return (cause_t){{{0}, count_up(k, COUNTER_next_input), 0}, draw_id(k)};
}
