#include "cli/top.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/look.h"
#include "cli/rows.h"
#include "wire/base/must.h"

/* ---- looking ---- */

static void copy(char to[NAME_BYTES_MAX + 1], text_t from)
{
    snprintf(to, NAME_BYTES_MAX + 1, "%.*s", (int)from.len, from.at);
}

static void *grow(void *at, size_t count, size_t size)
{
    /* Doubled whenever the count is a power of two. */
    if (count & (count - 1)) return at;
    void *more = reallocarray(at, count ? 2 * count : 1, size);
    must(more);
    return more;
}

static void take_vat(top_t *self, const msg_vat_row_t *row)
{
    self->vats = grow(self->vats, self->vat_count, sizeof *self->vats);
    top_vat_t *vat = &self->vats[self->vat_count++];
    *vat = (top_vat_t){.number = row->vat.n,
                       .host = row->host.n,
                       .queue = row->queue,
                       .in_flight = row->in_flight,
                       .exports = row->exports,
                       .applied = row->applied,
                       .run_us = row->run_us};
    copy(vat->name, row->name);
    copy(vat->cluster, row->cluster_name);
    copy(vat->state, row->asleep ? text_of("asleep") : row->state);
}

static void take_host(top_t *self, const msg_host_row_t *row)
{
    self->hosts = grow(self->hosts, self->host_count, sizeof *self->hosts);
    top_host_t *host = &self->hosts[self->host_count++];
    *host = (top_host_t){.number = row->host.n, .vats = row->vats};
    copy(host->name, row->name);
    copy(host->state, row->state);
}

static err_t take_rows(top_t *self, link_t *link, rows_what_t what, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, what, false, (kref_t){0}, &rows, f);
    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        if (row->tag == TAG_vat_row) take_vat(self, &row->body.vat_row);
        if (row->tag == TAG_host_row) take_host(self, &row->body.host_row);
    }
    rows_clear(&rows);
    return ERR_OK;
}

static int by_number(const void *left, const void *right)
{
    uint32_t x = ((const top_vat_t *)left)->number, y = ((const top_vat_t *)right)->number;
    return (x > y) - (x < y);
}

err_t top_look(link_t *link, top_t *ret, fail_t *f)
{
    *ret = (top_t){.at_ms = wall_ms()};
    err_t err = stats_get(link, true, ANSWER_MS, &ret->stats, f);
    if (!err) err = take_rows(ret, link, ROWS_VATS, f);
    if (!err) err = take_rows(ret, link, ROWS_HOSTS, f);
    if (ret->vat_count) qsort(ret->vats, ret->vat_count, sizeof *ret->vats, by_number);
    return err;
}

void top_clear(top_t *self)
{
    stats_clear(&self->stats);
    free(self->vats);
    free(self->hosts);
    *self = (top_t){0};
}

static void *copy_of(const void *at, size_t count, size_t size)
{
    void *copy = reallocarray(NULL, count + 1, size);
    must(copy);
    if (count) memcpy(copy, at, count * size);
    return copy;
}

bool top_between(const top_t *earlier, const top_t *later, top_t *ret)
{
    *ret = *later;
    ret->stats = stats_copy(&later->stats);
    ret->vats = copy_of(later->vats, later->vat_count, sizeof *later->vats);
    ret->hosts = copy_of(later->hosts, later->host_count, sizeof *later->hosts);
    if (!stats_since(&ret->stats, &earlier->stats)) {
        top_clear(ret);
        return false;
    }
    for (size_t i = 0, k = 0; i < ret->vat_count; i++) {
        top_vat_t *vat = &ret->vats[i];
        while (k < earlier->vat_count && earlier->vats[k].number < vat->number) k++;
        bool known = k < earlier->vat_count && earlier->vats[k].number == vat->number;
        const top_vat_t before = known ? earlier->vats[k] : (top_vat_t){0};
        vat->turns = vat->applied - before.applied;
        vat->turns_us = vat->run_us - before.run_us;
    }
    return true;
}

double top_seconds(const top_t *self) { return (double)self->stats.took_us / 1e6; }

/* ---- order ---- */

static const char *const sort_names[TOP_SORTS] = {"turns", "queue", "run", "busy", "name", "vat"};

top_sort_t top_sort_named(const char *name)
{
    unsigned sort = 0;
    while (sort < TOP_SORTS && strcmp(sort_names[sort], name) != 0) sort++;
    return (top_sort_t)sort;
}

const char *top_sort_name(top_sort_t sort) { return sort_names[sort]; }

static uint64_t run_us_per_turn(const top_vat_t *vat)
{
    return vat->turns ? vat->turns_us / vat->turns : 0;
}

static int more_first(uint64_t x, uint64_t y) { return (x < y) - (x > y); }

static int compare(const void *left, const void *right, void *context)
{
    const top_vat_t *x = left, *y = right;
    int order = 0;
    switch (*(const top_sort_t *)context) {
    case TOP_TURNS: order = more_first(x->turns, y->turns); break;
    case TOP_QUEUE: order = more_first(x->queue + x->in_flight, y->queue + y->in_flight); break;
    case TOP_RUN: order = more_first(run_us_per_turn(x), run_us_per_turn(y)); break;
    case TOP_BUSY: order = more_first(x->turns_us, y->turns_us); break;
    case TOP_NAME: order = strcmp(x->name, y->name); break;
    case TOP_VAT:
    case TOP_SORTS: break;
    }
    return order ? order : by_number(x, y);
}

void top_sort(top_t *self, top_sort_t sort)
{
    if (self->vat_count) qsort_r(self->vats, self->vat_count, sizeof *self->vats, compare, &sort);
}
