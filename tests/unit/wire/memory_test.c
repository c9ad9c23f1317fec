/* E2: while any input is decoded, no single allocation is larger than the input. Every malloc of the
 * process goes through a hook that remembers the largest one. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/wire/fill.h"
#include "wire/base/own.h"

/* Volatile: compilers know that malloc() does not touch our variables, but this one does. */
static volatile size_t largest, allocations;
static volatile bool watching;

static void note(size_t size)
{
    if (!watching) return;
    allocations++;
    if (size > largest) largest = size;
}

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*malloc_hook)(const volatile void *, size_t),
                                              void (*free_hook)(const volatile void *));

static void on_malloc(const volatile void *at, size_t size)
{
    (void)at;
    note(size);
}

static void on_free(const volatile void *at) { (void)at; }

static void hook_install(void)
{
    static bool done;
    if (!done) cr_assert(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free));
    done = true;
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *at, size_t size);

void *malloc(size_t size)
{
    note(size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    note(count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *at, size_t size)
{
    note(size);
    return __libc_realloc(at, size);
}

static void hook_install(void) {}
#endif

/* Decodes and tells whether the law held; says whether it was a message. */
static bool decode(bin_t bytes, err_t *ret)
{
    msg_t got;

    largest = allocations = 0;
    watching = true;
    *ret = msg_decode(bytes, &got);
    watching = false;
    if (!*ret) msg_clear(&got);
    return largest <= bytes.len;
}

Test(memory, the_hook_sees_allocations, .init = hook_install)
{
    watching = true;
    void *volatile at = malloc(12345);
    watching = false;
    cr_expect_eq(largest, 12345);
    free(at);
}

Test(memory, every_message, .init = hook_install)
{
    size_t count, lists = 0;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count * 50; i++) {
        AUTO(fill) fill = fill_new(i);
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body;
        err_t err;

        fill_message(fill, &all[i % count], &body);
        cr_assert_eq(msg_encode(all[i % count].tag, &body, &frame), ERR_OK);
        cr_expect(decode((bin_t){frame.at, frame.len}, &err), "%s: %zu of %zu bytes",
                  all[i % count].name, largest, frame.len);
        cr_expect_eq(err, ERR_OK);
        cr_expect(allocations <= 1, "one piece for all lists of a message");
        lists += allocations;
        buf_clear(&frame);
    }
    cr_expect(lists > 100, "messages with lists were among them");
}

/* The lists that would take more memory than bytes if every element were as short as it can be. */
Test(memory, long_lists_of_small_things, .init = hook_install)
{
    static kref_t ones[SLOTS_MAX];
    static resolution_t empty[RESOLUTIONS_MAX];
    for (size_t i = 0; i < SLOTS_MAX; i++) ones[i].n = 1;

    for (size_t n = 1; n <= SLOTS_MAX; n = n * 3 + 1) {
        msg_drop_imports_t drop = {{ones, n}};
        msg_resolve_t resolve = {{empty, n}};
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        err_t err;

        cr_assert_eq(msg_encode(TAG_drop_imports, &drop, &frame), ERR_OK);
        cr_expect(decode((bin_t){frame.at, frame.len}, &err), "%zu krefs: %zu of %zu", n, largest,
                  frame.len);
        cr_expect_eq(err, ERR_OK);
        buf_reset(&frame);
        cr_assert_eq(msg_encode(TAG_resolve, &resolve, &frame), ERR_OK);
        cr_expect(decode((bin_t){frame.at, frame.len}, &err), "%zu resolutions: %zu of %zu", n,
                  largest, frame.len);
        cr_expect_eq(err, ERR_OK);
        buf_clear(&frame);
    }
}

/* Heads that promise much: the frames that make msgpack-c alone ask for gigabytes. */
Test(memory, claims, .init = hook_install)
{
    static const char *const heads[] = {"\xdd\x04\x00\x00\x00", "\xdd\xff\xff\xff\xff",
                                        "\xdf\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff",
                                        "\xdb\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        for (uint8_t depth = 0; depth < 4; depth++) {
            uint8_t bytes[16] = {0};
            err_t err;
            memset(bytes, 0x92, depth);
            memcpy(bytes + depth, heads[i], 5);
            cr_expect(decode((bin_t){bytes, depth + 5u}, &err), "head %zu: %zu", i, largest);
            cr_expect_neq(err, ERR_OK);
        }
    }
}

Test(memory, random_and_changed_bytes, .init = hook_install)
{
    size_t count, taken = 0;
    const message_t *all = message_all(&count);
    AUTO(fill) chance = fill_new(99);

    for (size_t i = 0; i < 100 * 1000; i++) {
        uint8_t bytes[64];
        size_t len = (size_t)(fill_number(chance) % sizeof bytes);
        for (size_t j = 0; j < len; j++) bytes[j] = (uint8_t)fill_number(chance);
        if (len) bytes[0] = (uint8_t)(0x90 | (bytes[0] & 7));
        err_t err;
        cr_expect(decode((bin_t){bytes, len}, &err), "round %zu: %zu of %zu", i, largest, len);
    }
    for (size_t i = 0; i < count * 20; i++) {
        AUTO(fill) fill = fill_new(5000 + i);
        buf_t frame = buf_of(FRAME_BYTES_MAX);
        msg_body_t body;
        fill_message(fill, &all[i % count], &body);
        cr_assert_eq(msg_encode(all[i % count].tag, &body, &frame), ERR_OK);
        for (size_t j = 0; j < 200; j++) {
            size_t at = (size_t)(fill_number(chance) % frame.len);
            uint8_t was = frame.at[at];
            frame.at[at] = (uint8_t)fill_number(chance);
            err_t err;
            cr_expect(decode((bin_t){frame.at, frame.len}, &err), "%s: %zu of %zu",
                      all[i % count].name, largest, frame.len);
            taken += !err;
            frame.at[at] = was;
        }
        buf_clear(&frame);
    }
    cr_expect(taken > 1000);
}
