/* The host's CURVE key pair: who this host is to every broker. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"

enum { KEY_TEXT_BYTES = 40 }; /* Z85 */

typedef struct {
    char public_key[KEY_TEXT_BYTES + 1], secret_key[KEY_TEXT_BYTES + 1];
} keys_t;

/* Reads DIR/host.key, or makes it (mode 0600) together with DIR/host.pub when there is none. Fails
 * with KEY_FILE when it is not a regular file of ours that nobody else can read, holds no key, or
 * cannot be made; WHY then says which. */
CHECKED err_t keys_open(const char *dir, keys_t *ret, char why[256]);

/* Whether TEXT is a key in Z85. */
bool key_check(const char *text);
