/* The tables themselves: tags, limits, words. */
#include <criterion/criterion.h>
#include <string.h>

#include "wire/schema/message.h"

Test(schema, tags_find_their_rows)
{
    size_t count;
    const message_t *all = message_all(&count);

    cr_assert(count > 50);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(message_find(all[i].tag), &all[i], "%s shares its tag", all[i].name);
        for (size_t j = 0; j < i; j++) cr_expect_str_neq(all[i].name, all[j].name);
    }
    cr_expect_null(message_find(0));
    cr_expect_null(message_find(0xff));
    cr_expect_null(message_find(UINT64_MAX));
}

static bool has_limit(kind_t kind)
{
    return kind == KIND_text || kind == KIND_bin || kind == KIND_krefs || kind == KIND_capdata ||
           kind == KIND_resolutions;
}

Test(schema, fields_have_limits_and_prose)
{
    size_t count;
    const message_t *all = message_all(&count);

    for (size_t i = 0; i < count; i++) {
        size_t lists = 0;
        cr_expect(all[i].doc[0]);
        for (size_t j = 0; j < all[i].field_count; j++) {
            const field_t *field = &all[i].fields[j];
            cr_expect(field->doc[0], "%s.%s", all[i].name, field->name);
            cr_expect_eq(has_limit(field->kind), field->limit > 0, "%s.%s", all[i].name,
                         field->name);
            cr_expect(field->limit < FRAME_BYTES_MAX, "%s.%s fits", all[i].name, field->name);
            if (field->kind == KIND_capdata || field->kind == KIND_krefs ||
                field->kind == KIND_resolutions) {
                lists++;
            }
        }
        cr_expect(lists <= 4, "%s: wire/codec/codec.c keeps room for LISTS_MAX lists", all[i].name);
    }
}
