/* Chance from one seed. Every decision has a stream of its own, named by numbers that say which
 * decision it is: leaving one decision out does not change what the others draw. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t at;
} chance_t;

static inline uint64_t chance_mix(uint64_t z) /* splitmix64 */
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline chance_t chance_of(uint64_t seed, uint64_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t z = chance_mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    z = chance_mix(z ^ (kind + 1) * UINT64_C(0xd1342543de82ef95));
    z = chance_mix(z ^ (a + 1) * UINT64_C(0xaf251af3b0f025b5));
    z = chance_mix(z ^ (b + 1) * UINT64_C(0xb564ef22ec7aece5));
    z = chance_mix(z ^ (c + 1) * UINT64_C(0xf7c2ebc08f67f2b5));
    return (chance_t){z};
}

static inline uint64_t chance_bits(chance_t *self)
{
    return chance_mix(self->at += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 .. SIDES - 1; SIDES is not 0. */
static inline unsigned roll(chance_t *self, size_t sides)
{
    return (unsigned)((chance_bits(self) >> 33) % sides);
}

static inline bool once_in(chance_t *self, unsigned n) { return roll(self, n) == 0; }
