/* The connection to a broker: requests out, answers and events in. The only user of czmq in cli. */
#pragma once
#include "cli/fail.h"
#include "wire/codec/codec.h"

typedef struct link link_t;

/* Called for each EVENT; it borrows the frame. */
typedef void link_event_t(void *context, const msg_event_t *event);

enum { FOREVER_MS = INT32_MAX, ANSWER_MS = 10 * 1000 };

/* Connects to ENDPOINT (ipc://PATH), says CLIENT_HELLO and waits for CLIENT_WELCOME. The caller
 * owns the link. NULL and NO_BROKER, PROTOCOL_RANGE, TIMED_OUT or BAD_VALUE in F on failure. */
link_t *link_new(const char *endpoint, unsigned timeout_ms, fail_t *f);
void link_destroy(link_t **self_p);

/* Who gets the events from now on. Without one they are dropped. */
void link_on_event(link_t *self, link_event_t *call, void *context);

/* Asked every 250 ms of silence while an answer is waited for: an error ends the waiting. */
typedef err_t link_silence_t(void *context, fail_t *f);
void link_on_silence(link_t *self, link_silence_t *call, void *context);

/* A broker whose door is closed is given so many looks, two seconds apart, to come back: 2 unless this is called. */
void link_looks(link_t *self, unsigned looks);

/* Who gets answers to requests that nobody waits for any more; without one they are dropped. */
typedef void link_answer_t(void *context, const msg_t *answer);
void link_on_answer(link_t *self, link_answer_t *call, void *context);

/* Takes in what has come already: events, and answers that nobody waits for. */
void link_drain(link_t *self);

/* What the broker said of itself; the texts live as long as the link. */
const char *link_version(const link_t *self);
const char *link_hosts_endpoint(const link_t *self);
const char *link_key(const link_t *self);
id128_t link_kernel(const link_t *self);

/* A fresh request id. */
id128_t request_id(void);

/* Sends one request, whose first field is its id. It is sent again to a broker that was started
 * anew behind the same endpoint, as long as no answer has come (WATCH: always). */
void link_send(link_t *self, msg_tag_t tag, const void *body);

/* The next answer to something sent, within MS. It lives until the next call. Fails with TIMED_OUT
 * (also when a signal came in), with NO_BROKER when its door is gone, or as link_on_silence() says. */
CHECKED err_t link_next(link_t *self, unsigned ms, const msg_t **ret, fail_t *f);

/* The next answer that is here, or comes within NS nanoseconds; NULL in RET when none did, also because of a
 * signal. For those who keep many requests in flight and a time-table. Silence is looked into when NS is 250 ms
 * or more. Fails as link_next(), but not with TIMED_OUT. */
CHECKED err_t link_poll(link_t *self, uint64_t ns, const msg_t **ret, fail_t *f);

/* Sends a request, whose first field is its id, and waits for the answer that repeats the id and
 * has the tag WANT. Fails as the FAILED that came instead says, or with TIMED_OUT: then it is not repeated
 * to a broker that comes back, except that AWAIT goes on to wait, its answer being nobody's. */
CHECKED err_t link_ask(link_t *self, msg_tag_t tag, const void *body, msg_tag_t want, unsigned ms,
                       const msg_t **ret, fail_t *f);

/* The same for pieces of files: TAG is BUNDLE_GET or CHECKPOINT_GET, the answer a *_PART. One at a time. */
CHECKED err_t link_part(link_t *self, msg_tag_t tag, const void *body, const msg_t **ret,
                        fail_t *f);

/* Fills F from a FAILED. */
err_t link_failed(const msg_failed_t *failed, fail_t *f);

/* SIGINT and SIGTERM are remembered from now on instead of ending the process. */
void signals_catch(void);
/* From now on the end of who reads our stdout is a signal like these (SIGPIPE). */
void pipe_catch(void);
/* The signal that came in; 0 when none did. */
int signal_caught(void);
/* It was answered, and the program goes on. */
void signal_forget(void);

/* Milliseconds of a clock that never goes back. */
uint64_t now_ms(void);
