#include "cli/value_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/value.h"
#include "wire/base/must.h"

value_t value_of(void) { return (value_t){buf_of(CAPDATA_BYTES_MAX), NULL, 0}; }

void value_clear(value_t *self)
{
    buf_clear(&self->body);
    free(self->slots);
    *self = value_of();
}

capdata_t value_capdata(const value_t *self)
{
    return (capdata_t){{self->body.at, self->body.len}, {self->slots, self->slot_count}};
}

value_t value_copy(const capdata_t *data)
{
    value_t self = value_of();

    must(!buf_add(&self.body, data->body.at, data->body.len));
    if (data->slots.count) {
        self.slots = malloc(data->slots.count * sizeof *self.slots);
        must(self.slots);
        memcpy(self.slots, data->slots.at, data->slots.count * sizeof *self.slots);
        self.slot_count = data->slots.count;
    }
    return self;
}

err_t value_slot(value_t *self, kref_t kref, size_t *ret)
{
    size_t i = 0;

    while (i < self->slot_count && !kref_same(self->slots[i], kref)) i++;
    if (i == SLOTS_MAX) return ERR_WIRE_LIMIT;
    if (i == self->slot_count) {
        self->slots = realloc(self->slots, (i + 1) * sizeof *self->slots);
        must(self->slots);
        self->slots[self->slot_count++] = kref;
    }
    *ret = i;
    return ERR_OK;
}

/* Bytes of the '$' or '&' that the string at AT begins with, escaped or not; 0 when with another. */
static size_t slot_mark(const uint8_t *at, const uint8_t *end, char *ret)
{
    static const char *const marks[] = {"$", "&", "\\u0024", "\\u0026"};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t len = strlen(marks[i]);
        if ((size_t)(end - at) < len || memcmp(at, marks[i], len) != 0) continue;
        *ret = i % 2 ? '&' : '$';
        return len;
    }
    return 0;
}

/* The reference that begins behind the quote at *AT; moves *AT behind its number. */
static err_t slot_move(value_t *self, buf_t *out, const uint8_t **at, const uint8_t *end,
                       krefs_t slots)
{
    char mark;
    const uint8_t *digits = *at + slot_mark(*at, end, &mark);
    size_t from = 0, to, len = 0;

    for (; digits < end && *digits >= '0' && *digits <= '9' && len < 9; digits++, len++)
        from = from * 10 + (size_t)(*digits - '0');
    if (!len || from >= slots.count) return ERR_BODY_BROKEN;
    err_t err = value_slot(self, slots.at[from], &to);
    if (err) return err;
    *at = digits;
    return buf_print(out, "%c%zu", mark, to);
}

err_t value_add(value_t *self, buf_t *out, bin_t body, krefs_t slots)
{
    const uint8_t *at = body.at, *end = at + body.len;
    bool in_string = false;
    err_t err = ERR_OK;

    while (at < end && !err) {
        char mark;
        const uint8_t *from = at;
        while (at < end && *at != '"') at += *at == '\\' && in_string && end - at > 1 ? 2 : 1;
        bool quote = at < end;
        at += quote;
        err = buf_add(out, from, (size_t)(at - from));
        if (!quote) continue;
        in_string = !in_string;
        if (in_string && !err && slot_mark(at, end, &mark))
            err = slot_move(self, out, &at, end, slots);
    }
    return err;
}

err_t body_put_string(buf_t *out, text_t text)
{
    buf_t escaped = buf_of(CAPDATA_BYTES_MAX);
    err_t err = ERR_OK;

    if (text.len && *text.at >= '!' && *text.at <= '-') err = buf_text(&escaped, "!");
    if (!err) err = buf_add(&escaped, text.at, text.len);
    if (!err) err = json_add_string(out, (text_t){(const char *)escaped.at, escaped.len});
    buf_clear(&escaped);
    return err;
}

err_t body_put_number(buf_t *out, double number)
{
    char text[NUMBER_TEXT_MAX];

    if (isnan(number)) return buf_text(out, "\"#NaN\"");
    if (isinf(number)) return buf_text(out, number > 0 ? "\"#Infinity\"" : "\"#-Infinity\"");
    return buf_text(out, number_text(number, text));
}

