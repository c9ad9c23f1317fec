/* explain: error codes, their groups, exit codes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/explain.h"
#include "cli/schema.h"
#include "cli/table.h"

static const struct {
    err_t err;
    retry_t retry;
    const char *why;
} whys[] = {
#define WHY(name, retry, text) {ERR_##name, RETRY_##retry, text},
#include "cli/explain.def"
#undef WHY
};

enum { WHYS = sizeof whys / sizeof *whys, ERRS_MAX = 512, WIDTH = 80, INDENT = 10 };

static const struct {
    char digit;
    const char *text;
} groups[] = {
    {'1', "use and input"},
    {'2', "vats and bundles"},
    {'3', "hosts and network"},
    {'4', "objects, promises, messages"},
    {'5', "stores"},
    {'6', "keys and permission"},
    {'7', "load tests"},
    {'9', "Vatyard itself"},
};

enum { GROUP_COUNT = sizeof groups / sizeof *groups };

static const struct {
    int code;
    const char *text;
} exits[] = {
    {0, "done"},
    {1, "the operation failed: none of those below"},
    {2, "wrong use: command, flag or argument"},
    {3, "wrong input: cluster file, bundle, configuration"},
    {4, "no broker or host can be reached"},
    {5, "not allowed"},
    {6, "no such vat, object, host or cluster"},
    {7, "timed out"},
    {8, "the message was delivered, and its promise rejected"},
    {9, "a check was not met: an audit, health, a load test's --assert"},
    {10, "a part of it failed"},
    {70, "internal error: please report it"},
    {75, "busy: try again"},
    {130, "stopped by Ctrl-C"},
    {141, "nobody reads stdout any more"},
    {143, "stopped by SIGTERM"},
};

enum { EXITS = sizeof exits / sizeof *exits };

static const char *const whose[] = {
    [WHO_NOBODY] = "nobody's",
    [WHO_USER] = "yours: the command or the file needs a correction",
    [WHO_VAT] = "the vat's code",
    [WHO_PEER] = "the program at the other end of a connection",
    [WHO_OPERATOR] = "the operator's: a machine, a disk, an installation or a key",
    [WHO_US] = "Vatyard's own: please report it",
};
static const char *const who_words[] = {"nobody", "user", "vat", "peer", "operator", "vatyard"};

static const char *const retries[] = {
    [RETRY_NO] = "no: the same again gives the same",
    [RETRY_LATER] = "yes: it may work a moment later",
    [RETRY_AFTER] = "after what is said under try",
};

const char *explain_why(err_t err)
{
    for (size_t i = 0; i < WHYS; i++)
        if (whys[i].err == err) return whys[i].why;
    return NULL;
}

retry_t explain_retry(err_t err)
{
    for (size_t i = 0; i < WHYS; i++)
        if (whys[i].err == err) return whys[i].retry;
    return RETRY_NO;
}

const char *explain_exit(int code)
{
    for (size_t i = 0; i < EXITS; i++)
        if (exits[i].code == code) return exits[i].text;
    return NULL;
}

static const char *digits_of(const char *word)
{
    return word + ((*word == 'E' || *word == 'e') && word[1] ? 1 : 0);
}

bool explain_is_code(const char *word)
{
    const char *digits = digits_of(word);
    size_t count = strspn(digits, "0123456789");

    return count && count <= 4 && !digits[count];
}

/* ---- one code ---- */

static json_t *row_json(const err_row_t *row)
{
    char code[16];
    const char *why = explain_why(row->err);

    snprintf(code, sizeof code, "E%04u", (unsigned)row->err);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "code", code, "name",
                             row->name, "what", row->text, "whose", who_words[row->who], "why",
                             why ? why : "", "try", row->hint, "exit", row->exit, "retryable",
                             explain_retry(row->err) == RETRY_LATER);
    const char *exit_text = explain_exit(row->exit);
    json_object_set_new(json, "exit_means", json_string(exit_text ? exit_text : ""));
    return json;
}

static void row_line(const char *head, const char *text)
{
    char *wrapped = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&wrapped, &len);

    help_wrap(text, INDENT, WIDTH, out);
    fclose(out);
    printf("  %-*s%s", INDENT - 2, head, wrapped + INDENT);
    free(wrapped);
}

static void row_show(const err_row_t *row)
{
    char exit_text[128];
    const char *why = explain_why(row->err), *means = explain_exit(row->exit);

    printf("E%04u %s\n", (unsigned)row->err, row->name);
    row_line("what", row->text);
    row_line("whose", whose[row->who]);
    if (why) row_line("why", why);
    if (*row->hint) printf("  %-*s%s\n", INDENT - 2, "try", row->hint); /* it may be code */
    snprintf(exit_text, sizeof exit_text, "%d, %s", row->exit, means ? means : "");
    row_line("exit", exit_text);
    row_line("again", retries[explain_retry(row->err)]);
}

