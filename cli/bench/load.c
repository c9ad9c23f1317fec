#include "cli/bench/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "cli/value.h"
#include "wire/base/map.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { TAKEN_AT_ONCE = 256, SLICE_NS = 250 * 1000 * 1000, BEGIN_NS = 100 * 1000 * 1000 };

typedef struct op {
    struct op *next_free;
    uint64_t due_ns, sent_ns; /* since the beginning */
    uint64_t seq;
    size_t lane;
    bool measured;
} op_t;

typedef struct {
    const options_t *options;
    link_t *link;
    lane_t *lanes;
    size_t lane_count, lane_next;
    const load_hooks_t *hooks;
    result_t *result;
    fail_t *f;

    uint64_t begin_ns, measure_ns,
        end_ns; /* begin by the clock, the others since then; UINT64_MAX: open */
    bool timed; /* a closed loop that ends by time */
    bool begun, measuring, sending;
    id128_t ids; /* the first eight bytes are counted up */
    uint64_t id_next;
    map_t in_flight; /* by number of the request */
    op_t *free_ops;
    uint64_t open; /* how many are in flight */
    schedule_t schedule;
    uint64_t due_ns;
    uint64_t last_ns;   /* of the last answer that was measured */
    uint64_t answer_ns; /* of the last answer of all, or of the end of sending */
    uint64_t cpu_ns;
    buf_t body;

    hist_t *now; /* of this interval */
    interval_t interval;
    uint64_t tick_ns;
    size_t interval_room;
    uint64_t units; /* answered in this interval */
} load_t;

static uint64_t since(const load_t *self) { return now_ns() - self->begin_ns; }

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* ---- ids: the number of a request is in its id ---- */

static id128_t id_of(const load_t *self, uint64_t number)
{
    id128_t id = self->ids;

    memcpy(id.b, &number, sizeof number);
    return id;
}

static uint64_t number_of(const load_t *self, const void *id)
{
    uint64_t number;

    memcpy(&number, id, sizeof number);
    return memcmp((const uint8_t *)id + 8, self->ids.b + 8, 8) == 0 ? number : 0;
}

static void op_free(load_t *self, op_t *op)
{
    op->next_free = self->free_ops;
    self->free_ops = op;
    self->open--;
}

/* ---- sending ---- */

static void call(load_t *self, uint64_t due_ns)
{
    const options_t *options = self->options;
    op_t *op = self->free_ops;

    if (op)
        self->free_ops = op->next_free;
    else
        must((op = malloc(sizeof *op)));
    lane_t *lane = &self->lanes[self->lane_next];
    *op = (op_t){.due_ns = due_ns,
                 .seq = ++lane->calls,
                 .lane = self->lane_next,
                 .measured = self->measuring};
    self->lane_next = (self->lane_next + 1) % self->lane_count;

    buf_reset(&self->body);
    bool slots = scenario_call(options, lane, op->seq, &self->body);
    uint64_t number = self->id_next++;
    msg_call_t msg = {.request = id_of(self, number),
                      .target = lane->root,
                      .methargs = {{self->body.at, self->body.len}, {NULL, 0}},
                      .no_result = options->direct && options->scenario->id == SCENARIO_SEND};
    if (slots) msg.methargs.slots = lane->targets;

    op->sent_ns = since(self);
    if (!options->rate) op->due_ns = op->sent_ns;
    link_send(self->link, TAG_call, &msg);
    map_put(&self->in_flight, number, op);
    self->open++;
    self->interval.sent++;
    if (!op->measured) return;
    self->result->sent++;
    if (self->options->rate && op->sent_ns - op->due_ns > LATE_NS) {
        self->result->late++;
        self->interval.late++;
    }
}

static bool enough(const load_t *self)
{
    return self->options->count && self->measuring &&
           self->result->sent + self->result->dropped >= self->options->count;
}

/* What is due now. */
static void send_due(load_t *self)
{
    if (!self->options->rate) {
        while (self->sending && self->open < self->options->concurrency) {
            call(self, since(self));
            if (enough(self)) self->sending = false;
        }
        return;
    }
    for (uint64_t now = since(self); self->sending && self->due_ns <= now;) {
        if (self->due_ns >= self->end_ns) {
            self->sending = false;
            break;
        }
        if (!self->measuring && self->due_ns >= self->measure_ns) break;
        if (self->open < IN_FLIGHT_MAX) {
            call(self, self->due_ns);
        } else {
            self->interval.dropped++;
            if (self->measuring) self->result->dropped++;
        }
        self->due_ns = schedule_next(&self->schedule);
        if (enough(self)) self->sending = false;
    }
}

/* ---- answers ---- */

/* A closed loop by time counts what is answered in that time: what was sent in the warm-up may be most of it. Else
 * what was due, or sent, while it was measured counts, whenever it is answered. */
static bool counts(const load_t *self, const op_t *op, uint64_t now)
{
    return self->timed ? self->measuring && now < self->end_ns : op->measured;
}

