/* Checks a JSON value against a JSON Schema: the words of draft 2020-12 that the cluster file's
 * schema uses, each with its exact meaning. A schema with another word is a defect of ours.
 *
 * The checker runs the schema itself, so the two give the same verdict by construction. */
#pragma once
#include <jansson.h>

#include "cli/fail.h"

/* Checks VALUE against SCHEMA. On failure F is begun with the error, and its pointer names the
 * value that is wrong; RET_AT_KEY says whether the key (unknown, misspelt) is meant rather than the
 * value. F has no file and no line: the caller knows the text. */
CHECKED err_t schema_check(const json_t *schema, const json_t *value, fail_t *f, bool *ret_at_key);

/* The name among the COUNT names that looks most like NAME; NULL when none is near. */
const char *nearest(const char *name, const char *const *names, size_t count);
