#include "cli/shell.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/events.h"
#include "cli/rows.h"
#include "cli/shell_complete.h"
#include "cli/value_read.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

enum { TIME_COLUMN = 56, METHODS_TAB_MS = 1000, METHODS_MAX = 256, LOADING_MAX = 8 };

/* ---- the broker behind the port ---- */

static err_t port_find(void *context, const char *name, kref_t *ret, fail_t *f)
{
    return root_named(((session_t *)context)->link, name, ret, f);
}

static err_t port_send(void *context, kref_t target, const capdata_t *methargs, bool no_result,
                       kref_t *ret, fail_t *f)
{
    session_t *self = context;

    return client_send(self->link, target, methargs, no_result, ret, f);
}

static err_t port_await(void *context, kref_t promise, settled_t *ret, value_t *ret_value,
                        fail_t *f)
{
    session_t *self = context;
    const msg_settled_t *settled;
    char kref[KREF_TEXT_MAX];
    err_t err = client_settle(self->cli, self->link, promise, &settled);

    *ret = SETTLED_NOT;
    if (err == ERR_TIMED_OUT && (self->people || signal_caught())) {
        const char *gap =
            self->people && signal_caught() ? "\n" : ""; /* behind the terminal's ^C */
        say(self->cli, "%sstopped waiting for %s; the message goes on", gap,
            kref_text(promise, kref));
        return ERR_OK;
    }
    if (err && f != &self->cli->f) *f = self->cli->f;
    if (err) return err;
    *ret = settled->rejected ? SETTLED_REJECTED : SETTLED_FULFILLED;
    *ret_value = value_copy(&settled->value);
    return ERR_OK;
}

/* The broker holds it until somebody has had what it is settled with. */
static void port_let_go(void *context, kref_t promise)
{
    session_t *self = context;
    msg_await_t await = {request_id(), promise};

    link_send(self->link, TAG_await, &await);
}

/* An answer that nobody waits for: to AWAITs of those who stopped, and of port_let_go(). */
static void on_answer(void *context, const msg_t *msg)
{
    session_t *self = context;
    const msg_settled_t *settled = &msg->body.settled;

    if (msg->tag != TAG_settled) return;
    const char *name =
        shell_settled(&self->shell, settled->promise, settled->rejected, &settled->value);
    if (!name || !self->people || self->cli->json) return;
    printf("\r%s = ", name); /* where a prompt may stand */
    self->news++;
    if (client_show(self->cli, settled->rejected, &settled->value, stdout)) printf("...");
    printf("\n");
}

void session_init(session_t *self, cli_t *cli, link_t *link)
{
    *self = (session_t){.cli = cli, .link = link, .line = 1, .pending = buf_of(CAPDATA_BYTES_MAX)};
    self->shell = shell_of((port_t){self, port_find, port_send, port_await, port_let_go});
    link_on_answer(link, on_answer, self);
}

static void methods_clear(methods_t *methods)
{
    for (size_t i = 0; methods->names && methods->names[i]; i++) free(methods->names[i]);
    free(methods->names);
}

void session_clear(session_t *self)
{
    link_on_answer(self->link, NULL, NULL);
    for (size_t i = 0; i < self->method_count; i++) methods_clear(&self->methods[i]);
    free(self->methods);
    buf_clear(&self->pending);
    shell_clear(&self->shell);
}

bool session_news(session_t *self)
{
    size_t before = self->news;

    link_drain(self->link);
    fflush(stdout);
    return self->news != before;
}

/* ---- methods ---- */

static int text_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The strings of an array; those that begin with __ are the marshaller's own. */
static char **names_read(const capdata_t *value)
{
    node_t list = node_root(value), item = {0};
    size_t count = 0;

    if (node_kind(list) != NODE_ARRAY) return NULL;
    char **names = calloc(node_count(list) + 1, sizeof *names);
    must(names);
    while (node_next(list, &item, NULL)) {
        buf_t text = buf_of(NAME_BYTES_MAX);
        bool taken = node_kind(item) == NODE_TEXT && !node_text(item, &text) && text.len &&
                     !memchr(text.at, 0, text.len) &&
                     !(text.len > 1 && memcmp(text.at, "__", 2) == 0);
        if (taken) {
            names[count] = strndup((const char *)text.at, text.len);
            must(names[count++]);
        }
        buf_clear(&text);
    }
    qsort(names, count, sizeof *names, text_order);
    return names;
}

