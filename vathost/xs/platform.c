/* What XS asks of the machine it runs on: memory, the run loop, the end of a crank that must not go
 * on. Takes the place of xsnap's own platform file, so that
 *
 *   X1  there is no clock in here: a job that waits runs when nothing else can, in the order of its
 *       making (the queue is in JavaScript, vathost/xs/js/turns.js);
 *   X2  no debugger is ever dialled, whatever the environment says;
 *   X3  limits belong to one machine: allocationLimit is set by whoever made it;
 *   X4  an unhandled rejection is reported and nothing more.
 *
 * Compiled into libxs, in XS's own terms. */
#include <ucontext.h>

#include "xsAll.h"
#include "xsScript.h"
#include "xsSnapshot.h"

#include "vathost/xs/platform.h"

/* Address space for strings and buffers of one machine; pages are taken as they are needed. */
static const size_t chunk_reserve_bytes = (size_t)1 << 30;

/* ---- the end of a crank ---- */

/* XS has no place in a machine for it; set only while rejections are checked. */
static _Thread_local void (*rejection_report)(void *machine);

void fxAbort(txMachine *the, int status)
{
    if (status == XS_UNHANDLED_REJECTION_EXIT) {
        if (rejection_report) rejection_report(the);
        mxException = mxUndefined;
        return;
    }
    the->abortStatus = status;
    fxExitToHost(the);
}

/* ---- memory ---- */

txSize platform_slots_wanted(txMachine *the);
txSize platform_chunks_wanted(txMachine *the, txSize least);
txSlot **platform_jobs_end(txMachine *the, txSlot **first);
void platform_jobs_last(txMachine *the, txSlot *slot);
txSlot **platform_kept_end(txMachine *the, txSlot **first, txSlot *target);
void platform_kept_last(txMachine *the, txSlot *slot);

static void space_take(txMachine *the, size_t bytes)
{
    the->allocatedSpace += bytes;
    if (the->allocatedSpace > the->allocationLimit) fxAbort(the, XS_NOT_ENOUGH_MEMORY_EXIT);
}

