/* Known answers, computed with another BLAKE2b (Python's hashlib) from the definitions in hash.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/hash.h"

static const char *hex(const uint8_t *at, size_t len)
{
    static char text[129];
    for (size_t i = 0; i < len; i++) sprintf(text + 2 * i, "%02x", at[i]);
    return text;
}

static bin_t bin_of(const char *s) { return (bin_t){(const uint8_t *)s, strlen(s)}; }

#define expect_hash(hash, text)                             \
    do {                                                    \
        hash_t got_ = (hash);                               \
        cr_expect_str_eq(hex(got_.b, sizeof got_.b), text); \
    } while (0)

Test(hash, known_answers)
{
    const hash_t zero = {{0}};
    hash_t abc = hash_of(bin_of("abc"));

    expect_hash(hash_of((bin_t){NULL, 0}),
                "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    expect_hash(abc, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    expect_hash(hash_result(0, bin_of("abc"), zero),
                "e3f8ba8d9f6207df323b37ac6a98f23232873060da82af8c1260236bb7cf7f91");
    expect_hash(hash_result(2202, (bin_t){NULL, 0}, abc),
                "88a006f2469eeee0957e9c51e0bb5282c4df8c892c65599f7abcb29c77263f06");
    expect_hash(hash_chain(zero, abc, hash_of((bin_t){NULL, 0})),
                "dd10fe5c74e8728b351ca5dfc577cb80957db5cb287fa405b0002ef2e0714fa4");
}

Test(hash, comes_in_pieces)
{
    static const uint8_t bytes[] = "a hash is the same however its bytes come";
    hasher_t *hasher = hasher_new();
    for (size_t i = 0; i < sizeof bytes; i += 7) {
        size_t left = sizeof bytes - i;
        hasher_add(hasher, (bin_t){bytes + i, left < 7 ? left : 7});
    }
    hasher_add(hasher, (bin_t){NULL, 0});
    cr_expect(hash_same(hasher_end(&hasher), hash_of((bin_t){bytes, sizeof bytes})));
    cr_expect_null(hasher);
    hasher = hasher_new();
    hasher_destroy(&hasher);
    hasher_destroy(&hasher);
}

Test(hash, store_writes_differ)
{
    const hash_t zero = {{0}};

    expect_hash(hash_store_write(zero, text_of("key"), text_of("value")),
                "2726c8a7dd1ebf6aeb4fcc0db1006ab686d40dbf47779ac58ed86b11db6952db");
    expect_hash(hash_store_write(zero, text_of("key"), (text_t){NULL, 0}),
                "42a645c71666737a49ddd7711d3af0f8fbc929d6aba2f96c379cf553573280c9");
    expect_hash(hash_store_write(zero, text_of("key"), text_of("")),
                "a397867b3d0ea3b147a0caa3e47b19e1d3bb2c16bc563457e7f795cbf505c760");
}

Test(hash, expand)
{
    uint8_t seed[32], all[64], some[5];
    for (size_t i = 0; i < sizeof seed; i++) seed[i] = (uint8_t)i;

    hash_expand(seed, 7, all, sizeof all);
    cr_expect_str_eq(hex(all, sizeof all),
                     "ced09287823cdcf32c37377bd3ccf464bd026161128be621182846bee5273446"
                     "89cb20c11ccf3e10a41e141978396ecb756301a6110e16bdc99a18fb972f01d2");
    hash_expand(seed, 7, some, sizeof some);
    cr_expect_arr_eq(some, all, sizeof some);
    hash_expand(seed, 8, some, sizeof some);
    cr_expect_arr_neq(some, all, sizeof some);
}

Test(hash, sha2)
{
    uint8_t short_one[32], long_one[64];

    hash_sha256(bin_of("abc"), short_one);
    cr_expect_str_eq(hex(short_one, sizeof short_one),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha512(bin_of("abc"), long_one);
    cr_expect_str_eq(hex(long_one, sizeof long_one),
                     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

Test(hash, comparing)
{
    hash_t a = hash_of(bin_of("a")), b = hash_of(bin_of("b")), none = {{0}};
    id128_t x = {{1}}, y = {{1}}, z = {{2}};

    cr_expect(hash_same(a, a));
    cr_expect_not(hash_same(a, b));
    cr_expect(hash_none(none));
    cr_expect_not(hash_none(a));
    cr_expect(id_same(x, y));
    cr_expect_not(id_same(x, z));
}