static methods_t *methods_find(session_t *self, kref_t kref)
{
    for (size_t i = 0; i < self->method_count; i++)
        if (kref_same(self->methods[i].kref, kref)) return &self->methods[i];
    return NULL;
}

static char *const *methods_keep(session_t *self, kref_t kref, char **names)
{
    methods_t *methods = methods_find(self, kref);

    if (!methods && self->method_count == METHODS_MAX) {
        methods_clear(&self->methods[0]);
        memmove(self->methods, self->methods + 1, --self->method_count * sizeof *self->methods);
    }
    if (!methods) {
        self->methods = realloc(self->methods, (self->method_count + 1) * sizeof *self->methods);
        must(self->methods);
        methods = &self->methods[self->method_count++];
        *methods = (methods_t){0};
    }
    methods_clear(methods);
    *methods = (methods_t){kref, names};
    return names;
}

static err_t methods_ask(session_t *self, kref_t kref, unsigned ms, char ***ret, fail_t *f)
{
    static const char body[] = "#[\"__getMethodNames__\",[]]";
    capdata_t methargs = {{(const uint8_t *)body, sizeof body - 1}, {NULL, 0}};
    msg_await_t await = {.request = request_id()};
    const msg_t *msg;
    err_t err = client_send(self->link, kref, &methargs, false, &await.promise, f);

    if (!err) err = link_ask(self->link, TAG_await, &await, TAG_settled, ms, &msg, f);
    if (err) return err;
    const msg_settled_t *settled = &msg->body.settled;
    if (!settled->rejected && (*ret = names_read(&settled->value))) return ERR_OK;
    char text[KREF_TEXT_MAX];
    buf_t why = buf_of(FAIL_TEXT_MAX / 2);
    fail(f, ERR_BAD_VALUE, "%s does not say what methods it has", kref_text(kref, text));
    if (!value_show(&why, &settled->value)) fail_why(f, "%.*s", (int)why.len, why.at);
    buf_clear(&why);
    return ERR_BAD_VALUE;
}

char *const *session_methods(session_t *self, kref_t kref, bool again, unsigned ms, fail_t *f)
{
    const methods_t *known = methods_find(self, kref);
    char **names = NULL;

    if (known && !again) return known->names;
    if (methods_ask(self, kref, ms, &names, f)) return NULL;
    return methods_keep(self, kref, names);
}

/* ---- completion ---- */

typedef struct {
    const char *typed; /* what a candidate begins with */
    size_t typed_len;
    char **words;
    size_t count;
} offer_t;

static void offer(offer_t *self, const char *word, const char *tail)
{
    char text[2 * NAME_BYTES_MAX];

    if (strncmp(word, self->typed, self->typed_len) != 0) return;
    snprintf(text, sizeof text, "%.*s%s", NAME_BYTES_MAX, word, tail);
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->words[i], text) == 0) return;
    self->words = realloc(self->words, (self->count + 2) * sizeof *self->words);
    must(self->words);
    self->words[self->count] = strdup(text);
    must(self->words[self->count++]);
}

static void offer_vats(session_t *self, offer_t *to)
{
    char name[2 * NAME_BYTES_MAX + 3];
    fail_t ignored;
    rows_t rows;

    if (rows_get(self->link, ROWS_VATS, false, (kref_t){0}, &rows, &ignored)) return;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        const char *at = *to->typed == '@' && to->typed_len ? "@" : "";
        if (row->tag != TAG_vat_row) continue;
        snprintf(name, sizeof name, "%s%.*s", at, (int)vat->name.len, vat->name.at);
        offer(to, name, "");
        if (!memchr(to->typed, '/', to->typed_len)) continue;
        snprintf(name, sizeof name, "%s%.*s/%.*s", at, (int)vat->cluster_name.len,
                 vat->cluster_name.at, (int)vat->name.len, vat->name.at);
        offer(to, name, "");
    }
    rows_clear(&rows);
}

static void offer_refs(session_t *self, offer_t *to)
{
    char kref[KREF_TEXT_MAX];

    for (size_t i = 0; i < self->shell.seen_count; i++)
        offer(to, kref_text(self->shell.seen[i].kref, kref), "");
}