/* "0".."4294967294": JavaScript puts these first, by number. */
static bool index_key(const entry_t *entry, uint64_t *ret)
{
    uint64_t n = 0;

    if (entry->key_len == 0 || entry->key_len > 10) return false;
    if (entry->key[0] == '0' && entry->key_len > 1) return false;
    for (size_t i = 0; i < entry->key_len; i++) {
        if (entry->key[i] < '0' || entry->key[i] > '9') return false;
        n = n * 10 + (uint64_t)(entry->key[i] - '0');
    }
    *ret = n;
    return n < UINT32_MAX;
}

/* UTF-8 bytes sort as UTF-16 units do, except that the surrogates of U+10000 and up stand before
 * U+E000..U+FFFF. */
static int unit_order(unsigned char byte) { return byte >= 0xf0 ? (0xed << 8) + byte : byte << 8; }

static int entry_order(const void *left, const void *right)
{
    const entry_t *a = left, *b = right;
    uint64_t a_index = 0, b_index = 0;
    bool a_is = index_key(a, &a_index), b_is = index_key(b, &b_index);

    if (a_is && b_is) return a_index < b_index ? -1 : a_index > b_index;
    if (a_is != b_is) return a_is ? -1 : 1;
    for (size_t i = 0; i < a->key_len && i < b->key_len; i++) {
        int diff = unit_order((unsigned char)a->key[i]) - unit_order((unsigned char)b->key[i]);
        if (diff) return diff;
    }
    return a->key_len < b->key_len ? -1 : a->key_len > b->key_len;
}

entry_t *record_add(record_t *record, text_t key)
{
    record->at = realloc(record->at, (record->count + 1) * sizeof *record->at);
    must(record->at);
    entry_t *entry = &record->at[record->count++];
    *entry = (entry_t){malloc(key.len + 1), key.len, buf_of(CAPDATA_BYTES_MAX)};
    must(entry->key);
    memcpy(entry->key, key.at, key.len);
    return entry;
}

err_t record_put(record_t *record, buf_t *out)
{
    err_t err = buf_text(out, "{");

    if (record->count) qsort(record->at, record->count, sizeof *record->at, entry_order);
    for (size_t i = 0; i < record->count && !err; i++) {
        if (i) err = buf_text(out, ",");
        if (!err) err = body_put_string(out, (text_t){record->at[i].key, record->at[i].key_len});
        if (!err) err = buf_text(out, ":");
        if (!err) err = buf_add(out, record->at[i].value.at, record->at[i].value.len);
    }
    return err ? err : buf_text(out, "}");
}

void record_clear(record_t *record)
{
    for (size_t i = 0; i < record->count; i++) {
        free(record->at[i].key);
        buf_clear(&record->at[i].value);
    }
    free(record->at);
}

err_t value_add_json(buf_t *out, const json_t *value)
{
    json_t *item, *object = (json_t *)(uintptr_t)value;
    record_t record = {0};
    const char *key;
    err_t err = ERR_OK;

    switch (json_typeof(value)) {
    case JSON_NULL: return buf_text(out, "null");
    case JSON_TRUE: return buf_text(out, "true");
    case JSON_FALSE: return buf_text(out, "false");
    case JSON_REAL:
    case JSON_INTEGER: return body_put_number(out, json_number_value(value));
    case JSON_STRING:
        return body_put_string(out, (text_t){json_string_value(value), json_string_length(value)});
    case JSON_ARRAY:
        err = buf_text(out, "[");
        for (size_t i = 0; i < json_array_size(value) && !err; i++) {
            if (i) err = buf_text(out, ",");
            if (!err) err = value_add_json(out, json_array_get(value, i));
        }
        return err ? err : buf_text(out, "]");
    default: break;
    }
    json_object_foreach(object, key, item)
    {
        if (!err) err = value_add_json(&record_add(&record, text_of(key))->value, item);
    }
    if (!err) err = record_put(&record, out);
    record_clear(&record);
    return err;
}
