/* IO channels. */
#include "broker/kernel/private.h"

const method_t channel_methods[] = {{NULL, NULL}};
