/* Bundles in kernel.db: pushed in pieces, read in others, and what their names say. */
#include <sodium.h>

#include "tests/unit/broker/store_rig.h"

TestSuite(store_bundle, .init = store_set_up, .fini = store_tear_down);

static char name[BUNDLE_NAME_BYTES + 1];

static void name_of(const uint8_t *at, size_t len)
{
    uint8_t hash[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(hash, at, len);
    strcpy(name, "b1-");
    sodium_bin2hex(name + 3, sizeof name - 3, hash, sizeof hash);
}

static err_t push(store_t *store, stage_t *stage, const uint8_t *at, size_t len, size_t piece)
{
    err_t err = ERR_OK;
    for (size_t from = 0; from < len && !err; from += piece) {
        size_t part = len - from < piece ? len - from : piece;
        err = store_bundle_put(store, stage, text_of(name), from, len, (bin_t){at + from, part});
    }
    return err;
}

Test(store_bundle, a_bundle_pushed_in_pieces_is_read_in_other_pieces)
{
    static uint8_t bytes[100000], back[100000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)dice();
    name_of(bytes, sizeof bytes);
    store_t *store = open_store(0);
    stage_t stage = {0};
    uint64_t size = 1;
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_expect_eq(size, 0);
    cr_assert_eq(push(store, &stage, bytes, sizeof bytes, 30000), ERR_OK);
    cr_expect_null(stage.at, "nothing is staged any more");
    store_destroy(&store);

    store = open_store(0);
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_assert_eq(size, sizeof bytes);
    size_t len = 1, at = 0;
    while (len) {
        cr_assert_eq(store_bundle_read(store, text_of(name), at, back + at, 7001, &len), ERR_OK);
        at += len;
    }
    cr_expect_eq(at, sizeof bytes);
    cr_expect_eq(memcmp(bytes, back, sizeof bytes), 0);
    cr_assert_eq(push(store, &stage, bytes, sizeof bytes, 50000), ERR_OK, "again: no harm");
    store_destroy(&store);
}

Test(store_bundle, a_bundle_with_other_bytes_than_its_name_is_refused)
{
    uint8_t bytes[1000] = {1}, wrong[1000] = {2};
    name_of(bytes, sizeof bytes);
    store_t *store = open_store(0);
    stage_t stage = {0};
    uint64_t size = 1;
    cr_expect_eq(push(store, &stage, wrong, sizeof wrong, 400), ERR_BUNDLE_BROKEN);
    cr_assert_eq(store_bundle_size(store, text_of(name), &size), ERR_OK);
    cr_expect_eq(size, 0);
    size_t len;
    cr_expect_eq(store_bundle_read(store, text_of(name), 0, wrong, 10, &len), ERR_BUNDLE_UNKNOWN);

    /* Out of order, changed total, bad name, empty piece. */
    bin_t piece = {bytes, 400};
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 400, 1000, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 0, 1000, piece), ERR_OK);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 400, 900, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 500, 1000, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of("b1-x"), 0, 400, piece), ERR_BAD_VALUE);
    cr_expect_eq(store_bundle_put(store, &stage, text_of(name), 0, 0, (bin_t){bytes, 0}),
                 ERR_BAD_VALUE);
    stage_clear(&stage);
    store_destroy(&store);
}
