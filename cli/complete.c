#include "cli/complete.h"

#include <ctype.h>
#include <string.h>

#include "wire/base/err.h"

/* One question. */
struct completion {
    const complete_port_t *port;
    const char *partial; /* what stands there already */
    const char *before;  /* "--color=", which the proposals keep; else "" */
    complete_t kind;
};

/* A shell takes it for itself: what it proposes it puts into the line as it is, and a vat's name is whoever's who made it. */
static bool is_plain(const char *name)
{
    for (const char *c = name; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("@/._:,=+-", *c) && !(*c & 0x80)) return false;
    }
    return true;
}

void complete_name(completion_t *self, const char *name, const char *what)
{
    char word[512];

    if (strncmp(name, self->partial, strlen(self->partial)) != 0 || !is_plain(name)) return;
    snprintf(word, sizeof word, "%.200s%.200s", self->before, name);
    self->port->propose(self->port->context, word, what);
}

bool complete_begun(const completion_t *self) { return *self->partial; }

/* ---- commands, codes ---- */

/* Commands of one word, and the first words of those of two; with FIRST the second words behind it. */
static void propose_commands(completion_t *self, const char *first)
{
    size_t len = first ? strlen(first) : 0;

    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        size_t word = strcspn(command->name, " "), family = first ? 1 : command_family(command);
        char name[128];
        if (first) {
            if (word == len && strncmp(command->name, first, len) == 0 && command->name[word])
                complete_name(self, command->name + word + 1, command->summary);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)word, command->name);
        complete_name(self, name, command->name[word] ? "..." : command->summary);
        i += (unsigned)family - 1;
    }
}

static void propose_help(completion_t *self)
{
    propose_commands(self, NULL);
    for (group_t group = 0; group < GROUPS; group++)
        complete_name(self, group_word(group), group_title(group));
}

/* They are many: only for who has begun one. */
static void propose_codes(completion_t *self)
{
    char code[16];

    if (*self->partial != 'E' && !isdigit((unsigned char)*self->partial)) return;
    for (unsigned i = 0; err_at(i); i++) {
        const err_row_t *row = err_at(i);
        if (!row->err) continue;
        snprintf(code, sizeof code, *self->partial == 'E' ? "E%04u" : "%04u", (unsigned)row->err);
        complete_name(self, code, row->text);
    }
}

/* ---- what an argument is ---- */

static void propose_choices(completion_t *self, const char *choices, size_t len)
{
    char word[64];

    while (len) {
        size_t one = strcspn(choices, "|");
        if (one > len) one = len;
        snprintf(word, sizeof word, "%.*s", (int)one, choices);
        complete_name(self, word, "");
        choices += one;
        len -= one;
        if (len) choices++, len--;
    }
}

/* NAME, as commands.def writes it: "FILE", "VAT", "bash". */
static void propose_kind(completion_t *self, const char *name, size_t len)
{
    static const struct {
        const char *name;
        offer_t names;
    } kinds[] = {{"VAT", OFFER_VATS},
                 {"REF", OFFER_ROOTS},
                 {"CLUSTER", OFFER_CLUSTERS},
                 {"HOST", OFFER_HOSTS},
                 {"DEMO", OFFER_DEMOS}};
    static const char *const files[] = {"FILE", "SOURCE", "BUNDLE", "BUNDLE|HASH"};

    if (len == 3 && memcmp(name, "DIR", 3) == 0) self->kind = COMPLETE_FOLDERS;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strlen(files[i]) == len && memcmp(name, files[i], len) == 0)
            self->kind = COMPLETE_FILES;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == len && memcmp(name, kinds[i].name, len) == 0)
            self->port->names(self->port->context, kinds[i].names, self);
    if (len == 7 && memcmp(name, "COMMAND", len) == 0) propose_help(self);
    if (len == 4 && memcmp(name, "CODE", len) == 0) propose_codes(self);
    if (islower((unsigned char)*name)) propose_choices(self, name, len);
}

/* "COMMAND|CODE": each of them. */
static void propose_kinds(completion_t *self, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t one = strcspn(text + at, "|");
        if (at + one > len) one = len - at;
        propose_kind(self, text + at, one);
        at += one + 1;
    }
}

static void propose_value(completion_t *self, const flag_t *flag)
{
    if (flag->kind == FLAG_CHOICE)
        propose_choices(self, flag->argument, strlen(flag->argument));
    else
        propose_kinds(self, flag->argument, strlen(flag->argument));
}

