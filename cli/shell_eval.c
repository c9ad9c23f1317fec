#include "cli/shell_eval.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/schema.h"
#include "cli/value_write.h"
#include "wire/base/must.h"
#include "wire/smallcaps/smallcaps.h"

shell_t shell_of(port_t port) { return (shell_t){.port = port}; }

static void pet_clear(pet_t *pet)
{
    free(pet->name);
    value_clear(&pet->value);
}

void shell_clear(shell_t *self)
{
    for (size_t i = 0; i < self->pet_count; i++) pet_clear(&self->pets[i]);
    for (size_t i = 0; i < self->seen_count; i++) free(self->seen[i].iface);
    free(self->pets);
    free(self->seen);
    free(self->spare);
    *self = (shell_t){0};
}

void outcome_clear(outcome_t *self) { value_clear(&self->value); }

/* ---- names ---- */

pet_t *pet_find(const shell_t *self, const char *name)
{
    for (size_t i = 0; i < self->pet_count; i++)
        if (strcmp(self->pets[i].name, name) == 0) return &self->pets[i];
    return NULL;
}

void pet_set(shell_t *self, const char *name, const capdata_t *value, bool rejected)
{
    pet_t pet = {strdup(name), value_copy(value), rejected};
    pet_t *old = pet_find(self, name);

    must(pet.name);
    seen_add(self, value);
    if (old) {
        pet_clear(old);
        *old = pet;
        return;
    }
    self->pets = realloc(self->pets, (self->pet_count + 1) * sizeof *self->pets);
    must(self->pets);
    self->pets[self->pet_count++] = pet;
}

bool pet_forget(shell_t *self, const char *name)
{
    pet_t *pet = pet_find(self, name);
    if (!pet) return false;

    pet_clear(pet);
    self->pet_count--;
    memmove(pet, pet + 1, (size_t)(self->pets + self->pet_count - pet) * sizeof *pet);
    return true;
}

static bool stands_for(const pet_t *pet, kref_t promise)
{
    capdata_t data = value_capdata(&pet->value);
    kref_t kref;

    return !pet->rejected && smallcaps_single_slot(&data, &kref) && kref_same(kref, promise);
}

const char *shell_settled(shell_t *self, kref_t promise, bool rejected, const capdata_t *value)
{
    const char *name = NULL;

    for (size_t i = 0; i < self->pet_count; i++) {
        pet_t *pet = &self->pets[i];
        if (!stands_for(pet, promise)) continue;
        value_clear(&pet->value);
        pet->value = value_copy(value);
        pet->rejected = rejected;
        name = pet->name;
    }
    if (name) seen_add(self, value);
    return name;
}

/* ---- objects that were seen ---- */

const seen_t *seen_find(const shell_t *self, kref_t kref)
{
    for (size_t i = 0; i < self->seen_count; i++)
        if (kref_same(self->seen[i].kref, kref)) return &self->seen[i];
    return NULL;
}

/* The oldest gives way. */
static seen_t *seen_take(shell_t *self, kref_t kref)
{
    for (size_t i = 0; i < self->seen_count; i++)
        if (kref_same(self->seen[i].kref, kref)) return &self->seen[i];
    if (!self->seen) {
        self->seen = calloc(SEEN_MAX, sizeof *self->seen);
        must(self->seen);
    }
    if (self->seen_count == SEEN_MAX) {
        free(self->seen[0].iface);
        memmove(self->seen, self->seen + 1, --self->seen_count * sizeof *self->seen);
    }
    self->seen[self->seen_count] = (seen_t){kref, NULL};
    return &self->seen[self->seen_count++];
}

static void see(void *context, kref_t kref, const char *iface)
{
    if (!kref_is_object(kref)) return;
    seen_t *seen = seen_take(context, kref);
    if (!iface || seen->iface) return;
    seen->iface = strdup(iface);
    must(seen->iface);
}

void seen_add(shell_t *self, const capdata_t *value) { value_slots(value, see, self); }

/* ---- terms ---- */

/* A line that runs. */
typedef struct {
    shell_t *shell;
    const char *text;
    bool silent; /* nobody waits for the last message */
    fail_t *f;
} run_t;

static err_t eval(run_t *run, const term_t *term, value_t *ret);

static void spare_add(shell_t *self, kref_t promise)
{
    self->spare = realloc(self->spare, (self->spare_count + 1) * sizeof *self->spare);
    must(self->spare);
    self->spare[self->spare_count++] = promise;
}

static void spare_let_go(shell_t *self)
{
    for (size_t i = 0; i < self->spare_count; i++)
        self->port.let_go(self->port.context, self->spare[i]);
    self->spare_count = 0;
}

/* The place of a failure that the port found out. */
static err_t at_place(const run_t *run, const term_t *term, err_t err)
{
    if (err && !*run->f->why) fail_caret(run->f, run->text, term->at);
    return err;
}

