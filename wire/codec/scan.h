/* Walks foreign MessagePack without allocating, and hands out one bounded value at a time. Nothing
 * of a frame reaches msgpack-c before scan_value() has walked all of it: msgpack-c allocates an
 * array by its claimed count, unseen, and 16 bytes and more per element.
 *
 *   S1  no read behind the end, no count believed: every element needs a byte that is there;
 *   S2  at most SCAN_DEPTH_MAX deep, with an explicit stack;
 *   S3  canonical only: shortest heads, unsigned integers, bool, str, bin, array; nothing else.
 *       So a value has one encoding, and two frames are equal when their messages are. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"

/* Finds where the first value of BYTES ends and sets RET_LEN to its length. More bytes may follow.
 * Fails with WIRE_TRUNCATED, WIRE_TYPE (a form that S3 refuses) or WIRE_LIMIT (too deep). */
CHECKED err_t scan_value(bin_t bytes, size_t *ret_len);

/* A place in bytes that scan_value() has walked. */
typedef struct {
    const uint8_t *at, *end;
} scan_t;

/* Enters the array at this place: sets RET to its count and stands at its first element.
 * Fails with WIRE_TYPE when no array is there, WIRE_TRUNCATED at the end. */
CHECKED err_t scan_array(scan_t *self, uint64_t *ret);

/* Takes the value at this place, which must not be an array, and stands behind it: sets RET to its
 * bytes, head included. Fails with WIRE_TYPE when an array is there, WIRE_TRUNCATED at the end. */
CHECKED err_t scan_item(scan_t *self, bin_t *ret);
