/* One encoder and one decoder for all messages: both walk the rows of wire/schema. The only user
 * of msgpack-c, which does not show in this header. Pure: no state, no I/O.
 *
 *   E1  decode(encode(m)) is m, and encode(decode(f)) is f: one message has one encoding;
 *   E2  decoding never allocates more than the frame is long in one piece, whatever the bytes are. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/schema/message.h"

/* A decoded message. Texts and bins borrow from the frame it was decoded from: keep the frame
 * alive; they never point nowhere, not even empty ones. Lists live in the arena until msg_clear(). */
typedef struct {
    msg_tag_t tag;
    msg_body_t body;
    void *arena;
} msg_t;

/* Appends the frame of the message TAG to OUT. BODY points at the struct msg_NAME_t that belongs to
 * TAG; it is only read. Fails with WIRE_LIMIT (a field is longer than its row allows, or OUT is
 * full) or WIRE_TYPE (a text is not UTF-8); OUT is then as before. */
CHECKED err_t msg_encode(msg_tag_t tag, const void *body, buf_t *out);

/* Decodes one frame from a peer we do not trust. FRAME must be exactly one message. On success the
 * caller must msg_clear(RET) when done with it; on failure *RET is untouched.
 * Fails with any WIRE_* error, all of them the peer's fault. */
CHECKED err_t msg_decode(bin_t frame, msg_t *ret);

/* Decodes the first of several frames that stand one behind the other and moves REST behind it.
 * As msg_decode() otherwise; REST is untouched on failure. Call while rest->len > 0. */
CHECKED err_t msg_next(bin_t *rest, msg_t *ret);

/* Only looks at the tag of a frame; 0 when there is none to read. */
uint64_t msg_peek(bin_t frame);

/* Gives back what decoding allocated. */
void msg_clear(msg_t *msg);

/* Appends one JSON-like line of the message to OUT, for people: `deliver {vat: v3, d: 41, ...}`. Long
 * texts and lists are cut. One line of printable UTF-8 whatever BODY holds; no newline at the end. */
CHECKED err_t msg_print(msg_tag_t tag, const void *body, buf_t *out);
