/* A kernel under test, with hosts, workers and a client that are only data. Every step goes through
 * encoded frames; after every step the audit must find nothing and the rows that changed go into a
 * store in memory, from which rig_restart() makes a second kernel. A finding ends the test program.
 *
 * A vat here is raw: the test reads its delivery and answers with the syscalls it likes. Workers
 * attach by themselves and keep their chain; messages that a test takes live as long as the rig. */
#pragma once
#include "broker/kernel/kernel.h"

typedef struct rig rig_t;

/* Names of what VAT exported, and its root. */
static inline kref_t root(uint32_t vat) { return kref_root((vat_t){vat}); }
static inline kref_t ko(uint32_t vat, uint64_t n) { return kref_object((vat_t){vat}, n); }
static inline kref_t kp(uint32_t vat, uint64_t n) { return kref_promise((vat_t){vat}, n); }

typedef struct {
    unsigned window, serial, reap_deliveries;
    unsigned critical; /* bit i: the i-th vat */
    unsigned poison;   /* as in LAUNCH_VAT */
    bool mirror;       /* all vats are mirrored */
    const char *services, *host;
    bool no_start;               /* leave the start deliveries to the test */
    bool system, ocap;           /* a system cluster; of ocap-kernel's dialect */
    const char *globals, *hosts; /* of all its vats */
    const char *bundle;          /* a bundle's name for it, its hash is b1-<name> */
    const msg_launch_channel_t *channel, *channels; /* one; or so many */
    unsigned channel_count;
} rig_launch_t;

rig_t *rig_new(void);
void rig_destroy(rig_t **self_p);
kernel_t *rig_kernel(rig_t *self);

/* Host N (from 1) says HELLO. Returns the number it got. */
uint32_t rig_host(rig_t *self, unsigned n);
/* The same with another instance (a first byte) or engine. */
uint32_t rig_hello(rig_t *self, unsigned n, uint8_t instance, const char *engine);
void rig_host_gone(rig_t *self, uint32_t host);

/* A frame from HOST. */
void rig_from_host(rig_t *self, uint32_t host, msg_tag_t tag, const void *body);

/* A request of client 1; returns its first answer, NULL when there is none yet. */
const msg_t *rig_ask(rig_t *self, msg_tag_t tag, const void *body);
void rig_ask_from(rig_t *self, uint32_t client, msg_tag_t tag, const void *body);
const msg_t *rig_reply(rig_t *self, uint32_t client); /* the next answer not taken yet, or NULL */
void rig_client_gone(rig_t *self, uint32_t client);
id128_t rig_id(rig_t *self);

/* Launches a cluster of vats with these names, separated by spaces; the first is bootstrap's. With
 * OPTIONS NULL or no_start false, all start deliveries are answered and LAUNCHED is returned. */
const msg_t *rig_launch(rig_t *self, const char *names, const rig_launch_t *options);

/* The oldest delivery that VAT has not answered, or NULL; and how many there are. */
const msg_t *rig_delivery(rig_t *self, uint32_t vat);
size_t rig_pending(const rig_t *self, uint32_t vat);

/* VAT answers its oldest delivery: with CALLS (which is emptied), or with a failure. */
void rig_result(rig_t *self, uint32_t vat, buf_t *calls);
void rig_fail(rig_t *self, uint32_t vat, err_t outcome, const char *reason);
void rig_empty(rig_t *self, uint32_t vat); /* with no syscalls */
void rig_run_dry(rig_t *self);             /* all vats answer with none until nothing moves */

/* The RESULT that rig_result() would send, for tests that bend it first; and sends it, as the answer to
 * the oldest delivery. */
msg_result_t rig_result_frame(rig_t *self, uint32_t vat, const buf_t *calls);
void rig_result_send(rig_t *self, uint32_t vat, const msg_result_t *msg);

/* The worker of VAT makes a checkpoint where it stands, keeping the one before, and perhaps would like to
 * sleep; or the frame of that alone. A fresh worker of VAT comes, as of that checkpoint. */
void rig_checkpoint(rig_t *self, uint32_t vat, bool asleep);
msg_checkpoint_t rig_checkpoint_frame(const rig_t *self, uint32_t vat);
void rig_worker(rig_t *self, uint32_t vat);
void rig_heapless(rig_t *self, uint32_t vat); /* and cannot read its heap */

/* Ends the kernel and loads another one from the rows. Hosts and workers come back; workers are
 * fresh (as of their checkpoints) and fetch what they lack when REPLAY, else they attach where they stood. */
void rig_restart(rig_t *self, bool replay);

