/* The C face of the .def tables: one struct msg_NAME_t per message, one TAG_NAME, one row of field
 * data that codec, PROTOCOL.md and fuzzer walk.
 *
 * Everything a message holds is borrowed: from the frame it was decoded from, or from the caller
 * that fills it in to encode it. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/limits.h"
#include "wire/base/ref.h"

#define PROTO_MIN 1
#define PROTO_MAX 1

/* clang-format off */
typedef struct { const kref_t *at; size_t count; } krefs_t; /* borrowed */
typedef struct { bin_t body; krefs_t slots; } capdata_t;
typedef struct { kref_t promise; bool rejected; capdata_t data; } resolution_t;
typedef struct { const resolution_t *at; size_t count; } resolutions_t;

/* Which message: the n-th syscall (from 1) of delivery d of a vat, v3/41#2. Messages from outside
 * are v0/<n>#0. All zero: none. */
typedef struct { vat_t vat; uint64_t d; uint32_t n; } msgid_t;

/* The names the tables use for the types above. */
typedef uint64_t field_u64_t;
typedef bool field_bool_t;
typedef vat_t field_vat_t;
typedef host_t field_host_t;
typedef cluster_t field_cluster_t;
typedef kref_t field_kref_t;
typedef krefs_t field_krefs_t;
typedef text_t field_text_t;
typedef bin_t field_bin_t;
typedef hash_t field_hash_t;
typedef id128_t field_id_t;
typedef msgid_t field_msgid_t;
typedef capdata_t field_capdata_t;
typedef resolutions_t field_resolutions_t;
typedef kref_t field_ref_t;   /* syscall.def, in the kernel's names */
typedef krefs_t field_refs_t;

typedef enum {
    KIND_u64, KIND_bool, KIND_vat, KIND_host, KIND_cluster, KIND_kref, KIND_krefs, KIND_text,
    KIND_bin, KIND_hash, KIND_id, KIND_msgid, KIND_capdata, KIND_resolutions,
    KIND_ref = KIND_kref, KIND_refs = KIND_krefs,
} kind_t;

#define MESSAGE(name, tag, direction, doc) typedef struct {
#define FIELD(message, kind, name, limit, doc) field_##kind##_t name;
#define END(name) } msg_##name##_t;
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END

typedef enum {
#define MESSAGE(name, tag, direction, doc) TAG_##name = (tag),
#define FIELD(message, kind, name, limit, doc)
#define END(name)
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END
} msg_tag_t;

typedef union {
#define MESSAGE(name, tag, direction, doc) msg_##name##_t name;
#define FIELD(message, kind, name, limit, doc)
#define END(name)
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END
} msg_body_t;
/* clang-format on */

typedef struct {
    const char *name;
    kind_t kind;
    size_t offset; /* bytes from the start of struct msg_NAME_t */
    size_t limit;  /* bytes or elements; 0 when the kind has a fixed size */
    const char *doc;
} field_t;

typedef struct {
    const char *name;
    msg_tag_t tag;
    const char *direction, *doc;
    const field_t *fields;
    size_t field_count;
} message_t;

/* Looks a message up by wire tag. NULL when no message has it. */
const message_t *message_find(uint64_t tag);

/* All rows, in the order of the tables. */
const message_t *message_all(size_t *ret_count);
