/* demo: the clusters that come with vatctl. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/plan.h"
#include "cli/process.h"
#include "cli/run.h"
#include "cli/schema.h"
#include "cli/table.h"

enum { DEMOS_MAX = 64 };

static int is_demo(const struct dirent *entry)
{
    char path[PATH_MAX], name[PATH_MAX];

    if (*entry->d_name == '.') return 0;
    snprintf(name, sizeof name, "examples/%.255s/cluster.json", entry->d_name);
    path_share(name, path);
    return access(path, R_OK) == 0;
}

/* The first line of the example's own page, without its mark. */
static void about(const char *demo, char *ret, size_t room)
{
    char name[PATH_MAX], path[PATH_MAX], line[256];
    FILE *file;

    *ret = 0;
    snprintf(name, sizeof name, "examples/%.255s/README.md", demo);
    path_share(name, path);
    if (!(file = fopen(path, "re"))) return;
    if (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        snprintf(ret, room, "%s", line + strspn(line, "# "));
    }
    fclose(file);
}

static void list(cli_t *cli, struct dirent **demos, int count)
{
    table_t table = table_of("DEMO WHAT");
    json_t *json = json_array();
    char text[256];

    for (int i = 0; i < count; i++) {
        about(demos[i]->d_name, text, sizeof text);
        table_add(&table, "%s", demos[i]->d_name);
        table_add(&table, "%s", text);
        json_array_append_new(json, json_pack("{s:s, s:o}", "demo", demos[i]->d_name, "what",
                                              json_text(text_of(text))));
    }
    out_table(cli, &table, json);
    say(cli, "\nvatctl demo NAME runs one");
}

void demo_names(completion_t *completion)
{
    struct dirent **demos = NULL;
    char folder[PATH_MAX], text[256];

    path_share("examples", folder);
    int count = scandir(folder, &demos, is_demo, alphasort);
    for (int i = 0; i < count; i++) {
        about(demos[i]->d_name, text, sizeof text);
        complete_name(completion, demos[i]->d_name, text);
        free(demos[i]);
    }
    free(demos);
}

err_t cmd_demo(cli_t *cli)
{
    struct dirent **demos = NULL;
    const char *names[DEMOS_MAX], *like, *wanted = cli->args.word_count ? cli->args.words[0] : NULL;
    char folder[PATH_MAX], name[PATH_MAX], path[PATH_MAX];
    bool found = false;
    size_t name_count = 0;

    path_share("examples", folder);
    int count = scandir(folder, &demos, is_demo, alphasort);
    if (count < 0) {
        fail(&cli->f, ERR_FILE_MISSING, "the demos are not installed");
        fail_why(&cli->f, "no folder %s", folder);
        return ERR_FILE_MISSING;
    }
    if (!wanted) list(cli, demos, count);
    for (int i = 0; i < count; i++) {
        found = found || (wanted && strcmp(wanted, demos[i]->d_name) == 0);
        if (name_count < DEMOS_MAX) names[name_count++] = demos[i]->d_name;
    }
    err_t err = ERR_OK;
    if (wanted && !found) {
        like = nearest(wanted, names, name_count);
        err = fail(&cli->f, ERR_FILE_MISSING, "no demo \"%.100s\"%s%s%s", wanted,
                   like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
        fail_try(&cli->f, "vatctl demo");
    }
    for (int i = 0; i < count; i++) free(demos[i]);
    free(demos);
    if (!found) return err;
    snprintf(name, sizeof name, "examples/%.255s/cluster.json", wanted);
    path_share(name, path);
    return run_file(cli, path);
}