static void set_ref(value_t *ret, kref_t kref)
{
    size_t i;

    must(!value_slot(ret, kref, &i) && i == 0);
    must(!buf_text(&ret->body, kref_is_promise(kref) ? "#\"&0\"" : "#\"$0\""));
}

static err_t name_unknown(const run_t *run, const term_t *term)
{
    const shell_t *shell = run->shell;
    const char **names = calloc(shell->pet_count + 1, sizeof *names);

    must(names);
    for (size_t i = 0; i < shell->pet_count; i++) names[i] = shell->pets[i].name;
    const char *like = nearest(term->name, names, shell->pet_count);
    fail(run->f, ERR_VAT_UNKNOWN, "no name or vat \"%.200s\"%s%.200s%s", term->name,
         like ? "; did you mean " : "", like ? like : "", like ? "?" : "");
    free(names);
    fail_caret(run->f, run->text, term->at);
    return ERR_VAT_UNKNOWN;
}

static err_t eval_name(run_t *run, const term_t *term, value_t *ret)
{
    const port_t *port = &run->shell->port;
    const pet_t *pet = pet_find(run->shell, term->name);
    bool vat_only = *term->name == '@';
    kref_t kref;

    if (pet && pet->rejected) {
        capdata_t data = value_capdata(&pet->value);
        buf_t reason = buf_of(FAIL_TEXT_MAX / 2);
        if (value_show(&reason, &data)) buf_reset(&reason);
        fail(run->f, ERR_REJECTED, "%.200s was rejected: %.*s", term->name, (int)reason.len,
             reason.at ? (const char *)reason.at : "");
        buf_clear(&reason);
        return at_place(run, term, ERR_REJECTED);
    }
    if (pet) {
        capdata_t data = value_capdata(&pet->value);
        *ret = value_copy(&data);
        return ERR_OK;
    }
    if (*term->name == '$') return name_unknown(run, term);
    err_t err = port->find(port->context, term->name + vat_only, &kref, run->f);
    if (err == ERR_VAT_UNKNOWN && !run->f->try_count && !vat_only) return name_unknown(run, term);
    if (!err) set_ref(ret, kref);
    return at_place(run, term, err);
}

static err_t broken(const run_t *run, const term_t *term, err_t err)
{
    if (err != ERR_WIRE_LIMIT && err != ERR_BODY_BROKEN) return err;
    fail(run->f, ERR_BAD_VALUE,
         err == ERR_WIRE_LIMIT ? "the values are too large for one message"
                               : "a value that a vat gave cannot be passed on");
    return at_place(run, term, ERR_BAD_VALUE);
}

/* What hole N of TERM gives, as a part of RET's body. Promises of messages in it go with those of ours. */
static err_t fill(run_t *run, const term_t *term, size_t n, value_t *ret)
{
    value_t part = value_of();
    err_t err = eval(run, term->holes[n], &part);

    if (!err && term->kind == TERM_MESSAGE && term->holes[n]->kind == TERM_MESSAGE)
        spare_add(run->shell, part.slots[0]);
    if (!err && (!part.body.len || *part.body.at != '#')) err = ERR_BODY_BROKEN;
    if (!err) {
        err = value_add(ret, &ret->body, (bin_t){part.body.at + 1, part.body.len - 1},
                        (krefs_t){part.slots, part.slot_count});
    }
    value_clear(&part);
    return broken(run, term->holes[n], err);
}

/* The literal of TERM with all its holes filled. */
static err_t expand(run_t *run, const term_t *term, value_t *ret)
{
    const uint8_t *at = term->value.body.at, *end = at + term->value.body.len;
    krefs_t slots = {term->value.slots, term->value.slot_count};
    err_t err = buf_text(&ret->body, "#");

    while (at < end && !err) {
        const uint8_t *mark = memchr(at, HOLE_MARK, (size_t)(end - at));
        size_t len = (size_t)((mark ? mark : end) - at), hole = 0;
        err = broken(run, term, value_add(ret, &ret->body, (bin_t){at, len}, slots));
        if (!mark || err) break;
        for (at = mark + 1; *at != HOLE_MARK; at++) hole = hole * 10 + (size_t)(*at - '0');
        at++;
        err = fill(run, term, hole, ret);
    }
    return err;
}

static err_t target_of(run_t *run, const term_t *term, kref_t *ret)
{
    value_t value = value_of();

    if (term->kind == TERM_REF) {
        *ret = term->kref;
        return ERR_OK;
    }
    err_t err = eval(run, term, &value);
    capdata_t data = value_capdata(&value);
    if (!err && !smallcaps_single_slot(&data, ret)) {
        buf_t shown = buf_of(200);
        /* The beginning of a long one will do. */
        if (value_show(&shown, &data)) buf_clear(&shown);
        fail(run->f, ERR_BAD_VALUE, "%.200s is no object: %.*s", term->name ? term->name : "this",
             (int)shown.len, shown.at ? (const char *)shown.at : "a large value");
        buf_clear(&shown);
        err = at_place(run, term, ERR_BAD_VALUE);
    }
    if (!err && term->kind == TERM_MESSAGE) spare_add(run->shell, *ret);
    value_clear(&value);
    return err;
}