static void error_note(load_t *self, const op_t *op, const char *format, ...) LIKE_PRINTF(3);
static void error_note(load_t *self, const op_t *op, const char *format, ...)
{
    va_list list;

    self->interval.errors++;
    *(counts(self, op, since(self)) ? &self->result->errors : &self->result->other_errors) += 1;
    if (*self->result->first_error) return;
    va_start(list, format);
    vsnprintf(self->result->first_error, sizeof self->result->first_error, format, list);
    va_end(list);
}

static void error_value(load_t *self, const op_t *op, const msg_settled_t *settled)
{
    buf_t shown = buf_of(2 * CAPDATA_BYTES_MAX);

    if (value_show(&shown, &settled->value)) buf_reset(&shown);
    error_note(self, op, "%s: %.*s",
               settled->rejected ? "rejected" : "another answer than expected",
               (int)(shown.len < 120 ? shown.len : 120), shown.len ? (const char *)shown.at : "");
    buf_clear(&shown);
}

static void done(load_t *self, op_t *op, bool good)
{
    uint64_t now = since(self);

    if (good) {
        self->interval.answered++;
        self->units += scenario_units(self->options);
        hist_record(self->now, now - op->due_ns);
    }
    if (good && counts(self, op, now)) {
        self->result->answered++;
        self->result->units += scenario_units(self->options);
        hist_record(self->result->response, now - op->due_ns);
        hist_record(self->result->service, now - op->sent_ns);
        self->last_ns = now;
    }
    self->answer_ns = now;
    op_free(self, op);
}

static void take(load_t *self, const msg_t *msg)
{
    uint64_t number = number_of(self, &msg->body);
    op_t *op = number ? map_remove(&self->in_flight, number) : NULL;

    if (!op) return;
    if (msg->tag == TAG_failed) {
        const msg_failed_t *failed = &msg->body.failed;
        error_note(self, op, "%.*s", (int)failed->what.len, failed->what.at);
        done(self, op, false);
    } else if (msg->tag == TAG_sent && kref_none(msg->body.sent.result)) {
        done(self, op, true);
    } else if (msg->tag == TAG_sent) {
        uint64_t again = self->id_next++;
        msg_await_t await = {id_of(self, again), msg->body.sent.result};
        link_send(self->link, TAG_await, &await);
        map_put(&self->in_flight, again, op);
    } else if (msg->tag == TAG_settled) {
        const msg_settled_t *settled = &msg->body.settled;
        bool good = !settled->rejected && scenario_answer(self->options, op->seq, &settled->value);
        if (!good) error_value(self, op, settled);
        done(self, op, good);
    } else {
        error_note(self, op, "an answer that was not expected");
        done(self, op, false);
    }
}

/* ---- phases and intervals ---- */

static void tell(load_t *self, uint64_t now, double seconds)
{
    const options_t *options = self->options;
    moment_t moment = {.warming = !self->measuring,
                       .at_ns = self->measuring ? now - self->measure_ns : now,
                       .end_ns = self->measuring ? options->duration_ns : options->warmup_ns,
                       .done = self->result->answered,
                       .wanted = self->measuring ? options->count : 0,
                       .rate = seconds > 0 ? (double)self->units / seconds : 0,
                       .p99_ns = hist_percentile(self->now, 990000),
                       .waiting = self->sending ? 0 : self->open,
                       .errors = self->result->errors};

    self->hooks->each(self->hooks->context, &moment);
}

static void interval_end(load_t *self, uint64_t now)
{
    result_t *result = self->result;
    uint64_t from = self->tick_ns - self->options->interval_ns;

    tell(self, now, (double)(now - from) / 1e9);
    if (self->measuring && !(self->timed && from >= self->end_ns)) {
        if (result->interval_count == self->interval_room) {
            self->interval_room = self->interval_room ? 2 * self->interval_room : 64;
            result->intervals =
                realloc(result->intervals, self->interval_room * sizeof *result->intervals);
            must(result->intervals);
        }
        interval_t *interval = &result->intervals[result->interval_count++];
        *interval = self->interval;
        interval->from_ns = from - self->measure_ns;
        interval->to_ns = now - self->measure_ns;
        interval->units = self->units;
        interval->in_flight = self->open;
        interval->p50_ns = hist_percentile(self->now, 500000);
        interval->p99_ns = hist_percentile(self->now, 990000);
        interval->max_ns = hist_max(self->now);
    }
    self->interval = (interval_t){0};
    self->units = 0;
    hist_clear(self->now);
    self->tick_ns = now + self->options->interval_ns;
}

static void measure_begin(load_t *self, uint64_t now)
{
    self->measure_ns = self->options->rate ? self->measure_ns : now;
    if (self->options->duration_ns) self->end_ns = self->measure_ns + self->options->duration_ns;
    self->measuring = true;
    self->cpu_ns = thread_cpu_ns();
    self->interval = (interval_t){0};
    self->units = 0;
    hist_clear(self->now);
    self->tick_ns = self->measure_ns + self->options->interval_ns;
}

/* What is measured from outside takes a moment to begin: while nothing is measured here yet. */
static void begin(load_t *self)
{
    self->begun = true;
    self->hooks->begin(self->hooks->context);
}

