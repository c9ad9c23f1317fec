/* What `run` and `demo` share. */
#pragma once
#include "cli/cli.h"
#include "cli/complete.h"

/* Runs the cluster file PATH with the flags of CLI, to its end. */
CHECKED err_t run_file(cli_t *cli, const char *path);

/* Proposes the names of the built-in demos. */
void demo_names(completion_t *completion);
