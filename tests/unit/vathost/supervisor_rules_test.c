/* What a vat may not do: a crank with an illegal syscall, or too large a one, is discarded whole and says why; and
 * how a vat ends itself. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vathost/supervisor_rig.h"

/* ---- what a vat may not do ---- */

static void forge_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_set(h, "k", "v");
    script_send(h, "o+9", "#[\"x\",[\"$0\"]]", "o-50", "p+1");
}
static void forge_slot(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+0", "#[\"x\",[\"&0\"]]", "p-60", "");
}
static void bad_grammar(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+07", "#[\"x\",[]]", "", "");
}
static void no_target(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "", "#[\"x\",[]]", "", "");
}
static void resolve_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_resolve(h, "o+0", false, "#1", "");
}
static void resolve_twice(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_resolve_batch(
        h, (script_resolution_t[]){{"p+7", false, "#1", ""}, {"p+7", false, "#2", ""}}, 2);
}
static void subscribe_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_subscribe(h, "o+0");
}
static void result_object(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_send(h, "o+0", "#[\"x\",[]]", "", "o+5");
}
static void drop_unknown(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o-50");
}
static void drop_export(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_drop_imports, "o+0");
}
static void retire_reachable(const engine_host_t *h, engine_report_t *r)
{
    (void)r;
    script_refs(h, TAG_retire_exports, "o+0");
}

static const struct {
    step_t *step;
    const char *reason;
} crimes[] = {
    {forge_object, "illegal syscall send: the vat names a kref that it does not hold (o-50)"},
    {forge_slot, "illegal syscall send: the vat names a kref that it does not hold (p-60)"},
    {bad_grammar, "illegal syscall send: the vat names a kref that it does not hold (o+07)"},
    {no_target, "illegal syscall send: the vat names a kref that it does not hold"},
    {resolve_object, "illegal syscall resolve: an object stands where a promise must, or a promise "
                     "where an object must (o+0)"},
    {resolve_twice,
     "illegal syscall resolve: one reference is settled, dropped or retired twice (p+7)"},
    {subscribe_object, "illegal syscall subscribe: an object stands where a promise must, or a "
                       "promise where an object must (o+0)"},
    {result_object, "illegal syscall send: an object stands where a promise must, or a promise "
                    "where an object must (o+5)"},
    {drop_unknown,
     "illegal syscall drop_imports: the vat names a kref that it does not hold (o-50)"},
    {drop_export,
     "illegal syscall drop_imports: an object stands where a promise must, or a promise "
     "where an object must (o+0)"},
    {retire_reachable, "illegal syscall retire_exports: a reference is retired that is still "
                       "reachable (o+0)"},
};

Test(supervisor, an_illegal_crank_is_discarded_whole_and_says_why)
{
    for (size_t i = 0; i < sizeof crimes / sizeof *crimes; i++) {
        steps_t steps = {{NULL, crimes[i].step}, 0};
        rig_t rig = rig_of((vat_t){3}, follow, &steps);

        cr_assert_eq(poke(&rig), ERR_OK);
        char *before = memstore_dump(rig.store);
        cr_assert_eq(poke(&rig), ERR_OK);
        cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL, "crime %zu", i);
        cr_expect_str_eq(rig.crank->reason, crimes[i].reason);
        cr_expect_str_eq(rig.calls, "");
        cr_expect(hash_none(rig.crank->store_digest));
        cr_expect(rig.crank->ended);
        cr_expect_eq(look(&rig, "").count, 1);
        char *after = memstore_dump(rig.store);
        cr_expect_str_eq(after, before);
        free(before);
        free(after);
        rig_clear(&rig);
    }
}

static void sticky(const engine_host_t *host, engine_report_t *ret)
{
    text_t text;
    bool found;
    (void)ret;
    cr_expect_eq(script_subscribe(host, "p-99"), ERR_NOT_HELD);
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "", ""), ERR_NOT_HELD);
    cr_expect_eq(host->store_get(host->self, text_of("k"), &text, &found), ERR_NOT_HELD);
    cr_expect_eq(script_set(host, "k", "v"), ERR_NOT_HELD);
}

Test(supervisor, after_an_illegal_syscall_every_other_fails_alike)
{
    steps_t steps = {{sticky}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_VAT_ILLEGAL);
    rig_clear(&rig);
}

static void leave(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "a", "1");
    script_exit(host, false, "#\"bye\"", "");
    cr_expect_eq(script_send(host, "o+0", "#[\"x\",[]]", "", ""), ERR_OK);
    script_set(host, "b", "2");
}
static void leave_twice(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "c", "4");
    script_exit(host, true, "#\"no\"", "");
    script_exit(host, false, "#\"yes\"", "");
}
static void leave_failing(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_set(host, "c", "3");
    script_exit(host, true, "#\"$0\"", "o+9");
}

