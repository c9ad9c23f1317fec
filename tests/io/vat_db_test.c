/* A vat's database on a disk that fails: cases.h, with a script of cranks and checkpoints. Each step is some
 * cranks and a checkpoint; some cranks are undone, some steps also copy the file, as when a vat moves.
 *
 * The state is the newest checkpoint with all that belongs to it, and the one before, looked at in a copy that
 * goes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/io/cases.h"
#include "vathost/store/vatdb.h"
#include "wire/base/must.h"

enum { STEPS = 12, KEYS = 30, VALUE_BYTES = 6000, HEAP_BYTES = 20000, POOL_BYTES = 1 << 16 };

static char path[96], shipped[96], looked_at[96];
static vatstore_t *store;
static uint8_t pool[POOL_BYTES + VALUE_BYTES];

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
    io_seed = 5;
    for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)io_dice();
    return open_as(path);
}

static void script_close(void) { vatstore_destroy(&store); }

static err_t write_some(void)
{
    char name[32];
    kref_t kref = kref_object((vat_t){7}, 1 + io_dice() % KEYS);
    snprintf(name, sizeof name, "key %d", (int)(io_dice() % KEYS));
    size_t len = io_dice() % 4 ? io_dice() % 100 : io_dice() % VALUE_BYTES;
    text_t value = {(char *)pool + io_dice() % POOL_BYTES, len};
    switch (io_dice() % 6) {
    case 0: return store->remove(store, text_of(name));
    case 1: return store->pair_put(store, kref, (vref_t){text_of(name)}, 1 + io_dice() % 3);
    case 2: return store->pair_remove(store, kref);
    case 3:
        return store->counter_put(store, text_of(io_dice() % 2 ? "objects" : "promises"),
                                  io_dice());
    default: return store->set(store, text_of(name), value);
    }
}

static err_t crank(void)
{
    err_t err = store->crank_begin(store);
    uint64_t writes = 1 + io_dice() % 6, undo = io_dice() % 5;
    for (uint64_t i = 0; i < writes && !err; i++) err = write_some();
    if (err) return err;
    return undo == 0 ? store->crank_undo(store) : store->crank_keep(store);
}

static err_t do_step(int step)
{
    io_seed = (uint64_t)step * 77 + 3;
    err_t err = ERR_OK;
    for (int i = 0; i < 4 && !err; i++) err = crank();
    checkpoint_t made = {.d = (uint64_t)step + 1, .acked = (uint64_t)step};
    memset(made.chain.b, step + 1, sizeof made.chain.b);
    made.results = (bin_t){pool + io_dice() % POOL_BYTES, io_dice() % 300};
    made.heap = (bin_t){pool, io_dice() % HEAP_BYTES};
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

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    io_add(context, &kref.n, sizeof kref.n);
    io_add(context, vref.s.at, vref.s.len);
    io_add(context, &flags, sizeof flags);
}

static void add_checkpoint(generation_t which, uint64_t *sum)
{
    checkpoint_t at;
    must(store->read(store, which, &at) == ERR_OK);
    io_add(sum, &at.d, sizeof at.d);
    io_add(sum, &at.acked, sizeof at.acked);
    io_add(sum, at.chain.b, sizeof at.chain.b);
    io_add(sum, at.results.at, at.results.len);
    io_add(sum, at.heap.at, at.heap.len);
}

static void add_rest(uint64_t *sum)
{
    text_t key = {"", 0}, value;
    bool found = false;
    char copy[64];
    while (store->next(store, key, &value, &found) == ERR_OK && found) {
        memcpy(copy, value.at, value.len);
        key = (text_t){copy, value.len};
        io_add(sum, key.at, key.len);
        must(store->get(store, key, &value, &found) == ERR_OK && found);
        io_add(sum, value.at, value.len);
    }
    must(store->pairs(store, add_pair, sum) == ERR_OK);
    uint64_t number = 0;
    must(store->counter_get(store, text_of("objects"), &number) == ERR_OK);
    io_add(sum, &number, sizeof number);
    must(store->counter_get(store, text_of("promises"), &number) == ERR_OK);
    io_add(sum, &number, sizeof number);
}

static uint64_t script_sum(void)
{
    uint64_t sum = IO_SUM;
    must(open_as(path) == ERR_OK);
    uint64_t newest = store->newest(store), oldest = store->oldest(store);
    io_add(&sum, &newest, sizeof newest);
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

const script_t io_scripts[] = {
    {"new", STEPS, 0, script_open, script_step, script_close, script_sum, NULL},
    {"recovered", STEPS, 8, script_open, script_step, script_close, script_sum, NULL},
};
const size_t io_script_count = sizeof io_scripts / sizeof *io_scripts;

static void set_up(void)
{
    io_set_up();
    snprintf(path, sizeof path, "%s/vat-7.db", io_dir);
    snprintf(shipped, sizeof shipped, "%s/shipped.db", io_dir);
    snprintf(looked_at, sizeof looked_at, "%s/copy.db", io_dir);
}

TestSuite(io, .init = set_up, .fini = io_tear_down, .timeout = 300);

IO_TESTS_OF_ALL_FAULTS
