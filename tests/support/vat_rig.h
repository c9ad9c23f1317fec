/* A supervisor on a store in memory, with whatever engine the test puts behind it: deliveries go in one after the
 * other, the syscalls of the last crank can be read as text. Each test makes its own rig_t. */
#pragma once
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/support/calls.h"
#include "tests/support/memstore.h"
#include "vathost/supervisor/supervisor.h"

typedef struct {
    vatstore_t *store;
    engine_t *engine;
    supervisor_t *supervisor;
    uint64_t d; /* of the last delivery that ran */
    const crank_t *crank;
    char *calls; /* of the last crank */
} rig_t;

/* Takes ENGINE over. */
static inline rig_t rig_with(vat_t vat, engine_t *engine)
{
    rig_t rig = {.store = memstore_new(), .engine = engine};
    rig.supervisor = supervisor_new(vat, rig.store, rig.engine);
    return rig;
}

static inline void rig_clear(rig_t *rig)
{
    supervisor_destroy(&rig->supervisor);
    engine_destroy(&rig->engine);
    vatstore_destroy(&rig->store);
    free(rig->calls);
}

/* The next delivery, of BODY. VERDICT: 0 live, 1 a replay that EXPECTs this hash, 2 not to be run at all. */
static inline err_t run_as(rig_t *rig, msg_tag_t tag, const void *body, uint64_t verdict,
                           hash_t expect)
{
    buf_t frame = buf_of(DELIVERY_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    msg_deliver_t deliver = {
        .d = rig->d + 1, .delivery = {frame.at, frame.len}, .verdict = verdict, .expect = expect};
    err_t err = supervisor_run(rig->supervisor, &deliver, &rig->crank);
    if (!err) {
        rig->d++;
        free(rig->calls);
        rig->calls = calls_text(rig->crank->calls);
    }
    buf_clear(&frame);
    return err;
}

static inline err_t run(rig_t *rig, msg_tag_t tag, const void *body)
{
    return run_as(rig, tag, body, 0, (hash_t){{0}});
}
