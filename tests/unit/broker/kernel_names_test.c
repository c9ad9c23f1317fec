/* AUDIT with names, and workers and hosts that answer as they like: the audit ends, nothing else waits,
 * and no answer is believed that is not of this run, this page and this delivery. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/kernel_rig.h"
#include "wire/base/limits.h"

enum { CLIENT = 7, PAIR_BYTES = 9 };

static rig_t *rig;
static uint32_t host;
static uint64_t run; /* of every vat: each was attached once */

static void set_up(void)
{
    rig = rig_new();
    host = rig_host(rig, 1);
}

static void tear_down(void) { rig_destroy(&rig); }

TestSuite(names, .init = set_up, .fini = tear_down);

/* COUNT vats at rest. The first one holds all roots, each of the others its own. */
static void launch(unsigned count)
{
    char all[512] = "", name[16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%sv%u", i ? " " : "", i + 1);
        strcat(all, name);
    }
    cr_assert_eq(rig_launch(rig, all, NULL)->tag, TAG_launched);
    run = rig_result_frame(rig, 1, NULL).run;
    buf_t calls = {0};
    kref_t result = rig_delivery(rig, 1)->body.deliver_message.result;
    call_resolve(&calls, result, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    rig_run_dry(rig);
}

static id128_t audit(bool names)
{
    msg_audit_t msg = {rig_id(rig), names};
    rig_ask_from(rig, CLIENT, TAG_audit, &msg);
    return msg.request;
}

static size_t pair(uint8_t *at, size_t i, uint64_t kref, uint8_t flags)
{
    for (size_t j = 0; j < 8; j++) at[i * PAIR_BYTES + j] = (uint8_t)(kref >> (56 - 8 * j));
    at[i * PAIR_BYTES + 8] = flags;
    return i + 1;
}

static msg_names_t names_of(uint32_t vat, const uint8_t *pairs, size_t count)
{
    return (msg_names_t){.vat = {vat}, .inc = 1, .pgen = 1, .run = run, .last = vat == 1 ? 2 : 1,
        .pairs = {pairs, count * PAIR_BYTES}};
}

static void say(const msg_names_t *msg) { rig_from_host(rig, host, TAG_names, msg); }

/* What an honest worker of VAT says in a cluster of COUNT vats. */
static void honest(uint32_t vat, unsigned count)
{
    uint8_t pairs[64 * PAIR_BYTES];
    size_t n = 0;
    if (vat == 1)
        for (unsigned v = 1; v <= count; v++)
            n = pair(pairs, n, kref_root((vat_t){v}).n, v == 1 ? 3 : 1);
    else
        n = pair(pairs, n, kref_root((vat_t){vat}).n, 3);
    msg_names_t msg = names_of(vat, pairs, n);
    say(&msg);
}

/* The answer's rows as text, NULL when there is none. The caller frees it. */
static char *answer(void)
{
    const msg_t *reply = rig_reply(rig, CLIENT);
    if (!reply) return NULL;
    cr_assert_eq(reply->tag, TAG_rows);
    bin_t rest = reply->body.rows.rows;
    char *text = calloc(1, 1024 * 1024), *at = text;
    while (rest.len > 0) {
        msg_t row;
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        const msg_finding_row_t *f = &row.body.finding_row;
        const msg_counter_row_t *c = &row.body.counter_row;
        if (row.tag == TAG_finding_row)
            at += sprintf(at, "%.*s %.*s\n", (int)f->rule.len, f->rule.at, (int)f->row.len, f->row.at);
        else
            at += sprintf(at, "%.*s %llu\n", (int)c->name.len, c->name.at, (unsigned long long)c->value);
        msg_clear(&row);
    }
    return text;
}

static void expect(const char *vats)
{
    char *text = answer();
    cr_assert_not_null(text, "it is answered: %s", vats);
    cr_expect_not_null(strstr(text, vats), "%s, not %s", text, vats);
    cr_expect_null(strchr(text, 'X'), "%s", text);
    free(text);
}

static void expect_open(void)
{
    char *text = answer();
    cr_expect_null(text, "%s", text);
    free(text);
}

Test(names, without_names_nobody_is_asked)
{
    launch(2);
    audit(false);
    char *text = answer();
    cr_assert_str_eq(text, "objects 2\npromises 1\nrows 3\nentries 0\n");
    free(text);
    cr_expect_eq(rig_host_frames(rig, TAG_names_get), 0);
}

Test(names, some_are_asked_at_a_time)
{
    unsigned count = NAMES_ASKED_MAX + 4;
    launch(count);
    audit(true);
    cr_expect_eq(rig_host_frames(rig, TAG_names_get), NAMES_ASKED_MAX);
    for (uint32_t vat = 1; vat <= count; vat++) {
        expect_open();
        honest(vat, count);
    }
    cr_expect_eq(rig_host_frames(rig, TAG_names_get), count);
    expect("vats_compared 20\nvats_busy 0\nvats_away 0\nnames 39\n");
}

/* Another host, run, incarnation, page, delivery; a vat that was not asked, or does not exist. */
Test(names, answers_of_others_are_not_heard)
{
    launch(2);
    uint32_t other = rig_host(rig, 2);
    uint8_t pairs[PAIR_BYTES];
    pair(pairs, 0, kref_object((vat_t){9}, 9).n, 1);
    const msg_names_t lie = names_of(2, pairs, 1);
    say(&lie);
    audit(true);
    msg_names_t bent = lie;
    rig_from_host(rig, other, TAG_names, &bent);
    bent.run++;
    say(&bent);
    bent = lie, bent.first = 5;
    say(&bent);
    bent = lie, bent.last = 0;
    say(&bent);
    bent = lie, bent.vat.n = 77;
    say(&bent);
    honest(1, 2);
    honest(2, 2);
    say(&lie);
    expect("vats_compared 2\nvats_busy 0\nvats_away 0\nnames 3\n");
}

/* Pages without an end, pages that lead back, half a pair, flags nobody knows. */
Test(names, a_worker_cannot_keep_an_audit_going)
{
    launch(2);
    audit(true);
    honest(1, 2);
    uint8_t pairs[PAIR_BYTES + 4];
    msg_names_t msg = names_of(2, pairs, 1);
    char *text = NULL;
    unsigned pages = 0;
    for (uint64_t n = 1; !text && n < 5000; n++, pages++) {
        pair(pairs, 0, kref_object((vat_t){9}, n).n, 1);
        msg.first = n == 1 ? 0 : kref_object((vat_t){9}, n).n;
        msg.next = kref_object((vat_t){9}, n + 1).n;
        say(&msg);
        text = answer();
    }
    cr_assert_not_null(text);
    cr_expect_lt(pages, 1100);
    cr_expect_not_null(strstr(text, "X4 name v2 ko9.1\n"));
    cr_expect_not_null(strstr(text, "vats_compared 2\n"), "%s", text);
    free(text);

    uint64_t own = kref_root((vat_t){2}).n;
    const struct {
        uint64_t kref, next;
        uint8_t flags;
        size_t len;
    } bad[] = {{own, own, 3, PAIR_BYTES}, {own, 1, 3, PAIR_BYTES}, {0, 0, 3, PAIR_BYTES},
               {own, 0, 4, PAIR_BYTES},   {own, 0, 3, PAIR_BYTES + 4}, {own, own + 1, 3, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        audit(true);
        honest(1, 2);
        pair(pairs, 0, bad[i].kref, bad[i].flags);
        msg = names_of(2, pairs, 1);
        msg.next = bad[i].next;
        msg.pairs.len = bad[i].len;
        say(&msg);
        text = answer();
        cr_assert_not_null(text, "case %zu", i);
        cr_expect_not_null(strstr(text, "X4 names v2 of all\n"), "case %zu: %s", i, text);
        free(text);
    }
}

Test(names, who_goes_is_away_and_who_runs_is_busy)
{
    launch(2);
    audit(true);
    honest(1, 2);
    msg_call_t call = {.request = rig_id(rig), .target = kref_root((vat_t){2}), .no_result = 1,
        .methargs = rig_data("#[\"go\",[]]", NULL, 0)};
    cr_assert_eq(rig_ask(rig, TAG_call, &call)->tag, TAG_sent);
    expect("vats_compared 1\nvats_busy 1\nvats_away 0\n");
    audit(true);
    honest(1, 2);
    expect("vats_compared 1\nvats_busy 1\nvats_away 0\n");
    rig_run_dry(rig);

    audit(true);
    honest(1, 2);
    msg_kill_t kill = {rig_id(rig), {2}, text_of("enough")};
    cr_assert_eq(rig_ask(rig, TAG_kill, &kill)->tag, TAG_done);
    expect("vats_compared 1\nvats_busy 0\nvats_away 1\n");
    audit(true);
    rig_host_gone(rig, host);
    expect("vats_compared 0\nvats_busy 0\nvats_away 1\n");
    audit(true);
    expect("vats_compared 0\nvats_busy 0\nvats_away 1\n");
}

/* Start is in flight; then the worker ran a delivery that nobody gave it: quarantine. */
Test(names, who_starts_is_busy_and_who_is_in_quarantine_is_away)
{
    rig_launch(rig, "v1", &(rig_launch_t){.no_start = true});
    audit(true);
    expect("vats_compared 0\nvats_busy 1\nvats_away 0\n");
    rig_empty(rig, 1);
    rig_run_dry(rig);
    msg_attach_t attach = {.vat = {1}, .inc = 1, .pgen = 1, .last = 99};
    rig_from_host(rig, host, TAG_attach, &attach);
    audit(true);
    expect("vats_compared 0\nvats_busy 0\nvats_away 1\n");
}

Test(names, two_clients_and_one_that_goes)
{
    launch(1);
    audit(true);
    audit(true);
    honest(1, 1);
    expect("vats_compared 1\n");
    expect("vats_compared 1\n");
    audit(true);
    rig_client_gone(rig, CLIENT);
    honest(1, 1);
    expect_open();
    audit(true);
    honest(1, 1);
    expect("vats_compared 1\n");
}

Test(names, nobody_is_waited_for_too_long)
{
    launch(1);
    uint64_t begin = UINT64_C(1700000000000000), wait = UINT64_C(1000) * NAMES_WAIT_MS;
    cr_expect_not(kernel_overdue(rig_kernel(rig), begin + 100 * wait), "nobody is asked");
    audit(true);
    cr_expect_not(kernel_overdue(rig_kernel(rig), begin + wait / 2));
    cr_expect(kernel_overdue(rig_kernel(rig), begin + 2 * wait));
    for (unsigned i = 0; i < NAMES_WAIT_MS; i++) rig_chore(rig); /* 1.5 ms each */
    expect("vats_compared 0\nvats_busy 0\nvats_away 1\n");
    cr_expect_not(kernel_overdue(rig_kernel(rig), begin + 100 * wait));
}

/* A vat settles its promise while a delivery that mentions it is on the way: there it is an import, with
 * a new name, for the worker and for the broker. */
Test(names, a_promise_that_came_home_is_an_import)
{
    kref_t promise = kref_promise((vat_t){1}, 1), roots[] = {kref_root((vat_t){1}), kref_root((vat_t){2})};
    kref_t given[] = {promise, roots[0]};
    buf_t calls = {0};
    rig_launch(rig, "v1 v2", &(rig_launch_t){.window = 2});
    run = rig_result_frame(rig, 1, NULL).run;
    call_send(&calls, roots[1], "#[\"take\",[\"&0\",\"$1\"]]", given, 2, (kref_t){0});
    call_resolve(&calls, rig_delivery(rig, 1)->body.deliver_message.result, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    msg_call_t call = {.request = rig_id(rig), .target = roots[0], .no_result = true,
        .methargs = rig_data("#[\"go\",[]]", NULL, 0)};
    rig_ask(rig, TAG_call, &call);
    call_send(&calls, roots[0], "#[\"take\",[\"&0\"]]", &promise, 1, (kref_t){0});
    rig_result(rig, 2, &calls);
    cr_assert_eq(rig_pending(rig, 1), 2, "the window is full");
    call_resolve(&calls, promise, false, "#1", NULL, 0);
    rig_result(rig, 1, &calls);
    rig_run_dry(rig);

    audit(true);
    uint8_t pairs[4 * PAIR_BYTES];
    size_t n = pair(pairs, 0, roots[0].n, 3);
    n = pair(pairs, n, roots[1].n, 1);
    n = pair(pairs, n, promise.n, 1);
    msg_names_t msg = names_of(1, pairs, n);
    msg.last = 4;
    say(&msg);
    n = pair(pairs, 0, roots[0].n, 1);
    n = pair(pairs, n, roots[1].n, 3);
    n = pair(pairs, n, promise.n, 1);
    msg = names_of(2, pairs, n);
    msg.last = 2;
    say(&msg);
    expect("vats_compared 2");
}
