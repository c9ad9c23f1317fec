#include "cli/command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/guess.h"
#include "cli/schema.h"
#include "wire/base/must.h"

/* clang-format off */
static const command_t commands[] = {
#define COMMAND(id, name, group, arguments, least, most, summary, example) \
    {COMMAND_##id, name, GROUP_##group, arguments, least, most, summary, example},
#include "cli/commands.def"
};

static const flag_t flags[] = {
#define FLAG(id, name, letter, kind, argument, doc) \
    {COMMAND_##id, name, letter, FLAG_##kind, argument, doc},
#include "cli/commands.def"
};

typedef struct {
    command_id_t owner;
    const char *text;
} more_t;

static const more_t examples[] = {
#define EXAMPLE(id, line) {COMMAND_##id, line},
#include "cli/commands.def"
};

static const more_t abouts[] = {
#define ABOUT(id, text) {COMMAND_##id, text},
#include "cli/commands.def"
};
/* clang-format on */

enum {
    COMMAND_COUNT = sizeof commands / sizeof *commands,
    FLAG_COUNT_ALL = sizeof flags / sizeof *flags,
};
_Static_assert(sizeof flags / sizeof *flags <= FLAG_ROWS_MAX, "args_t has room for every flag");

const command_t *command_at(unsigned i) { return i < COMMAND_COUNT ? &commands[i] : NULL; }

const command_t *command_find(const char *text)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, text) == 0) return &commands[i];
    }
    return NULL;
}

const flag_t *flag_at(unsigned i) { return i < FLAG_COUNT_ALL ? &flags[i] : NULL; }

const char *example_at(const command_t *command, unsigned i)
{
    if (i == 0) return command->example;
    for (size_t at = 0; at < sizeof examples / sizeof *examples; at++)
        if (examples[at].owner == command->id && --i == 0) return examples[at].text;
    return NULL;
}

const char *command_about(const command_t *command)
{
    for (size_t i = 0; i < sizeof abouts / sizeof *abouts; i++)
        if (abouts[i].owner == command->id) return abouts[i].text;
    return NULL;
}

size_t command_family(const command_t *command)
{
    size_t count = 1, word = strcspn(command->name, " ");

    if (!command->name[word]) return 1;
    while (command + count < commands + COMMAND_COUNT &&
           strncmp(command[count].name, command->name, word + 1) == 0)
        count++;
    return count;
}

bool duration_read(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"us", 0.001}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    double total = 0;

    if (!*text) return false;
    while (*text) {
        char *end;
        if (!strchr("0123456789", *text)) return false;
        double number = strtod(text, &end);
        if (strpbrk(text, "xXpPeEnN") && strpbrk(text, "xXpPeEnN") < end) return false;
        size_t len = strspn(end, "umsh"), i = 0;
        if (!len && !*end && total == 0) {
            total = number * 1000;
            break;
        }
        while (i < 5 && (strlen(units[i].name) != len || memcmp(units[i].name, end, len) != 0)) i++;
        if (i == 5) return false;
        total += number * units[i].ms;
        text = end + len;
    }
    if (total > 1e15) return false;
    *ret_ms = (uint64_t)ceil(total);
    return true;
}

static bool count_read(const char *text, uint64_t *ret)
{
    char *end;

    if (!strchr("123456789", *text) || !*text || strlen(text) > 9) return false;
    *ret = strtoull(text, &end, 10);
    return !*end;
}

static bool choice_read(const char *choices, const char *text)
{
    size_t len = strlen(text);

    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        if (strncmp(at, text, len) == 0 && (at[len] == '|' || !at[len])) return true;
    }
    return false;
}

