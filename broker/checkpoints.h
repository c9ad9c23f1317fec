/* Copies of checkpoints: files in DIR/checkpoints, one for each row of the table `mirror`.
 *
 *   P1  a file has its name only when it is whole, its hash is right, and it is on disk: what is still being
 *       fetched has another name, and is gone when the broker ends;
 *   P2  a row names a file before the file is deleted that it named before, and a file is deleted only when
 *       no row names it any more: what a crash leaves over goes at the next start;
 *   P3  what is asked for and has not come is bounded, for each file and for all; when a host goes away, what
 *       came of its file is kept, and its next CHECKPOINT_READY goes on behind it. A host that is there and gives
 *       nothing for long is not waited for: TIMED_OUT;
 *   P4  a newer copy of a vat waits until the one that comes already is here: else a vat whose checkpoints are
 *       more frequent than a copy takes would never have any.
 *
 * The kernel says what is to be fetched, and who may read what is here. */
#pragma once
#include "broker/kernel/kernel.h"

typedef struct checkpoints checkpoints_t;

/* What it does outside: asks HOST for a piece; says that COPY of VAT is here, or cannot be had. */
typedef struct {
    void *self;
    void (*ask)(void *self, uint32_t host, const msg_checkpoint_get_t *get);
    void (*told)(void *self, vat_t vat, const copy_t *copy, err_t err);
    uint64_t (*now_ms)(void *self);
} checkpoints_port_t;

/* DIR is the broker's state directory, borrowed; DIR/checkpoints is made when it is missing. */
CHECKED err_t checkpoints_new(const char *dir, const checkpoints_port_t *port, checkpoints_t **ret,
                              char why[256]);
void checkpoints_destroy(checkpoints_t **self_p);

/* Start: deletes all files but those that KERNEL names. Of these it tells which are missing, or have another
 * size: STORE_DAMAGED. */
void checkpoints_clean(checkpoints_t *self, const kernel_t *kernel);

/* Is the file of COPY still what came? CHECKPOINT_BROKEN: it is gone, or the disk does not give it, or it was put
 * aside as damaged-NAME; STORE: it cannot be read now. Reads all of it. */
CHECKED err_t checkpoints_verify(const checkpoints_t *self, vat_t vat, const copy_t *copy);

/* Somebody begins to read COPY. Who does compares with its hash what came, and begins again when it was wrong: so the
 * second time it is verified, with the same errors; and when it was good, every second time from then on. */
CHECKED err_t checkpoints_begin(checkpoints_t *self, vat_t vat, const copy_t *copy);

/* Before a start, when it is not known what happened to the files since they came: the same of all that KERNEL
 * names. Those that cannot be read are deleted. */
void checkpoints_verify_all(checkpoints_t *self, const kernel_t *kernel);

/* EFFECT_PULL (P4), EFFECT_DISCARD. */
void checkpoints_pull(checkpoints_t *self, uint32_t host, vat_t vat, const copy_t *copy);
void checkpoints_discard(checkpoints_t *self, vat_t vat, const copy_t *copy);

/* Asks for what is to be asked for, and tells what is here, or cannot be had: once in a turn. True: there was
 * something. checkpoints_due(): there is something to do now. */
bool checkpoints_turn(checkpoints_t *self);
bool checkpoints_due(const checkpoints_t *self);

/* A piece came from HOST; its session ended. */
void checkpoints_part(checkpoints_t *self, uint32_t host, const msg_checkpoint_part_t *part);
void checkpoints_host_gone(checkpoints_t *self, uint32_t host);

/* Reads bytes OFFSET.. of a copy that is here into BUF, at most ROOM. Returns how many; 0 behind the end, and
 * when it cannot be read. */
size_t checkpoints_read(const checkpoints_t *self, vat_t vat, const copy_t *copy, uint64_t offset,
                        uint8_t *buf, size_t room);

/* Puts COPY into the directory DIR, under the name it has here: a second name of the same file, or a copy of
 * it on another file system, on disk. Fails with STORE or STORE_FULL. */
CHECKED err_t checkpoints_link(const checkpoints_t *self, vat_t vat, const copy_t *copy,
                               const char *dir);
