/* Guests without processes: the test is the crew, the bundles, the broker, and the far end of each worker's
 * socket. Vat 3 stands here from the start, and has a worker. */
#pragma once
#include "vathost/guests.h"
#include "wire/frames/frames.h"

extern const vat_t vat;
extern const id128_t kernel;
extern guests_t *guests;
extern vault_t *vault; /* in the folder DIR */
extern char dir[64];

/* The worker that was started last, and our end of its socket; what is read from there. */
extern uint64_t token;
extern int far_end;
extern frames_t told;

/* How often the host did this, or the broker heard that; the last it heard. */
extern size_t started, killed, attaches, others, gets, losts;
extern msg_t heard;

/* The bundle that is not here, what becomes of the next piece of it, and how much has come. */
extern const char *missing;
extern bundles_state_t added;
extern uint64_t come;

/* Workers that may begin at a time, of the next process. */
extern size_t begin_max;

void setup(void);
void teardown(void);
/* The host ends and starts again. */
void next_process(void);

void from_broker(msg_tag_t tag, const void *body);
void says(msg_tag_t tag, const void *body);

/* What the worker is told next, but for STARTs; NULL when there is nothing. */
const msg_t *hears(void);

/* The broker sends delivery D, of kind TAG. */
void delivers(msg_tag_t tag, uint64_t d);

/* The worker attaches, and is given RUN. */
void attached_to(uint64_t run);

msg_vat_new_t new_of(uint32_t n, uint64_t pgen);

/* Files in DIR. */
void touch(const char *name);
bool is_there(const char *name);