/* The same with fresh workers, of a backup that is adopted. */
void rig_adopt(rig_t *self);
/* And of all hosts only N comes back. */
void rig_adopt_on(rig_t *self, unsigned n);
void rig_host_loss(rig_t *self, uint64_t after_us);

/* The agent: one starts when the kernel wants one, unless rig_agent_late(): then rig_agent_start() does it.
 * rig_agent_frame() is the next frame that it got and no test took yet, or NULL. */
void rig_agent_late(rig_t *self);
bool rig_agent_wanted(const rig_t *self);
void rig_agent_start(rig_t *self);
void rig_agent_gone(rig_t *self);
const msg_t *rig_agent_frame(rig_t *self);
void rig_agent_told(rig_t *self, uint64_t errand, bool rejected, const char *body);

/* All LIST rows of WHAT as text, one a line. The caller frees it. */
char *rig_list(rig_t *self, unsigned what, kref_t kref);
/* From now on chores (INPUT_CHORE) are done only by rig_chore(), one step of them at a time. */
void rig_no_chores(rig_t *self);
void rig_chore(rig_t *self);
/* It is NOW_MS, and stays so until the next call: fires the timers that are due then. */
void rig_at(rig_t *self, uint64_t now_ms);
/* The value of one counter. */
uint64_t rig_counter(rig_t *self, const char *name);
/* The worker of VAT makes a checkpoint and ships it: its host says CHECKPOINT_READY. What the kernel wants
 * fetched waits until rig_pulled(), or rig_unpulled(): it cannot be had. A vat that is placed anew begins
 * with the copy that is here. rig_pulled_as(): its chain is another one. */
void rig_ready(rig_t *self, uint32_t vat);
size_t rig_pulls(const rig_t *self);
void rig_pulled(rig_t *self);
void rig_pulled_as(rig_t *self, hash_t chain);
void rig_unpulled(rig_t *self, err_t err);
/* The file of the copy that the broker has of VAT is of no use any more. */
void rig_copy_lost(rig_t *self, uint32_t vat, err_t err);
/* HOST asks for a copy of VAT's delivery D, of which there is none. */
void rig_asks_in_vain(rig_t *self, uint32_t host, uint32_t vat, uint64_t pgen, uint64_t d);
/* The shell's answer to EFFECT_BACKUP, of which rig_host_frames(rig, 0) says how many there were. */
void rig_backed_up(rig_t *self, err_t err);
/* Hosts do nothing about what they are told, from now on or no more. */
void rig_hosts_deaf(rig_t *self, bool deaf);
/* What the host was told last by VAT_END, VAT_NEW, ...: how many frames of TAG so far. */
size_t rig_host_frames(const rig_t *self, msg_tag_t tag);
size_t rig_rows(const rig_t *self, row_table_t table);
/* The last frame of TAG that a host was told; NULL when there was none. */
const msg_t *rig_told(const rig_t *self, msg_tag_t tag);
/* How many EVENTs of TYPE were sent to watchers, and the last of them. */
size_t rig_events(const rig_t *self, const char *type);
const msg_event_t *rig_event(rig_t *self, const char *type);

/* Syscalls. */
void call_any(buf_t *calls, msg_tag_t tag, const void *body);
void call_send(buf_t *calls, kref_t target, const char *body, const kref_t *slots, size_t count,
               kref_t result);
void call_subscribe(buf_t *calls, kref_t promise);
void call_resolve(buf_t *calls, kref_t promise, bool rejected, const char *body,
                  const kref_t *slots, size_t count);
void call_exit(buf_t *calls, bool failure, const char *body);
void call_exit_with(buf_t *calls, bool failure, const char *body, const kref_t *slots,
                    size_t count);
void call_refs(buf_t *calls, msg_tag_t tag, const kref_t *refs, size_t count);

capdata_t rig_data(const char *body, const kref_t *slots, size_t count);
bool rig_body_is(const capdata_t *data, const char *expect);

/* ---- vats at work (rig_vats.c) ---- */

/* A call of client 1 to VAT's root, whose result nobody awaits. */
void rig_call(rig_t *self, uint32_t vat, const char *body);
/* VAT has run TIMES deliveries more, and everybody is idle. */
void rig_runs(rig_t *self, uint32_t vat, unsigned times);
/* FROM, in a crank of its own, sends TO's root BODY with SLOT, unless that is none, and waits for RESULT, unless
 * that is none. */
void rig_send(rig_t *self, uint32_t from, uint32_t to, const char *body, kref_t slot,
              kref_t result);
/* VAT's row as it is listed; all zero when it is not. Its texts live as long as the rig. */
msg_vat_row_t rig_vat(rig_t *self, uint32_t vat);