/* Argument I of COMMAND: its I-th word, or the last one when that goes on ("VAT..."). */
static void propose_argument(completion_t *self, const command_t *command, int i)
{
    const char *at = command->arguments, *word = NULL;
    size_t len = 0;

    for (; *at && strncmp(at, "[-- ", 4) != 0; i--) {
        len = strcspn(at, " ");
        word = at;
        at += len + strspn(at + len, " ");
        bool goes_on = len > 3 && memchr(word, '.', len);
        if (i == 0 || goes_on) {
            if (*word == '[') word++, len--;
            while (len && strchr(".]", word[len - 1])) len--;
            propose_kinds(self, word, len);
            return;
        }
    }
}

static void propose_flags(completion_t *self, const command_t *command)
{
    for (unsigned i = 0; flag_at(i); i++) {
        const flag_t *flag = flag_at(i);
        char word[128];
        if (flag->owner != COMMAND_all && (!command || flag->owner != command->id)) continue;
        snprintf(word, sizeof word, "--%s", flag->name);
        complete_name(self, word, flag->doc);
    }
}

/* ---- the line so far ---- */

/* What the words before the last one say. */
typedef struct {
    const command_t *command;
    const char *first;   /* of a command of two words that has only this one yet */
    const flag_t *wants; /* the last word is its value */
    int arguments;
    bool only_words, has_rest, unknown;
} line_t;

static void line_word(line_t *line, const char *word)
{
    char both[128];

    if (line->command || line->unknown) {
        line->arguments++;
        return;
    }
    snprintf(both, sizeof both, "%.60s%s%.60s", line->first ? line->first : "",
             line->first ? " " : "", word);
    line->command = command_find(both);
    if (line->command) return;
    for (unsigned i = 0; command_at(i) && !line->first; i++) {
        size_t len = strlen(word);
        if (strncmp(command_at(i)->name, word, len) == 0 && command_at(i)->name[len] == ' ')
            line->first = word;
    }
    line->unknown = !line->first || strcmp(line->first, word) != 0;
}

static void line_flag(line_t *line, const char *word)
{
    command_id_t owner = line->command ? line->command->id : COMMAND_all;
    const flag_t *flag = NULL;

    if (word[1] == '-') {
        if (!strchr(word, '=')) flag = flag_find(owner, word + 2, strlen(word + 2), 0);
    } else {
        /* -an: a takes no value, n takes the next word; -n5 has it already. */
        for (const char *letter = word + 1; *letter; letter++) {
            flag = flag_find(owner, NULL, 0, *letter);
            if (flag && flag->kind != FLAG_YES) {
                if (letter[1]) flag = NULL;
                break;
            }
        }
    }
    if (flag && flag->kind != FLAG_YES) line->wants = flag;
}

static line_t line_read(char *const *words, int count)
{
    line_t line = {0};

    for (int i = 0; i < count; i++) {
        if (line.wants) {
            line.wants = NULL;
        } else if (!line.only_words && strcmp(words[i], "--") == 0) {
            line.only_words = true;
            line.has_rest = line.command && strstr(line.command->arguments, "[-- ");
        } else if (!line.only_words && word_is_flag(words[i])) {
            line_flag(&line, words[i]);
        } else {
            line_word(&line, words[i]);
        }
    }
    return line;
}

complete_t complete(char *const *words, int count, const complete_port_t *port)
{
    static char empty[] = "";
    const char *last = count ? words[count - 1] : empty;
    line_t line = line_read(words, count ? count - 1 : 0);
    command_id_t owner = line.command ? line.command->id : COMMAND_all;
    completion_t self = {port, last, "", COMPLETE_WORDS};
    const char *equals = strchr(last, '=');
    char before[128];

    if (line.has_rest || line.unknown) return COMPLETE_FILES;
    if (line.wants) {
        propose_value(&self, line.wants);
    } else if (!line.only_words && strncmp(last, "--", 2) == 0 && equals) {
        const flag_t *flag = flag_find(owner, last + 2, (size_t)(equals - last - 2), 0);
        if (!flag || flag->kind == FLAG_YES) return COMPLETE_WORDS;
        snprintf(before, sizeof before, "%.*s", (int)(equals + 1 - last), last);
        self.before = before;
        self.partial = equals + 1;
        propose_value(&self, flag);
    } else if (!line.only_words && *last == '-') {
        propose_flags(&self, line.command);
    } else if (!line.command) {
        propose_commands(&self, line.first);
    } else if (line.command->id == COMMAND_help && line.arguments == 1) {
        propose_commands(&self, words[count - 2]);
    } else if (line.command->id == COMMAND_inspect) {
        propose_kinds(&self, "VAT|CLUSTER|HOST", strlen("VAT|CLUSTER|HOST"));
    } else if (line.command->id != COMMAND_trace) { /* its REF is a number that only logs know */
        propose_argument(&self, line.command, line.arguments);
    }
    return self.kind;
}
