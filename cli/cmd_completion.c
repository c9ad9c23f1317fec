/* completion: the scripts of the shells, and what they ask of us. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/complete.h"
#include "cli/instance.h"
#include "cli/look.h"
#include "cli/rows.h"
#include "cli/run.h"
#include "wire/base/own.h"

/* Readline breaks words where we do not (at : and = and @): the line is split anew at blanks, and from
 * each proposal goes what stands before the place where Readline thinks that the word begins. */
static const char bash_script[] =
    "# bash completion for vatctl. Printed by `vatctl completion bash`.\n"
    "_vatctl() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} program=${1/#\\~/$HOME} current proposal word strip\n"
    "    local -a words\n"
    "    read -a words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] && $line != *\\\\[[:space:]] ]] && words+=(\"\")\n"
    "    current=${words[${#words[@]}-1]}\n"
    "    strip=${current%\"$2\"}\n"
    "    [[ $current == *\"$2\" ]] || strip=\n"
    "    [[ $2 == = ]] && strip=${current%=}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r proposal; do\n"
    "        case $proposal in\n"
    "        :files | :folders)\n"
    "            local what=-f\n"
    "            [[ $proposal == :folders ]] && what=-d\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while IFS= read -r word; do\n"
    "                COMPREPLY+=(\"$word\")\n"
    "            done < <(compgen \"$what\" -- \"${current#--*=}\")\n"
    "            ;;\n"
    "        *)\n"
    "            word=${proposal%%$'\\t'*}\n"
    "            COMPREPLY+=(\"${word#\"$strip\"}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done < <(\"$program\" __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _vatctl vatctl\n";

static const char zsh_script[] =
    "#compdef vatctl\n"
    "# zsh completion for vatctl. Printed by `vatctl completion zsh`.\n"
    "_vatctl() {\n"
    "    local -a proposals described\n"
    "    local proposal files=\n"
    "    proposals=(\"${(@f)$(${(Q)words[1]} __complete \"${(@Q)words[2,CURRENT-1]}\" "
    "\"${(Q)PREFIX}\" 2>/dev/null)}\")\n"
    "    for proposal in $proposals; do\n"
    "        case $proposal in\n"
    "        :files) files=-f ;;\n"
    "        :folders) files=-/ ;;\n"
    "        ?*) described+=(\"${${proposal%%$'\\t'*}//:/\\\\:}:${proposal#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    if [[ -n $files ]]; then\n"
    "        compset -P '--*='\n"
    "        _path_files $files\n"
    "    else\n"
    "        _describe -t vatctl vatctl described\n"
    "    fi\n"
    "}\n"
    "if [[ ${funcstack[1]} == _vatctl ]]; then _vatctl \"$@\"; else compdef _vatctl vatctl; fi\n";

static const char fish_script[] =
    "# fish completion for vatctl. Printed by `vatctl completion fish`.\n"
    "function __vatctl_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    set -l program $words[1]\n"
    "    set -e words[1]\n"
    "    for proposal in ($program __complete $words \"$current\" 2>/dev/null)\n"
    "        switch $proposal\n"
    "            case :files\n"
    "                __fish_complete_path (string replace -r -- '^--.*?=' '' \"$current\")\n"
    "            case :folders\n"
    "                __fish_complete_directories (string replace -r -- '^--.*?=' '' \"$current\") "
    "''\n"
    "            case '*'\n"
    "                printf '%s\\n' $proposal\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c vatctl -f -a '(__vatctl_complete)'\n";

err_t cmd_completion(cli_t *cli)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    const char *shell = cli->args.words[0];

    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (strcmp(scripts[i].shell, shell) != 0) continue;
        if (cli->json)
            out_json(json_pack("{s:s, s:s}", "shell", shell, "script", scripts[i].script));
        else
            fputs(scripts[i].script, stdout);
        return ERR_OK;
    }
    fail(&cli->f, ERR_BAD_VALUE, "no completion for the shell \"%.60s\"", shell);
    fail_why(&cli->f, "known: bash, zsh, fish");
    return ERR_BAD_VALUE;
}

/* ---- what only the world knows ---- */

enum { PATIENCE_MS = 500, PATIENCE_S = 1 };

typedef struct {
    char *const *words;
    int count;
} asker_t;

