/* Opens what an IO channel stands for. All of it not blocking and closed at exec. */
#pragma once
#include <stddef.h>

enum { PLACE_WHY_BYTES = 256 };

/* A Unix socket that listens at PATH with mode 0600. What a dead process left there is replaced; a living
 * one's is not, and no other kind of file is. -1: failed, WHY says how. */
int place_socket(const char *path, char why[PLACE_WHY_BYTES]);

/* A TCP socket that listens at HOST:PORT; HOST is a number, localhost (or nothing), or * for all. */
int place_listen(const char *place, char why[PLACE_WHY_BYTES]);

/* The regular file at PATH, for reading, for appending, or both; what is to be written is made with mode
 * 0600. */
int place_file(const char *path, int read, int append, char why[PLACE_WHY_BYTES]);
