/* Bytes as text: RFC 4648's base64, with padding. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

/* Appends the text of BYTES. Fails with WIRE_LIMIT when OUT is full. */
CHECKED err_t base64_add(buf_t *out, bin_t bytes);

/* Appends the bytes that TEXT stands for. Fails with BAD_VALUE when it is no base64 (blanks are none,
 * padding must be there), with WIRE_LIMIT when OUT is full. */
CHECKED err_t base64_read(buf_t *out, text_t text);