/* ---- lists ---- */

/* The rows whose four digits begin with PREFIX, in the order of their numbers. */
static size_t rows_of(const char *prefix, const err_row_t *ret[ERRS_MAX])
{
    size_t count = 0;
    char digits[8];

    for (unsigned i = 0; err_at(i); i++) {
        const err_row_t *row = err_at(i);
        snprintf(digits, sizeof digits, "%04u", (unsigned)row->err % 10000);
        if (!row->err || strncmp(digits, prefix, strlen(prefix)) != 0 || count == ERRS_MAX)
            continue;
        size_t at = count++;
        for (; at && ret[at - 1]->err > row->err; at--) ret[at] = ret[at - 1];
        ret[at] = row;
    }
    return count;
}

static void rows_show(cli_t *cli, const err_row_t *const *rows, size_t count)
{
    json_t *json = json_array();
    table_t table = table_of("CODE NAME EXIT WHAT");
    table.whole = true;

    for (size_t i = 0; i < count; i++) {
        json_array_append_new(json, row_json(rows[i]));
        table_add(&table, "E%04u", (unsigned)rows[i]->err);
        table_add(&table, "%s", rows[i]->name);
        table_add(&table, "%d", rows[i]->exit);
        table_add(&table, "%s", rows[i]->text);
    }
    out_table(cli, &table, json);
}

static void exits_show(cli_t *cli)
{
    json_t *json = json_array();
    table_t table = table_of("EXIT MEANS");

    for (size_t i = 0; i < EXITS; i++) {
        json_array_append_new(
            json, json_pack("{s:i, s:s}", "exit", exits[i].code, "means", exits[i].text));
        table_add(&table, "%d", exits[i].code);
        table_add(&table, "%s", exits[i].text);
    }
    out_table(cli, &table, json);
}

static void groups_show(cli_t *cli)
{
    const err_row_t *rows[ERRS_MAX];
    json_t *json = json_array();
    table_t table = table_of("GROUP CODES ABOUT");

    for (size_t i = 0; i < GROUP_COUNT; i++) {
        char digit[2] = {groups[i].digit, 0}, name[8];
        size_t count = rows_of(digit, rows);
        if (!count) continue;
        snprintf(name, sizeof name, "E%c", groups[i].digit);
        json_array_append_new(json, json_pack("{s:s, s:i, s:s}", "group", name, "codes", (int)count,
                                              "about", groups[i].text));
        table_add(&table, "%s", name);
        table_add(&table, "%zu", count);
        table_add(&table, "%s", groups[i].text);
    }
    out_table(cli, &table, json);
    say(cli, "\nvatctl explain E3 lists a group, explain exit the exit codes");
}

/* ---- the command ---- */

static const err_row_t *row_named(const char *word)
{
    char name[64];

    snprintf(name, sizeof name, "%.60s", word);
    for (char *c = name; *c; c++)
        if (*c == '-') *c = '_';
    for (unsigned i = 0; err_at(i); i++)
        if (strcasecmp(err_at(i)->name, name) == 0) return err_at(i);
    return NULL;
}

static err_t not_found(cli_t *cli, const char *word)
{
    const char *names[ERRS_MAX];
    size_t count = 0;

    if (explain_is_code(word)) {
        const char *digits = digits_of(word);
        fail(&cli->f, ERR_USAGE, "no error has the code E%.4s", digits);
        fail_try(&cli->f, "vatctl explain E%c", *digits);
        return ERR_USAGE;
    }
    for (unsigned i = 0; err_at(i) && count < ERRS_MAX; i++) names[count++] = err_at(i)->name;
    const char *like = nearest(word, names, count);
    fail(&cli->f, ERR_USAGE, "no error is called \"%.60s\"%s%s%s", word,
         like ? "; did you mean " : "", like ? like : "", like ? "?" : "");
    fail_try(&cli->f, "vatctl explain");
    return ERR_USAGE;
}

err_t explain_show(cli_t *cli, const char *word)
{
    const err_row_t *rows[ERRS_MAX];

    if (!word) {
        groups_show(cli);
        return ERR_OK;
    }
    if (strcmp(word, "exit") == 0) {
        exits_show(cli);
        return ERR_OK;
    }
    const err_row_t *one = row_named(word);
    size_t count = !one && explain_is_code(word) ? rows_of(digits_of(word), rows) : 0;
    if (count && strlen(digits_of(word)) == 4) one = rows[0];
    if (!one && !count) return not_found(cli, word);
    if (!one)
        rows_show(cli, rows, count);
    else if (cli->json)
        out_json(row_json(one));
    else
        row_show(one);
    return ERR_OK;
}

err_t cmd_explain(cli_t *cli)
{
    return explain_show(cli, cli->args.word_count ? cli->args.words[0] : NULL);
}
