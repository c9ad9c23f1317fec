/* A vref of a vat without virtual data, as one integer: o+3, o-50, p+7, p-60. 0 is none. */
#pragma once
#include "wire/base/map.h"
#include "wire/schema/syscall.h"

typedef struct {
    uint64_t n;
} name_t;

#define NAME_PROMISE (UINT64_C(1) << 63)
#define NAME_EXPORT  (UINT64_C(1) << 62)

enum { NAME_TEXT_MAX = 24 };

static inline bool name_none(name_t name) { return name.n == 0; }
static inline bool name_is_promise(name_t name) { return name.n & NAME_PROMISE; }
static inline bool name_is_export(name_t name) { return name.n & NAME_EXPORT; }
static inline name_t name_object(uint64_t n) { return (name_t){NAME_EXPORT | n}; }
static inline name_t name_promise(uint64_t n) { return (name_t){NAME_PROMISE | NAME_EXPORT | n}; }

/* None when VREF is none, or no such vref. */
name_t name_of(vref_t vref);

/* NAME as liveslots spells it, in BUF; "" for none. */
vref_t name_vref(name_t name, char buf[NAME_TEXT_MAX]);

/* A set of names: the map's values mean nothing. */
void names_add(map_t *self, name_t name);
static inline bool names_has(const map_t *self, name_t name) { return map_get(self, name.n); }
static inline void names_drop(map_t *self, name_t name) { (void)map_remove(self, name.n); }
