/* What vatctl ps would show, for tests with a kernel_rig. */
#pragma once
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"

static inline void expect_in_list(rig_t *rig, const char *text, bool there)
{
    char *list = rig_list(rig, 0, (kref_t){0});
    cr_expect(!strstr(list, text) == !there, "%s is%s in %s", text, there ? " not" : "", list);
    free(list);
}
static inline void expect_listed(rig_t *rig, const char *text) { expect_in_list(rig, text, true); }
static inline void expect_not_listed(rig_t *rig, const char *text)
{
    expect_in_list(rig, text, false);
}
