/* Memory of the kernel: values that are shared by counting, queues, texts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/state/state.h"

void *take(size_t bytes)
{
    void *at = calloc(1, bytes);
    must(at);
    return at;
}

/* Makes room for NEED elements of SIZE; what is in it stays. */
void *grown(void *at, size_t *room, size_t need, size_t size)
{
    if (need <= *room) return at;

    size_t wide = *room ? *room : 16;
    while (wide < need) wide *= 2;
    at = realloc(at, wide * size);
    must(at);
    *room = wide;
    return at;
}

value_t *value_new(bin_t body, const kref_t *slots, size_t slot_count)
{
    value_t *self = malloc(sizeof *self + slot_count * sizeof *slots + body.len);
    must(self);
    self->count = 1;
    self->slot_count = slot_count;
    self->body_len = body.len;
    self->leads_on = self->asks_kernel = false;
    for (size_t i = 0; i < slot_count; i++) {
        bool promise = kref_is_promise(slots[i]);
        self->leads_on = self->leads_on || promise;
        self->asks_kernel = self->asks_kernel || (!promise && !kref_issuer(slots[i]).n);
    }
    if (slot_count) memcpy(self->slots, slots, slot_count * sizeof *slots);
    if (body.len) memcpy(self->slots + slot_count, body.at, body.len);
    return self;
}

value_t *value_of(const capdata_t *data)
{
    return value_new(data->body, data->slots.at, data->slots.count);
}

value_t *value_ref(value_t *value)
{
    if (value) value->count++;
    return value;
}

void value_destroy(value_t **self_p)
{
    value_t *self = *self_p;
    *self_p = NULL;
    if (!self) return;

    must(self->count > 0);
    if (--self->count == 0) free(self);
}

capdata_t value_data(const value_t *value)
{
    if (!value) return (capdata_t){0};
    const void *body = value->slots + value->slot_count;
    return (capdata_t){{body, value->body_len}, {value->slots, value->slot_count}};
}

/* At most MAX bytes of a text, and no half of a character. */
text_t text_cut(text_t text, size_t max)
{
    if (text.len <= max) return text;
    text.len = max;
    while (text.len > 0 && ((unsigned char)text.at[text.len] & 0xc0) == 0x80) text.len--;
    return text;
}

/* Error("[KERNEL:CODE] TEXT REST") as a value without slots. */
value_t *value_error(kernel_t *k, const char *code, const char *text, text_t rest)
{
    char line[TEXT_BYTES_MAX];
    rest = text_cut(rest, 1024);
    snprintf(line, sizeof line, "[KERNEL:%s] %s%.*s", code, text, (int)rest.len,
             rest.len ? rest.at : "");

    buf_reset(&k->frame);
    must(smallcaps_error(&k->frame, line) == ERR_OK);
    return value_new((bin_t){k->frame.at, k->frame.len}, NULL, 0);
}

void queue_push(queue_t *queue, entry_t *entry)
{
    must(!entry->next);
    if (queue->tail)
        queue->tail->next = entry;
    else
        queue->head = entry;
    queue->tail = entry;
    queue->count++;
}

entry_t *queue_pop(queue_t *queue)
{
    entry_t *entry = queue->head;
    if (!entry) return NULL;

    queue->head = entry->next;
    if (!queue->head) queue->tail = NULL;
    entry->next = NULL;
    queue->count--;
    return entry;
}

text_t blob_text(const blob_t *blob)
{
    bin_t bin = blob_bin(blob);
    const void *at = bin.at;
    return (text_t){at, bin.len};
}

blob_t *text_blob(text_t text) { return blob_new(text.at, text.len); }

/* At most TEXT_BYTES_MAX bytes. */
blob_t *blob_print(const char *format, ...)
{
    char line[TEXT_BYTES_MAX + 1];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(n >= 0 && n <= TEXT_BYTES_MAX);
    return blob_new(line, (size_t)n);
}

kref_t kref_of(uint64_t n) { return (kref_t){n}; }

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void sort_numbers(uint64_t *at, size_t count)
{
    if (count) qsort(at, count, sizeof *at, by_number);
}

kref_t slot_read(const uint8_t *at)
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++) n = n << 8 | at[i];
    return (kref_t){n};
}

/* The next of names separated by spaces, from *AT on. */
bool word_next(text_t words, size_t *at, text_t *ret)
{
    *ret = (text_t){0};
    while (*at < words.len && words.at[*at] == ' ') ++*at;
    if (*at == words.len) return false;
    size_t begin = *at;
    while (*at < words.len && words.at[*at] != ' ') ++*at;
    *ret = (text_t){words.at + begin, *at - begin};
    return ret->len > 0;
}

bool word_in(text_t words, text_t word)
{
    text_t one;
    for (size_t at = 0; word_next(words, &at, &one);)
        if (text_same(one, word)) return true;
    return false;
}
