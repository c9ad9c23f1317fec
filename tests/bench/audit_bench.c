/* What a start and an audit cost: a kernel with OBJECTS objects, each held by one of the other vats and
 * some by more, a tenth as many promises, and a tenth as many queue entries. All of it is consistent.
 *
 *   audit_bench [OBJECTS [VATS]]     loads it into a kernel, audits it, looks for rings, and lists
 *   audit_bench --rows OBJECTS       prints the rows as SQL, for a kernel.db (audit_file.py) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/kernel/kernel.h"
#include "wire/base/must.h"

enum { VATS_DEFAULT = 100, QUARANTINED = 3 };

typedef struct {
    uint64_t objects, vats;
    kernel_t *kernel; /* NULL: print */
    uint64_t rows;
} bench_t;

/* Wall clock, and what this process itself took: on a busy machine the second is the figure. */
typedef struct {
    double wall, own;
} moment_t;

static double clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static moment_t now(void)
{
    return (moment_t){clock_of(CLOCK_MONOTONIC), clock_of(CLOCK_PROCESS_CPUTIME_ID)};
}

static void say(const char *what, moment_t from, moment_t to)
{
    printf("%-22s %6.2f s, of CPU %6.2f s\n", what, to.wall - from.wall, to.own - from.own);
}

static void print_value(const column_t *column, const void *at)
{
    if (column->kind == KIND_u64) {
        uint64_t n;
        memcpy(&n, at, sizeof n);
        printf("%" PRId64, (int64_t)n);
        return;
    }
    bin_t bin; /* text_t has the same shape */
    memcpy(&bin, at, sizeof bin);
    bool text = column->kind == KIND_text;
    printf(text ? "'%.*s'" : "x'", (int)bin.len, (const char *)bin.at);
    for (size_t i = 0; !text && i < bin.len; i++) printf("%02x", bin.at[i]);
    if (!text) printf("'");
}

static void print_row(const row_t *row)
{
    const table_t *table = &row_tables[row->table];
    printf("INSERT OR REPLACE INTO %s VALUES(", table->name);
    for (size_t i = 0; i < table->column_count; i++) {
        if (i) printf(",");
        print_value(&table->columns[i], (const char *)&row->body + table->columns[i].offset);
    }
    printf(");\n");
}

static void put(bench_t *self, row_t row)
{
    self->rows++;
    if (self->kernel)
        must(kernel_load(self->kernel, &row) == ERR_OK);
    else
        print_row(&row);
}