static size_t page_round(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

void *fxAllocateChunks(txMachine *the, txSize size)
{
    space_take(the, (size_t)size);
    txByte *base, *end;
    if (the->firstBlock) {
        base = (txByte *)the->firstBlock;
        end = (txByte *)the->firstBlock->limit;
    } else {
        base = mmap(NULL, chunk_reserve_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE,
                    -1, 0);
        if (base == MAP_FAILED) return NULL;
        end = base;
    }
    size_t used = page_round((size_t)(end - base));
    size_t wanted = page_round((size_t)(end - base) + (size_t)size);
    if (wanted > chunk_reserve_bytes) return NULL;
    if (wanted > used && mprotect(base + used, wanted - used, PROT_READ | PROT_WRITE)) return NULL;
    return end;
}

void fxFreeChunks(txMachine *the, void *chunks)
{
    (void)the;
    munmap(chunks, chunk_reserve_bytes);
}

txSlot *fxAllocateSlots(txMachine *the, txSize count)
{
    space_take(the, (size_t)count * sizeof(txSlot));
    return c_malloc((size_t)count * sizeof(txSlot));
}

void fxFreeSlots(txMachine *the, void *slots)
{
    (void)the;
    c_free(slots);
}

void fxCreateMachinePlatform(txMachine *the)
{
    the->connection = mxNoSocket;
    the->allocationLimit = SIZE_MAX;
}

/* How much room a heap should have after a collection: a quarter of it free, or it grows by half of what
 * lives. XS by itself grows only when a collection frees nothing, and a vat whose live heap happens to
 * fill nine tenths of what it has then collects all the time. patch_xs.cmake makes XS ask. What a
 * collection frees depends on the vat alone, and the meter does not count it. */
static int has_budget(txMachine *the, size_t bytes)
{
    return the->allocatedSpace + bytes <= the->allocationLimit;
}

/* Slots to add now; 0: there is room enough, or XS has to make do with what is free. */
txSize platform_slots_wanted(txMachine *the)
{
    txSize all = the->maximumHeapCount, live = the->currentHeapCount;
    if (all - live >= all / 4) return 0;

    txSize wanted = live / 2;
    if (wanted < the->minimumHeapCount) wanted = the->minimumHeapCount;
    return has_budget(the, (size_t)wanted * sizeof(txSlot)) ? wanted : 0;
}

/* The same for the space of strings and buffers: bytes to add now, at least LEAST. A collection for its
 * sake goes through all slots as well, so the room is measured by those too: half of what lives. Otherwise
 * a vat with many objects and few strings, which makes strings that it forgets at once, collects for each
 * megabyte of them. */
txSize platform_chunks_wanted(txMachine *the, txSize least)
{
    size_t all = (size_t)the->maximumChunksSize, live = (size_t)the->currentChunksSize;
    size_t slots = (size_t)the->currentHeapCount * sizeof(txSlot);
    size_t room = all - live, enough = all / 4;
    if (enough < (live + slots) / 2) enough = (live + slots) / 2;
    if (room >= enough) return least;

    size_t wanted = live / 2 > enough - room ? live / 2 : enough - room;
    if (wanted < (size_t)the->minimumChunksSize) wanted = (size_t)the->minimumChunksSize;
    if (wanted < (size_t)least || !has_budget(the, wanted)) return least;
    return (txSize)wanted;
}

/* ---- the C stack ---- */

enum { STACK_BYTES = 6 << 20 }; /* of the 8 MiB that a main thread usually has */

_Thread_local char *platform_stack_end;

void platform_stack_taken(void *machine)
{
    txMachine *the = machine;
    char *system_end = fxCStackLimit();
    char *end = (char *)__builtin_frame_address(0) - STACK_BYTES;
    if (end < system_end) end = system_end;
    platform_stack_end = the->stackLimit = end;
}

void platform_stack_given_back(void *machine)
{
    platform_stack_end = NULL;
    ((txMachine *)machine)->stackLimit = fxCStackLimit();
}

/* ---- depth ---- */

#ifndef mxASANStackMargin
#define mxASANStackMargin 0
#endif

enum { DEEP_BYTES = 64 << 20, DEEP_MAX = 16, DEEP_MARGIN = 128 << 10 };

typedef void deep_walk_t(void *the, void *first, void *second);
int platform_goes_deep(txMachine *the, deep_walk_t *walk, void *first, void *second);

/* The call that is to go on upon another stack, and where it came from. */
static _Thread_local struct {
    int depth;
    deep_walk_t *walk;
    txMachine *the;
    void *first, *second;
} deep;

static void deep_begin(void) { deep.walk(deep.the, deep.first, deep.second); }

/* Calls WALK(THE, FIRST, SECOND) on a stack of its own. Returns 0 when there are too many of them: then XS gives
 * up as it does when its stack ends. Pages of a stack are taken as they are needed. */
int platform_goes_deep(txMachine *the, deep_walk_t *walk, void *first, void *second)
{
    if (deep.depth >= DEEP_MAX) return 0;
    char *at = mmap(NULL, DEEP_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANON | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (at == MAP_FAILED) return 0;

    ucontext_t here, there;
    char *limit = the->stackLimit;
    getcontext(&there);
    there.uc_stack.ss_sp = at;
    there.uc_stack.ss_size = DEEP_BYTES;
    there.uc_link = &here;
    makecontext(&there, deep_begin, 0);
    deep.walk = walk;
    deep.the = the;
    deep.first = first;
    deep.second = second;
    deep.depth++;
    the->stackLimit = at + DEEP_MARGIN + mxASANStackMargin;
    swapcontext(&here, &there);
    the->stackLimit = limit;
    deep.depth--;
    munmap(at, DEEP_BYTES);
    return 1;
}

/* ---- jobs ---- */

/* The last promise job that waits, and whose: valid while its machine's list is not empty. A list is
 * begun anew with each turn of fxRunLoop(), and slots do not move. */
static _Thread_local struct {
    txMachine *the;
    txSlot *slot;
} last_job;

/* Where the next job of the list that begins at FIRST is to be linked. */
txSlot **platform_jobs_end(txMachine *the, txSlot **first)
{
    if (!*first) return first;
    if (last_job.the == the) return &last_job.slot->next;
    while (*first) first = &(*first)->next;
    return first;
}

void platform_jobs_last(txMachine *the, txSlot *slot)
{
    last_job.the = the;
    last_job.slot = slot;
}

/* ---- what a job keeps alive ---- */

/* The objects that the job has made a WeakRef of or read through one, as a table beside XS's list of them,
 * which is emptied with each job. Valid while FIRST is the first of that list. */
static _Thread_local struct {
    txMachine *the;
    txSlot *first, *last;
    txSlot **places; /* open addressing, never more than half full */
    size_t room, count;
} kept;

enum { KEPT_ROOM = 256 };

static txSlot **kept_place(const txSlot *target)
{
    size_t at = ((uintptr_t)target / sizeof(txSlot)) * 0x9E3779B97F4A7C15u;
    at = (at ^ at >> 32) & (kept.room - 1);
    while (kept.places[at] && kept.places[at] != target) at = (at + 1) & (kept.room - 1);
    return &kept.places[at];
}

static void kept_resize(txMachine *the, size_t room)
{
    txSlot **old = kept.places;
    size_t old_room = kept.room;
    txSlot **places = c_calloc(room, sizeof(txSlot *));
    if (!places) fxAbort(the, XS_NOT_ENOUGH_MEMORY_EXIT);
    kept.places = places;
    kept.room = room;
    for (size_t i = 0; i < old_room && kept.count; i++)
        if (old[i]) *kept_place(old[i]) = old[i];
    c_free(old);
}

static void kept_add(txMachine *the, txSlot *target)
{
    if (kept.count >= kept.room / 2) kept_resize(the, kept.room * 2);
    *kept_place(target) = target;
    kept.count++;
}

static void kept_begin(txMachine *the, txSlot *first)
{
    kept.the = the;
    kept.first = kept.last = first;
    kept.count = 0;
    if (kept.room > KEPT_ROOM || !kept.places) {
        kept_resize(the, KEPT_ROOM);
    } else {
        c_memset(kept.places, 0, kept.room * sizeof(txSlot *));
    }
    for (txSlot *slot = first; slot; slot = slot->next) {
        kept_add(the, slot->value.reference);
        kept.last = slot;
    }
}

/* Where TARGET is to be linked to the list that begins at FIRST; NULL when it is in there. */
txSlot **platform_kept_end(txMachine *the, txSlot **first, txSlot *target)
{
    if (kept.the != the || kept.first != *first || !*first) kept_begin(the, *first);
    if (*kept_place(target)) return NULL;
    kept_add(the, target);
    return kept.last ? &kept.last->next : first;
}

void platform_kept_last(txMachine *the, txSlot *slot)
{
    (void)the;
    if (!kept.first) kept.first = slot;
    kept.last = slot;
}

/* Another machine may stand at the same address: nothing here may be taken for its. */
void fxDeleteMachinePlatform(txMachine *the)
{
    if (last_job.the == the) last_job.the = NULL;
    deep.depth = 0; /* XS left by longjmp, if it is not */
    if (kept.the != the) return;
    c_free(kept.places);
    kept.places = NULL;
    kept.the = NULL;
    kept.first = kept.last = NULL;
    kept.room = kept.count = 0;
}

void fxQueuePromiseJobs(txMachine *the) { the->promiseJobs = 1; }

txUnsigned fxGetCurrentMeter(txMachine *the);
void fxSetCurrentMeter(txMachine *the, txUnsigned value);

void fxRunLoop(txMachine *the)
{
    do {
        while (the->promiseJobs) {
            the->promiseJobs = 0;
            fxRunPromiseJobs(the);
        }
        /* Finalizers, which may make promise jobs. When they run depends on when garbage was collected, so
         * they count for nothing, and a limit does not hit them. */
        txUnsigned reading = fxGetCurrentMeter(the);
        fxSetCurrentMeter(the, 0);
        fxEndJob(the);
        fxSetCurrentMeter(the, reading);
    } while (the->promiseJobs);
}

void platform_check_rejections(void *machine, void (*report)(void *machine))
{
    rejection_report = report;
    fxCheckUnhandledRejections(machine, 1);
    rejection_report = NULL;
}

/* ---- the meter ---- */

txUnsigned fxGetCurrentMeter(txMachine *the) { return the->meterIndex; }

/* The next check comes at the next branch: otherwise a meter set back would leave the clock unread
 * for as many steps as it was set back by. */
void fxSetCurrentMeter(txMachine *the, txUnsigned value)
{
    the->meterIndex = value;
    the->meterCount = value;
}

size_t platform_space(void *machine) { return ((txMachine *)machine)->allocatedSpace; }

size_t platform_used(void *machine)
{
    const txMachine *the = machine;
    return (size_t)the->currentHeapCount * sizeof(txSlot) + (size_t)the->currentChunksSize;
}

void platform_collect(void *machine) { fxCollect(machine, XS_COMPACT_FLAG | XS_ORGANIC_FLAG); }

void platform_limit_space(void *machine, size_t bytes)
{
    ((txMachine *)machine)->allocationLimit = bytes;
}

/* ---- modules: there are no files in here ---- */

txID fxFindModule(txMachine *the, txSlot *realm, txID module, txSlot *name)
{
    (void)the, (void)realm, (void)module, (void)name;
    return XS_NO_ID;
}

void fxLoadModule(txMachine *the, txSlot *module, txID name)
{
    (void)the, (void)module, (void)name;
}

/* ---- the debugger that is never there ---- */

void fxConnect(txMachine *the) { (void)the; }
void fxDisconnect(txMachine *the) { (void)the; }
txBoolean fxIsConnected(txMachine *the) { return (void)the, 0; }
txBoolean fxIsReadable(txMachine *the) { return (void)the, 0; }
void fxReceive(txMachine *the) { (void)the; }
void fxSend(txMachine *the, txBoolean more) { (void)the, (void)more; }
