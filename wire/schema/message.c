#include "wire/schema/message.h"

/* clang-format off */
#define MESSAGE(name, tag, direction, doc) static const field_t name##_fields[] = {
#define FIELD(message, kind, name, limit, doc) \
    {#name, KIND_##kind, offsetof(msg_##message##_t, name), limit, doc},
#define END(name) };
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END

static const message_t messages[] = {
#define MESSAGE(name, tag, direction, doc) \
    {#name, TAG_##name, direction, doc, name##_fields, sizeof name##_fields / sizeof *name##_fields},
#define FIELD(message, kind, name, limit, doc)
#define END(name)
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END
};

enum {
#define MESSAGE(name, tag, direction, doc) INDEX_##name,
#define FIELD(message, kind, name, limit, doc)
#define END(name)
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END
};

/* Decoding asks once per frame and per syscall: a table, not a search. */
static const message_t *const by_tag[] = {
#define MESSAGE(name, tag, direction, doc) [tag] = &messages[INDEX_##name],
#define FIELD(message, kind, name, limit, doc)
#define END(name)
#include "wire/schema/all.def"
#undef MESSAGE
#undef FIELD
#undef END
};
/* clang-format on */

const message_t *message_all(size_t *ret_count)
{
    *ret_count = sizeof messages / sizeof *messages;
    return messages;
}

const message_t *message_find(uint64_t tag)
{
    return tag < sizeof by_tag / sizeof *by_tag ? by_tag[tag] : NULL;
}
