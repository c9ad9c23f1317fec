/* A disk that fails: a SQLite VFS under wire/pages, over real files, that counts what is asked of it and at
 * one of those makes something go wrong.
 *
 *   F1  a case runs in a process of its own, which may die; what the disk has is kept in shared memory, so
 *       that the parent can go on where it ended;
 *   F2  of each file it is known what was synced. When the power goes, every sector of 512 bytes that was
 *       not synced is there or is as it was before, each on its own; so is the length, and a file that was
 *       deleted without a sync;
 *   F3  our own code's allocations are wrapped by the linker, SQLite's are its own. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    FAULT_NONE,
    FAULT_KILL,   /* the process ends there, before the operation */
    FAULT_POWER,  /* the same, and shim_power() forgets what was not synced */
    FAULT_READ,   /* EIO while reading */
    FAULT_WRITE,  /* EIO while writing or cutting off */
    FAULT_FULL,   /* no space, for a few operations */
    FAULT_SHORT,  /* half of it was written, then no space */
    FAULT_SYNC,   /* EIO while syncing */
    FAULT_OPEN,   /* EIO while opening, deleting, asking for the size */
    FAULT_FLIP,   /* a bit of what was read is another */
    FAULT_MEMORY, /* no memory: once, or (when N is odd) from there on; for us and for SQLite */
    FAULTS
} fault_t;

extern const char *const fault_names[FAULTS];

/* Makes the shim the default VFS, so that it is under what is registered later. Once, before any
 * database is opened. Files are looked for in DIR. */
void shim_start(const char *dir);

/* From now on the N-th operation (from 0) that FAULT can happen to fails. Counts from here. */
void shim_arm(fault_t fault, uint64_t n);

/* No fault any more. */
void shim_disarm(void);

/* Whether it has happened. */
bool shim_happened(void);

/* All files are what they are now, and on disk: the start of a case. */
void shim_settled(void);

/* The power goes: files lose what CHANCE says of what was not synced. */
void shim_power(uint64_t chance);

/* Memory that parent and child share; SIZE bytes of zeros. */
void *shim_shared(size_t size);
