/* must(): the caller, or we ourselves, broke a promise. Compiled into every build; never for input.
 *
 * Running out of memory counts as a broken promise: every size is bounded by limits.h, so a failed
 * allocation means a machine that cannot go on. mem_take() and its kin therefore never return NULL,
 * and a crash at any instruction loses nothing (the log is durable). */
#pragma once

#define must(condition) \
    ((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__, __func__))

_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function);
