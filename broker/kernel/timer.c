/* What is to happen at a time. */
#include "broker/kernel/private.h"

/* Puts TIMER, when it is due some time, into the heap. */
void timer_link(kernel_t *k, ktimer_t *timer)
{
    (void)k;
    (void)timer;
}
