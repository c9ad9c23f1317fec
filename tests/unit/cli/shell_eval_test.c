/* Lines of the shell run against a broker made of three tables: vats by name, what was sent, and what
 * promises are settled with. Method: `say()` runs lines and gives back everything that left, in order,
 * and what came of the last one, as one text. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/shell_eval.h"
#include "wire/base/must.h"

typedef struct {
    uint64_t promises; /* made so far: kp0.1 ... */
    char sent[4000];
    struct {
        const char *body; /* NULL: not settled */
        kref_t slot;
        bool rejected;
    } answers[20];
} world_t;

static world_t world;
static shell_t shell;
static fail_t f;

static void note(const char *text)
{
    must(strlen(world.sent) + strlen(text) < sizeof world.sent);
    strcat(world.sent, text);
}

static err_t find(void *context, const char *name, kref_t *ret, fail_t *fail_)
{
    (void)context;
    if (strcmp(name, "alice") != 0 && strcmp(name, "shop/bob") != 0)
        return fail(fail_, ERR_VAT_UNKNOWN, "no vat \"%s\"", name);
    *ret = kref_root((vat_t){*name == 'a' ? 1u : 2u});
    return ERR_OK;
}

static err_t send_(void *context, kref_t target, const capdata_t *methargs, bool no_result,
                   kref_t *ret, fail_t *fail_)
{
    char kref[KREF_TEXT_MAX];

    (void)context;
    note(kref_text(target, kref));
    snprintf(world.sent + strlen(world.sent), 1000, "%s%.*s", no_result ? "!" : "",
             (int)methargs->body.len, (const char *)methargs->body.at);
    for (size_t i = 0; i < methargs->slots.count; i++)
        note(" "), note(kref_text(methargs->slots.at[i], kref));
    note("; ");
    if (kref_same(target, kref_object((vat_t){9}, 9)))
        return fail(fail_, ERR_REF_UNKNOWN, "no ko9.9");
    if (!no_result) *ret = kref_promise((vat_t){0}, ++world.promises);
    return ERR_OK;
}

static err_t await_(void *context, kref_t promise, settled_t *ret, value_t *ret_value,
                    fail_t *fail_)
{
    size_t i = (size_t)kref_serial(promise);

    (void)context, (void)fail_;
    *ret = SETTLED_NOT;
    if (!world.answers[i].body) return ERR_OK;
    *ret = world.answers[i].rejected ? SETTLED_REJECTED : SETTLED_FULFILLED;
    capdata_t data = {{(const uint8_t *)world.answers[i].body, strlen(world.answers[i].body)},
                      {&world.answers[i].slot, !kref_none(world.answers[i].slot)}};
    *ret_value = value_copy(&data);
    return ERR_OK;
}

static void let_go(void *context, kref_t promise)
{
    char kref[KREF_TEXT_MAX];

    (void)context;
    note("free "), note(kref_text(promise, kref)), note("; ");
}

static void begin(void)
{
    world = (world_t){0};
    shell = shell_of((port_t){&world, find, send_, await_, let_go});
}

static void end(void) { shell_clear(&shell); }

/* Runs the lines of TEXT; gives "what left = NAME VALUE". */
static const char *say(const char *text)
{
    static char told[12000];
    size_t from = 0;
    buf_t shown = buf_of(2000);

    *world.sent = *told = 0;
    while (text[from]) {
        line_t line;
        outcome_t outcome = {.value = value_of()};
        err_t err = line_parse(text, from, &line, &f);
        from = line.end;
        if (!err) err = shell_run(&shell, text, &line, &outcome, &f);
        capdata_t data = value_capdata(&outcome.value);
        static const char *const words[] = {"waits ", "", "rejected "};
        if (err)
            snprintf(told, sizeof told, "%s= E%u %s", world.sent, (unsigned)err, f.what);
        else
            snprintf(told, sizeof told, "%s= %s%s%s", world.sent, outcome.name,
                     *outcome.name ? " " : "", words[outcome.settled]);
        buf_reset(&shown);
        if (!err && data.body.len && !value_show(&shown, &data))
            snprintf(told + strlen(told), 1000, "%.*s", (int)shown.len, (const char *)shown.at);
        outcome_clear(&outcome);
        line_clear(&line);
    }
    buf_clear(&shown);
    return told;
}

static void answer(size_t promise, const char *body, kref_t slot)
{
    world.answers[promise].body = body;
    world.answers[promise].slot = slot;
}

static const kref_t mint = {(UINT64_C(3) << 40) + 7};

