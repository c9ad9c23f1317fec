/* Lines of the shell made into trees. Method: each tree is written down again in a form of its own
 * (target <- body, what fills hole N behind it in braces) and compared with what is expected. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/shell_complete.h"
#include "cli/shell_parse.h"
#include "wire/base/must.h"

static void write_term(FILE *out, const term_t *term)
{
    char kref[KREF_TEXT_MAX];

    switch (term->kind) {
    case TERM_NAME: fprintf(out, "%s", term->name); return;
    case TERM_REF: fprintf(out, "%s", kref_text(term->kref, kref)); return;
    case TERM_MESSAGE: write_term(out, term->target), fputs(" <- ", out); break;
    case TERM_VALUE: break;
    }
    for (size_t i = 0; i < term->value.body.len; i++) {
        char c = (char)term->value.body.at[i];
        fputc(c == HOLE_MARK ? '~' : c, out);
    }
    for (size_t i = 0; i < term->value.slot_count; i++)
        fprintf(out, " %s", kref_text(term->value.slots[i], kref));
    for (size_t i = 0; i < term->hole_count; i++) {
        fputs(" {", out);
        write_term(out, term->holes[i]);
        fputs("}", out);
    }
}

/* The first line of TEXT as one text. */
static char *tree_of(const char *text, size_t *ret_end)
{
    static const char *const kinds[] = {"nothing", "", "let", "silent ", "command"};
    char *tree = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&tree, &len);
    line_t line;
    fail_t f;

    must(out);
    err_t err = line_parse(text, 0, &line, &f);
    if (err) {
        fprintf(out, "error %zu: %s", line.end, f.what);
    } else {
        fputs(kinds[line.kind], out);
        if (line.name) fprintf(out, " %s", line.name);
        if (line.kind == LINE_COMMAND)
            fprintf(out, " [%.*s]", (int)(line.end - line.words), text + line.words);
        if (line.name && line.term) fputs(": ", out);
        if (line.term) write_term(out, line.term);
    }
    must(fclose(out) == 0);
    if (ret_end) *ret_end = line.end;
    line_clear(&line);
    return tree;
}

static void check(const char *text, const char *want)
{
    char *tree = tree_of(text, NULL);

    cr_expect_str_eq(tree, want, "%s\n got  %s\n want %s", text, tree, want);
    free(tree);
}

Test(shell_parse, messages)
{
    check("alice.greet(\"Bob\", 42n)", "alice <- [\"greet\",[\"Bob\",\"+42\"]]");
    check("alice.f()", "alice <- [\"f\",[]]");
    check("alice.f( 1 , )", "alice <- [\"f\",[1]]");
    check("alice(1, 2)", "alice <- [\"#undefined\",[1,2]]");
    check("shop/alice.f()", "shop/alice <- [\"f\",[]]");
    check("my-vat.f()", "my-vat <- [\"f\",[]]");
    check("@shop/alice.f()", "@shop/alice <- [\"f\",[]]");
    check("$1.f($2)", "$1 <- [\"f\",[~0~]] {$2}");
    check("v3.f()", "v3 <- [\"f\",[]]");
    check("ko3.7.f()", "ko3.7 <- [\"f\",[]]");
    check("kp0.4.f(ko3.7)", "kp0.4 <- [\"f\",[\"$0\"]] ko3.7");
    check("alice['odd name']()", "alice <- [\"odd name\",[]]");
    check("alice[Symbol.iterator](1)", "alice <- [\"%@@iterator\",[1]]");
    check("alice[Symbol.for(\"x\")]()", "alice <- [\"%x\",[]]");
    check("alice['#x']()", "alice <- [\"!#x\",[]]");
}

Test(shell_parse, messages_in_messages)
{
    check("mint.makePurse(100n).getBalance()",
          "mint <- [\"makePurse\",[\"+100\"]] <- [\"getBalance\",[]]");
    check("bob.wait(mint.makePurse(5n))",
          "bob <- [\"wait\",[~0~]] {mint <- [\"makePurse\",[\"+5\"]]}");
    check("bob.f({b: [a, x.g(c)], a: kp0.1}, [ko1.0])",
          "bob <- [\"f\",[{\"a\":\"&0\",\"b\":[~0~,~1~]},[\"$1\"]]] kp0.1 ko1.0 {a} {x <- "
          "[\"g\",[~0~]] {c}}");
    check("f(1)(2)", "f <- [\"#undefined\",[1]] <- [\"#undefined\",[2]]");
    check("a.f(\n  b, // the second\n  c\n)", "a <- [\"f\",[~0~,~1~]] {b} {c}");
}

Test(shell_parse, every_literal)
{
    check("undefined", "\"#undefined\"");
    check("null", "null");
    check("-Infinity", "\"#-Infinity\"");
    check("-0", "0");
    check("1.5e3", "1500");
    check("-7n", "\"-7\"");
    check("'hi'", "\"hi\"");
    check("Symbol.for('x')", "\"%x\"");
    check("tagged(\"copySet\", [1, a])", "{\"#tag\":\"copySet\",\"payload\":[1,~0~]} {a}");
    check("TypeError(\"m\")", "{\"#error\":\"m\",\"name\":\"TypeError\"}");
    check("{a: 1, 'b c': 2}", "{\"a\":1,\"b c\":2}");
    check("ko3.7", "\"$0\" ko3.7");
    check("alice", "alice");
    check("[alice]", "[~0~] {alice}");
}

