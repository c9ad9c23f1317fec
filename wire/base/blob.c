#include "wire/base/blob.h"

#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

struct blob {
    size_t count, len;
    uint8_t bytes[];
};

blob_t *blob_new(const void *at, size_t len)
{
    blob_t *self = malloc(sizeof *self + len);
    must(self);
    self->count = 1;
    self->len = len;
    if (len) memcpy(self->bytes, at, len);
    return self;
}

blob_t *blob_ref(blob_t *blob)
{
    if (blob) blob->count++;
    return blob;
}

void blob_destroy(blob_t **self_p)
{
    must(self_p);
    blob_t *self = *self_p;
    *self_p = NULL;
    if (!self) return;

    must(self->count > 0);
    if (--self->count == 0) free(self);
}

bin_t blob_bin(const blob_t *blob)
{
    return blob ? (bin_t){blob->bytes, blob->len} : (bin_t){NULL, 0};
}