static void turn_page(load_t *self)
{
    uint64_t now = since(self);

    if (!self->begun && now + BEGIN_NS >= self->measure_ns) begin(self);
    if (!self->measuring && now >= self->measure_ns) measure_begin(self, now);
    if (now >= self->tick_ns) interval_end(self, now);
    /* What was due before the end is sent, however late it is. */
    if (now >= self->end_ns && (!self->options->rate || self->due_ns >= self->end_ns))
        self->sending = false;
}

static uint64_t until_next(const load_t *self)
{
    uint64_t now = since(self), next = self->tick_ns;

    if (!self->measuring && self->measure_ns < next) next = self->measure_ns;
    if (!self->begun && self->measure_ns - BEGIN_NS < next) next = self->measure_ns - BEGIN_NS;
    if (self->sending && self->end_ns < next) next = self->end_ns;
    if (self->sending && self->options->rate && self->due_ns < next) next = self->due_ns;
    if (next <= now) return 0;
    return next - now < SLICE_NS ? next - now : SLICE_NS;
}

static void take_other(void *context, const msg_t *msg) { take(context, msg); }

/* What is in flight when the time is over is waited for as long as answers come. */
static bool over(const load_t *self)
{
    if (signal_caught()) return true;
    if (self->sending) return false;
    return self->open == 0 || since(self) >= self->answer_ns + self->options->patience_ns;
}

/* All that came, or the first thing that comes; but the clock is looked at again when something is due. */
static err_t take_some(load_t *self)
{
    uint64_t wait_ns = until_next(self);

    for (int i = 0; i < TAKEN_AT_ONCE; i++) {
        const msg_t *msg;
        err_t err = link_poll(self->link, wait_ns, &msg, self->f);
        if (err || !msg) return err;
        take(self, msg);
        if (self->options->rate && self->due_ns <= since(self)) break;
        wait_ns = 0;
    }
    return ERR_OK;
}

static err_t run(load_t *self)
{
    err_t err = ERR_OK;

    while (!err && !over(self)) {
        bool sending = self->sending;
        turn_page(self);
        send_due(self);
        if (sending && !self->sending) {
            self->answer_ns = since(self);
            if (self->timed) self->hooks->end(self->hooks->context);
        }
        err = take_some(self);
    }
    return err;
}

static void clear(load_t *self)
{
    for (size_t i = 0; i < self->in_flight.room; i++) free(map_cell(&self->in_flight, i));
    map_clear(&self->in_flight);
    for (op_t *op = self->free_ops, *next; op; op = next) {
        next = op->next_free;
        free(op);
    }
    hist_destroy(&self->now);
    buf_clear(&self->body);
}

/* How long it took, and what was left. A time that was asked for is over when it is over, though the last answer
 * may have come before it. */
static void take_stock(const load_t *self)
{
    const options_t *options = self->options;
    result_t *result = self->result;
    uint64_t now = since(self), asked = options->duration_ns;

    result->unanswered = self->open;
    if (!self->measuring) return;
    uint64_t last = self->last_ns > self->measure_ns ? self->last_ns : now;
    bool whole = asked && !signal_caught() && !(options->count && result->sent >= options->count);
    result->elapsed_ns = last - self->measure_ns;
    if (whole && (self->timed || result->elapsed_ns < asked)) result->elapsed_ns = asked;
    result->own_ns = now - self->measure_ns;
    result->own_cpu_ns = thread_cpu_ns() - self->cpu_ns;
}

err_t load_make(const options_t *options, link_t *link, lane_t *lanes, size_t lane_count,
                const load_hooks_t *hooks, result_t *result, fail_t *f)
{
    load_t self = {.options = options,
                   .link = link,
                   .lanes = lanes,
                   .lane_count = lane_count,
                   .hooks = hooks,
                   .result = result,
                   .f = f,
                   .measure_ns = options->warmup_ns,
                   .end_ns = UINT64_MAX,
                   .sending = true,
                   .ids = request_id(),
                   .id_next = 1,
                   .body = buf_of(CAPDATA_BYTES_MAX),
                   .now = hist_new(7),
                   .tick_ns = options->interval_ns};

    must(lane_count);
    self.timed = !options->rate && options->duration_ns;
    result->response = hist_new(BENCH_BITS);
    result->service = hist_new(BENCH_BITS);
    if (options->rate) {
        double calls = options->rate / (double)scenario_units(options);
        self.schedule = schedule_of(options->arrival, calls, options->seed);
        self.due_ns = schedule_next(&self.schedule);
        if (options->duration_ns) self.end_ns = options->warmup_ns + options->duration_ns;
    }
    /* A time-table in microseconds is of no use to a timer that may be 50 of them late. */
    prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
    link_on_answer(link, take_other, &self);
    if (!options->warmup_ns) begin(&self);
    self.begin_ns = now_ns();
    err_t err = run(&self);
    link_on_answer(link, NULL, NULL);
    if (!err && !(self.timed && !self.sending)) hooks->end(hooks->context);

    take_stock(&self);
    result->stopped = signal_caught() != 0;
    if (self.measuring && (self.interval.answered || self.interval.sent))
        interval_end(&self, since(&self));
    clear(&self);
    return err;
}