/* Sends it, and gives the promise of the answer. */
static err_t send(run_t *run, const term_t *term, bool silent, kref_t *ret)
{
    const port_t *port = &run->shell->port;
    value_t methargs = value_of();
    kref_t target = {0};
    err_t err = target_of(run, term->target, &target);

    if (!err) err = expand(run, term, &methargs);
    if (!err) {
        capdata_t data = value_capdata(&methargs);
        err = at_place(run, term, port->send(port->context, target, &data, silent, ret, run->f));
    }
    value_clear(&methargs);
    return err;
}

static err_t eval(run_t *run, const term_t *term, value_t *ret)
{
    kref_t promise;

    switch (term->kind) {
    case TERM_NAME: return eval_name(run, term, ret);
    case TERM_VALUE: return expand(run, term, ret);
    case TERM_REF: set_ref(ret, term->kref); return ERR_OK;
    case TERM_MESSAGE: break;
    }
    err_t err = send(run, term, false, &promise);
    if (!err) set_ref(ret, promise);
    return err;
}

/* ---- lines ---- */

static err_t wait(run_t *run, kref_t promise, outcome_t *ret)
{
    const port_t *port = &run->shell->port;

    ret->promise = promise;
    err_t err = port->await(port->context, promise, &ret->settled, &ret->value, run->f);
    if (!err && ret->settled == SETTLED_NOT) {
        value_clear(&ret->value);
        set_ref(&ret->value, promise);
    }
    return err;
}

static bool sends(const term_t *term)
{
    bool any = term->kind == TERM_MESSAGE;

    for (size_t i = 0; i < term->hole_count && !any; i++) any = sends(term->holes[i]);
    return any;
}

static err_t run_value(run_t *run, const line_t *line, outcome_t *ret)
{
    kref_t promise;
    bool message = line->term->kind == TERM_MESSAGE;
    err_t err;

    if (line->kind == LINE_SILENT) return send(run, line->term, true, &promise);
    if (message) {
        err = send(run, line->term, false, &promise);
        if (!err) err = wait(run, promise, ret);
    } else {
        ret->settled = SETTLED_FULFILLED;
        err = eval(run, line->term, &ret->value);
    }
    if (err) return err;
    capdata_t data = value_capdata(&ret->value);
    seen_add(run->shell, &data);
    if (ret->settled == SETTLED_REJECTED) return ERR_OK;
    /* What a message gave has a name; what is only looked at has one already, or needs none. */
    if (line->kind == LINE_LET)
        pet_set(run->shell, line->name, &data, false);
    else if (sends(line->term))
        snprintf(ret->name, sizeof ret->name, "$%" PRIu64, ++run->shell->results);
    if (*ret->name) pet_set(run->shell, ret->name, &data, false);
    return ERR_OK;
}

err_t shell_run(shell_t *self, const char *text, const line_t *line, outcome_t *ret, fail_t *f)
{
    run_t run = {.shell = self, .text = text, .f = f};

    *ret = (outcome_t){.value = value_of()};
    if (line->kind == LINE_NOTHING) return ERR_OK;
    err_t err = run_value(&run, line, ret);
    spare_let_go(self);
    return err;
}

err_t shell_await(shell_t *self, const char *text, const term_t *term, outcome_t *ret, fail_t *f)
{
    run_t run = {.shell = self, .text = text, .f = f};
    kref_t promise;

    *ret = (outcome_t){.value = value_of()};
    err_t err = eval(&run, term, &ret->value);
    capdata_t data = value_capdata(&ret->value);
    if (!err && smallcaps_single_slot(&data, &promise) && kref_is_promise(promise)) {
        value_clear(&ret->value);
        err = wait(&run, promise, ret);
        data = value_capdata(&ret->value);
        if (!err && ret->settled != SETTLED_NOT)
            shell_settled(self, promise, ret->settled == SETTLED_REJECTED, &data);
    } else {
        ret->settled = SETTLED_FULFILLED;
    }
    if (!err) seen_add(self, &data);
    spare_let_go(self);
    return err;
}

err_t shell_value(shell_t *self, const char *text, const term_t *term, value_t *ret, fail_t *f)
{
    run_t run = {.shell = self, .text = text, .f = f};

    *ret = value_of();
    err_t err = eval(&run, term, ret);
    spare_let_go(self);
    return err;
}

err_t shell_target(shell_t *self, const char *text, const term_t *term, kref_t *ret, fail_t *f)
{
    run_t run = {.shell = self, .text = text, .f = f};
    err_t err = target_of(&run, term, ret);

    spare_let_go(self);
    return err;
}
