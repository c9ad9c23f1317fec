/* What `run` and `demo` share. */
#pragma once
#include "cli/cli.h"

/* Runs the cluster file PATH with the flags of CLI, to its end. */
CHECKED err_t run_file(cli_t *cli, const char *path);
