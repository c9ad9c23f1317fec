/* BLAKE2b-256 by libsodium, and the three hashes of the crank protocol. Broker and
 * worker compute the same bytes, so they are defined here and nowhere else. */
#pragma once
#include "wire/base/bytes.h"

/* Hash of BIN. */
hash_t hash_of(bin_t bin);

/* Hash of bytes that come in pieces: hasher_add() any number of times, then hasher_end(), which frees it. */
typedef struct hasher hasher_t;
hasher_t *hasher_new(void);
void hasher_destroy(hasher_t **self_p);
void hasher_add(hasher_t *self, bin_t piece);
hash_t hasher_end(hasher_t **self_p);

/* H(outcome, syscalls): OUTCOME as 8 bytes big-endian, CALLS length as 8 bytes big-endian, CALLS,
 * STORE_DIGEST. Times, meter readings and console lines are not in it: a replay may differ there. */
hash_t hash_result(uint64_t outcome, bin_t calls, hash_t store_digest);

/* chain_d = H(chain_{d-1} | H(delivery_d) | H(result_d)). chain_0 is all zeros. */
hash_t hash_chain(hash_t before, hash_t delivery, hash_t result);

/* Folds one more write to the vat store into DIGEST: KEY and VALUE; a NULL value.at is a delete. */
hash_t hash_store_write(hash_t digest, text_t key, text_t value);

/* N bytes (at most 64) that follow from SEED and LABEL and from nothing else: the pure parts draw
 * their chance from an input's entropy with it. */
void hash_expand(const uint8_t seed[32], uint64_t label, uint8_t *ret, size_t n);

/* SHA-2 of BIN, for those outside who know no other: vats, through Web Crypto. */
void hash_sha256(bin_t bin, uint8_t ret[32]);
void hash_sha512(bin_t bin, uint8_t ret[64]);

/* Constant time. */
bool hash_same(hash_t a, hash_t b);
bool hash_none(hash_t h);
bool id_same(id128_t a, id128_t b);