#define PUT(self, name, ...) \
    put(self, (row_t){.table = ROW_##name, .body.name = (row_##name##_t){__VA_ARGS__}})

static uint8_t zeros[32], key[32] = {7};

static void put_counters(bench_t *self)
{
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {{"epoch", 1},     {"kernel_hi", 1},
                    {"kernel_lo", 2}, {"next_vat", self->vats},
                    {"next_host", 1}, {"next_input", self->objects}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        PUT(self, counter, .name = text_of(counters[i].name), .value = counters[i].value);
}

static uint64_t per_vat(const bench_t *self) { return self->objects / self->vats; }
static uint64_t promises_of(const bench_t *self) { return self->objects / self->vats / 10; }

/* They are in quarantine, so that nothing of their queues moves. */
static void put_vats(bench_t *self)
{
    PUT(self, host, .host = 1, .name = text_of("h"), .key = {key, 32}, .epoch = 1);
    for (uint64_t v = 1; v <= self->vats; v++)
        PUT(self, vat, .vat = v, .name = text_of("vat"), .host = 1, .state = QUARANTINED, .inc = 1,
            .pgen = 1, .assigned = 1, .applied = 1, .objects = per_vat(self),
            .promises = promises_of(self), .chain = {zeros, 32}, .window = 1,
            .reap_deliveries = REAP_NEVER, .reap_krefs = REAP_NEVER);
}

static uint64_t object_of(const bench_t *self, uint64_t vat, uint64_t n)
{
    return kref_object((vat_t){(uint32_t)((vat - 1) % self->vats + 1)}, n).n;
}

static uint64_t promise_of(const bench_t *self, uint64_t vat, uint64_t n)
{
    return kref_promise((vat_t){(uint32_t)((vat - 1) % self->vats + 1)}, n).n;
}

/* Object n of vat v: held by vat v - 1, and every second one by vat v - 2; the first tenth is in a
 * queue as well. */
static void put_objects(bench_t *self)
{
    for (uint64_t v = 1; v <= self->vats; v++) {
        PUT(self, object, .kref = object_of(self, v, 0), .owner = v,
            .reachable = 1 + promises_of(self), .recognizable = 1 + promises_of(self), .pins = 1);
        for (uint64_t n = 1; n <= per_vat(self); n++) {
            uint64_t count = n % 2 == 0 ? 2 : 1;
            if (n <= promises_of(self)) count++;
            PUT(self, object, .kref = object_of(self, v, n), .owner = v, .reachable = count,
                .recognizable = count);
        }
    }
}

/* Each counts three times: for its decider, a subscriber, an entry. */
static void put_promises(bench_t *self)
{
    for (uint64_t v = 1; v <= self->vats; v++)
        for (uint64_t n = 1; n <= promises_of(self); n++)
            PUT(self, promise, .kref = promise_of(self, v, n), .decider = v, .decider_d = 1,
                .count = 3);
}

static void put_entries(bench_t *self)
{
    static const uint8_t body[] = "#[\"take\",[\"$0.Alleged: thing\",\"&1\"]]";
    uint8_t slots[16];
    uint64_t seq = 0;
    for (uint64_t v = 1; v <= self->vats; v++) {
        for (uint64_t n = 1; n <= promises_of(self); n++) {
            uint64_t krefs[2] = {object_of(self, v, n), promise_of(self, v, n)};
            for (size_t i = 0; i < 16; i++)
                slots[i] = (uint8_t)(krefs[i / 8] >> (56 - 8 * (i % 8)));
            seq++;
            PUT(self, entry, .holder = v, .seq = seq, .kind = 1, .target = object_of(self, v, 0),
                .body = {body, sizeof body - 1}, .slots = {slots, 16}, .msg_d = seq);
        }
    }
}

static void put_held(bench_t *self)
{
    for (uint64_t v = 1; v <= self->vats; v++) {
        PUT(self, held, .vat = v, .kref = object_of(self, v, 0), .flags = 3, .since_d = 1);
        for (uint64_t n = 1; n <= per_vat(self); n++) {
            PUT(self, held, .vat = v, .kref = object_of(self, v, n), .flags = 3, .since_d = 1);
            PUT(self, held, .vat = v, .kref = object_of(self, v + 1, n), .flags = 1, .since_d = 1,
                .intro_d = 1);
            if (n % 2 == 0)
                PUT(self, held, .vat = v, .kref = object_of(self, v + 2, n), .flags = 1,
                    .since_d = 1, .intro_d = 1);
        }
        for (uint64_t n = 1; n <= promises_of(self); n++) {
            PUT(self, held, .vat = v, .kref = promise_of(self, v, n), .flags = 3, .since_d = 1);
            PUT(self, held, .vat = v, .kref = promise_of(self, v + 1, n), .flags = 5, .since_d = 1,
                .intro_d = 1);
        }
    }
}

static void put_all(bench_t *self)
{
    put_counters(self);
    put_vats(self);
    put_objects(self);
    put_promises(self);
    put_entries(self);
    put_held(self);
}

static void found(void *context, const char *rule, const char *row, const char *should)
{
    (void)context;
    fprintf(stderr, "%s  %s: %s\n", rule, row, should);
}

static void ask(bench_t *self, msg_list_t list)
{
    msg_t msg = {.tag = TAG_list, .body.list = list};
    input_t input = {.kind = INPUT_CLIENT, .from = 1, .now_us = 1, .msg = &msg};
    effects_t effects = {0};
    kernel_step(self->kernel, &input, &effects);
    effects_clear(&effects);
}

static int measure(bench_t *self)
{
    static const uint8_t entropy[32] = {1};
    self->kernel = kernel_new();
    moment_t begin = now();
    put_all(self);
    moment_t loaded = now();
    err_t err = kernel_loaded(self->kernel, entropy);
    moment_t linked = now();
    size_t findings = kernel_audit(self->kernel, found, NULL);
    moment_t audited = now();
    ask(self, (msg_list_t){.what = 6});
    moment_t ringed = now();
    ask(self, (msg_list_t){.what = 7, .limit = 1000});
    moment_t paged = now();
    ask(self, (msg_list_t){.what = 7, .vat = {1}});
    moment_t owned = now();
    ask(self, (msg_list_t){.what = 7});
    moment_t listed = now();
    printf("%" PRIu64 " objects, %" PRIu64 " promises, %" PRIu64 " entries, %" PRIu64
           " rows in all\n",
           per_vat(self) * self->vats + self->vats, promises_of(self) * self->vats,
           promises_of(self) * self->vats, self->rows);
    say("load", begin, loaded);
    say("link, and first audit", loaded, linked);
    say("audit", linked, audited);
    say("rings", audited, ringed);
    say("1000 objects of all", ringed, paged);
    say("objects of one vat", paged, owned);
    say("all objects", owned, listed);
    printf("%zu findings\n", findings);
    kernel_destroy(&self->kernel);
    return err || findings ? 9 : 0;
}

int main(int argc, char **argv)
{
    bench_t bench = {.vats = VATS_DEFAULT, .objects = 1000 * 1000};
    if (argc == 3 && strcmp(argv[1], "--rows") == 0) {
        bench.objects = strtoull(argv[2], NULL, 10);
        printf("BEGIN;\n");
        put_all(&bench);
        printf("COMMIT;\n");
        return 0;
    }
    if (argc > 1) bench.objects = strtoull(argv[1], NULL, 10);
    if (argc > 2) bench.vats = strtoull(argv[2], NULL, 10);
    if (bench.vats < 3 || bench.objects < bench.vats) return 2;
    return measure(&bench);
}
