#include "cli/guess.h"

#include <string.h>

#include "cli/schema.h"

enum { NAMES_MAX = 512, NAME_MAX_ = 64, CHOICES_MAX = 32 };

/* What is compared, and what it stands for. */
typedef struct {
    const char *words[NAMES_MAX], *meant[NAMES_MAX];
    size_t count;
} names_of_t;

static void add(names_of_t *self, const char *word, const char *meant)
{
    if (self->count == NAMES_MAX) return;
    self->words[self->count] = word;
    self->meant[self->count++] = meant;
}

static const char *meant(const names_of_t *self, const char *word)
{
    const char *like = nearest(word, self->words, self->count);

    for (size_t i = 0; like && i < self->count; i++)
        if (self->words[i] == like) return self->meant[i];
    return NULL;
}

const char *command_like(const char *word, const char *second)
{
    static char firsts[NAMES_MAX][NAME_MAX_];
    names_of_t names = {.count = 0};
    char both[128];

    for (unsigned i = 0; command_at(i); i++) add(&names, command_at(i)->name, command_at(i)->name);
    snprintf(both, sizeof both, "%.60s %.60s", word, second ? second : "");
    const char *like = second ? meant(&names, both) : NULL;
    if (like) return like;
    for (unsigned i = 0; command_at(i) && i < NAMES_MAX; i++) {
        const char *name = command_at(i)->name, *last = strchr(name, ' ');
        if (!last) continue;
        add(&names, last + 1, name);
        snprintf(firsts[i], sizeof firsts[i], "%.*s", (int)(last - name), name);
        add(&names, firsts[i], firsts[i]);
    }
    return meant(&names, word);
}

const char *choice_like(const char *choices, const char *word)
{
    static char copy[512];
    const char *all[CHOICES_MAX];
    size_t count = 0;

    snprintf(copy, sizeof copy, "%s", choices);
    for (char *rest = copy, *one; (one = strsep(&rest, "|")) && count < CHOICES_MAX;)
        all[count++] = one;
    return nearest(word, all, count);
}

/* WORD is the first one of two: which of its commands was meant, and which there are. */
static bool family_unknown(const char *word, const char *second, fail_t *f)
{
    names_of_t names = {.count = 0};
    size_t len = strlen(word);

    for (unsigned i = 0; command_at(i); i++) {
        const char *name = command_at(i)->name;
        if (strncmp(name, word, len) == 0 && name[len] == ' ') add(&names, name + len + 1, name);
    }
    if (!names.count) return false;
    const char *like = second ? meant(&names, second) : NULL;
    if (like)
        fail(f, ERR_UNKNOWN_COMMAND, "unknown command \"%.60s %.60s\"; did you mean \"%s\"?", word,
             second, like);
    else if (second)
        fail(f, ERR_UNKNOWN_COMMAND, "unknown command \"%.60s %.60s\"", word, second);
    else
        fail(f, ERR_UNKNOWN_COMMAND, "\"%.60s\" wants a second word", word);
    for (size_t i = 0; i < names.count; i++) {
        const command_t *command = command_find(names.meant[i]);
        if (!like || names.meant[i] == like)
            fail_try(f, "vatctl %s%s%s", command->name, *command->arguments ? " " : "",
                     command->arguments);
    }
    return true;
}

err_t command_unknown(const char *word, const char *second, fail_t *f)
{
    if (family_unknown(word, second, f)) return ERR_UNKNOWN_COMMAND;
    const char *like = command_like(word, second);
    fail(f, ERR_UNKNOWN_COMMAND, "unknown command \"%.60s\"%s%s%s", word,
         like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
    if (like) fail_try(f, "vatctl help %s", like);
    return ERR_UNKNOWN_COMMAND;
}

void like_add(like_t *self, text_t name)
{
    char other[NAME_BYTES_MAX + 1];

    snprintf(other, sizeof other, "%.*s", (int)name.len, name.at);
    const char *both[] = {other, self->best};
    if (nearest(self->name, both, *self->best ? 2 : 1) == other) strcpy(self->best, other);
}

err_t like_fail(const like_t *self, err_t err, const char *what, fail_t *f)
{
    return fail(f, err, "no %s \"%.200s\"%s%s%s", what, self->name,
                *self->best ? "; did you mean \"" : "", self->best, *self->best ? "\"?" : "");
}
