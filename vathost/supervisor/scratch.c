#include "vathost/supervisor/scratch.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

struct scratch_block {
    scratch_block_t *next;
    size_t used, room;
    alignas(max_align_t) char bytes[];
};

enum { BLOCK_BYTES = 4096 };

void *scratch_take(scratch_t *self, size_t size)
{
    size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    scratch_block_t *block = self->blocks;

    if (!block || block->room - block->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof *block + room);
        must(block);
        *block = (scratch_block_t){.next = self->blocks, .room = room};
        self->blocks = block;
    }
    void *at = block->bytes + block->used;
    block->used += size;
    memset(at, 0, size);
    return at;
}

void scratch_clear(scratch_t *self)
{
    scratch_block_t *keep = NULL;
    for (scratch_block_t *block = self->blocks, *next; block; block = next) {
        next = block->next;
        if (!keep && block->room == BLOCK_BYTES) {
            block->used = 0;
            keep = block;
            keep->next = NULL;
        } else {
            free(block);
        }
    }
    self->blocks = keep;
}

void scratch_free(scratch_t *self)
{
    scratch_clear(self);
    free(self->blocks);
    self->blocks = NULL;
}
