/* The agent: does outside what vats ask for, one frame at a time from the broker, and answers each. One thread,
 * one loop. Ends when its socket ends. */
#pragma once
#include "wire/base/err.h"

/* Serves the broker at the socket FD, and reads the console from CONSOLE_FD. */
void agent_run(int fd, int console_fd);
