/* Commands whose words each name a thing that something is done to: kill, pin, checkpoint, host drain. */
#pragma once
#include "cli/cli.h"
#include "cli/rows.h"

/* What a word named: for people "v3 bank", for programs {"vat":"v3"}. */
typedef struct {
    const char *key; /* "vat", "object", "host" */
    char id[KREF_TEXT_MAX], name[NAME_BYTES_MAX + 1];
    bool declined; /* a person was asked, and said no */
} named_t;

/* Finds what WORD names and does it. */
typedef err_t one_t(cli_t *cli, link_t *link, const char *word, named_t *ret);

/* Does ONE to everything named; DONE is how it is told ("killed"). Exit code 10 says that it was done to
 * some. With --json stdout has what became of each, as soon as it was done to one; stderr has an error only
 * when to none. */
CHECKED err_t each_word(cli_t *cli, one_t *one, const char *done);

/* The vat that WORD names. */
CHECKED err_t vat_word(cli_t *cli, link_t *link, const char *word, vat_t *ret_vat, named_t *ret);
/* The host that WORD names: h2, or its name. Fails with HOST_UNKNOWN. */
CHECKED err_t host_word(cli_t *cli, link_t *link, const char *word, host_t *ret_host, named_t *ret);

/* How long an answer that takes its time is waited for: --timeout, or for ever. */
unsigned each_ms(const cli_t *cli);
