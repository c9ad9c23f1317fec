/* .help and the other commands of the shell; and `.ps`: vatctl's own behind a point. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/events.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/schema.h"
#include "cli/shell.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

enum { METHODS_MS = 10 * 1000, WORDS_MAX = 64 };

/* A command: WORDS is what stands behind it, without blanks around it. */
typedef err_t dot_t(session_t *self, const char *words);

static err_t wants(session_t *self, const char *what)
{
    fail(&self->cli->f, ERR_USAGE, "%s", what);
    fail_try(&self->cli->f, ".help");
    return ERR_USAGE;
}

/* ---- what a word stands for ---- */

/* Makes a term of WORDS; none of those that take one sends a message for it. */
static err_t term_of(session_t *self, const char *words, line_t *ret)
{
    err_t err = line_parse(words, 0, ret, &self->cli->f);

    if (err) return err;
    if (ret->kind == LINE_VALUE && ret->term->kind != TERM_MESSAGE && !words[ret->end])
        return ERR_OK;
    return wants(self, "one name or reference is wanted: alice, $1, ko3.7");
}

static const char *style_of(node_kind_t kind)
{
    static const char *const names[] = {
        [NODE_NONE] = "nothing",    [NODE_UNDEFINED] = "undefined", [NODE_NULL] = "null",
        [NODE_BOOL] = "boolean",    [NODE_NUMBER] = "number",       [NODE_BIGINT] = "bigint",
        [NODE_TEXT] = "string",     [NODE_SYMBOL] = "symbol",       [NODE_OBJECT] = "remotable",
        [NODE_PROMISE] = "promise", [NODE_ARRAY] = "copyArray",     [NODE_RECORD] = "copyRecord",
        [NODE_TAGGED] = "tagged",   [NODE_ERROR] = "error"};

    return names[kind];
}

/* What the broker and the values seen so far say of a reference. */
static err_t type_ref(session_t *self, const char *style, kref_t kref)
{
    const seen_t *seen = seen_find(&self->shell, kref);
    char text[KREF_TEXT_MAX];
    rows_t rows;
    err_t err = rows_get(self->link, ROWS_REF, false, kref, &rows, &self->cli->f);

    if (err) return err;
    printf("%s %s", style, kref_text(kref, text));
    if (seen && seen->iface) {
        putchar(' ');
        put_safely(stdout, text_of(seen->iface));
    }
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_ref_row_t *ref = &row->body.ref_row;
        if (row->tag != TAG_ref_row) continue;
        if (!text_is(ref->role, "object") && !text_is(ref->role, "promise")) continue;
        printf(", %.*s", TEXT(ref->state));
        if (ref->vat.n) printf(", of v%u %.*s", ref->vat.n, TEXT(ref->name));
    }
    putchar('\n');
    rows_clear(&rows);
    return ERR_OK;
}

static err_t dot_type(session_t *self, const char *words)
{
    line_t line;
    value_t value = value_of();
    err_t err = term_of(self, words, &line);

    if (!err) err = shell_value(&self->shell, words, line.term, &value, &self->cli->f);
    if (!err) {
        capdata_t data = value_capdata(&value);
        node_t node = node_root(&data);
        kref_t kref = node_slot(node);
        if (kref_none(kref))
            printf("%s\n", style_of(node_kind(node)));
        else
            err = type_ref(self, style_of(node_kind(node)), kref);
    }
    value_clear(&value);
    line_clear(&line);
    return err;
}

static err_t dot_methods(session_t *self, const char *words)
{
    line_t line;
    kref_t kref;
    err_t err = term_of(self, words, &line);

    if (!err) err = shell_target(&self->shell, words, line.term, &kref, &self->cli->f);
    line_clear(&line);
    if (err) return err;
    char *const *names = session_methods(self, kref, true, METHODS_MS, &self->cli->f);
    if (!names) return self->cli->f.err;
    json_t *json = json_array();
    for (size_t i = 0; names[i]; i++) {
        json_array_append_new(json, json_text(text_of(names[i])));
        if (self->cli->json) continue;
        if (i) putchar(' ');
        put_safely(stdout, text_of(names[i]));
    }
    if (self->cli->json)
        out_json(json);
    else
        putchar('\n'), json_decref(json);
    return ERR_OK;
}