static err_t flag_check(const flag_t *flag, const char *text, fail_t *f)
{
    uint64_t ignored;
    const char *why = NULL;

    if (flag->kind == FLAG_COUNT && !count_read(text, &ignored))
        why = "a number from 1 to 999999999 is wanted";
    if (flag->kind == FLAG_TIME && !duration_read(text, &ignored))
        why = "a time such as 500ms, 5s or 1m30s is wanted";
    if (flag->kind == FLAG_CHOICE && !choice_read(flag->argument, text)) why = flag->argument;
    if ((flag->kind == FLAG_TEXT || flag->kind == FLAG_TEXTS) && !*text)
        why = "it must not be empty";
    if (!why) return ERR_OK;
    const char *like = flag->kind == FLAG_CHOICE ? choice_like(flag->argument, text) : NULL;
    fail(f, ERR_BAD_VALUE, "--%s cannot be \"%.200s\"%s%s%s", flag->name, text,
         like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
    fail_why(f, flag->kind == FLAG_CHOICE ? "one of %s is wanted" : "%s", why);
    return ERR_BAD_VALUE;
}

const flag_t *flag_find(command_id_t owner, const char *name, size_t len, char letter)
{
    for (size_t i = 0; i < FLAG_COUNT_ALL; i++) {
        const flag_t *flag = &flags[i];
        if (flag->owner != owner && flag->owner != COMMAND_all) continue;
        if (letter ? flag->letter == letter
                   : strlen(flag->name) == len && memcmp(flag->name, name, len) == 0) {
            return flag;
        }
    }
    return NULL;
}

static err_t flag_unknown(const command_t *command, const char *word, fail_t *f)
{
    const char *names[FLAG_ROWS_MAX], *like;
    size_t count = 0;

    for (size_t i = 0; i < FLAG_COUNT_ALL; i++) {
        if (flags[i].owner == COMMAND_all || (command && flags[i].owner == command->id)) {
            names[count++] = flags[i].name;
        }
    }
    like = nearest(word + strspn(word, "-"), names, count);
    if (like)
        fail(f, ERR_UNKNOWN_FLAG, "unknown flag \"%.200s\"; did you mean --%s?", word, like);
    else
        fail(f, ERR_UNKNOWN_FLAG, "unknown flag \"%.200s\"", word);
    if (command) fail_try(f, "vatctl help %s", command->name);
    return ERR_UNKNOWN_FLAG;
}

bool word_is_flag(const char *word)
{
    if (word[0] != '-' || !word[1]) return false;
    return !(word[1] >= '0' && word[1] <= '9') && strcmp(word, "-Infinity") != 0;
}

static err_t set_flag(args_t *args, const flag_t *flag, const char *text, fail_t *f)
{
    err_t err = flag_check(flag, text, f);

    if (err) return err;
    args->flags[flag - flags] = text;
    if (flag->kind != FLAG_TEXTS) return ERR_OK;
    if (args->text_count == FLAG_TEXTS_MAX)
        return fail(f, ERR_BAD_VALUE, "--%s: at most %d of them", flag->name, FLAG_TEXTS_MAX);
    args->texts[args->text_count].flag = flag;
    args->texts[args->text_count++].text = text;
    return ERR_OK;
}

/* ARGV[I] is a flag; moves I to the last word it used. */
static err_t parse_flag(args_t *args, char **argv, int argc, int *i, fail_t *f)
{
    command_id_t owner = args->command ? args->command->id : COMMAND_all;
    const char *word = argv[*i], *equals = strchr(word, '=');
    bool is_long = word[1] == '-';

    for (size_t at = 1; is_long || word[at]; at++) {
        const flag_t *flag =
            is_long ? flag_find(owner, word + 2,
                                equals ? (size_t)(equals - word - 2) : strlen(word + 2), 0)
                    : flag_find(owner, NULL, 0, word[at]);
        if (!flag) return flag_unknown(args->command, word, f);

        if (flag->kind == FLAG_YES) {
            if (is_long && equals) return fail(f, ERR_BAD_VALUE, "--%s takes no value", flag->name);
            args->flags[flag - flags] = "";
            if (is_long) return ERR_OK;
            continue;
        }
        if (is_long && equals) return set_flag(args, flag, equals + 1, f);
        if (!is_long && word[at + 1]) return set_flag(args, flag, word + at + 1, f);
        if (*i + 1 >= argc) {
            return fail(f, ERR_BAD_VALUE, "--%s wants a value: %s", flag->name, flag->argument);
        }
        return set_flag(args, flag, argv[++*i], f);
    }
    return ERR_OK;
}

/* The words of ARGV that are no flags decide the command, wherever the flags stand. */
static err_t parse_command(int argc, char **argv, args_t *ret, bool is_word[], fail_t *f)
{
    int first = 0, second = 0;
    char both[128];

    for (int i = 1; i < argc && !second; i++) {
        if (word_is_flag(argv[i])) {
            /* A flag of all commands that stands before the command may take the next word. */
            const char *word = argv[i];
            const flag_t *flag = word[1] == '-'
                                     ? flag_find(COMMAND_all, word + 2, strlen(word + 2), 0)
                                     : flag_find(COMMAND_all, NULL, 0, word[strlen(word) - 1]);
            if (flag && flag->kind != FLAG_YES) i++;
            continue;
        }
        *(first ? &second : &first) = i;
    }
    if (!first) return ERR_OK;
    if (second) {
        snprintf(both, sizeof both, "%.60s %.60s", argv[first], argv[second]);
        ret->command = command_find(both);
        if (ret->command) is_word[first] = is_word[second] = true;
    }
    if (!ret->command) {
        ret->command = command_find(argv[first]);
        if (ret->command) is_word[first] = true;
    }
    return ret->command ? ERR_OK : command_unknown(argv[first], second ? argv[second] : NULL, f);
}

static err_t parse_words(int argc, char **argv, args_t *ret, const bool is_word[], fail_t *f)
{
    bool keeps_rest = ret->command && strstr(ret->command->arguments, "[-- ");
    bool only_words = false;
    int count = 0;
    err_t err = ERR_OK;

    for (int i = 1; i < argc && !err; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
            if (keeps_rest) ret->rest = argv + count;
        } else if (!only_words && word_is_flag(argv[i])) {
            err = parse_flag(ret, argv, argc, &i, f);
        } else if (!is_word[i]) {
            argv[count++] = argv[i];
        }
    }
    ret->words = argv;
    ret->word_count = ret->rest ? (int)(ret->rest - argv) : count;
    ret->rest_count = count - ret->word_count;
    return err;
}