Test(shell_parse, lines)
{
    check("", "nothing");
    check("  // only words", "nothing");
    check("let x = alice.f()", "let x: alice <- [\"f\",[]]");
    check("let x=1;", "let x: 1");
    check("letter.f()", "letter <- [\"f\",[]]");
    check("!alice.log('x')", "silent alice <- [\"log\",[\"x\"]]");
    check(".methods  mint ", "command methods [mint ]");
    check(".exit", "command exit []");
    check("a.f() // and a comment", "a <- [\"f\",[]]");

    size_t end;
    free(tree_of("let a = b.f(); a.g()", &end));
    cr_expect_eq(end, 14, "%zu", end);
    free(tree_of("a.f()\nb.g()", &end));
    cr_expect_eq(end, 6, "%zu", end);
}

Test(shell_parse, errors_have_a_place)
{
    check("alice.greet(42x)", "error 14: a number ends before this");
    check("alice.greet(1 2)", "error 14: a comma or ) must stand here");
    check("alice.", "error 6: a method's name must stand here");
    check("alice.f", "error 7: its arguments must stand here: (...)");
    check("alice.f() bob", "error 10: the line ends before this");
    check("\"x\".f()", "error 3: only objects and promises get messages");
    check("alice.f(\"x)", "error 11: the string does not end");
    check("let 3 = 4", "error 4: a name must stand here: let NAME = ...");
    check("let undefined = 4", "error 4: a name must stand here: let NAME = ...");
    check("let v3 = 4", "error 4: a name must stand here: let NAME = ...");
    check("let $1 = 4", "error 4: a name must stand here: let NAME = ...");
    check("let x 4", "error 6: a = must stand here");
    check("!alice", "error 1: behind ! a message must stand: !alice.log(\"x\")");
    check("@", "error 0: a name must stand behind @");
    check("alice[f]()", "error 6: a string in quotes must stand here");
    check("bytes(\"00\")", "error 0: byte arrays cannot be passed yet");
    check("{a: 1, a: 2}", "error 8: the key stands twice");
    check("?", "error 0: no value begins like this");

    line_t line;
    fail_t f;
    cr_assert_eq(line_parse("\xc3\xa9\talice.f(1 2)", 2, &line, &f), ERR_EXPRESSION);
    cr_expect_str_eq(f.why, "\xc3\xa9\talice.f(1 2)\n \t          ^");
    line_clear(&line);
}

Test(shell_parse, nothing_overflows)
{
    enum { MANY = 5000 };
    char *text = malloc(MANY * 8);
    line_t line;
    fail_t f;

    must(text);
    strcpy(text, "a");
    for (int i = 0; i < MANY; i++) memcpy(text + 1 + 4 * i, ".f()", 5);
    cr_expect_eq(line_parse(text, 0, &line, &f), ERR_EXPRESSION);
    line_clear(&line);
    text[1 + 4 * LINE_MESSAGES_MAX] = 0;
    cr_expect_eq(line_parse(text, 0, &line, &f), ERR_OK, "%s", f.what);
    line_clear(&line);

    for (int i = 0; i < MANY; i++) memcpy(text + 2 * i, "a(", 3);
    cr_expect_eq(line_parse(text, 0, &line, &f), ERR_EXPRESSION);
    line_clear(&line);
    memset(text, '[', MANY);
    text[MANY] = 0;
    cr_expect_eq(line_parse(text, 0, &line, &f), ERR_EXPRESSION);
    line_clear(&line);
    free(text);
}

Test(shell_parse, what_goes_on_in_the_next_line)
{
    cr_expect(line_is_open("alice.f(1,"));
    cr_expect(line_is_open("[{a: 1}, "));
    cr_expect(line_is_open("f( // )"));
    cr_expect(line_is_open("f(\")\""));
    cr_expect_not(line_is_open("alice.f()"));
    cr_expect_not(line_is_open("alice."));
    cr_expect_not(line_is_open("f(\"x"));
    cr_expect_not(line_is_open("f('x\\'"));
}

/* The place is written K FROM, and for a method the target. */
static void check_place(const char *line, const char *want)
{
    static const char kinds[] = "-.wmr";
    place_t place = place_find(line, strlen(line));
    char got[100];

    snprintf(got, sizeof got, "%c%s", kinds[place.kind], place.kind ? line + place.from : "");
    if (place.kind == PLACE_METHOD) {
        size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, " of %.*s",
                 (int)(place.target_end - place.target_from), line + place.target_from);
    }
    cr_expect_str_eq(got, want, "%s: %s", line, got);
}

Test(shell_complete, where_the_cursor_is)
{
    check_place("", "w");
    check_place("al", "wal");
    check_place("  .me", ".me");
    check_place(".methods mi", "wmi");
    check_place("alice.", "m of alice");
    check_place("alice.gr", "mgr of alice");
    check_place("x.f(shop/alice.gr", "mgr of shop/alice");
    check_place("@alice.gr", "mgr of @alice");
    check_place("[$1.g", "mg of $1");
    check_place("ko3.", "rko3.");
    check_place("ko3.7", "rko3.7");
    check_place("ko3.7.g", "mg of ko3.7");
    check_place("f(kp0.12.", "m of kp0.12");
    check_place("alice.f().g", "-");
    check_place("alice.f.g", "-");
    check_place("alice.f(\"al", "-");
    check_place("alice.f(\"al\", al", "wal");
    check_place("alice.f(1) // al", "-");
}

Test(shell_complete, what_words_have_in_common)
{
    char *words[] = {"getName(", "getBalance(", "get"};

    cr_expect_eq(common_len(words, 1), 8);
    cr_expect_eq(common_len(words, 2), 3);
    cr_expect_eq(common_len(words, 3), 3);
    char *accents[] = {"a\xc3\xa9", "a\xc3\xa8"};
    cr_expect_eq(common_len(accents, 2), 1);
}