static err_t dot_await(session_t *self, const char *words)
{
    line_t line;
    outcome_t outcome = {.value = value_of()};
    err_t err = term_of(self, words, &line);

    if (!err) err = shell_await(&self->shell, words, line.term, &outcome, &self->cli->f);
    if (!err) err = session_show(self, line.term->name, &outcome, 0);
    outcome_clear(&outcome);
    line_clear(&line);
    return err;
}

/* ---- names ---- */

static err_t dot_names(session_t *self, const char *words)
{
    json_t *all = json_object();
    err_t err = ERR_OK;

    (void)words;
    for (size_t i = 0; i < self->shell.pet_count && !err; i++) {
        const pet_t *pet = &self->shell.pets[i];
        capdata_t value = value_capdata(&pet->value);
        json_object_set_new(all, pet->name, value_json(&value));
        if (self->cli->json) continue;
        printf("%s = ", pet->name);
        err = client_show(self->cli, pet->rejected, &value, stdout);
        putchar('\n');
    }
    if (!err && self->cli->json) out_json(json_incref(all));
    json_decref(all);
    return err;
}

static err_t dot_forget(session_t *self, const char *words)
{
    if (!*words) return wants(self, ".forget wants a name");
    if (pet_forget(&self->shell, words)) return ERR_OK;
    return fail(&self->cli->f, ERR_BAD_VALUE, "there is no name \"%.200s\"", words);
}

static err_t dot_release(session_t *self, const char *words)
{
    msg_release_t release = {.request = request_id()};
    uint64_t vats;
    const msg_t *msg;
    fail_t *f = &self->cli->f;
    err_t err = *words ? cluster_named(self->link, words, &release.cluster, &vats, f) : ERR_OK;

    return err ? err : link_ask(self->link, TAG_release, &release, TAG_done, ANSWER_MS, &msg, f);
}

static err_t names_write(const session_t *self, FILE *file)
{
    err_t err = ERR_OK;

    for (size_t i = 0; i < self->shell.pet_count && !err; i++) {
        const pet_t *pet = &self->shell.pets[i];
        capdata_t value = value_capdata(&pet->value);
        buf_t text = buf_of(4 * CAPDATA_BYTES_MAX);
        if (*pet->name == '$' || pet->rejected) continue;
        err = value_literal(&text, &value);
        if (err)
            fail(&self->cli->f, ERR_BAD_VALUE, "%s has a value that cannot be written", pet->name);
        else
            fprintf(file, "let %s = %.*s\n", pet->name, (int)text.len, (const char *)text.at);
        buf_clear(&text);
    }
    return err ? ERR_BAD_VALUE : ERR_OK;
}

static err_t file_failed(session_t *self, err_t err, const char *path)
{
    int error = errno;

    fail(&self->cli->f, err, "%.500s cannot be %s", path,
         err == ERR_FILE_MISSING ? "read" : "written");
    fail_why(&self->cli->f, "%s", strerror(error));
    return err;
}

static err_t dot_save(session_t *self, const char *words)
{
    if (!*words) return wants(self, ".save wants a file");
    FILE *file = fopen(words, "we");
    if (!file) return file_failed(self, ERR_STORE, words);
    err_t err = names_write(self, file);
    if (fclose(file) != 0 && !err) err = file_failed(self, ERR_STORE, words);
    return err;
}

static err_t dot_load(session_t *self, const char *words)
{
    if (!*words) return wants(self, ".load wants a file");
    FILE *file = fopen(words, "re");
    if (!file) return file_failed(self, ERR_FILE_MISSING, words);
    err_t err = session_file(self, file, words);
    fclose(file);
    return err;
}

/* ---- the session ---- */

static err_t dot_exit(session_t *self, const char *words)
{
    (void)words;
    self->ended = true;
    return ERR_OK;
}

static err_t switch_set(session_t *self, const char *words, bool *ret)
{
    if (strcmp(words, "on") != 0 && strcmp(words, "off") != 0)
        return wants(self, "on or off is wanted");
    *ret = words[1] == 'n';
    return ERR_OK;
}

