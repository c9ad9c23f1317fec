/* The parser, through its table: every row must be usable as its help says. */
#include <criterion/criterion.h>
#include <string.h>

#include "cli/command.h"

static fail_t f;

static err_t parse(const char *line, args_t *ret)
{
    static char copy[512];
    static char *argv[32];
    int argc = 0;

    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    argv[argc] = NULL;
    return args_parse(argc, argv, ret, &f);
}

Test(command, every_example_parses)
{
    for (unsigned i = 0; command_at(i); i++) {
        args_t args;
        const command_t *command = command_at(i);
        for (unsigned at = 0; example_at(command, at); at++) {
            const char *example = example_at(command, at);
            cr_assert(strstr(example, "vatctl "));
            if (strpbrk(example, "\"'|>;$")) continue; /* those are the shell's */
            cr_assert_eq(parse(example, &args), ERR_OK, "%s: %s", example, f.what);
            cr_assert_eq(args.command, command, "%s", example);
        }
    }
}

Test(command, every_row_says_what_it_is)
{
    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        cr_assert(*command->summary && strlen(command->summary) <= 80, "%s", command->name);
        cr_assert(command->group < GROUPS && *group_title(command->group));
        cr_assert_eq(command_find(command->name), command, "%s stands there twice", command->name);
    }
    for (unsigned i = 0; flag_at(i); i++) {
        const flag_t *flag = flag_at(i);
        cr_assert(*flag->name && *flag->doc, "row %u", i);
        cr_assert_eq(flag->kind == FLAG_YES, !*flag->argument, "--%s", flag->name);
        for (unsigned j = 0; j < i; j++) {
            const flag_t *other = flag_at(j);
            if (other->owner != flag->owner && flag->owner != COMMAND_all) continue;
            cr_assert_str_neq(other->name, flag->name);
            cr_assert(!flag->letter || other->letter != flag->letter, "-%c: --%s and --%s",
                      flag->letter, flag->name, other->name);
        }
    }
}

Test(command, commands_of_a_family_stand_together)
{
    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        size_t word = strcspn(command->name, " "), family = command_family(command);
        for (unsigned j = i + (unsigned)family; command->name[word] && command_at(j); j++)
            cr_assert_neq(strncmp(command_at(j)->name, command->name, word + 1), 0, "%s",
                          command_at(j)->name);
    }
}

Test(command, flags_stand_anywhere_and_in_every_form)
{
    args_t args;

    cr_assert_eq(
        parse("vatctl --json cluster --color=never validate -q FILE --timeout 1m30s", &args),
        ERR_OK, "%s", f.what);
    cr_assert_eq(args.command, command_find("cluster validate"));
    cr_assert(args_yes(&args, "json"));
    cr_assert(args_yes(&args, "quiet"));
    cr_assert_eq(args_ms(&args, "timeout", 0), 90000);
    cr_assert_str_eq(args_text(&args, "color"), "never");
    cr_assert_eq(args.word_count, 1);
    cr_assert_str_eq(args.words[0], "FILE");
}

Test(command, a_flag_before_the_command_takes_its_value)
{
    args_t args;

    cr_assert_eq(parse("vatctl --home /tmp/x version", &args), ERR_OK);
    cr_assert_str_eq(args_text(&args, "home"), "/tmp/x");
    cr_assert_eq(args.command, command_find("version"));
}

Test(command, a_flag_that_may_be_given_several_times)
{
    args_t args;

    cr_assert_eq(parse("vatctl up --system a.json --hosts 2 --system=b.json", &args), ERR_OK, "%s",
                 f.what);
    cr_assert_str_eq(args_texts(&args, "system", 0), "a.json");
    cr_assert_str_eq(args_texts(&args, "system", 1), "b.json");
    cr_assert_null(args_texts(&args, "system", 2));
    cr_assert_null(args_texts(&args, "hosts", 0));
    cr_assert_eq(parse("vatctl up", &args), ERR_OK);
    cr_assert_null(args_texts(&args, "system", 0));
    cr_assert_eq(parse("vatctl up --system=", &args), ERR_BAD_VALUE);
    static char line[64 * 16];
    char *at = line + sprintf(line, "vatctl up");
    for (int i = 0; i <= FLAG_TEXTS_MAX; i++) at += sprintf(at, " --system x");
    char *words[2 * FLAG_TEXTS_MAX + 6];
    int count = 0;
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) words[count++] = word;
    words[count] = NULL;
    cr_assert_eq(args_parse(count, words, &args, &f), ERR_BAD_VALUE, "one too many");
}

