#include "tests/story/audit.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/story/world_own.h"

enum { PAGE_PAIRS = 2, PAIR_BYTES = 9, NAMES_MAX = 64 };

/* A story is a process of its own: there is one world, one liar, one answer. */
static struct {
    const char *name;
    lie_t lie;
    kref_t kref;
    unsigned flags;
} liar;

static text_buf_t answer;
static bool answered;

void world_lie(world_t *self, const char *name, lie_t lie, kref_t kref, unsigned flags)
{
    (void)self;
    liar.name = name;
    liar.lie = lie;
    liar.kref = kref;
    liar.flags = flags;
}

void world_audit(world_t *self)
{
    uint64_t n = ++self->requests;
    msg_audit_t audit = {.names = 1};
    memcpy(audit.request.b, &n, sizeof n);
    answered = false;
    answer.len = 0;
    world_post(self, LINK_ASK, CLIENT, 0, TAG_audit, &audit);
}

const char *world_audited(const world_t *self)
{
    (void)self;
    return answered ? answer.at : NULL;
}

void audit_rows(world_t *self, const msg_rows_t *rows)
{
    (void)self;
    bin_t rest = rows->rows;
    while (rest.len > 0) {
        msg_t row;
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        const msg_finding_row_t *finding = &row.body.finding_row;
        const msg_counter_row_t *counter = &row.body.counter_row;
        if (row.tag == TAG_finding_row)
            say(&answer, "%.*s %.*s: %.*s\n", (int)finding->rule.len, finding->rule.at,
                (int)finding->row.len, finding->row.at, (int)finding->should.len, finding->should.at);
        else
            say(&answer, "%.*s %" PRIu64 "\n", (int)counter->name.len, counter->name.at, counter->value);
        msg_clear(&row);
    }
    answered = true;
}

typedef struct {
    uint64_t krefs[NAMES_MAX], flags[NAMES_MAX];
    size_t count;
} names_t;

static void add(names_t *names, uint64_t kref, uint64_t flags)
{
    cr_assert_lt(names->count, NAMES_MAX);
    names->krefs[names->count] = kref;
    names->flags[names->count++] = flags;
}

static void add_pair(void *context, kref_t kref, vref_t vref, uint64_t flags)
{
    (void)vref;
    add(context, kref.n, flags);
}

static void bend(names_t *names)
{
    names_t true_names = *names;
    names->count = 0;
    for (size_t i = 0; i < true_names.count; i++) {
        uint64_t kref = true_names.krefs[i], flags = true_names.flags[i];
        bool it = kref == liar.kref.n;
        if (liar.lie == LIE_MORE && kref > liar.kref.n &&
            (!names->count || names->krefs[names->count - 1] < liar.kref.n))
            add(names, liar.kref.n, liar.flags);
        if (it && liar.lie == LIE_MISSING) continue;
        add(names, kref, it && liar.lie == LIE_FLAGS ? flags ^ liar.flags : flags);
    }
    if (liar.lie == LIE_MORE && names->krefs[names->count - 1] < liar.kref.n)
        add(names, liar.kref.n, liar.flags);
}

static size_t page(const names_t *names, uint64_t first, uint8_t *at, uint64_t *next)
{
    size_t count = 0;
    *next = 0;
    for (size_t i = 0; i < names->count; i++) {
        uint64_t kref = names->krefs[i];
        if (kref < first) continue;
        if (count == PAGE_PAIRS) {
            *next = kref;
            break;
        }
        uint8_t *pair = at + PAIR_BYTES * count++;
        for (size_t j = 0; j < 8; j++) pair[j] = (uint8_t)(kref >> (56 - 8 * j));
        pair[8] = (uint8_t)names->flags[i];
    }
    return count;
}

void audit_names(world_t *self, const msg_names_get_t *get)
{
    for (size_t i = 0; i < self->vat_count; i++) {
        vat_story_t *vat = &self->vats[i];
        if (vat->number != get->vat.n || !vat->supervisor || vat->run != get->run) continue;
        names_t names = {.count = 0};
        uint8_t pairs[PAGE_PAIRS * PAIR_BYTES];
        bool lies = liar.name && strcmp(liar.name, vat->name) == 0;
        if (lies && liar.lie == LIE_SILENT) return;
        supervisor_pairs(vat->supervisor, add_pair, &names);
        if (lies) bend(&names);
        msg_names_t msg = {.vat = get->vat, .inc = get->inc, .pgen = get->pgen, .run = get->run,
            .first = get->first, .last = supervisor_last(vat->supervisor)};
        size_t count = page(&names, get->first, pairs, &msg.next);
        if (lies && liar.lie == LIE_ORDER && count == 2) memcpy(pairs, pairs + PAIR_BYTES, PAIR_BYTES);
        msg.pairs = (bin_t){pairs, count * PAIR_BYTES};
        world_post(self, LINK_UP, vat->host, vat->number, TAG_names, &msg);
    }
}