/* The value of a flag of all commands that stands on the line; NULL: it does not. */
static const char *flag_value(const asker_t *self, const char *name, const char *letter)
{
    size_t len = strlen(name);

    for (int i = 0; i < self->count; i++) {
        const char *word = self->words[i];
        if (strncmp(word, name, len) == 0 && word[len] == '=') return word + len + 1;
        if ((strcmp(word, name) == 0 || (letter && strcmp(word, letter) == 0)) &&
            i + 1 < self->count - 1)
            return self->words[i + 1];
    }
    return NULL;
}

static link_t *broker_link(const asker_t *self)
{
    const char *endpoint = flag_value(self, "--endpoint", "-e");
    const char *home = flag_value(self, "--home", NULL);
    char folder[PATH_MAX], path[PATH_MAX];
    static fail_t f;

    if (home) setenv("VATYARD_HOME", home, 1);
    if (!endpoint) endpoint = getenv("VATYARD_ENDPOINT");
    if (!endpoint || !*endpoint) {
        instance_home(folder);
        instance_endpoint(folder, path);
        endpoint = path;
    }
    return link_new(endpoint, PATIENCE_MS, &f);
}

static void propose_vat(completion_t *completion, const msg_vat_row_t *vat, bool root)
{
    char name[2 * NAME_BYTES_MAX + 4], what[NAME_BYTES_MAX + 32];

    snprintf(what, sizeof what, "v%u of %.*s", vat->vat.n, TEXT(vat->cluster_name));
    snprintf(name, sizeof name, "%s%.*s", root ? "@" : "", TEXT(vat->name));
    complete_name(completion, name, what);
    if (!complete_begun(completion)) return;
    snprintf(name, sizeof name, "%s%.*s/%.*s", root ? "@" : "", TEXT(vat->cluster_name),
             TEXT(vat->name));
    complete_name(completion, name, what);
}

static void propose_row(completion_t *completion, offer_t kind, const msg_t *row)
{
    char name[NAME_BYTES_MAX + 1], what[32];

    if (row->tag == TAG_vat_row) {
        propose_vat(completion, &row->body.vat_row, kind == OFFER_ROOTS);
    } else if (row->tag == TAG_cluster_row) {
        snprintf(name, sizeof name, "%.*s", TEXT(row->body.cluster_row.name));
        snprintf(what, sizeof what, "s%u", row->body.cluster_row.cluster.n);
        complete_name(completion, name, what);
    } else if (row->tag == TAG_host_row) {
        snprintf(name, sizeof name, "h%u", row->body.host_row.host.n);
        snprintf(what, sizeof what, "%.*s", TEXT(row->body.host_row.name));
        complete_name(completion, name, what);
    }
}

static void names(void *context, offer_t kind, completion_t *completion)
{
    static const rows_what_t rows_of[] = {[OFFER_VATS] = ROWS_VATS,
                                          [OFFER_ROOTS] = ROWS_VATS,
                                          [OFFER_CLUSTERS] = ROWS_CLUSTERS,
                                          [OFFER_HOSTS] = ROWS_HOSTS};
    static fail_t f;
    rows_t rows;

    if (kind == OFFER_DEMOS) {
        demo_names(completion);
        return;
    }
    AUTO(link) link = broker_link(context);
    if (!link) return;
    err_t err = rows_get(link, rows_of[kind], false, (kref_t){0}, &rows, &f);
    for (const msg_t *row; !err && (row = rows_next(&rows));) propose_row(completion, kind, row);
    rows_clear(&rows);
}

/* A name may come from anywhere: a host says its own. */
static void put_plainly(const char *text)
{
    for (const char *c = text; *c; c++) putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
}

static void print(void *context, const char *word, const char *what)
{
    (void)context;
    put_plainly(word);
    putchar('\t');
    put_plainly(what);
    putchar('\n');
}

int complete_main(int argc, char **argv)
{
    asker_t asker = {argv, argc};
    complete_port_t port = {&asker, print, names};

    alarm(PATIENCE_S); /* who waits has a prompt before them: no answer is better than a late one */
    switch (complete(argv, argc, &port)) {
    case COMPLETE_FILES: puts(":files"); break;
    case COMPLETE_FOLDERS: puts(":folders"); break;
    case COMPLETE_WORDS: break;
    }
    return 0;
}
