/* kernelFacet: what system clusters may ask of the kernel. */
#include "broker/kernel/private.h"

const method_t facet_methods[] = {{NULL, NULL}};

void facet_launched(kernel_t *k, pending_t *pending, bool rejected, value_t *value, cause_t cause)
{
    pending_settle(k, pending, rejected, value, cause);
}