Test(shell_eval, a_message_and_its_answer, .init = begin, .fini = end)
{
    answer(1, "#\"hello Bob\"", (kref_t){0});
    answer(2, "#\"$0.Alleged: Mint\"", mint);
    cr_expect_str_eq(say("alice.greet(\"Bob\", 42n)"),
                     "ko1.0#[\"greet\",[\"Bob\",\"+42\"]]; = $1 \"hello Bob\"");
    cr_expect_str_eq(say("shop/bob.makeMint()"),
                     "ko2.0#[\"makeMint\",[]]; = $2 <ko3.7 Alleged: Mint>");
    cr_expect_str_eq(say("[$1, $2, 1]"), "= [\"hello Bob\", <ko3.7 Alleged: Mint>, 1]");
    cr_expect_str_eq(say("!alice.log()"), "ko1.0!#[\"log\",[]]; = waits ");
    cr_expect_str_eq(say("ko3.7(1)"), "ko3.7#[\"#undefined\",[1]]; = $3 waits <kp0.3 promise>");
}

Test(shell_eval, chains_leave_at_once, .init = begin, .fini = end)
{
    answer(2, "#\"+100\"", (kref_t){0});
    cr_expect_str_eq(
        say("ko3.7.makePurse(100n).getBalance()"),
        "ko3.7#[\"makePurse\",[\"+100\"]]; kp0.1#[\"getBalance\",[]]; free kp0.1; = $1 100n");
    cr_expect_str_eq(say("alice.wait(alice.f({a: [alice.g()]}), @alice)"),
                     "ko1.0#[\"g\",[]]; ko1.0#[\"f\",[{\"a\":[\"&0\"]}]] kp0.3; "
                     "ko1.0#[\"wait\",[\"&0\",\"$1\"]] kp0.4 ko1.0; free kp0.3; free kp0.4; "
                     "= $2 waits <kp0.5 promise>");
    cr_expect_str_eq(say("let p = [1, alice.g()]"), "ko1.0#[\"g\",[]]; = [1, <kp0.6 promise>]");
    cr_expect_str_eq(say("[alice.g()]"), "ko1.0#[\"g\",[]]; = $3 [<kp0.7 promise>]");
}

Test(shell_eval, names, .init = begin, .fini = end)
{
    answer(1, "#\"$0.Alleged: Mint\"", mint);
    say("let mint = alice.makeMint()");
    cr_expect_str_eq(say("mint"), "= <ko3.7 Alleged: Mint>");
    cr_expect_str_eq(say("mint.f(mint, [mint])"),
                     "ko3.7#[\"f\",[\"$0.Alleged: Mint\",[\"$0.Alleged: Mint\"]]] ko3.7; "
                     "= $1 waits <kp0.2 promise>");
    cr_expect_str_eq(say("let x = {a: 1, b: mint}; let y = [x, x]; alice.f(y)"),
                     "ko1.0#[\"f\",[[{\"a\":1,\"b\":\"$0.Alleged: "
                     "Mint\"},{\"a\":1,\"b\":\"$0.Alleged: Mint\"}]]] "
                     "ko3.7; = $2 waits <kp0.3 promise>");
    cr_expect_str_eq(say("mnt.f()"), "= E2304 no name or vat \"mnt\"; did you mean mint?");
    cr_expect_str_eq(say("@mint.f()"), "= E2304 no vat \"mint\"");
    cr_expect_str_eq(say("x.f()"), "= E1004 x is no object: {a: 1, b: <ko3.7 Alleged: Mint>}");
    cr_expect_str_eq(say("$9"), "= E2304 no name or vat \"$9\"; did you mean $1?");
    cr_expect(pet_forget(&shell, "mint"));
    cr_expect_not(pet_forget(&shell, "mint"));
    cr_expect_str_eq(say("mint.f()"), "= E2304 no name or vat \"mint\"");
    cr_expect_str_eq(say("let alice = 3; alice"), "= 3");
    cr_expect_str_eq(say("@alice"), "= <ko1.0>");
}

Test(shell_eval, who_stops_waiting_keeps_the_promise, .init = begin, .fini = end)
{
    cr_expect_str_eq(say("let p = alice.later(); let q = p"),
                     "ko1.0#[\"later\",[]]; = <kp0.1 promise>");
    cr_expect_str_eq(say("p.f(q)"), "kp0.1#[\"f\",[\"&0\"]] kp0.1; = $1 waits <kp0.2 promise>");
    capdata_t value = {{(const uint8_t *)"#\"+7\"", 5}, {NULL, 0}};
    cr_expect_str_eq(shell_settled(&shell, kref_promise((vat_t){0}, 1), false, &value), "q");
    cr_expect_str_eq(say("[p, q]"), "= [7n, 7n]");
    cr_expect_null(shell_settled(&shell, kref_promise((vat_t){0}, 1), false, &value));

    capdata_t reason = {{(const uint8_t *)"#{\"#error\":\"no\",\"name\":\"Error\"}", 31},
                        {NULL, 0}};
    cr_expect_str_eq(shell_settled(&shell, kref_promise((vat_t){0}, 2), true, &reason), "$1");
    cr_expect_str_eq(say("$1"), "= E4102 $1 was rejected: Error: no");
}

