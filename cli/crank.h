/* What enters a vat, and what it asks for, as programs and people read it. */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "wire/base/bytes.h"

/* One frame of delivery.def: {"kind":"message","target":"ko3.0","method":"greet","args":["Alice"],
 * "result":"kp1.1"}. The caller owns it; {"kind":"unreadable"} of what is none. */
json_t *delivery_json(bin_t delivery);

/* Frames of syscall.def, one behind the other: [{"syscall":"send","target":...}, ...]. */
json_t *calls_json(bin_t calls);

/* One of these on a line, without its end: `greet("Alice") to ko3.0 -> kp1.1`, `resolve kp1.1 "hello"`. What
 * a vat says cannot drive a terminal. */
void delivery_print(const json_t *delivery, FILE *out);
void call_print(const json_t *call, FILE *out);
