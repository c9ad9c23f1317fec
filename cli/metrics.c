#include "cli/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

/* What a row of STATS is called here, and what it says to people. Names follow SwingSet's where the thing is the
 * same. What is not in the table has a name made of its own and its unit. */
static const struct {
    const char *from, *name, *help;
} names[] = {
    {"deliveries", "vatyard_deliveries_total", "Deliveries assigned to vats."},
    {"syscalls", "vatyard_syscalls_total", "Syscalls of cranks that were applied."},
    {"gc_actions", "vatyard_gc_actions_total", "References that garbage collection told vats of."},
    {"resolutions", "vatyard_resolutions_total", "Promises settled."},
    {"rejections", "vatyard_rejections_total", "Promises rejected."},
    {"results", "vatyard_results_total", "Results that workers sent."},
    {"vats", "vatyard_vats", "Vats, those that ended included."},
    {"run_queue_length", "vatyard_run_queue_length", "Entries that wait in vats' queues."},
    {"in_flight", "vatyard_deliveries_in_flight", "Deliveries assigned and not applied."},
    {"clist_entries", "vatyard_clist_entries",
     "References that vats hold, and objects they exported."},
    {"hosts", "vatyard_hosts", "Hosts that were ever admitted."},
    {"clusters", "vatyard_clusters", "Clusters."},
    {"kernel_objects", "vatyard_kernel_objects", "Objects."},
    {"kernel_promises", "vatyard_kernel_promises", "Promises."},
    {"timers", "vatyard_timers", "Timers that vats set."},
    {"errands", "vatyard_errands", "Fetches and reads that the agent was asked for."},
    {"epoch", "vatyard_broker_epoch", "How often the broker was started on this state."},
    {"commits", "vatyard_commits_total", "Batches written to disk."},
    {"commit_rows", "vatyard_commit_rows_total", "Rows in them."},
    {"commit_bytes", "vatyard_commit_bytes_total", "Bytes in these."},
    {"frames_refused", "vatyard_frames_refused_total", "Frames that were no use."},
    {"frames_in", "vatyard_received_frames_total", "Frames received."},
    {"frames_out", "vatyard_sent_frames_total", "Frames sent."},
    {"bytes_in", "vatyard_received_bytes_total", "Bytes of frames received."},
    {"bytes_out", "vatyard_sent_bytes_total", "Bytes of frames sent."},
    {"host_frames_in", "vatyard_host_received_frames_total", "Frames received from a host."},
    {"host_frames_out", "vatyard_host_sent_frames_total", "Frames sent to a host."},
    {"host_bytes_in", "vatyard_host_received_bytes_total", "Bytes of frames from a host."},
    {"host_bytes_out", "vatyard_host_sent_bytes_total", "Bytes of frames to a host."},
    {"host_deliveries", "vatyard_host_deliveries_total", "Deliveries sent to a host."},
    {"host_results", "vatyard_host_results_total", "Results that came from a host."},
    {"disk_free", "vatyard_disk_free_bytes", "Room on the disk of the state directory."},
    {"store_writable", "vatyard_store_writable",
     "1: there is room for work; 0: clients are refused."},
    {"store", "vatyard_store_bytes", "Size of kernel.db."},
    {"wal", "vatyard_wal_bytes", "Size of its write-ahead log."},
    {"process_cpu", "vatyard_cpu_seconds_total", "CPU time of the broker by mode."},
    {"process_resident_memory", "process_resident_memory_bytes", "Resident memory of the broker."},
    {"process_open_fds", "process_open_fds", "Open file descriptors of the broker."},
    {"process_start_time", "process_start_time_seconds", "Start of the broker since 1970."},
    {"queue", "vatyard_delivery_wait_seconds", "In the vat's queue, until the window had room."},
    {"hold", "vatyard_delivery_hold_seconds", "From then until it left: its batch and the commit."},
    {"backlog", "vatyard_delivery_backlog_seconds", "At the worker, behind others of its vat."},
    {"wire", "vatyard_delivery_wire_seconds", "There and back, but for the run."},
    {"run", "vatyard_delivery_run_seconds", "In the vat's code, as its worker says."},
    {"commit", "vatyard_commit_seconds", "Writing one batch to disk."},
};

/* Microseconds. */
static const uint64_t buckets[] = {50,     100,     250,     500,     1000,    2500,
                                   5000,   10000,   25000,   50000,   100000,  250000,
                                   500000, 1000000, 2500000, 5000000, 10000000};

typedef struct {
    buf_t *out;
    err_t err;
} write_t;

static void put(write_t *self, const char *format, ...) LIKE_PRINTF(2);
static void put(write_t *self, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (!self->err) self->err = buf_print_list(self->out, format, list);
    va_end(list);
}

/* A number of UNIT in base units; times have no more than microseconds. */
static void put_value(write_t *self, const char *unit, uint64_t value)
{
    if (strcmp(unit, "us") == 0)
        put(self, "%" PRIu64 ".%06" PRIu64, value / 1000000, value % 1000000);
    else if (strcmp(unit, "ms") == 0)
        put(self, "%" PRIu64 ".%03" PRIu64, value / 1000, value % 1000);
    else
        put(self, "%" PRIu64, value);
}

