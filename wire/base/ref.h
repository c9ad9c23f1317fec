/* Names for vats, hosts, objects and promises. Each kind of name is its own struct, so that the
 * compiler refuses to take one for another.
 *
 * A kref is one integer everywhere (wire, memory, database):
 *
 *   bit 63      1 = promise, 0 = object
 *   bits 62-40  issuer: the vat that exported it; 0 is the kernel itself and its clients
 *   bits 39-0   serial: the n-th the issuer made; an object's serial 0 is the vat's root
 *
 * As text: ko3.7, kp3.9. The integer 0 is "none"; issuer 0 therefore counts from 1. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
typedef struct { uint64_t n; } kref_t;
typedef struct { uint32_t n; } vat_t;     /* v3; given by the broker, never re-used; 0 is the kernel */
typedef struct { uint32_t n; } host_t;    /* h1; given by the broker, bound to a CURVE public key */
typedef struct { uint32_t n; } cluster_t; /* s1 */
/* clang-format on */

#define KREF_SERIAL_MAX ((UINT64_C(1) << 40) - 1)
#define KREF_ISSUER_MAX ((UINT32_C(1) << 23) - 1)
#define KREF_TEXT_MAX 32 /* bytes of the longest text form, NUL included */

static inline bool kref_none(kref_t k) { return k.n == 0; }
static inline bool kref_same(kref_t a, kref_t b) { return a.n == b.n; }
static inline bool kref_is_promise(kref_t k) { return k.n >> 63; }
static inline bool kref_is_object(kref_t k) { return k.n != 0 && !(k.n >> 63); }
static inline vat_t kref_issuer(kref_t k) { return (vat_t){(uint32_t)(k.n >> 40) & KREF_ISSUER_MAX}; }
static inline uint64_t kref_serial(kref_t k) { return k.n & KREF_SERIAL_MAX; }
static inline kref_t kref_object(vat_t issuer, uint64_t serial)
{
    return (kref_t){(uint64_t)issuer.n << 40 | serial};
}
static inline kref_t kref_promise(vat_t issuer, uint64_t serial)
{
    return (kref_t){UINT64_C(1) << 63 | (uint64_t)issuer.n << 40 | serial};
}
static inline kref_t kref_root(vat_t vat) { return kref_object(vat, 0); }

/* Writes KREF as text ("ko3.7", "kp0.1", "none") into BUF of KREF_TEXT_MAX bytes and returns BUF. */
char *kref_text(kref_t kref, char buf[KREF_TEXT_MAX]);

/* Reads the canonical text form only: no leading zeros, no spaces, in range.
 * Sets RET and returns true, or returns false and leaves RET alone. */
bool kref_parse(const char *text, size_t len, kref_t *ret);

/* Reads "v3", "h1", "s2" (PREFIX and a decimal number from 1). */
bool id_parse(char prefix, const char *text, size_t len, uint32_t *ret);
