/* Objects of the kernel itself, and the answers it owes. */
#include <stdlib.h>

#include "broker/kernel/private.h"

service_t *service_find(const kernel_t *k, kref_t kref) { return map_get(&k->services, kref.n); }

void service_free(service_t *service)
{
    blob_destroy(&service->text);
    free(service);
}

/* Puts PENDING into the list of what it waits for. */
void pending_link(kernel_t *k, pending_t *pending)
{
    promise_t *watched = promise_find(k, kref_of(pending->row.watched));
    kvat_t *vat = vat_find(k, pending->row.vat);
    pending_t **head = watched ? &watched->owed : vat ? &vat->owed : NULL;
    if (!head) return;
    pending->next = *head;
    pending->at = head;
    if (pending->next) pending->next->at = &pending->next;
    *head = pending;
}

void pending_free(pending_t *pending) { free(pending); }