/* A name of letters, digits and '_' for what is not in the table. */
static void name_made(const stat_t *stat, char ret[2 * NAME_BYTES_MAX])
{
    bool time = strcmp(stat->unit, "us") == 0 || strcmp(stat->unit, "ms") == 0;
    const char *unit = time ? "_seconds" : strcmp(stat->unit, "bytes") == 0 ? "_bytes" : "";
    snprintf(ret, 2 * NAME_BYTES_MAX, "vatyard_%.60s%s%s", stat->name, unit,
             stat->counter ? "_total" : "");
    for (char *at = ret; *at; at++) {
        bool good = (*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '_';
        if (!good) *at = '_';
    }
}

static void name_of(const stat_t *stat, char ret[2 * NAME_BYTES_MAX], const char **ret_help)
{
    *ret_help = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].from, stat->name) != 0) continue;
        snprintf(ret, 2 * NAME_BYTES_MAX, "%s", names[i].name);
        *ret_help = names[i].help;
        return;
    }
    name_made(stat, ret);
}

static void put_head(write_t *self, const char *name, const char *help, const char *type)
{
    if (*help) put(self, "# HELP %s %s\n", name, help);
    put(self, "# TYPE %s %s\n", name, type);
}

/* A label's value may be anything. */
static void put_label(write_t *self, const stat_t *stat)
{
    if (!*stat->key) return;
    put(self, "{%s=\"", stat->key);
    for (const char *at = stat->of; *at; at++) {
        if (*at == '\n')
            put(self, "\\n");
        else
            put(self, *at == '\\' || *at == '"' ? "\\%c" : "%c", *at);
    }
    put(self, "\"}");
}

static void put_family(write_t *self, const stat_t *const *rows, size_t count)
{
    char name[2 * NAME_BYTES_MAX];
    const char *help;
    if (strcmp(rows[0]->name, "clock") == 0) return; /* only good for differences of two answers */
    name_of(rows[0], name, &help);
    put_head(self, name, help, rows[0]->counter ? "counter" : "gauge");
    for (size_t i = 0; i < count; i++) {
        put(self, "%s", name);
        put_label(self, rows[i]);
        put(self, " ");
        put_value(self, rows[i]->unit, rows[i]->value);
        put(self, "\n");
    }
}

/* By name; rows of one name as they came, which is their order in memory. */
static int compare(const void *left, const void *right)
{
    const stat_t *x = *(const stat_t *const *)left, *y = *(const stat_t *const *)right;
    int order = strcmp(x->name, y->name);
    return order ? order : (x > y) - (x < y);
}

/* All of one name stand together, as the format wants it. */
static void put_families(write_t *self, const stats_t *stats)
{
    const stat_t **rows = reallocarray(NULL, stats->count + 1, sizeof *rows);
    must(rows);
    for (size_t i = 0; i < stats->count; i++) rows[i] = &stats->at[i];
    qsort(rows, stats->count, sizeof *rows, compare);
    for (size_t first = 0, next; first < stats->count; first = next) {
        next = first + 1;
        while (next < stats->count && strcmp(rows[next]->name, rows[first]->name) == 0) next++;
        put_family(self, rows + first, next - first);
    }
    free(rows);
}

static void put_hist(write_t *self, const stat_hist_t *row)
{
    char name[2 * NAME_BYTES_MAX];
    const char *help;
    stat_t stat = {0};
    snprintf(stat.name, sizeof stat.name, "%s", row->name);
    snprintf(stat.unit, sizeof stat.unit, "%s", row->unit);
    name_of(&stat, name, &help);
    put_head(self, name, help, "histogram");
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        put(self, "%s_bucket{le=\"", name);
        put(self, "%g", (double)buckets[i] / 1e6);
        put(self, "\"} %" PRIu64 "\n", hist_count_to(row->hist, buckets[i]));
    }
    put(self, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, hist_count(row->hist));
    put(self, "%s_sum ", name);
    put_value(self, row->unit, hist_sum(row->hist));
    put(self, "\n%s_count %" PRIu64 "\n", name, hist_count(row->hist));
}

/* The one name for it that every process is expected to have, without a label. */
static void put_cpu(write_t *self, const stats_t *stats)
{
    put_head(self, "process_cpu_seconds_total", "CPU time of the broker.", "counter");
    put(self, "process_cpu_seconds_total ");
    put_value(self, "us", stats_sum(stats, "process_cpu"));
    put(self, "\n");
}

err_t metrics_add(const stats_t *stats, buf_t *out)
{
    write_t self = {out, ERR_OK};
    put_families(&self, stats);
    put_cpu(&self, stats);
    for (size_t i = 0; i < stats->hist_count; i++)
        if (strcmp(stats->hists[i].unit, "us") == 0) put_hist(&self, &stats->hists[i]);
    return self.err;
}
