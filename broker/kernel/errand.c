/* What the agent does outside. */
#include <stdlib.h>

#include "broker/kernel/private.h"

void errand_free(errand_t *errand)
{
    blob_destroy(&errand->what);
    blob_destroy(&errand->body);
    free(errand);
}

void errands_without_vat(kernel_t *k, const kvat_t *vat)
{
    (void)k;
    (void)vat;
}
