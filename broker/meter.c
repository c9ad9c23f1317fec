#include "broker/meter.h"

#include <stdlib.h>
#include <time.h>

#include "wire/base/must.h"

enum {
    /* Values are known to one part in 32: 10 KiB for each histogram. */
    PRECISION = 5,

    /* What is under way at most, of 1024 vats with full windows. Beyond that a vat may take the place of another
     * one's delivery, which is not measured then. */
    UNDER_WAY = 1 << 14,
    WINDOW = 16,

    /* Hosts that are counted each for itself. */
    HOSTS_MAX = 4096,
};

_Static_assert((UNDER_WAY & (UNDER_WAY - 1)) == 0 && UNDER_WAY % WINDOW == 0, "places are masked");

/* A delivery that left, and stays here as done until another one takes its place. */
typedef struct {
    uint64_t d, left_us, done_us; /* done_us 0: no RESULT yet */
    uint32_t vat;
} under_way_t;

struct meter {
    meter_sums_t sums;
    hist_t *hists[METER_HISTS];
    meter_side_t *hosts; /* by number */
    uint32_t host_room;
    under_way_t *under_way;
};

static uint64_t clock_us(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t meter_now_us(void) { return clock_us(CLOCK_MONOTONIC); }

meter_t *meter_new(void)
{
    meter_t *self = calloc(1, sizeof *self);
    must(self);
    self->sums.started_ms = clock_us(CLOCK_REALTIME) / 1000;
    self->under_way = calloc(UNDER_WAY, sizeof *self->under_way);
    must(self->under_way);
    for (int i = 0; i < METER_HISTS; i++) {
        self->hists[i] = hist_new(PRECISION);
        must(self->hists[i]);
    }
    return self;
}

void meter_destroy(meter_t **self_p)
{
    meter_t *self = *self_p;
    *self_p = NULL;
    if (!self) return;
    for (int i = 0; i < METER_HISTS; i++) hist_destroy(&self->hists[i]);
    free(self->under_way);
    free(self->hosts);
    free(self);
}

/* ---- frames ---- */

/* NULL: it is one too many. */
static meter_side_t *host_side(meter_t *self, uint32_t number)
{
    if (number >= HOSTS_MAX) return NULL;
    if (number >= self->host_room) {
        uint32_t room = self->host_room ? self->host_room : 16;
        while (room <= number) room *= 2;
        self->hosts = reallocarray(self->hosts, room, sizeof *self->hosts);
        must(self->hosts);
        for (uint32_t i = self->host_room; i < room; i++) self->hosts[i] = (meter_side_t){0};
        self->host_room = room;
    }
    return &self->hosts[number];
}

static meter_side_t *side_of(meter_t *self, door_t door, uint32_t number)
{
    return door == DOOR_HOSTS && number ? host_side(self, number) : NULL;
}

static void count_in(meter_side_t *side, size_t len)
{
    side->frames_in++;
    side->bytes_in += len;
}

static void count_out(meter_side_t *side, size_t len)
{
    side->frames_out++;
    side->bytes_out += len;
}

void meter_in(meter_t *self, door_t door, uint32_t number, size_t len)
{
    meter_side_t *side = side_of(self, door, number);
    count_in(&self->sums.doors[door], len);
    if (side) count_in(side, len);
}

void meter_out(meter_t *self, door_t door, uint32_t number, size_t len)
{
    meter_side_t *side = side_of(self, door, number);
    count_out(&self->sums.doors[door], len);
    if (side) count_out(side, len);
}

void meter_refused(meter_t *self) { self->sums.refused++; }

/* ---- deliveries ---- */

void meter_waits(meter_t *self, const uint64_t *waits, size_t count)
{
    for (size_t i = 0; i < count; i++) hist_record(self->hists[METER_QUEUE], waits[i]);
}

/* Neighbours in a vat's window have places beside each other, and so have vats. */
static under_way_t *place_of(meter_t *self, vat_t vat, uint64_t d)
{
    uint64_t at = (uint64_t)vat.n * WINDOW + d % WINDOW;
    return &self->under_way[at & (UNDER_WAY - 1)];
}

static bool is(const under_way_t *place, vat_t vat, uint64_t d)
{
    return place->vat == vat.n && place->d == d;
}

static uint64_t between(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us ? to_us - from_us : 0;
}

void meter_left(meter_t *self, uint32_t host, vat_t vat, uint64_t d, uint64_t stepped_us)
{
    uint64_t now_us = meter_now_us();
    *place_of(self, vat, d) = (under_way_t){.d = d, .left_us = now_us, .vat = vat.n};
    if (stepped_us) hist_record(self->hists[METER_HOLD], between(stepped_us, now_us));
    meter_side_t *side = side_of(self, DOOR_HOSTS, host);
    if (side) side->deliveries++;
}

void meter_result(meter_t *self, uint32_t host, const msg_result_t *result)
{
    uint64_t now_us = meter_now_us();
    meter_side_t *side = side_of(self, DOOR_HOSTS, host);
    if (side) side->results++;
    if (result->outcome)
        self->sums.results_failed++;
    else
        self->sums.results_ok++;

    under_way_t *place = place_of(self, result->vat, result->d);
    if (!is(place, result->vat, result->d) || place->done_us) return; /* said again, or too many */
    place->done_us = now_us;

    const under_way_t *before = place_of(self, result->vat, result->d - 1);
    bool behind = is(before, result->vat, result->d - 1) && before->done_us > place->left_us;
    uint64_t turn_us = behind ? before->done_us : place->left_us;
    uint64_t rest_us = between(turn_us, now_us);
    hist_record(self->hists[METER_BACKLOG], turn_us - place->left_us);
    hist_record(self->hists[METER_WIRE], between(result->run_us, rest_us));
    hist_record(self->hists[METER_RUN], result->run_us);
}

void meter_commit(meter_t *self, size_t rows, uint64_t bytes, uint64_t began_us)
{
    self->sums.commits++;
    self->sums.rows += rows;
    self->sums.row_bytes += bytes;
    hist_record(self->hists[METER_COMMIT], between(began_us, meter_now_us()));
}

/* ---- reading ---- */

const meter_sums_t *meter_sums(const meter_t *self) { return &self->sums; }

const hist_t *meter_hist(const meter_t *self, meter_hist_t which) { return self->hists[which]; }

const char *meter_hist_name(meter_hist_t which)
{
    static const char *const names[METER_HISTS] = {"queue", "hold", "backlog",
                                                   "wire",  "run",  "commit"};
    return names[which];
}

const meter_side_t *meter_host(const meter_t *self, uint32_t number)
{
    if (number >= self->host_room) return NULL;
    const meter_side_t *side = &self->hosts[number];
    return side->frames_in || side->frames_out ? side : NULL;
}

uint32_t meter_hosts(const meter_t *self) { return self->host_room; }
