#include "cli/stats.h"

#include <stdlib.h>
#include <string.h>

#include "cli/rows.h"
#include "wire/base/must.h"

static void copy(char to[NAME_BYTES_MAX + 1], text_t from)
{
    snprintf(to, NAME_BYTES_MAX + 1, "%.*s", (int)from.len, from.at);
}

static void take_stat(stats_t *self, size_t *room, const msg_stat_row_t *row)
{
    if (self->count == *room) {
        *room = *room ? 2 * *room : 64;
        self->at = reallocarray(self->at, *room, sizeof *self->at);
        must(self->at);
    }
    stat_t *stat = &self->at[self->count++];
    *stat = (stat_t){.counter = row->counter != 0, .value = row->value};
    copy(stat->name, row->name);
    copy(stat->key, row->key);
    copy(stat->of, row->of);
    copy(stat->unit, row->unit);
}

static err_t take_hist(stats_t *self, const msg_hist_row_t *row)
{
    if (self->hist_count == STATS_HISTS_MAX) return ERR_OK; /* of a newer broker */
    stat_hist_t *hist = &self->hists[self->hist_count];
    err_t err = hist_decode(row->hist, &hist->hist);
    if (err) return err;
    copy(hist->name, row->name);
    copy(hist->unit, row->unit);
    self->hist_count++;
    return ERR_OK;
}

err_t stats_get(link_t *link, bool hists, unsigned ms, stats_t *ret, fail_t *f)
{
    msg_stats_t stats = {request_id(), hists};
    rows_t rows;
    size_t room = 0;

    *ret = (stats_t){0};
    err_t err = rows_ask(link, TAG_stats, &stats, ms, &rows, f);
    if (err) return err;
    for (const msg_t *row; !err && (row = rows_next(&rows));) {
        if (row->tag == TAG_stat_row) take_stat(ret, &room, &row->body.stat_row);
        if (row->tag == TAG_hist_row) err = take_hist(ret, &row->body.hist_row);
    }
    rows_clear(&rows);
    return err ? fail(f, err, "a histogram of the broker cannot be read") : ERR_OK;
}

void stats_clear(stats_t *self)
{
    for (size_t i = 0; i < self->hist_count; i++) hist_destroy(&self->hists[i].hist);
    free(self->at);
    *self = (stats_t){0};
}

stats_t stats_copy(const stats_t *self)
{
    stats_t copy = *self;
    copy.at = reallocarray(NULL, self->count + 1, sizeof *self->at);
    must(copy.at);
    if (self->count) memcpy(copy.at, self->at, self->count * sizeof *self->at);
    for (size_t i = 0; i < self->hist_count; i++) {
        copy.hists[i].hist = hist_copy(self->hists[i].hist);
        must(copy.hists[i].hist);
    }
    return copy;
}

static bool is(const stat_t *stat, const char *name, const char *of)
{
    return strcmp(stat->name, name) == 0 && strcmp(stat->of, of) == 0;
}

static const stat_t *find(const stats_t *self, const char *name, const char *of)
{
    for (size_t i = 0; i < self->count; i++)
        if (is(&self->at[i], name, of)) return &self->at[i];
    return NULL;
}

uint64_t stats_value(const stats_t *self, const char *name, const char *of)
{
    const stat_t *stat = find(self, name, of);
    return stat ? stat->value : 0;
}

uint64_t stats_sum(const stats_t *self, const char *name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->at[i].name, name) == 0) sum += self->at[i].value;
    return sum;
}

const hist_t *stats_hist(const stats_t *self, const char *name)
{
    for (size_t i = 0; i < self->hist_count; i++)
        if (strcmp(self->hists[i].name, name) == 0) return self->hists[i].hist;
    return NULL;
}

bool stats_since(stats_t *self, const stats_t *earlier)
{
    if (stats_value(self, "process_start_time", "") !=
        stats_value(earlier, "process_start_time", ""))
        return false;
    for (size_t i = 0; i < self->count; i++) {
        /* Mostly they stand at the same place. */
        bool same = i < earlier->count && is(&earlier->at[i], self->at[i].name, self->at[i].of);
        const stat_t *before =
            same ? &earlier->at[i] : find(earlier, self->at[i].name, self->at[i].of);
        if (self->at[i].counter && before) self->at[i].value -= before->value;
    }
    for (size_t i = 0; i < self->hist_count; i++) {
        const hist_t *before = stats_hist(earlier, self->hists[i].name);
        if (before && !hist_subtract(self->hists[i].hist, before)) return false;
    }
    uint64_t now_us = stats_value(self, "clock", ""), then_us = stats_value(earlier, "clock", "");
    self->took_us = now_us > then_us ? now_us - then_us : 1;
    return true;
}
