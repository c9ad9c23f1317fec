#include "wire/base/hash.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

typedef crypto_generichash_state state_t;

_Static_assert(sizeof(hash_t) == crypto_generichash_BYTES, "BLAKE2b-256");
_Static_assert(32 == crypto_generichash_KEYBYTES, "a seed is a key");

static void hash_begin(state_t *state)
{
    must(crypto_generichash_init(state, NULL, 0, sizeof(hash_t)) == 0);
}

static void hash_add(state_t *state, const void *at, size_t len)
{
    if (len) must(crypto_generichash_update(state, at, len) == 0);
}

static void hash_add_u64(state_t *state, uint64_t n)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(n >> (56 - 8 * i));
    hash_add(state, bytes, sizeof bytes);
}

static hash_t hash_end(state_t *state)
{
    hash_t ret;

    must(crypto_generichash_final(state, ret.b, sizeof ret.b) == 0);
    return ret;
}

struct hasher {
    state_t state;
};

hasher_t *hasher_new(void)
{
    hasher_t *self = aligned_alloc(_Alignof(hasher_t), sizeof *self);
    must(self);
    hash_begin(&self->state);
    return self;
}

void hasher_destroy(hasher_t **self_p)
{
    must(self_p);
    free(*self_p);
    *self_p = NULL;
}

void hasher_add(hasher_t *self, bin_t piece) { hash_add(&self->state, piece.at, piece.len); }

hash_t hasher_end(hasher_t **self_p)
{
    hash_t ret = hash_end(&(*self_p)->state);
    hasher_destroy(self_p);
    return ret;
}

hash_t hash_of(bin_t bin)
{
    state_t state;

    hash_begin(&state);
    hash_add(&state, bin.at, bin.len);
    return hash_end(&state);
}

hash_t hash_result(uint64_t outcome, bin_t calls, hash_t store_digest)
{
    state_t state;

    hash_begin(&state);
    hash_add_u64(&state, outcome);
    hash_add_u64(&state, calls.len);
    hash_add(&state, calls.at, calls.len);
    hash_add(&state, store_digest.b, sizeof store_digest.b);
    return hash_end(&state);
}

hash_t hash_chain(hash_t before, hash_t delivery, hash_t result)
{
    state_t state;

    hash_begin(&state);
    hash_add(&state, before.b, sizeof before.b);
    hash_add(&state, delivery.b, sizeof delivery.b);
    hash_add(&state, result.b, sizeof result.b);
    return hash_end(&state);
}

hash_t hash_store_write(hash_t digest, text_t key, text_t value)
{
    state_t state;

    hash_begin(&state);
    hash_add(&state, digest.b, sizeof digest.b);
    hash_add_u64(&state, key.len);
    hash_add(&state, key.at, key.len);
    /* A delete must not look like a write of the empty string. */
    hash_add_u64(&state, value.at ? 1 : 0);
    if (value.at) hash_add(&state, value.at, value.len);
    return hash_end(&state);
}

void hash_expand(const uint8_t seed[32], uint64_t label, uint8_t *ret, size_t n)
{
    uint8_t all[64], name[8];

    must(n <= sizeof all);
    for (size_t i = 0; i < sizeof name; i++) name[i] = (uint8_t)(label >> (56 - 8 * i));
    must(crypto_generichash(all, sizeof all, name, sizeof name, seed, 32) == 0);
    memcpy(ret, all, n);
}

void hash_sha256(bin_t bin, uint8_t ret[32])
{
    must(crypto_hash_sha256(ret, bin.at, bin.len) == 0);
}
void hash_sha512(bin_t bin, uint8_t ret[64])
{
    must(crypto_hash_sha512(ret, bin.at, bin.len) == 0);
}

bool hash_same(hash_t a, hash_t b) { return sodium_memcmp(a.b, b.b, sizeof a.b) == 0; }
bool hash_none(hash_t h) { return sodium_is_zero(h.b, sizeof h.b) == 1; }
bool id_same(id128_t a, id128_t b) { return sodium_memcmp(a.b, b.b, sizeof a.b) == 0; }
