#include "cli/shell_parse.h"

#include <stdlib.h>
#include <string.h>

#include "cli/value_read.h"
#include "cli/value_write.h"
#include "wire/base/must.h"

typedef struct {
    term_t *owner; /* whose literal is read: it gets the holes */
    size_t messages;
} parse_t;

static void term_destroy(term_t **term_p);

static void term_destroy(term_t **term_p)
{
    term_t *term = *term_p;
    if (!term) return;

    free(term->name);
    term_destroy(&term->target);
    for (size_t i = 0; i < term->hole_count; i++) term_destroy(&term->holes[i]);
    free(term->holes);
    value_clear(&term->value);
    free(term);
    *term_p = NULL;
}

static term_t *term_new(const reader_t *r, term_kind_t kind)
{
    term_t *term = calloc(1, sizeof *term);

    must(term);
    term->kind = kind;
    term->at = (size_t)(r->at - r->whole);
    term->value = value_of();
    return term;
}

static char *text_copy(const char *at, size_t len)
{
    char *copy = strndup(at, len);
    must(copy);
    return copy;
}

/* ---- messages ---- */

/* alice, shop/alice, my-vat, $1: of other words a '-' or '/' is a part when a letter follows. */
static size_t name_len(const char *at)
{
    size_t len = word_len(at);

    while (len && (at[len] == '-' || at[len] == '/') && word_char(at[len + 1]))
        len += 1 + word_len(at + len + 1);
    return len;
}

static err_t read_method(reader_t *r, buf_t *out)
{
    if (*r->at == '(') return buf_text(out, "\"#undefined\""); /* a function call */
    if (*r->at == '.') {
        r->at++;
        size_t len = word_len(r->at);
        if (!len || (*r->at >= '0' && *r->at <= '9'))
            return reader_wrong(r, "a method's name must stand here");
        err_t err = body_put_string(out, (text_t){r->at, len});
        r->at += len;
        return err;
    }
    r->at++;
    reader_blank(r);
    bool symbol = strncmp(r->at, "Symbol.", 7) == 0;
    if (symbol) r->at += 6;
    err_t err = symbol ? reader_symbol(r, out) : reader_string(r, out);
    return err ? err : reader_expect(r, ']', "a ] must stand here");
}

static err_t read_arguments(reader_t *r, buf_t *out)
{
    err_t err = ERR_OK;

    if (*r->at != '(') return reader_wrong(r, "its arguments must stand here: (...)");
    r->at++;
    reader_blank(r);
    for (bool first = true; *r->at != ')' && !err; first = false) {
        if (!first) {
            err = reader_expect(r, ',', "a comma or ) must stand here");
            reader_blank(r);
            if (err || *r->at == ')') break;
            err = buf_text(out, ",");
        }
        if (!err) err = reader_value(r, out);
        reader_blank(r);
    }
    if (!err) r->at++;
    return err;
}

/* TARGET.METHOD(...) behind its target, which it takes. */
static err_t read_message(reader_t *r, term_t **target_p)
{
    parse_t *p = r->context;
    term_t *term = term_new(r, TERM_MESSAGE), *owner = p->owner;
    value_t *value = r->value;
    buf_t *out = &term->value.body;

    term->at = (*target_p)->at;
    term->target = *target_p;
    *target_p = p->owner = term;
    r->value = &term->value;
    err_t err = ++p->messages > LINE_MESSAGES_MAX ? reader_wrong(r, "too many messages in one line")
                                                  : buf_text(out, "[");
    if (!err) err = read_method(r, out);
    if (!err) err = buf_text(out, ",[");
    if (!err) err = read_arguments(r, out);
    if (!err) err = buf_text(out, "]]");
    p->owner = owner;
    r->value = value;
    return err;
}

/* A name or reference, and the messages behind it. */
static err_t read_target(reader_t *r, term_t **ret)
{
    kref_t kref;
    size_t at = *r->at == '@', len = word_kref(r->at, &kref);
    term_t *term = term_new(r, len ? TERM_REF : TERM_NAME);
    err_t err = ERR_OK;

    *ret = term;
    if (len) {
        term->kref = kref;
    } else {
        len = name_len(r->at + at);
        if (!len) return reader_wrong(r, "a name must stand behind @");
        len += at;
        term->name = text_copy(r->at, len);
    }
    r->at += len;
    while (!err && (*r->at == '.' || *r->at == '(' || *r->at == '[')) err = read_message(r, ret);
    return err;
}

/* A hole in the literal that is read: what TERM gives. */
static err_t put_hole(const parse_t *p, buf_t *out, term_t *term)
{
    term_t *owner = p->owner;

    owner->holes = realloc(owner->holes, (owner->hole_count + 1) * sizeof *owner->holes);
    must(owner->holes);
    owner->holes[owner->hole_count++] = term;
    return buf_print(out, "%c%zu%c", HOLE_MARK, owner->hole_count - 1, HOLE_MARK);
}

/* What begins with a word and is no literal. */
static err_t read_term(reader_t *r, buf_t *out, bool *ret_taken)
{
    size_t len = word_len(r->at);
    term_t *term = NULL;

    if (*r->at != '@' && word_is_literal(r->at, len)) return ERR_OK;
    err_t err = read_target(r, &term);
    *ret_taken = true;
    if (err) {
        term_destroy(&term);
        return err;
    }
    if (term->kind != TERM_REF) return put_hole(r->context, out, term);
    err = reader_put(r, out, term->kref);
    term_destroy(&term);
    return err;
}