static void offer_words(session_t *self, offer_t *to)
{
    for (size_t i = 0; i < self->shell.pet_count; i++) offer(to, self->shell.pets[i].name, "");
    offer_vats(self, to);
    if (to->typed_len && *to->typed == 'k') offer_refs(self, to);
    if (!to->typed_len) return;
    for (size_t i = 0; literal_words()[i]; i++) offer(to, literal_words()[i], "");
    offer(to, "let", " ");
}

static void offer_methods(session_t *self, const char *line, place_t place, offer_t *to)
{
    char *target = strndup(line + place.target_from, place.target_end - place.target_from);
    line_t parsed;
    fail_t ignored;
    kref_t kref;

    must(target);
    err_t err = line_parse(target, 0, &parsed, &ignored);
    if (!err && parsed.kind == LINE_VALUE)
        err = shell_target(&self->shell, target, parsed.term, &kref, &ignored);
    if (!err && parsed.kind == LINE_VALUE) {
        char *const *names = session_methods(self, kref, false, METHODS_TAB_MS, &ignored);
        /* Others are called as alice["odd name"](). */
        for (size_t i = 0; names && names[i]; i++)
            if (!names[i][word_len(names[i])]) offer(to, names[i], "(");
    }
    line_clear(&parsed);
    free(target);
}

char **session_complete(session_t *self, const char *line, size_t cursor, size_t *ret_from)
{
    place_t place = place_find(line, cursor);
    offer_t to = {line + place.from, cursor - place.from, calloc(1, sizeof(char *)), 0};

    must(to.words);
    *ret_from = place.from;
    switch (place.kind) {
    case PLACE_NOTHING: break;
    case PLACE_COMMAND:
        for (size_t i = 0; dot_name(i); i++) offer(&to, dot_name(i), "");
        break;
    case PLACE_REF: offer_refs(self, &to); break;
    case PLACE_WORD: offer_words(self, &to); break;
    case PLACE_METHOD: offer_methods(self, line, place, &to); break;
    }
    if (signal_caught() == SIGINT) signal_forget();
    qsort(to.words, to.count, sizeof *to.words, text_order);
    to.words[to.count] = NULL;
    return to.words;
}

/* ---- what came of it ---- */

/* TEXT, and how long it took where a column of times stands, or behind it. */
static void print_timed(const session_t *self, text_t text, bool timed, uint64_t us)
{
    size_t width = 0;

    put_safely(stdout, text);
    for (size_t i = 0; i < text.len; i++) width += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    if (self->timed && timed) {
        int gap = width + 2 < TIME_COLUMN ? TIME_COLUMN - (int)width : 2;
        printf("%*s%.1f ms", gap, "", (double)us / 1000);
    }
    putchar('\n');
}

static err_t show_people(session_t *self, const char *name, const outcome_t *outcome, uint64_t us)
{
    capdata_t value = value_capdata(&outcome->value);
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);

    must(memory);
    if (name && outcome->settled != SETTLED_REJECTED) fprintf(memory, "%s = ", name);
    err_t err = client_show(self->cli, outcome->settled == SETTLED_REJECTED, &value, memory);
    must(fclose(memory) == 0);
    bool timed = !kref_none(outcome->promise) && outcome->settled != SETTLED_NOT;
    if (!err) print_timed(self, (text_t){text, len}, timed, us);
    free(text);
    return err;
}

err_t session_show(session_t *self, const char *name, const outcome_t *outcome, uint64_t us)
{
    capdata_t value = value_capdata(&outcome->value);
    bool rejected = outcome->settled == SETTLED_REJECTED;
    err_t err = ERR_OK;

    if (self->cli->json && outcome->settled != SETTLED_NOT) {
        json_t *json = client_settled_json(outcome->promise, rejected, &value);
        if (self->people) json_object_set_new(json, "name", name ? json_string(name) : json_null());
        out_json(json);
    } else if (self->people) {
        err = show_people(self, name, outcome, us);
    } else if (outcome->settled != SETTLED_NOT) {
        err = client_show(self->cli, rejected, &value, stdout);
        putchar('\n');
    }
    fflush(stdout);
    if (self->people) return err;
    if (rejected) self->cli->exit = err_row(ERR_REJECTED)->exit;
    if (outcome->settled == SETTLED_NOT) self->cli->exit = 128 + signal_caught();
    self->ended = self->ended || self->cli->exit;
    return err;
}

/* ---- lines ---- */

