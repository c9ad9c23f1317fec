/* What the broker counts and measures while it works, for people and for load tests.
 *
 *   M1  it costs next to nothing: counters, histograms of fixed size, a fixed table of what is under way; no
 *       memory is taken for a message;
 *   M2  nothing is decided by it, nothing of it is stored: it begins anew with every start;
 *   M3  a time is only measured between two looks at one clock of this process. `run` is the worker's word.
 *
 * The life of a delivery, in microseconds, each part a histogram of its own:
 *
 *     queue    from its vat's queue into its log; how long the window was shut          (the kernel)
 *     hold     from the log until it left: its batch, and the commit                    (B1)
 *     backlog  at the worker, behind deliveries of the same vat that were sent before
 *     wire     from there to its RESULT, but for the run: both ways, vathost, our own sockets
 *     run      its vat's code, as the RESULT says
 *
 * and `commit`, one value for each batch that was written. One thread. */
#pragma once
#include "broker/io/port.h"
#include "wire/base/hist.h"
#include "wire/codec/codec.h"

typedef enum {
    METER_QUEUE,
    METER_HOLD,
    METER_BACKLOG,
    METER_WIRE,
    METER_RUN,
    METER_COMMIT,
    METER_HISTS
} meter_hist_t;

/* Frames of one door, or one host. */
typedef struct {
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t deliveries, results; /* hosts: what they were sent live, what they answered */
} meter_side_t;

typedef struct meter meter_t;

meter_t *meter_new(void);
void meter_destroy(meter_t **self_p);

/* Microseconds of the clock that everything here is measured with. */
uint64_t meter_now_us(void);

/* A frame of LEN bytes came through DOOR, or left there; of host NUMBER, or of nobody known (0). */
void meter_in(meter_t *self, door_t door, uint32_t number, size_t len);
void meter_out(meter_t *self, door_t door, uint32_t number, size_t len);

/* A frame was refused. */
void meter_refused(meter_t *self);

/* What waited in queues until a step assigned it: COUNT times of kernel_waits(). */
void meter_waits(meter_t *self, const uint64_t *waits, size_t count);

/* Delivery D of VAT leaves for HOST. STEPPED_US: when the step ended that wanted it sent; 0: it was sent again
 * because its worker asked. */
void meter_left(meter_t *self, uint32_t host, vat_t vat, uint64_t d, uint64_t stepped_us);

/* HOST says that a delivery was run. */
void meter_result(meter_t *self, uint32_t host, const msg_result_t *result);

/* A batch of ROWS rows with BYTES bytes in them is durable; it was given to the gate at BEGAN_US. */
void meter_commit(meter_t *self, size_t rows, uint64_t bytes, uint64_t began_us);

/* ---- reading ---- */

typedef struct {
    uint64_t started_ms;               /* since 1970 */
    uint64_t commits, rows, row_bytes; /* of commits */
    uint64_t refused;
    uint64_t results_ok, results_failed;
    meter_side_t doors[DOORS]; /* by door_t */
} meter_sums_t;

const meter_sums_t *meter_sums(const meter_t *self);
const hist_t *meter_hist(const meter_t *self, meter_hist_t which);
const char *meter_hist_name(meter_hist_t which);

/* What host NUMBER did; NULL: nothing. Numbers go up to meter_hosts(). */
const meter_side_t *meter_host(const meter_t *self, uint32_t number);
uint32_t meter_hosts(const meter_t *self);