/* ---- lines ---- */

bool name_is_fit(const char *name, size_t len)
{
    uint32_t ignored;

    if (!len || len > NAME_BYTES_MAX || (*name >= '0' && *name <= '9') || *name == '$')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!word_char(name[i])) return false;
    bool id = id_parse('v', name, len, &ignored) || id_parse('h', name, len, &ignored) ||
              id_parse('s', name, len, &ignored);
    return !id && !word_is_literal(name, len) && !(len == 3 && memcmp(name, "let", 3) == 0);
}

static void skip_spaces(reader_t *r)
{
    r->at += strspn(r->at, " \t\r");
    if (r->at[0] == '/' && r->at[1] == '/') r->at += strcspn(r->at, "\n");
}

/* A literal that is nothing but one hole is what is in it. */
static void unwrap(line_t *line)
{
    term_t *term = line->term;
    const uint8_t only[] = {HOLE_MARK, '0', HOLE_MARK};

    if (term->value.body.len != sizeof only || memcmp(term->value.body.at, only, sizeof only) != 0)
        return;
    line->term = term->holes[0];
    term->hole_count = 0;
    term_destroy(&term);
}

static err_t read_line_value(reader_t *r, line_t *line)
{
    parse_t p = {0};

    reader_blank(r);
    line->term = p.owner = term_new(r, TERM_VALUE);
    r->value = &line->term->value;
    r->context = &p;
    r->depth = 0;
    err_t err = reader_value(r, &line->term->value.body);
    if (err == ERR_WIRE_LIMIT) err = reader_wrong(r, "the value is too large");
    if (err) return err;
    unwrap(line);
    skip_spaces(r);
    if (*r->at && *r->at != ';' && *r->at != '\n') {
        const char *why = line->term->kind == TERM_VALUE && (*r->at == '.' || *r->at == '(')
                              ? "only objects and promises get messages"
                              : "the line ends before this";
        return reader_wrong(r, why);
    }
    if (*r->at) r->at++;
    return ERR_OK;
}

static err_t read_let(reader_t *r, line_t *line)
{
    line->kind = LINE_LET;
    r->at += 3;
    reader_blank(r);
    size_t len = word_len(r->at);
    if (!name_is_fit(r->at, len)) return reader_wrong(r, "a name must stand here: let NAME = ...");
    line->name = text_copy(r->at, len);
    r->at += len;
    err_t err = reader_expect(r, '=', "a = must stand here");
    return err ? err : read_line_value(r, line);
}

static err_t read_silent(reader_t *r, line_t *line)
{
    line->kind = LINE_SILENT;
    r->at++;
    err_t err = read_line_value(r, line);
    if (err || line->term->kind == TERM_MESSAGE) return err;
    r->at = r->whole + line->term->at;
    return reader_wrong(r, "behind ! a message must stand: !alice.log(\"x\")");
}

/* Its words are the command's own business, up to the end of the line. */
static err_t read_command(reader_t *r, line_t *line)
{
    line->kind = LINE_COMMAND;
    r->at++;
    size_t len = word_len(r->at);
    if (!len) return reader_wrong(r, "a command's name must stand here: .help lists them");
    line->name = text_copy(r->at, len);
    r->at += len;
    r->at += strspn(r->at, " \t");
    line->words = (size_t)(r->at - r->whole);
    r->at += strcspn(r->at, "\n");
    r->at += *r->at != 0;
    return ERR_OK;
}

err_t line_parse(const char *text, size_t from, line_t *ret, fail_t *f)
{
    reader_t r = {.whole = text, .at = text + from, .f = f, .term = read_term};
    err_t err = ERR_OK;

    *ret = (line_t){.kind = LINE_VALUE};
    reader_blank(&r);
    while (*r.at == ';') {
        r.at++;
        reader_blank(&r);
    }
    if (!*r.at)
        ret->kind = LINE_NOTHING;
    else if (*r.at == '.')
        err = read_command(&r, ret);
    else if (*r.at == '!')
        err = read_silent(&r, ret);
    else if (strncmp(r.at, "let", 3) == 0 && strchr(" \t\r\n", r.at[3]))
        err = read_let(&r, ret);
    else
        err = read_line_value(&r, ret);
    ret->end = (size_t)(r.at - text);
    return err;
}

void line_clear(line_t *self)
{
    free(self->name);
    term_destroy(&self->term);
    *self = (line_t){0};
}

bool line_is_open(const char *text)
{
    size_t open = 0;

    for (const char *at = text; *at; at++) {
        if (at[0] == '/' && at[1] == '/') {
            at += strcspn(at, "\n");
            if (!*at) break;
        } else if (*at == '"' || *at == '\'') {
            char quote = *at++;
            while (*at && *at != quote) at += *at == '\\' && at[1] ? 2 : 1;
            if (!*at) return false;
        } else if (strchr("([{", *at)) {
            open++;
        } else if (strchr(")]}", *at) && open) {
            open--;
        }
    }
    return open > 0;
}