static uint64_t now_us(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static err_t run_line(session_t *self, const char *text, const line_t *line)
{
    outcome_t outcome;
    uint64_t began = now_us();

    if (line->kind == LINE_COMMAND) return dot_run(self, text, line);
    err_t err = shell_run(&self->shell, text, line, &outcome, &self->cli->f);
    const char *name = line->kind == LINE_LET ? line->name : *outcome.name ? outcome.name : NULL;
    bool told = self->people || line->kind != LINE_LET || outcome.settled != SETTLED_FULFILLED;
    if (!err && line->kind == LINE_SILENT && self->people)
        say(self->cli, "sent");
    else if (!err && outcome.value.body.len && told)
        err = session_show(self, name, &outcome, now_us() - began);
    outcome_clear(&outcome);
    return err;
}

/* Where in the file the byte AT of TEXT is. */
static void place_set(const session_t *self, const char *text, size_t at)
{
    unsigned line = self->line, column = 1;

    if (!self->from) return;
    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + (((unsigned char)text[i] & 0xc0) != 0x80);
        line += text[i] == '\n';
    }
    fail_at(&self->cli->f, self->from, line, column, NULL);
}

/* Runs the lines of TEXT; up to RET_END it is done with. */
static err_t run_text(session_t *self, const char *text, bool last, size_t *ret_end)
{
    err_t err = ERR_OK;
    size_t from = 0;

    while (text[from] && !err && !self->ended && !signal_caught()) {
        line_t line;
        err = line_parse(text, from, &line, &self->cli->f);
        size_t end = line.end;
        if (err && !text[end] && !last && line_is_open(text + from)) {
            line_clear(&line);
            *ret_end = from;
            return ERR_OK;
        }
        if (err) place_set(self, text, end);
        if (!err) {
            err = run_line(self, text, &line);
            if (err && !*self->cli->f.file)
                place_set(self, text, from + strspn(text + from, " \t\n"));
        }
        line_clear(&line);
        from = end;
    }
    *ret_end = strlen(text);
    return err;
}

static err_t run_pending(session_t *self, bool last)
{
    buf_t *pending = &self->pending;
    size_t end = 0;

    if (buf_add(pending, "", 1)) {
        session_drop(self);
        return fail(&self->cli->f, ERR_EXPRESSION, "the line is too long");
    }
    char *text = (char *)pending->at;
    err_t err = run_text(self, text, last, &end);
    for (size_t i = 0; i < end; i++) self->line += text[i] == '\n';
    memmove(pending->at, pending->at + end, pending->len - end);
    pending->len -= end + 1;
    return err;
}

void session_drop(session_t *self) { buf_reset(&self->pending); }

err_t session_line(session_t *self, const char *line, bool *ret_open)
{
    err_t err = buf_text(&self->pending, line);

    if (!err) err = buf_add(&self->pending, "\n", 1);
    if (err) {
        session_drop(self);
        return fail(&self->cli->f, ERR_EXPRESSION, "the line is too long");
    }
    err = run_pending(self, false);
    *ret_open = !err && self->pending.len > 0;
    return err;
}

err_t session_end(session_t *self)
{
    return self->pending.len && !self->ended ? run_pending(self, true) : ERR_OK;
}

err_t session_file(session_t *self, FILE *file, const char *name)
{
    const char *from = self->from;
    unsigned number = self->line;
    buf_t pending = self->pending;
    char *line = NULL;
    size_t room = 0;
    bool open;
    err_t err = ERR_OK;

    if (self->loading == LOADING_MAX)
        return fail(&self->cli->f, ERR_BAD_VALUE, "%.200s: files load each other", name);
    self->loading++;
    self->from = name;
    self->line = 1;
    self->pending = buf_of(CAPDATA_BYTES_MAX);
    for (ssize_t len; !err && !self->ended && (len = getline(&line, &room, file)) > 0;) {
        if (strlen(line) != (size_t)len)
            err = fail(&self->cli->f, ERR_EXPRESSION, "%.200s: a line has a NUL in it", name);
        line[strcspn(line, "\n")] = 0;
        if (!err) err = session_line(self, line, &open);
        if (signal_caught()) break;
    }
    if (!err) err = session_end(self);
    free(line);
    buf_clear(&self->pending);
    self->pending = pending;
    self->from = from;
    self->line = number;
    self->loading--;
    return err;
}