/* The rest of a line that is wrong is still wanted: it says in which form the error is to be told. */
static void json_find(int argc, char **argv, args_t *ret)
{
    const flag_t *flag = flag_find(COMMAND_all, "json", 4, 0);

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0) ret->flags[flag - flags] = "";
}

err_t args_parse(int argc, char **argv, args_t *ret, fail_t *f)
{
    bool *is_word = calloc((size_t)argc + 1, sizeof *is_word);
    must(is_word);

    memset(ret, 0, sizeof *ret);
    err_t err = parse_command(argc, argv, ret, is_word, f);
    if (!err) err = parse_words(argc, argv, ret, is_word, f);
    if (err) json_find(argc, argv, ret);
    free(is_word);
    if (err || !ret->command || args_yes(ret, "help") || args_yes(ret, "version")) return err;

    const command_t *command = ret->command;
    if (ret->word_count < command->least ||
        (command->most >= 0 && ret->word_count > command->most)) {
        fail(f, ERR_USAGE, "%s takes %s", command->name,
             *command->arguments ? command->arguments : "no arguments");
        if (command->most >= 0 && ret->word_count > command->most) {
            fail_why(f, "\"%.200s\" is one too many", ret->words[command->most]);
        } else {
            fail_why(f, "%d given", ret->word_count);
        }
        fail_try(f, "%s", command->example);
        return ERR_USAGE;
    }
    return ERR_OK;
}

const char *args_text(const args_t *args, const char *name)
{
    command_id_t owner = args->command ? args->command->id : COMMAND_all;
    const flag_t *flag = flag_find(owner, name, strlen(name), 0);

    return flag ? args->flags[flag - flags] : NULL;
}

bool args_yes(const args_t *args, const char *name) { return args_text(args, name) != NULL; }

const char *args_texts(const args_t *args, const char *name, size_t i)
{
    for (int at = 0; at < args->text_count; at++) {
        if (strcmp(args->texts[at].flag->name, name) == 0 && i-- == 0) return args->texts[at].text;
    }
    return NULL;
}

uint64_t args_count(const args_t *args, const char *name, uint64_t otherwise)
{
    const char *text = args_text(args, name);

    if (text) must(count_read(text, &otherwise));
    return otherwise;
}

uint64_t args_ms(const args_t *args, const char *name, uint64_t otherwise)
{
    const char *text = args_text(args, name);

    if (text) must(duration_read(text, &otherwise));
    return otherwise;
}
