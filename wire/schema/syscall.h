/* syscall.def in the vat's own names: one struct vcall_NAME_t per syscall, as the engine makes it,
 * before the supervisor has turned vrefs into krefs (then it is a msg_NAME_t). */
#pragma once
#include "wire/schema/message.h"

/* clang-format off */
typedef struct { text_t s; } vref_t; /* as liveslots spells it: o-3, p+7, o+d10/1:0; borrowed; len 0: none */
typedef struct { const vref_t *at; size_t count; } vrefs_t;
typedef struct { bin_t body; vrefs_t slots; } vcapdata_t;
typedef struct { vref_t promise; bool rejected; vcapdata_t data; } vresolution_t;
typedef struct { const vresolution_t *at; size_t count; } vresolutions_t;

typedef vref_t vfield_ref_t;
typedef vrefs_t vfield_refs_t;
typedef vcapdata_t vfield_capdata_t;
typedef vresolutions_t vfield_resolutions_t;
typedef bool vfield_bool_t;

#define CALL(name, tag, doc) typedef struct {
#define FIELD(call, kind, name, limit, doc) vfield_##kind##_t name;
#define END(name) } vcall_##name##_t;
#include "wire/schema/syscall.def"
#undef CALL
#undef FIELD
#undef END

typedef union {
#define CALL(name, tag, doc) vcall_##name##_t name;
#define FIELD(call, kind, name, limit, doc)
#define END(name)
#include "wire/schema/syscall.def"
#undef CALL
#undef FIELD
#undef END
} vcall_body_t;

typedef struct {
    msg_tag_t tag; /* TAG_send, TAG_subscribe, ... */
    vcall_body_t body;
} vcall_t;

typedef enum { VKIND_ref, VKIND_refs, VKIND_capdata, VKIND_resolutions, VKIND_bool } vkind_t;

typedef struct {
    const char *name;
    vkind_t kind;
    size_t at_v, at_k; /* offset in vcall_NAME_t and in msg_NAME_t */
} vcall_field_t;

typedef struct {
    msg_tag_t tag;
    const char *name;
    const vcall_field_t *fields;
    size_t field_count;
} vcall_row_t;
/* clang-format on */

/* The row of a syscall tag; NULL when no syscall has it. */
const vcall_row_t *vcall_find(msg_tag_t tag);
