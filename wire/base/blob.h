/* Bytes that never change and are shared by counting: a message body goes from frame to queue to
 * log to frame without being copied.
 *
 * blob_new() and blob_ref() give one count to the caller, blob_destroy() takes one back; the last
 * one frees. NULL is a legal blob of length 0. Not thread-safe. */
#pragma once
#include "wire/base/bytes.h"

typedef struct blob blob_t;

/* Copies LEN bytes from AT. */
blob_t *blob_new(const void *at, size_t len);

/* Takes one more count of BLOB and returns it. */
blob_t *blob_ref(blob_t *blob);

/* Gives one count back and makes *SELF_P NULL. */
void blob_destroy(blob_t **self_p);

/* What is in it; valid as long as a count is held. */
bin_t blob_bin(const blob_t *blob);
