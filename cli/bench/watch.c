#include "cli/bench/watch.h"

enum { STATS_MS = 5000 };

static usage_t hosts_usage(const stage_t *stage)
{
    return stage->own ? usage_of(stage->instance.hosts, stage->instance.host_count) : (usage_t){0};
}

void watch_begin(watch_t *self)
{
    fail_t ignored;

    self->asked = !stats_get(self->stage->link, true, STATS_MS, &self->before, &ignored);
    self->hosts = hosts_usage(self->stage);
    self->at_ns = now_ns();
}

void watch_end(watch_t *self, result_t *result)
{
    fail_t ignored;

    if (!self->at_ns) return;
    result->watched_ns = now_ns() - self->at_ns;
    usage_t hosts = hosts_usage(self->stage);
    result->has_hosts = self->stage->own;
    result->hosts_cpu_ns =
        hosts.cpu_ns > self->hosts.cpu_ns ? hosts.cpu_ns - self->hosts.cpu_ns : 0;
    result->hosts_rss_bytes = hosts.rss_bytes;

    if (!self->asked || stats_get(self->stage->link, true, STATS_MS, &result->stats, &ignored))
        return;
    result->has_stats = stats_since(&result->stats, &self->before);
    result->broker_cpu_ns = 1000 * stats_sum(&result->stats, "process_cpu");
    result->broker_rss_bytes = stats_value(&result->stats, "process_resident_memory", "");
}

void watch_clear(watch_t *self) { stats_clear(&self->before); }
