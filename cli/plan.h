/* A cluster file: read, checked, and made into the list of vats to launch.
 *
 *   C1  the form is what cluster.schema.json says, no more and no less;
 *   C2  a key that the schema knows and this version does not honour is an error, never ignored;
 *   C3  every error names line, column and JSON pointer;
 *   C4  paths in the file are relative to the file. */
#pragma once
#include <jansson.h>

#include "cli/fail.h"
#include "wire/base/buf.h"
#include "wire/base/limits.h"

typedef enum { CODE_SOURCE, CODE_BUNDLE, CODE_HASH, CODE_NATIVE } code_kind_t;

typedef struct {
    code_kind_t kind;
    const char *spec; /* path, URL, hash or engine as the file has it; borrowed from the file */
    char pointer[FAIL_NAME_MAX]; /* where SPEC stands in the file */
} code_t;

typedef struct {
    char name[NAME_BYTES_MAX + 1];
    code_t code;
    json_t *values;   /* the parameters as the file has them, with "index" */
    buf_t parameters; /* their smallcaps body, '#' included */
    uint64_t computrons, wall_ms, heap_bytes;  /* 0: the broker's defaults */
    uint64_t window;                           /* likewise */
    uint64_t reap_deliveries, reap_krefs;      /* likewise; REAP_NEVER */
    uint64_t every_rows, every_bytes, idle_ms; /* likewise; checkpoints. REAP_NEVER */
    uint64_t sleep_ms;                         /* 0: never */
    uint64_t poison;                           /* as in LAUNCH_VAT */
    bool critical, mirror;
    char host[NAME_BYTES_MAX + 1];    /* "": round robin */
    char globals[TEXT_BYTES_MAX + 1]; /* names, separated by blanks */
    char hosts[TEXT_BYTES_MAX + 1];   /* likewise; one blank: a list that has none */
} cluster_vat_t;

/* Code that vats of the cluster may name. */
typedef struct {
    char name[NAME_BYTES_MAX + 1];
    code_t code;
} cluster_bundle_t;

/* As LAUNCH_CHANNEL has it. */
typedef struct {
    char name[NAME_BYTES_MAX + 1];
    const char *type;               /* borrowed from the file */
    char place[PATH_BYTES_MAX + 1]; /* an absolute path, host:port, or "" */
    uint64_t direction, unit;
} cluster_channel_t;

typedef struct {
    char path[FAIL_NAME_MAX]; /* as the user named it */
    char name[NAME_BYTES_MAX + 1];
    char *text;
    size_t len;
    json_t *root;
    cluster_vat_t *vats;
    size_t vat_count, bootstrap;
    cluster_bundle_t *bundles;
    size_t bundle_count;
    cluster_channel_t *channels;
    size_t channel_count;
    bool services_given;               /* the file has the key */
    char services[TEXT_BYTES_MAX + 1]; /* names, separated by blanks, channels left out */
    uint64_t hosts_min, hosts_wait_ms;
    bool serial;     /* one crank at a time, whatever the windows */
    char **warnings; /* for people: what is read and has no effect, by ocap-kernel's own habit */
    size_t warning_count;
} plan_t;

/* Reads and checks the file PATH; form only when SCHEMA_ONLY, vats are then not made. The caller
 * owns the plan. NULL and F on failure: FILE_MISSING, JSON_*, KEY_*, VALUE_TYPE, CODE_SOURCES,
 * NOT_SUPPORTED, REFERENCE, GLOBAL_UNKNOWN, FETCH_HOSTS, all the writer's fault. */
plan_t *plan_new(const char *path, bool schema_only, fail_t *f);
void plan_destroy(plan_t **self_p);

/* Gives the bootstrap vat the parameter "argv", in place of one that the file has: SwingSet's rule
 * for what stands behind the file's name. VALUE_TYPE when it makes them too large. */
CHECKED err_t plan_argv(plan_t *self, char *const *words, size_t count, fail_t *f);

/* Gives every vat this window instead of the file's. BAD_VALUE when it is not from 1 to WINDOW_MAX. */
CHECKED err_t plan_window(plan_t *self, uint64_t window, fail_t *f);

/* Gives F the place of the value at POINTER of the file, or of its key when KEY. */
void plan_place(const plan_t *self, const char *pointer, bool key, fail_t *f);

/* Reads a whole file of at most MAX bytes. NULL and FILE_MISSING in F on failure. */
char *file_read(const char *path, size_t max, size_t *ret_len, fail_t *f);

/* For plan*.c alone: C2; what the vats may reach beside each other (services, channels, code by
 * name; globals and hosts of one vat, whose place in the file is POINTER with FAIL_NAME_MAX bytes of
 * room); the code that FROM, at CODE->pointer, names. */
CHECKED err_t plan_honour(plan_t *self, fail_t *f);
/* The only values that KEY may have in this version, as JSON separated by '|' ("": none), and why; NULL
 * when it may have all that the schema takes. */
const char *plan_honoured(const char *key, const char **ret_why);
CHECKED err_t plan_reach(plan_t *self, fail_t *f);
CHECKED err_t plan_reach_vat(const plan_t *self, const char *name, const json_t *from,
                             char *pointer, cluster_vat_t *vat, fail_t *f);
CHECKED err_t plan_code(const plan_t *self, const json_t *from, code_t *code, fail_t *f);
void plan_warn(plan_t *self, const char *format, ...) LIKE_PRINTF(2);