Test(supervisor, exit_ends_the_vat_but_not_the_crank)
{
    steps_t steps = {{leave, leave_failing, leave_twice}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "exit ok #\"bye\" {}\nsend ko3.0 #[\"x\",[]] {}\n");
    cr_expect_eq(rig.crank->outcome, ERR_OK);
    cr_expect(rig.crank->ended);
    char *kept = memstore_dump(rig.store);
    cr_expect_str_eq(kept, "p ko3.0=o+0 3\ns a=1\ns b=2\n");

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_str_eq(rig.calls, "exit failure #\"$0\" {ko3.1}\n");
    char *after = memstore_dump(rig.store);
    cr_expect_str_eq(after, kept, "a failing exit discards what the crank did");
    free(after);

    cr_assert_eq(poke(&rig), ERR_OK);
    after = memstore_dump(rig.store);
    cr_expect_str_neq(after, kept, "of two exits the last one counts");
    free(kept);
    free(after);
    rig_clear(&rig);
}

/* ---- limits ---- */

static void many_calls(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    for (int i = 0; i < CRANK_CALLS_MAX; i++) cr_assert_eq(script_subscribe(host, "p+1"), ERR_OK);
    cr_expect_eq(script_subscribe(host, "p+1"), ERR_CALLS_LIMIT);
}

static void large_calls(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    enum { BODY = 8 * 1000 * 1000 };
    char *body = malloc(BODY + 1);
    memset(body, 'x', BODY);
    body[BODY] = '\0';
    for (int i = 0; i < 4; i++) cr_assert_eq(script_send(host, "o+0", body, "", ""), ERR_OK);
    cr_expect_eq(script_send(host, "o+0", body, "", ""), ERR_CALLS_LIMIT);
    free(body);
}

Test(supervisor, a_crank_has_a_size)
{
    steps_t many = {{many_calls}, 0}, large = {{large_calls}, 0};
    rig_t a = rig_of((vat_t){3}, follow, &many), b = rig_of((vat_t){3}, follow, &large);

    cr_assert_eq(poke(&a), ERR_OK);
    cr_expect_eq(a.crank->outcome, ERR_VAT_ILLEGAL);
    cr_expect_str_eq(a.crank->reason, "illegal syscall subscribe: a crank makes too many syscalls, "
                                      "or too large ones");
    cr_assert_eq(poke(&b), ERR_OK);
    cr_expect_eq(b.crank->outcome, ERR_VAT_ILLEGAL);
    cr_expect_str_eq(b.calls, "");
    rig_clear(&a);
    rig_clear(&b);
}

static void talk(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    char line[1001];
    memset(line, 'x', 1000);
    line[1000] = '\0';
    for (int i = 0; i < 100; i++) script_print(host, line);
}
static void say_little(const engine_host_t *host, engine_report_t *ret)
{
    (void)ret;
    script_print(host, "hello");
    ret->outcome = ERR_VAT_LIMIT_COMPUTE;
    strcpy(ret->reason, "Compute meter exceeded");
    ret->dead = true;
}

Test(supervisor, console_lines_are_bounded_and_the_rest_is_counted)
{
    steps_t steps = {{talk, say_little}, 0};
    rig_t rig = rig_of((vat_t){3}, follow, &steps);
    int lines = 0;
    msg_t msg;

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_leq(rig.crank->console.len, CONSOLE_BYTES_MAX);
    for (bin_t rest = rig.crank->console; rest.len > 0; lines++) {
        cr_assert_eq(msg_next(&rest, &msg), ERR_OK);
        if (rest.len == 0) {
            char expected[64];
            snprintf(expected, sizeof expected, "%d lines dropped", 100 - lines);
            text_t text = msg.body.console.text;
            cr_expect_eq(text.len, strlen(expected));
            cr_expect_eq(memcmp(text.at, expected, text.len), 0, "%.*s", (int)text.len, text.at);
        }
        msg_clear(&msg);
    }
    cr_expect(lines > 50 && lines < 70, "%d", lines);

    cr_assert_eq(poke(&rig), ERR_OK);
    cr_expect_eq(rig.crank->outcome, ERR_VAT_LIMIT_COMPUTE);
    cr_expect_str_eq(rig.crank->reason, "Compute meter exceeded");
    cr_expect(rig.crank->dead);
    cr_expect(rig.crank->console.len > 0, "lines of a failed crank come with it");
    rig_clear(&rig);
}
