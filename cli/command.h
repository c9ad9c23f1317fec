/* The command table and the parser that it makes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cli/fail.h"

typedef enum { FLAG_YES, FLAG_TEXT, FLAG_COUNT, FLAG_TIME, FLAG_CHOICE, FLAG_TEXTS } flag_kind_t;

typedef enum {
    COMMAND_all, /* owner of the flags that every command takes; no command itself */
#define COMMAND(id, name, group, arguments, least, most, summary, example) COMMAND_##id,
#include "cli/commands.def"
    COMMANDS
} command_id_t;

typedef enum {
    GROUP_START,
    GROUP_TALK,
    GROUP_VATS,
    GROUP_LOOK,
    GROUP_MANAGE,
    GROUP_LOAD,
    GROUP_SETUP,
    GROUPS
} group_t;

typedef struct {
    command_id_t id;
    const char *name; /* "cluster launch" */
    group_t group;
    const char *arguments;
    int least, most;
    const char *summary, *example;
} command_t;

typedef struct {
    command_id_t owner;
    const char *name;
    char letter;
    flag_kind_t kind;
    const char *argument, *doc;
} flag_t;

enum { FLAG_ROWS_MAX = 256, FLAG_TEXTS_MAX = 64 };

/* A parsed command line. Everything borrows from argv. */
typedef struct {
    const command_t *command;         /* NULL: none was given */
    const char *flags[FLAG_ROWS_MAX]; /* by row of the table; "" for a YES flag that is set */
    struct {
        const flag_t *flag;
        const char *text;
    } texts[FLAG_TEXTS_MAX]; /* every value of the flags of kind TEXTS, in order */
    int text_count;
    char **words; /* the arguments; points into argv, which is reordered */
    int word_count;
    char **rest; /* behind "--", of a command that keeps them apart; NULL: there was no "--" */
    int rest_count;
} args_t;

/* Parses ARGV. A word that begins with '-' and a digit, or is -Infinity, is an argument (it is a
 * value of `call`); behind "--" all are, or they are RET->rest when the command's row says so. Fails with UNKNOWN_COMMAND, UNKNOWN_FLAG, BAD_VALUE or
 * USAGE; RET then still has the flags met before, so that --json governs the error's form. */
CHECKED err_t args_parse(int argc, char **argv, args_t *ret, fail_t *f);

/* The flag NAME of the command, or of all; NULL when it was not given. */
const char *args_text(const args_t *args, const char *name);
bool args_yes(const args_t *args, const char *name);
/* Value I, from 0, of a flag that may be given several times; NULL behind the last one. */
const char *args_texts(const args_t *args, const char *name, size_t i);
uint64_t args_count(const args_t *args, const char *name, uint64_t otherwise);
uint64_t args_ms(const args_t *args, const char *name, uint64_t otherwise);

/* The command whose name is TEXT ("cluster launch"); NULL when none is. */
const command_t *command_find(const char *text);
const command_t *command_at(unsigned i); /* NULL behind the last one */
const flag_t *flag_at(unsigned i);       /* likewise */
/* The flag of OWNER, else the one that all take, of that name (LEN bytes), or of that LETTER when it is
 * not 0; NULL when there is none. */
const flag_t *flag_find(command_id_t owner, const char *name, size_t len, char letter);
/* WORD is read as a flag: it begins with '-' and is no number. */
bool word_is_flag(const char *word);
/* Example I of COMMAND, the one of its row being the first; NULL behind the last one. */
const char *example_at(const command_t *command, unsigned i);
/* What there is to say of COMMAND beyond its summary; NULL when that says it all. */
const char *command_about(const command_t *command);
/* "Vats"; and the same in one word, as `vatctl help WORD` takes it. */
const char *group_title(group_t group);
const char *group_word(group_t group);
/* How many rows from COMMAND on begin with the same word ("cluster launch", "cluster ls"); 1 for a
 * name of one word. */
size_t command_family(const command_t *command);

/* The help screen; fits 80 columns and 40 lines. */
void help_all(FILE *out);
/* Usage, flags and examples of COMMAND. */
void help_command(const command_t *command, FILE *out);
/* The commands of GROUP, each with its summary. */
void help_group(group_t group, FILE *out);
/* TEXT with its lines broken before column WIDTH, each INDENT wide to the right, the first one too. */
void help_wrap(const char *text, int indent, int width, FILE *out);

/* "10ms", "5s", "1m30s", or a number of seconds. */
bool duration_read(const char *text, uint64_t *ret_ms);
