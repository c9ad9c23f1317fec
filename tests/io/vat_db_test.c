/* A vat's database on a disk that fails: cases.h, with a script of cranks and checkpoints. Each step is some
 * cranks and a checkpoint; some cranks are undone, some steps also copy the file, as when a vat moves.
 *
 * The state is the newest checkpoint with all that belongs to it, and the one before, looked at in a copy that
 * goes back. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/io/cases.h"
#include "vathost/store/vatdb.h"
#include "wire/base/must.h"

enum { STEPS = 12, KEYS = 30, VALUE_BYTES = 6000, HEAP_BYTES = 20000, POOL_BYTES = 1 << 16 };

static char dir[64], path[96], shipped[96], looked_at[96];
static vatstore_t *store;
static uint64_t seed;
static uint8_t pool[POOL_BYTES + VALUE_BYTES];

static uint64_t dice(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed ^ (seed >> 29)) * 0xbf58476d1ce4e5b9u;
}

static err_t open_as(const char *name)
{
    vatdb_options_t options = {.path = name, .kernel = {{1, 2}}, .vat = {7}, .pgen = 1};
    err_t err = vatdb_open(&options, &store);
    if (err) fprintf(stderr, "open: %s: %s\n", err_name(err), store->why(store));
    return err;
}

/* ---- the script ---- */

static err_t script_open(void)
{
    seed = 5;
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)dice();
    return open_as(path);
}

static void script_close(void) { vatstore_destroy(&store); }

static err_t write_some(void)
{
    char name[32];
    kref_t kref = kref_object((vat_t){7}, 1 + dice() % KEYS);
    snprintf(name, sizeof name, "key %d", (int)(dice() % KEYS));
    size_t len = dice() % 4 ? dice() % 100 : dice() % VALUE_BYTES;
    text_t value = {(char *)pool + dice() % POOL_BYTES, len};
    switch (dice() % 6) {
    case 0: return store->remove(store, text_of(name));
    case 1: return store->pair_put(store, kref, (vref_t){text_of(name)}, 1 + dice() % 3);
    case 2: return store->pair_remove(store, kref);
    case 3: return store->counter_put(store, text_of(dice() % 2 ? "objects" : "promises"), dice());
    default: return store->set(store, text_of(name), value);
    }
}

static err_t crank(void)
{
    err_t err = store->crank_begin(store);
    uint64_t writes = 1 + dice() % 6, undo = dice() % 5;
    for (uint64_t i = 0; i < writes && !err; i++) err = write_some();
    if (err) return err;
    return undo == 0 ? store->crank_undo(store) : store->crank_keep(store);
}

static err_t do_step(int step)
{
    seed = (uint64_t)step * 77 + 3;
    err_t err = ERR_OK;
    for (int i = 0; i < 4 && !err; i++) err = crank();
    checkpoint_t made = {.d = (uint64_t)step + 1, .acked = (uint64_t)step};
    memset(made.chain.b, step + 1, sizeof made.chain.b);
    made.results = (bin_t){pool + dice() % POOL_BYTES, dice() % 300};
    made.heap = (bin_t){pool, dice() % HEAP_BYTES};
    if (!err) err = store->checkpoint(store, &made, step == 6);
    return err;
}

/* A worker ends with any error of its store, and another one does it again. Now and then one ends in order,
 * which folds the log into the database. */
static err_t script_step(int step)
{
    if (step % 4 == 3) script_close();
    err_t err = store ? ERR_OK : script_open();
    if (!err && store->newest(store) < (uint64_t)step + 1) err = do_step(step);
    if (!err && step % 4 == 2) err = store->copy(store, shipped);
    if (err) script_close();
    return err;
}

/* ---- what is stored ---- */

static void add(uint64_t *sum, const void *at, size_t len)
{
    *sum = (*sum ^ len) * 1099511628211u;
    for (size_t i = 0; i < len; i++) *sum = (*sum ^ ((const uint8_t *)at)[i]) * 1099511628211u;
}

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    add(context, &kref.n, sizeof kref.n);
    add(context, vref.s.at, vref.s.len);
    add(context, &flags, sizeof flags);
}

