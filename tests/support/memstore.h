/* A vat's store in memory: what vathost/store does with SQLite, for tests without files. */
#pragma once
#include "vathost/supervisor/store.h"

/* The caller owns it; vatstore_destroy() ends it. */
vatstore_t *memstore_new(void);

/* Everything in it as one text, in order: "s key=value", "p ko3.1=o+10 3", "c export_object=2",
 * one a line. The caller frees it. */
char *memstore_dump(const vatstore_t *store);

/* Another file: the newest checkpoint of STORE, and nothing older. There is one. The caller owns it. */
vatstore_t *memstore_copy(const vatstore_t *store);

/* The process ended: all since the newest checkpoint is forgotten. */
void memstore_crash(vatstore_t *store);

/* Damages the heap of a checkpoint, so that it cannot be read. There is such a checkpoint. */
void memstore_damage(vatstore_t *store, generation_t which);

/* The N-th operation from now fails with STORE; 0 never. */
void memstore_fail(vatstore_t *store, unsigned n);
