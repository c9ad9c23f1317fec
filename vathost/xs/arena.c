#include "vathost/xs/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "wire/base/must.h"

enum { CHUNK_BYTES = 16 * 1024 };

struct arena_chunk {
    arena_chunk_t *next;
    size_t room;
    alignas(max_align_t) unsigned char at[];
};

static arena_chunk_t *chunk_new(size_t room)
{
    arena_chunk_t *chunk = malloc(sizeof *chunk + room);
    must(chunk);
    chunk->next = NULL;
    chunk->room = room;
    return chunk;
}

void *arena_take(arena_t *self, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    bytes = (bytes + align - 1) / align * align;
    if (!self->chunks || bytes > self->chunks->room - self->used) {
        arena_chunk_t *chunk = chunk_new(bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES);
        chunk->next = self->chunks;
        self->chunks = chunk;
        self->used = 0;
    }
    void *at = self->chunks->at + self->used;
    self->used += bytes;
    return at;
}

void arena_reset(arena_t *self)
{
    while (self->chunks && (self->chunks->next || self->chunks->room > CHUNK_BYTES)) {
        arena_chunk_t *chunk = self->chunks;
        self->chunks = chunk->next;
        free(chunk);
    }
    self->used = 0;
}

void arena_clear(arena_t *self)
{
    while (self->chunks) {
        arena_chunk_t *chunk = self->chunks;
        self->chunks = chunk->next;
        free(chunk);
    }
    self->used = 0;
}
