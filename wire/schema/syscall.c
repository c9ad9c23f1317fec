#include "wire/schema/syscall.h"

/* clang-format off */
#define CALL(name, tag, doc) static const vcall_field_t name##_fields[] = {
#define FIELD(call, kind, name, limit, doc) \
    {#name, VKIND_##kind, offsetof(vcall_##call##_t, name), offsetof(msg_##call##_t, name)},
#define END(name) };
#include "wire/schema/syscall.def"
#undef CALL
#undef FIELD
#undef END

static const vcall_row_t rows[] = {
#define CALL(name, tag, doc) \
    {TAG_##name, #name, name##_fields, sizeof name##_fields / sizeof *name##_fields},
#define FIELD(call, kind, name, limit, doc)
#define END(name)
#include "wire/schema/syscall.def"
#undef CALL
#undef FIELD
#undef END
};
/* clang-format on */

const vcall_row_t *vcall_find(msg_tag_t tag)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].tag == tag) return &rows[i];
    }
    return NULL;
}