static err_t dot_json(session_t *self, const char *words)
{
    return switch_set(self, words, &self->cli->json);
}

static err_t dot_time(session_t *self, const char *words)
{
    return switch_set(self, words, &self->timed);
}

static err_t dot_who(session_t *self, const char *words)
{
    (void)words;
    if (self->cli->json) {
        out_json(json_pack("{s:s, s:s, s:s}", "version", link_version(self->link), "hosts_endpoint",
                           link_hosts_endpoint(self->link), "key", link_key(self->link)));
        return ERR_OK;
    }
    printf("broker %s\n  hosts connect to %s\n  key %s\n"
           "you are a client: what you are shown is held for you until .release\n",
           link_version(self->link), link_hosts_endpoint(self->link), link_key(self->link));
    return ERR_OK;
}

static err_t dot_hosts(session_t *self, const char *words)
{
    (void)words;
    return list_show(self->cli, self->link, &all_hosts);
}

static dot_t dot_help;

static const struct {
    const char *name, *words;
    dot_t *run;
    const char *doc;
} dots[] = {
    {"help", "", dot_help, "this list"},
    {"exit", "", dot_exit, "end the shell (Ctrl-D)"},
    {"methods", "REF", dot_methods, "the methods that an object says it has"},
    {"type", "REF", dot_type, "what kind of value, whose object"},
    {"await", "REF", dot_await, "wait for a promise"},
    {"names", "", dot_names, "the names made with let, and the results"},
    {"forget", "NAME", dot_forget, "a name means nothing any more"},
    {"release", "[CLUSTER]", dot_release, "let go of the objects that were shown, here or by call"},
    {"save", "FILE", dot_save, "write the names made with let as lines of the shell"},
    {"load", "FILE", dot_load, "run the lines of a file"},
    {"json", "on|off", dot_json, "results as JSON"},
    {"time", "on|off", dot_time, "say how long a message took"},
    {"hosts", "", dot_hosts, "list hosts"},
    {"who", "", dot_who, "which broker this is"},
};

enum { DOTS = sizeof dots / sizeof *dots };

/* ---- vatctl's commands ---- */

/* Those that start processes, read sources or would be a shell in the shell have nothing to do here. */
static bool may_stand(const command_t *command)
{
    switch (command->group) {
    case GROUP_START:
    case GROUP_TALK:
    case GROUP_LOAD:
    case GROUP_SETUP:
    case GROUPS: return false;
    case GROUP_VATS:
    case GROUP_LOOK:
    case GROUP_MANAGE: break;
    }
    return true;
}

static err_t dot_help(session_t *self, const char *words)
{
    (void)words;
    printf("alice.greet(\"Bob\", 42n)      a message; its answer is $1\n"
           "let mint = bank.makeMint()   a name for the answer\n"
           "mint.make(1n).get()          sent at once, not one after the other\n"
           "!alice.log(\"x\")              nobody waits for an answer\n\n");
    for (size_t i = 0; i < DOTS; i++) {
        char left[64];
        snprintf(left, sizeof left, ".%s %s", dots[i].name, dots[i].words);
        printf("%-20s %s\n", left, dots[i].doc);
    }
    printf("\nand vatctl's own:");
    size_t width = 80;
    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        if (!may_stand(command)) continue;
        width += strlen(command->name) + 3;
        if (width > 78) printf("\n "), width = strlen(command->name) + 4;
        printf(" .%s ", command->name);
    }
    printf("\n");
    (void)self;
    return ERR_OK;
}

const char *dot_name(size_t i)
{
    if (i < DOTS) return dots[i].name;
    i -= DOTS;
    for (unsigned at = 0; command_at(at); at++)
        if (may_stand(command_at(at)) && i-- == 0) return command_at(at)->name;
    return NULL;
}

/* The next word of *AT, in quotes or not, unquoted in place; NULL: there is none. */
static char *word_next(char **at)
{
    char *from = *at + strspn(*at, " \t"), *end;

    if (!*from) return NULL;
    if (*from == '"' || *from == '\'') {
        end = strchr(from + 1, *from);
        if (!end) end = from + strlen(from);
        from++;
    } else {
        end = from + strcspn(from, " \t");
    }
    *at = end + (*end != 0);
    *end = 0;
    return from;
}

