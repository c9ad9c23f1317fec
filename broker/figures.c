/* The answer to STATS: what the kernel, the meter, the store and the process have to say in numbers. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker_own.h"
#include "wire/base/must.h"

/* A row that does not fit is left out: there are no more than some hundreds, but for hosts. */
static void tell(buf_t *rows, const msg_stat_row_t *row)
{
    (void)!msg_encode(TAG_stat_row, row, rows);
}

static void now(buf_t *rows, const char *name, const char *unit, uint64_t value)
{
    tell(rows, &(msg_stat_row_t){.name = text_of(name), .unit = text_of(unit), .value = value});
}

static void so_far(buf_t *rows, const char *name, const char *key, const char *of, const char *unit,
                   uint64_t value)
{
    tell(rows,
         &(msg_stat_row_t){text_of(name), text_of(key), text_of(of), text_of(unit), 1, value});
}

static void of_kernel(void *context, const char *name, const char *key, const char *of,
                      bool counter, uint64_t value)
{
    tell(context, &(msg_stat_row_t){.name = text_of(name),
                                    .key = text_of(key),
                                    .of = text_of(of),
                                    .counter = counter,
                                    .value = value});
}

/* ---- the meter ---- */

static void tell_side(buf_t *rows, const char *prefix, const char *key, const char *of,
                      const meter_side_t *side)
{
    char name[NAME_BYTES_MAX];
    snprintf(name, sizeof name, "%sframes_in", prefix);
    so_far(rows, name, key, of, "", side->frames_in);
    snprintf(name, sizeof name, "%sframes_out", prefix);
    so_far(rows, name, key, of, "", side->frames_out);
    snprintf(name, sizeof name, "%sbytes_in", prefix);
    so_far(rows, name, key, of, "bytes", side->bytes_in);
    snprintf(name, sizeof name, "%sbytes_out", prefix);
    so_far(rows, name, key, of, "bytes", side->bytes_out);
}

static void tell_meter(const broker_t *self, buf_t *rows)
{
    const meter_sums_t *sums = meter_sums(self->meter);
    so_far(rows, "results", "outcome", "ok", "", sums->results_ok);
    so_far(rows, "results", "outcome", "failed", "", sums->results_failed);
    so_far(rows, "commits", "", "", "", sums->commits);
    so_far(rows, "commit_rows", "", "", "", sums->rows);
    so_far(rows, "commit_bytes", "", "", "bytes", sums->row_bytes);
    so_far(rows, "frames_refused", "", "", "", sums->refused);
    tell_side(rows, "", "door", "hosts", &sums->doors[DOOR_HOSTS]);
    tell_side(rows, "", "door", "clients", &sums->doors[DOOR_CLIENTS]);
    tell_side(rows, "", "door", "readers", &sums->doors[DOOR_READERS]);
    for (uint32_t i = 1; i < meter_hosts(self->meter); i++) {
        const meter_side_t *side = meter_host(self->meter, i);
        if (!side) continue;
        char of[16];
        snprintf(of, sizeof of, "h%u", i);
        tell_side(rows, "host_", "host", of, side);
        so_far(rows, "host_deliveries", "host", of, "", side->deliveries);
        so_far(rows, "host_results", "host", of, "", side->results);
    }
}

static void tell_hists(const broker_t *self, buf_t *rows)
{
    buf_t hist = buf_of(STAT_HIST_BYTES_MAX);
    for (meter_hist_t i = 0; i < METER_HISTS; i++) {
        buf_reset(&hist);
        must(hist_encode(meter_hist(self->meter, i), &hist) == ERR_OK);
        msg_hist_row_t row = {.name = text_of(meter_hist_name(i)),
                              .unit = text_of("us"),
                              .hist = {hist.at, hist.len}};
        (void)!msg_encode(TAG_hist_row, &row, rows);
    }
    buf_clear(&hist);
}

/* ---- store and process ---- */

static uint64_t file_bytes(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return 0;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void tell_store(const broker_t *self, buf_t *rows)
{
    uint64_t free = 0, total = 0;
    if (self->is.room)
        self->is.room(&free, &total);
    else
        store_room(self->is.store, &free, &total);
    now(rows, "disk_free", "bytes", free);
    now(rows, "disk_size", "bytes", total);
    now(rows, "disk_level", "", (uint64_t)self->room);
    now(rows, "store_writable", "", self->room == ROOM_ENOUGH && !self->full);
    if (!self->is.dir) return;
    now(rows, "store", "bytes", file_bytes(self->is.dir, "kernel.db"));
    now(rows, "wal", "bytes", file_bytes(self->is.dir, "kernel.db-wal"));
}

static uint64_t resident_bytes(void)
{
    unsigned long whole = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%lu %lu", &whole, &resident) != 2) resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_files(void)
{
    uint64_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return 0;
    for (const struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* that of DIR itself */
}

static uint64_t cpu_us(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

static void tell_process(const broker_t *self, buf_t *rows)
{
    struct rusage usage;
    uint64_t started_ms = meter_sums(self->meter)->started_ms;
    getrusage(RUSAGE_SELF, &usage);
    so_far(rows, "process_cpu", "mode", "user", "us", cpu_us(&usage.ru_utime));
    so_far(rows, "process_cpu", "mode", "system", "us", cpu_us(&usage.ru_stime));
    now(rows, "process_resident_memory", "bytes", resident_bytes());
    now(rows, "process_open_fds", "", open_files());
    now(rows, "process_start_time", "ms", started_ms);
    now(rows, "clock", "us", meter_now_us());
}

void figures_tell(const broker_t *self, bool hists, buf_t *rows)
{
    kernel_figures(self->kernel, of_kernel, rows);
    tell_meter(self, rows);
    tell_store(self, rows);
    tell_process(self, rows);
    if (hists) tell_hists(self, rows);
}
