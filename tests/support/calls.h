/* The syscalls of a crank as text, to be compared with what a test expects, one a line:
 *
 *   send ko2.0 #["ping",["$0"]] {ko1.1} kp1.1
 *   subscribe kp1.1
 *   resolve kp1.1 ok #"pong" {}; kp1.2 rejected #"no" {}
 *   exit ok #"bye" {}
 *   drop_imports ko2.1 ko2.2 */
#pragma once
#include "wire/codec/codec.h"

/* CALLS: frames of syscall.def, one behind the other. The caller frees the text. */
char *calls_text(bin_t calls);