/* A name of the shell's own stands for its reference. */
static const char *word_ref(const session_t *self, const char *word, char kref[KREF_TEXT_MAX])
{
    const pet_t *pet = pet_find(&self->shell, word);
    capdata_t value;
    kref_t ref;

    if (!pet) return word;
    value = value_capdata(&pet->value);
    return smallcaps_single_slot(&value, &ref) ? kref_text(ref, kref) : word;
}

static int flags_hand_on(const session_t *self, const char *argv[], int argc)
{
    static const char *const flags[] = {"endpoint", "timeout", "color"};
    static const char *const switches[] = {"--endpoint", "--timeout", "--color"};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const char *text = args_text(&self->cli->args, flags[i]);
        if (!text) continue;
        argv[argc++] = switches[i];
        argv[argc++] = text;
    }
    if (self->cli->json) argv[argc++] = "--json";
    if (self->cli->quiet) argv[argc++] = "--quiet";
    return argc;
}

/* Runs vatctl with these words, over a connection of its own. */
static err_t vatctl_run(session_t *self, const char *name, char *words)
{
    const char *argv[WORDS_MAX + 16] = {"vatctl", name};
    char krefs[WORDS_MAX][KREF_TEXT_MAX];
    cli_t *cli = self->cli;
    int argc = 2;

    for (char *word; (word = word_next(&words));) {
        if (argc == WORDS_MAX) return wants(self, "too many words");
        argv[argc] = word_ref(self, word, krefs[argc]);
        argc++;
    }
    argc = flags_hand_on(self, argv, argc);
    cli_t *other = calloc(1, sizeof *other);
    must(other);
    other->json = cli->json;
    other->quiet = cli->quiet;
    other->color = cli->color;
    err_t err = args_parse(argc, (char **)(uintptr_t)argv, &other->args, &other->f);
    if (!err && !may_stand(other->args.command))
        err = fail(&other->f, ERR_UNKNOWN_COMMAND, ".%s has no place in the shell", name);
    if (!err) {
        if (args_yes(&other->args, "help"))
            help_show(other, other->args.command);
        else
            err = cli_dispatch(other);
    }
    if (err) cli->f = other->f;
    if (!err && other->exit && !self->people) cli->exit = other->exit, self->ended = true;
    free(other);
    if (self->people && signal_caught()) putchar('\n'); /* behind the terminal's ^C */
    fflush(stdout);
    return err;
}

static err_t dot_unknown(session_t *self, const char *name)
{
    const char *names[128], *like;
    size_t count = 0;

    while (count < 128 && dot_name(count)) names[count] = dot_name(count), count++;
    like = nearest(name, names, count);
    fail(&self->cli->f, ERR_UNKNOWN_COMMAND, "unknown command \".%.60s\"%s%s%s", name,
         like ? "; did you mean ." : "", like ? like : "", like ? "?" : "");
    fail_try(&self->cli->f, ".help");
    return ERR_UNKNOWN_COMMAND;
}

static bool is_vatctls(const char *name)
{
    size_t len = strlen(name);

    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        if (strncmp(command->name, name, len) != 0 || !may_stand(command)) continue;
        if (!command->name[len] || command->name[len] == ' ') return true;
    }
    return false;
}

err_t dot_run(session_t *self, const char *text, const line_t *line)
{
    size_t len = line->end - line->words;
    while (len && strchr(" \t\r\n", text[line->words + len - 1])) len--;
    char *words = strndup(text + line->words, len);
    size_t i = 0;
    err_t err;

    must(words);
    while (i < DOTS && strcmp(dots[i].name, line->name) != 0) i++;
    if (i < DOTS && *words && !*dots[i].words)
        err = wants(self, "it takes no words");
    else if (i < DOTS && !*words && *dots[i].words && *dots[i].words != '[')
        err = wants(self, "a word is missing behind it");
    else if (i < DOTS)
        err = dots[i].run(self, words);
    else
        err = is_vatctls(line->name) ? vatctl_run(self, line->name, words)
                                     : dot_unknown(self, line->name);
    free(words);
    fflush(stdout);
    return err;
}
