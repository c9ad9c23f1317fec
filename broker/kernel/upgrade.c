/* Upgrades: a row of the log that ends one incarnation and begins the next. */
#include "broker/kernel/private.h"

/* Queues an upgrade of VAT. RESULT, if any, hears of it. */
void upgrade_push(kernel_t *k, kvat_t *vat, text_t bundle, value_t *parameters, text_t message,
                  kref_t result, cause_t cause)
{
    (void)vat;
    (void)bundle;
    (void)parameters;
    (void)message;
    AUTO(value) why = value_failed(k, text_of("vat-upgrade failure"));
    if (!kref_none(result)) promise_settle(k, promise_find(k, result), true, why, cause);
}