Test(command, what_stands_behind_the_dashes)
{
    args_t args;

    cr_assert_eq(parse("vatctl run FILE -q -- a --json -- -3 --", &args), ERR_OK, "%s", f.what);
    cr_assert_eq(args.word_count, 1);
    cr_assert_str_eq(args.words[0], "FILE");
    cr_assert(args_yes(&args, "quiet") && !args_yes(&args, "json"));
    const char *rest[] = {"a", "--json", "--", "-3", "--"};
    cr_assert_eq(args.rest_count, 5);
    for (int i = 0; i < 5; i++) cr_assert_str_eq(args.rest[i], rest[i]);
    cr_assert_eq(parse("vatctl run FILE --", &args), ERR_OK);
    cr_assert(args.rest && args.rest_count == 0);
    cr_assert_eq(parse("vatctl run FILE", &args), ERR_OK);
    cr_assert_null(args.rest);
    cr_assert_eq(parse("vatctl run -- FILE", &args), ERR_USAGE, "FILE is none of them");
    cr_assert_eq(parse("vatctl call @a m -- -x", &args), ERR_OK);
    cr_assert_null(args.rest, "elsewhere they are arguments like others");
    cr_assert_eq(args.word_count, 3);
    cr_assert_str_eq(args.words[2], "-x");
}

Test(command, wrong_words_are_told_and_helped)
{
    args_t args;

    cr_assert_eq(parse("vatctl versoin", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(strstr(f.what, "did you mean \"version\"?"), "%s", f.what);
    cr_assert_eq(parse("vatctl validate x", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(strstr(f.what, "cluster validate"), "%s", f.what);
    cr_assert_eq(parse("vatctl cluster x", &args), ERR_UNKNOWN_COMMAND);
    cr_assert_gt(f.try_count, 0);
    cr_assert_eq(parse("vatctl lanch x", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(strstr(f.what, "did you mean \"cluster launch\"?"), "%s", f.what);
    cr_assert_eq(parse("vatctl cluster lauch x", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(strstr(f.what, "did you mean \"cluster launch\"?"), "%s", f.what);
    cr_assert_eq(parse("vatctl clster", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(strstr(f.what, "did you mean \"cluster\"?"), "%s", f.what);
    cr_assert_eq(parse("vatctl xyzzy", &args), ERR_UNKNOWN_COMMAND);
    cr_assert_null(strstr(f.what, "did you mean"), "%s", f.what);
    cr_assert_eq(parse("vatctl run x --until ilde", &args), ERR_BAD_VALUE);
    cr_assert(strstr(f.what, "did you mean \"idle\"?"), "%s", f.what);
    cr_assert_eq(parse("vatctl version --jsno", &args), ERR_UNKNOWN_FLAG);
    cr_assert(strstr(f.what, "--json"), "%s", f.what);
    cr_assert_eq(parse("vatctl version x", &args), ERR_USAGE);
    cr_assert_eq(parse("vatctl cluster validate", &args), ERR_USAGE);
    cr_assert_eq(parse("vatctl version --timeout soon", &args), ERR_BAD_VALUE);
    cr_assert_eq(parse("vatctl version --color pink", &args), ERR_BAD_VALUE);
    cr_assert_eq(parse("vatctl version --json=1", &args), ERR_BAD_VALUE);
    cr_assert_eq(parse("vatctl version --timeout", &args), ERR_BAD_VALUE);
    cr_assert_eq(parse("vatctl versoin --json", &args), ERR_UNKNOWN_COMMAND);
    cr_assert(args_yes(&args, "json"), "the form of the error is known all the same");
    cr_assert_eq(parse("vatctl ps --al --json", &args), ERR_UNKNOWN_FLAG);
    cr_assert(args_yes(&args, "json"), "behind the flag that is wrong, too");
}

Test(command, the_version_is_asked_for_anywhere)
{
    args_t args;

    cr_assert_eq(parse("vatctl --version", &args), ERR_OK);
    cr_assert(args_yes(&args, "version"));
    cr_assert_eq(parse("vatctl run --version --json", &args), ERR_OK, "it needs no FILE: %s",
                 f.what);
    cr_assert(args_yes(&args, "version") && args_yes(&args, "json"));
}

Test(command, the_help_screen_fits_80_by_40)
{
    char *text = NULL;
    size_t len = 0, lines = 0, width = 0;
    FILE *out = open_memstream(&text, &len);

    help_all(out);
    fclose(out);
    for (const char *at = text; *at; at++) {
        width = *at == '\n' ? 0 : width + 1;
        lines += *at == '\n';
        cr_assert_leq(width, 80, "%s", text);
    }
    cr_assert_leq(lines, 40);
    free(text);
}

Test(command, durations)
{
    uint64_t ms;

    cr_assert(duration_read("500ms", &ms) && ms == 500);
    cr_assert(duration_read("1m30s", &ms) && ms == 90000);
    cr_assert(duration_read("1.5", &ms) && ms == 1500);
    cr_assert(duration_read("250us", &ms) && ms == 1);
    cr_assert_not(duration_read("", &ms));
    cr_assert_not(duration_read("s", &ms));
    cr_assert_not(duration_read("-1s", &ms));
    cr_assert_not(duration_read("1s5", &ms));
    cr_assert_not(duration_read("1e3s", &ms));
    cr_assert_not(duration_read("0x10", &ms));
}
