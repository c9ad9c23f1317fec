/* What the agent says: AGENT_TOLD, whose body is smallcaps without slots. */
#pragma once
#include "wire/base/buf.h"
#include "wire/base/bytes.h"

/* Where answers go. */
typedef struct {
    void *self;
    void (*told)(void *self, uint64_t errand, bool rejected, bin_t body);
} told_t;

void told_undefined(const told_t *self, uint64_t errand);
void told_null(const told_t *self, uint64_t errand);

/* TEXT is UTF-8. */
void told_text(const told_t *self, uint64_t errand, text_t text);

/* Rejected with an error called NAME ("Error", "TypeError"); its message is cut at TEXT_BYTES_MAX. */
__attribute__((format(printf, 4, 5))) void told_failed(const told_t *self, uint64_t errand,
                                                       const char *name, const char *format, ...);
