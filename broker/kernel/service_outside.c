/* What a vat's own globals use: timeouts, fetch. */
#include "broker/kernel/private.h"

const method_t outside_methods[] = {{NULL, NULL}};
