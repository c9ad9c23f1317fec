/* guests: the vats that stand on this host, and one worker process for each.
 *
 *   G1  a vat has at most one worker that counts; frames of any other are dropped;
 *   G2  a worker speaks for its own (vat, placement) and for nobody else: the host
 *       compares, and ends a worker that tries, or that attaches without having been told START;
 *   G3  a worker that ends while it runs a live delivery, by a crash of its own or by the clock, is
 *       reported LOST, and only the broker brings the vat back; one that ends in any other way is
 *       started again by the host, with growing pauses while it does not get anywhere;
 *   G4  a vat's database lives as long as the vat stands here, longer than this process; no two
 *       processes have it open: a worker starts when the one before has ended;
 *   G5  a vat that sleeps costs nothing but its memory here; VAT_NEW wakes it, also when it comes while
 *       the worker is falling asleep;
 *   G6  an incarnation is no fence: a run spans an upgrade, and the broker counts. A worker that
 *       waits for the bundle of an upgrade has no clock.
 *
 * Where a worker stands is read from the frames that pass: ATTACH and FETCH say what it has run, a
 * RESULT that it is one further. So the clock runs only for deliveries that it has really begun. */
#pragma once
#include "vathost/io/bundles.h"
#include "vathost/io/crew.h"
#include "vathost/io/vault.h"
#include "wire/codec/codec.h"

typedef struct guests guests_t;

/* What they need. All of it is borrowed for their life. */
typedef struct {
    crew_t *crew;
    bundles_t *bundles;
    vault_t *vault;
    size_t begin_max; /* workers that may begin at a time */
    int epoll;        /* the sockets of the workers are put here, with their token as u64 */
    void *context;    /* of send */
    bool (*send)(void *context, bin_t frame); /* to the broker; false: no session, frame dropped */
} guests_options_t;

/* Tokens are never less than this: smaller numbers in the epoll are the caller's. */
enum { GUESTS_TOKEN_FIRST = 16 };

guests_t *guests_new(const guests_options_t *options);

/* Forgets them; databases of vats that stand here remain. The crew has ended. */
void guests_destroy(guests_t **self_p);

/* A session with the broker of KERNEL began: every worker says where it stands, every fetch goes on. */
void guests_session(guests_t *self, id128_t kernel);

/* A frame of the broker, and the message in it, that is about a vat or a bundle. */
void guests_take(guests_t *self, const msg_t *msg, bin_t frame, uint64_t now_ms);

/* Writes what guests_take() held back, so that several frames for one worker are one write. To be called before
 * waiting for anything. */
void guests_flush(guests_t *self);

/* The socket of worker TOKEN has something, or takes something again. */
void guests_pipe(guests_t *self, uint64_t token, uint64_t now_ms);

/* A worker ended; the zygote ended, and all workers with it. CREW is the next, NULL: there is none yet, and the
 * starts of workers wait for it. */
void guests_ended(guests_t *self, uint64_t token, int status, uint64_t now_ms);
void guests_crew(guests_t *self, crew_t *crew, uint64_t now_ms);

/* Does a little of what takes long. False: nothing is left to do. */
bool guests_work(guests_t *self);

/* Starts what is due, ends what is late. */
void guests_tick(guests_t *self, uint64_t now_ms);

/* The host ends: asks workers for a last checkpoint. Finished: none is awaited any more. */
void guests_finish(guests_t *self);
bool guests_finished(const guests_t *self);

/* Ends all of them and forgets them, with their databases: the broker is another one. */
void guests_end_all(guests_t *self);
