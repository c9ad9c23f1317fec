/* What is to happen at a time. */
#include "broker/kernel/private.h"

/* Puts TIMER, when it is due some time, into the heap. */
void timer_link(kernel_t *k, ktimer_t *timer)
{
    (void)k;
    (void)timer;
}

/* The handler that a repeater woke has answered. */
void timer_woken(kernel_t *k, uint64_t timer, bool rejected)
{
    (void)k;
    (void)timer;
    (void)rejected;
}

void timers_without_vat(kernel_t *k, const kvat_t *vat)
{
    (void)k;
    (void)vat;
}
