/* What our platform layer of XS offers beside xs.h. MACHINE is an xsMachine, which XS itself
 * knows under another name. */
#pragma once
#include <stddef.h>

/* Bytes that MACHINE has taken so far, its start size included; never falls. */
size_t platform_space(void *machine);

/* Bytes in use, garbage included; platform_collect() makes that garbage room. It is the collection that XS makes
 * when it needs room: it shows in nothing. */
size_t platform_used(void *machine);
void platform_collect(void *machine);

/* Ends any crank of MACHINE that takes more than BYTES, start size included. */
void platform_limit_space(void *machine, size_t bytes);

/* From here on, and until platform_stack_given_back(), MACHINE may take so much of the C stack, counted from the
 * caller's place on it: the same in every process. */
void platform_stack_taken(void *machine);
void platform_stack_given_back(void *machine);

/* Calls REPORT for each promise that was rejected and that nobody has looked at. The reason is in
 * XS's exception (xsException). */
void platform_check_rejections(void *machine, void (*report)(void *machine));
