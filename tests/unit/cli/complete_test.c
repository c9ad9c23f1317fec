/* What is proposed for a line, without a shell and without a broker. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cli/complete.h"

static char got[8192];

static void propose(void *context, const char *word, const char *what)
{
    (void)context;
    (void)what;
    cr_assert_lt(strlen(got) + strlen(word) + 2, sizeof got);
    if (*got) strcat(got, " ");
    strcat(got, word);
}

static void names(void *context, offer_t kind, completion_t *completion)
{
    static const char *const some[] = {"alice", "@alice", "shop", "h1", "hello"};
    static const char *const evil[] = {"a;reboot", "a$(reboot)", "a`reboot`", "a b", "a|b",
                                       "a>b",      "a&",         "a\nb",      "a'",  "a*"};
    (void)context;
    complete_name(completion, some[kind], "");
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) complete_name(completion, evil[i], "");
}

/* LINE is what stands behind "vatctl "; its last word is the one that is written. */
static complete_t ask(const char *line)
{
    static char copy[256];
    static char *words[32];
    int count = 0;
    complete_port_t port = {NULL, propose, names};

    *got = 0;
    strcpy(copy, line);
    for (char *at = copy;; at++) {
        words[count++] = at;
        at += strcspn(at, " ");
        if (!*at) break;
        *at = 0;
    }
    return complete(words, count, &port);
}

#define PROPOSES(line, want)                                 \
    do {                                                     \
        cr_expect_eq(ask(line), COMPLETE_WORDS, "%s", line); \
        cr_expect_str_eq(got, want, "%s: %s", line, got);    \
    } while (0)

Test(complete, commands_and_their_second_words)
{
    PROPOSES("statu", "status");
    PROPOSES("clus", "cluster");
    PROPOSES("cluster r", "rm reload");
    PROPOSES("--json cluster r", "rm reload");
    PROPOSES("--home x statu", "status");
    ask("");
    cr_expect(strstr(got, "run ") && strstr(got, " cluster ") && !strstr(got, "launch"), "%s", got);
    cr_expect_null(strstr(got, "__complete"));
}

Test(complete, every_command_is_proposed_and_every_flag)
{
    for (unsigned i = 0; command_at(i); i++) {
        const command_t *command = command_at(i);
        char line[128];
        snprintf(line, sizeof line, "%s", command->name);
        ask(line);
        const char *last =
            strchr(command->name, ' ') ? strchr(command->name, ' ') + 1 : command->name;
        cr_expect(strstr(got, last), "%s: %s", line, got);
        for (unsigned j = 0; flag_at(j); j++) {
            const flag_t *flag = flag_at(j);
            if (flag->owner != COMMAND_all && flag->owner != command->id) continue;
            snprintf(line, sizeof line, "%s --%s", command->name, flag->name);
            ask(line);
            cr_expect(strstr(got, flag->name), "%s: %s", line, got);
        }
    }
}

Test(complete, values_of_flags)
{
    PROPOSES("run --until ", "idle result forever");
    PROPOSES("run --until=f", "--until=forever");
    PROPOSES("run --json=", "");
    PROPOSES("run --hosts ", "");
    PROPOSES("objects --owner ", "alice");
    PROPOSES("objects --cluster=", "--cluster=shop");
    cr_expect_eq(ask("run --log "), COMPLETE_FILES);
    cr_expect_eq(ask("run --state "), COMPLETE_FOLDERS);
    cr_expect_eq(ask("bundle make x.js -o "), COMPLETE_FILES);
    cr_expect_eq(ask("bundle make x.js -qo "), COMPLETE_FILES);
    cr_expect_eq(ask("up --system="), COMPLETE_FILES);
}

Test(complete, arguments_by_what_they_are)
{
    cr_expect_eq(ask("run "), COMPLETE_FILES);
    cr_expect_eq(ask("db backup "), COMPLETE_FOLDERS);
    cr_expect_eq(ask("upgrade alice "), COMPLETE_FILES);
    PROPOSES("call ", "@alice");
    PROPOSES("kill v1 v2 ", "alice");
    PROPOSES("move alice ", "h1");
    PROPOSES("move alice h1 ", "");
    PROPOSES("inspect ", "alice shop h1");
    PROPOSES("demo he", "hello");
    PROPOSES("completion ", "bash zsh fish");
    PROPOSES("explain E2104", "E2104");
    PROPOSES("explain 210", "2101 2102 2103 2104 2105 2106 2107 2108 2109");
    PROPOSES("help mana", "manage");
    PROPOSES("help cluster exp", "export");
    PROPOSES("status ", "");
    PROPOSES("trace ", "");
    PROPOSES("bench pi", "ping pipeline");
}

Test(complete, what_is_nobodys_to_guess)
{
    cr_expect_eq(ask("run a.json -- "), COMPLETE_FILES);
    cr_expect_str_eq(got, "");
    cr_expect_eq(ask("nonsense "), COMPLETE_FILES);
    PROPOSES("call @a m -- -", "");
    cr_expect_eq(ask("run --nonsense "), COMPLETE_FILES,
                 "an unknown flag is taken for one without a value");
    cr_expect_eq(complete(NULL, 0, &(complete_port_t){NULL, propose, names}), COMPLETE_WORDS);
}
