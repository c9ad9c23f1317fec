/* The timer service. */
#include "broker/kernel/private.h"

const method_t timer_root_methods[] = {{NULL, NULL}};
const method_t timer_methods[] = {{NULL, NULL}};
const method_t brand_methods[] = {{NULL, NULL}};
const method_t clock_methods[] = {{NULL, NULL}};
const method_t repeater_methods[] = {{NULL, NULL}};
const method_t notifier_methods[] = {{NULL, NULL}};
