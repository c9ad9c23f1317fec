#include "cli/bench/machine.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "wire/base/must.h"

static void cpu_name(char *ret, size_t room)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];

    snprintf(ret, room, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value) continue;
        value[strcspn(value, "\n")] = 0;
        snprintf(ret, room, "%s", value + 1 + strspn(value + 1, " "));
        break;
    }
    if (file) fclose(file);
}

machine_t machine_look(void)
{
    machine_t self = {0};
    struct utsname name;
    cpu_set_t set;

    cpu_name(self.cpu, sizeof self.cpu);
    if (uname(&name) == 0)
        snprintf(self.kernel, sizeof self.kernel, "%.50s %.70s", name.sysname, name.release);
    self.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    if (getloadavg(&self.load, 1) != 1) self.load = 0;
    return self;
}

/* ---- processes ---- */

typedef struct {
    pid_t pid, parent;
    uint64_t ticks, pages; /* ticks: with those of children that ended */
    bool counted;
} process_t;

/* The name, in brackets, may have blanks and brackets in it. */
static bool process_read(pid_t pid, process_t *ret)
{
    char path[64], line[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    size_t len = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[len] = 0;
    const char *behind = strrchr(line, ')');
    unsigned long user, kernel;
    long reaped_user, reaped_kernel, pages;
    int parent;
    if (!behind || sscanf(behind + 1,
                          " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d "
                          "%*d %*d %*u %*u %ld",
                          &parent, &user, &kernel, &reaped_user, &reaped_kernel, &pages) != 6)
        return false;
    *ret = (process_t){.pid = pid,
                       .parent = parent,
                       .ticks = user + kernel + (uint64_t)(reaped_user + reaped_kernel),
                       .pages = pages > 0 ? (uint64_t)pages : 0};
    return true;
}

static process_t *processes_read(size_t *ret_count)
{
    DIR *dir = opendir("/proc");
    process_t *all = NULL;
    size_t count = 0, room = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!isdigit((unsigned char)*entry->d_name)) continue;
        if (count == room) {
            room = room ? 2 * room : 256;
            all = realloc(all, room * sizeof *all);
            must(all);
        }
        count += process_read((pid_t)atoi(entry->d_name), &all[count]);
    }
    if (dir) closedir(dir);
    *ret_count = count;
    return all;
}

static bool below(const process_t *all, size_t count, const process_t *process, const pid_t *roots,
                  size_t root_count)
{
    for (size_t i = 0; i < root_count; i++) {
        if (roots[i] && (process->pid == roots[i] || process->parent == roots[i])) return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (all[i].counted && all[i].pid == process->parent) return true;
    }
    return false;
}

usage_t usage_of(const pid_t *roots, size_t count)
{
    size_t all_count;
    process_t *all = processes_read(&all_count);
    usage_t usage = {0};
    uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);

    /* Children of children, until no more are found. */
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < all_count; i++) {
            if (all[i].counted || !below(all, all_count, &all[i], roots, count)) continue;
            all[i].counted = found = true;
            usage.cpu_ns += all[i].ticks * tick_ns;
            usage.rss_bytes += all[i].pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
    }
    free(all);
    return usage;
}