static void add_checkpoint(generation_t which, uint64_t *sum)
{
    checkpoint_t at;
    must(store->read(store, which, &at) == ERR_OK);
    add(sum, &at.d, sizeof at.d);
    add(sum, &at.acked, sizeof at.acked);
    add(sum, at.chain.b, sizeof at.chain.b);
    add(sum, at.results.at, at.results.len);
    add(sum, at.heap.at, at.heap.len);
}

static void add_rest(uint64_t *sum)
{
    text_t key = {"", 0}, value;
    bool found = false;
    char copy[64];
    while (store->next(store, key, &value, &found) == ERR_OK && found) {
        memcpy(copy, value.at, value.len);
        key = (text_t){copy, value.len};
        add(sum, key.at, key.len);
        must(store->get(store, key, &value, &found) == ERR_OK && found);
        add(sum, value.at, value.len);
    }
    must(store->pairs(store, add_pair, sum) == ERR_OK);
    uint64_t number = 0;
    must(store->counter_get(store, text_of("objects"), &number) == ERR_OK);
    add(sum, &number, sizeof number);
    must(store->counter_get(store, text_of("promises"), &number) == ERR_OK);
    add(sum, &number, sizeof number);
}

static uint64_t script_sum(void)
{
    uint64_t sum = 14695981039346656037u;
    must(open_as(path) == ERR_OK);
    uint64_t newest = store->newest(store), oldest = store->oldest(store);
    add(&sum, &newest, sizeof newest);
    add_checkpoint(CHECKPOINT_NEWEST, &sum);
    add_rest(&sum);
    if (newest) must(store->copy(store, looked_at) == ERR_OK);
    script_close();
    if (!newest) return sum;

    /* The one before, in a copy. */
    must(open_as(looked_at) == ERR_OK);
    if (oldest && oldest < newest) {
        must(store->back(store) == ERR_OK);
        must(store->newest(store) == oldest);
        add_checkpoint(CHECKPOINT_NEWEST, &sum);
        add_rest(&sum);
    }
    script_close();
    vatdb_delete(looked_at);

    /* What was shipped is whole, of whichever step. */
    if (access(shipped, F_OK) == 0) {
        uint64_t none = 0;
        must(open_as(shipped) == ERR_OK && store->newest(store) > 0);
        add_checkpoint(CHECKPOINT_NEWEST, &none);
        add_rest(&none);
        script_close();
    }
    return sum;
}

static const script_t scripts[] = {
    {"new", STEPS, 0, script_open, script_step, script_close, script_sum, NULL},
    {"recovered", STEPS, 8, script_open, script_step, script_close, script_sum, NULL},
};

static void set_up(void)
{
    bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(dir, sizeof dir, "%s/vatyard-io-XXXXXX", memory ? "/dev/shm" : "/tmp");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/vat-7.db", dir);
    snprintf(shipped, sizeof shipped, "%s/shipped.db", dir);
    snprintf(looked_at, sizeof looked_at, "%s/copy.db", dir);
    shim_start(dir);
}

static void tear_down(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

TestSuite(io, .init = set_up, .fini = tear_down, .timeout = 300);

static void run(fault_t fault)
{
    const char *only = getenv("VATYARD_IO_SCRIPT");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (only && strcmp(only, scripts[i].name) != 0) continue;
        cases_run(&scripts[i], dir, fault);
    }
}

Test(io, killed_anywhere) { run(FAULT_KILL); }
Test(io, the_power_goes_anywhere) { run(FAULT_POWER); }
Test(io, a_read_fails) { run(FAULT_READ); }
Test(io, a_write_fails) { run(FAULT_WRITE); }
Test(io, the_disk_is_full_for_a_while) { run(FAULT_FULL); }
Test(io, a_write_is_short) { run(FAULT_SHORT); }
Test(io, a_sync_fails) { run(FAULT_SYNC); }
Test(io, a_file_cannot_be_opened_or_deleted) { run(FAULT_OPEN); }
Test(io, a_bit_that_is_read_is_another) { run(FAULT_FLIP); }
Test(io, memory_runs_out) { run(FAULT_MEMORY); }