Test(shell_eval, waiting_for_a_promise_by_name, .init = begin, .fini = end)
{
    line_t line;
    outcome_t outcome;

    say("let p = alice.later()");
    answer(1, "#\"late\"", (kref_t){0});
    cr_assert_eq(line_parse("p", 0, &line, &f), ERR_OK);
    cr_assert_eq(shell_await(&shell, "p", line.term, &outcome, &f), ERR_OK);
    cr_expect_eq(outcome.settled, SETTLED_FULFILLED);
    outcome_clear(&outcome);
    cr_expect_str_eq(say("p"), "= \"late\"");
    /* It is a value now: there is nothing to wait for. */
    world.answers[1].body = NULL;
    cr_assert_eq(shell_await(&shell, "p", line.term, &outcome, &f), ERR_OK);
    cr_expect_eq(outcome.settled, SETTLED_FULFILLED);
    outcome_clear(&outcome);
    line_clear(&line);
}

Test(shell_eval, a_rejection_names_nothing, .init = begin, .fini = end)
{
    answer(1, "#\"$0.Alleged: Mint\"", mint);
    answer(2, "#{\"#error\":\"no\",\"name\":\"TypeError\"}", (kref_t){0});
    world.answers[2].rejected = true;
    say("let x = alice.f()");
    cr_expect_str_eq(say("let x = alice.g()"), "ko1.0#[\"g\",[]]; = rejected TypeError: no");
    cr_expect_str_eq(say("x"), "= <ko3.7 Alleged: Mint>");
}

Test(shell_eval, failures_say_where, .init = begin, .fini = end)
{
    cr_expect_str_eq(
        say("alice.f(ko9.9.g(alice.h()))"),
        "ko1.0#[\"h\",[]]; ko9.9#[\"g\",[\"&0\"]] kp0.1; free kp0.1; = E4101 no ko9.9");
    cr_expect_str_eq(f.why, "alice.f(ko9.9.g(alice.h()))\n        ^");
    say("alice.f(1, nobody)");
    cr_expect_str_eq(f.why, "alice.f(1, nobody)\n           ^");
}

Test(shell_eval, what_a_vat_gave_is_passed_on_as_it_was, .init = begin, .fini = end)
{
    /* Escapes that marshal does not write, but that mean a reference, or do not. */
    answer(1, "#[\"\\u00240\",\"!$0\",\"a\\\"$0\",\"\\\\\",\"$0\"]", mint);
    say("let x = alice.f()");
    cr_expect_str_eq(
        say("alice.g(ko5.5, x)"),
        "ko1.0#[\"g\",[\"$0\",[\"$1\",\"!$0\",\"a\\\"$0\",\"\\\\\",\"$1\"]]] ko5.5 ko3.7; "
        "= $1 waits <kp0.2 promise>");
}

Test(shell_eval, literals_read_back, .init = begin, .fini = end)
{
    static const char *const bodies[] = {"#\"#undefined\"",
                                         "#[1.5,\"+42\",\"-7\",\"#NaN\",\"#-Infinity\",null,true]",
                                         "#{\"!#a\":\"!$x\",\"b c\":\"\\n\"}",
                                         "#[\"%@@asyncIterator\",\"%x\",\"%@@@@y\"]",
                                         "#{\"#tag\":\"copySet\",\"payload\":[\"$0\"]}",
                                         "#{\"#error\":\"m\",\"name\":\"TypeError\"}"};

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        capdata_t data = {{(const uint8_t *)bodies[i], strlen(bodies[i])}, {&mint, 1}};
        buf_t text = buf_of(1000);
        line_t line;
        value_t value;
        cr_assert_eq(value_literal(&text, &data), ERR_OK);
        must(!buf_add(&text, "", 1));
        cr_assert_eq(line_parse((char *)text.at, 0, &line, &f), ERR_OK, "%s", (char *)text.at);
        cr_assert_eq(shell_value(&shell, (char *)text.at, line.term, &value, &f), ERR_OK);
        cr_expect(value.body.len == data.body.len &&
                      memcmp(value.body.at, data.body.at, data.body.len) == 0,
                  "%s: %.*s", (char *)text.at, (int)value.body.len, (char *)value.body.at);
        value_clear(&value);
        line_clear(&line);
        buf_clear(&text);
    }
    capdata_t out = {{(const uint8_t *)"#\"$1\"", 5}, {&mint, 1}};
    buf_t text = buf_of(1000);
    cr_expect_eq(value_literal(&text, &out), ERR_BODY_BROKEN);
    buf_clear(&text);
}
