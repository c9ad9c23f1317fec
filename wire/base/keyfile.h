/* A CURVE key pair in two files, NAME.key (0600) and NAME.pub, and the text form of keys: Z85,
 * ZeroMQ's RFC 32. Broker and hosts keep theirs alike. */
#pragma once
#include "wire/base/bytes.h"
#include "wire/base/err.h"

enum { KEY_TEXT_BYTES = 40 };

typedef struct {
    char public_key[KEY_TEXT_BYTES + 1], secret_key[KEY_TEXT_BYTES + 1];
} keys_t;

/* Reads DIR/NAME.key, or makes it together with DIR/NAME.pub when there is none.
 * Fails with KEY_FILE when it is not a regular file of ours that nobody else can read, or holds no
 * key, or cannot be made; WHY then says which. */
CHECKED err_t keys_open(const char *dir, const char *name, keys_t *ret, char why[256]);

/* Reads the pair whose secret key stands in FILE, which somebody else keeps for us (a secret that is
 * mounted). Fails with KEY_FILE when it is not a regular file of ours or root's, others can read it or
 * the group write it, or it holds no key. */
CHECKED err_t keys_read(const char *file, keys_t *ret, char why[256]);

/* keys_open(), with FILE, unless NULL, as what the pair has to be: DIR/NAME.key is made of it when there
 * is none, and another one is refused (KEY_FILE). */
CHECKED err_t keys_adopt(const char *dir, const char *name, const char *file, keys_t *ret,
                         char why[256]);

/* The first word of FILE, a public key. Fails with KEY_FILE. */
CHECKED err_t key_read(const char *file, char ret[KEY_TEXT_BYTES + 1], char why[256]);

/* Z85 to 32 bytes; false when TEXT is no key. */
bool key_parse(text_t text, hash_t *ret);
void key_text(hash_t key, char ret[KEY_TEXT_BYTES + 1]);
