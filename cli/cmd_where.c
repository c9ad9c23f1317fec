/* where: every path of the instance. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/instance.h"
#include "cli/process.h"
#include "cli/schema.h"
#include "cli/table.h"

enum { PLACES_MAX = 256 };

typedef struct {
    char name[48], path[PATH_MAX], what[64];
    bool there;
} place_t;

typedef struct {
    place_t at[PLACES_MAX];
    size_t count;
} places_t;

static void add(places_t *self, const char *name, const char *path, const char *what)
{
    if (self->count == PLACES_MAX) return;
    place_t *place = &self->at[self->count++];
    snprintf(place->name, sizeof place->name, "%s", name);
    snprintf(place->path, sizeof place->path, "%s", path);
    snprintf(place->what, sizeof place->what, "%s", what);
    place->there = access(path, F_OK) == 0;
}

static void add_below(places_t *self, const char *name, const char *home, const char *below,
                      const char *what)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%.3900s/%.100s", home, below);
    add(self, name, path, what);
}

static void add_hosts(places_t *self, const char *home)
{
    size_t hosts = instance_hosts(home, 0);
    char name[48], below[48];

    for (size_t i = 1; i <= hosts; i++) {
        snprintf(name, sizeof name, "host-%zu", i);
        add_below(self, name, home, name, "state of a vathost: key, bundles, vats");
        snprintf(name, sizeof name, "host-%zu-log", i);
        snprintf(below, sizeof below, "host-%zu.log", i);
        add_below(self, name, home, below, "what it says");
    }
}

/* PATH without ".." and the like, when it is there. */
static const char *real(char path[PATH_MAX])
{
    char whole[PATH_MAX];

    if (realpath(path, whole)) strcpy(path, whole);
    return path;
}

static void collect(places_t *self)
{
    char home[PATH_MAX], path[PATH_MAX];

    instance_home(home);
    add(self, "home", home, "the instance [VATYARD_HOME]");
    instance_endpoint(home, path);
    add(self, "socket", strncmp(path, "ipc://", 6) == 0 ? path + 6 : path,
        "the broker's control socket");
    add_below(self, "broker", home, "broker", "the broker's state");
    add_below(self, "database", home, "broker/kernel.db", "what the kernel knows");
    add_below(self, "allow-list", home, "broker/hosts.allow", "vathosts that may connect");
    add_below(self, "broker-key", home, "broker/broker.pub", "the broker's public key");
    add_below(self, "checkpoints", home, "broker/checkpoints", "copies of vats");
    add_hosts(self, home);
    add_below(self, "broker-log", home, "broker.log", "what the broker says");
    add_below(self, "record", home, "log.jsonl", "what vats print, and what happens to them");
    add_below(self, "cache", home, "cache", "bundles made from sources");
    add_below(self, "system", home, "system", "system clusters that up declared");
    add_below(self, "history", home, "history", "lines of the shell");
    add_below(self, "pids", home, "pids", "processes that up started");
    add_below(self, "lock", home, "lock", "held while up or down works");
    add_below(self, "endpoint", home, "endpoint", "where the control socket is");
    path_program("", path);
    add(self, "programs", real(path), "vatctl, vatbroker, vathost");
    path_share("", path);
    add(self, "share", real(path), "data of the programs: examples, schema");
}

static err_t one(cli_t *cli, const places_t *places, const char *name)
{
    const char *names[PLACES_MAX];

    for (size_t i = 0; i < places->count; i++) {
        const place_t *place = &places->at[i];
        names[i] = place->name;
        if (strcmp(place->name, name) != 0) continue;
        if (cli->json)
            out_json(json_pack("{s:s, s:s, s:b}", "name", place->name, "path", place->path,
                               "exists", place->there));
        else
            printf("%s\n", place->path);
        return ERR_OK;
    }
    const char *like = nearest(name, names, places->count);
    fail(&cli->f, ERR_BAD_VALUE, "no path is called \"%.60s\"%s%s%s", name,
         like ? "; did you mean \"" : "", like ? like : "", like ? "\"?" : "");
    fail_try(&cli->f, "vatctl where");
    return ERR_BAD_VALUE;
}

err_t cmd_where(cli_t *cli)
{
    static places_t places;

    places.count = 0;
    collect(&places);
    if (cli->args.word_count) return one(cli, &places, cli->args.words[0]);
    json_t *json = json_array();
    table_t table = table_of("NAME THERE PATH");
    table.whole = true;
    for (size_t i = 0; i < places.count; i++) {
        const place_t *place = &places.at[i];
        json_array_append_new(json,
                              json_pack("{s:s, s:s, s:b, s:s}", "name", place->name, "path",
                                        place->path, "exists", place->there, "what", place->what));
        table_add(&table, "%s", place->name);
        table_add(&table, "%s", place->there ? "yes" : "no");
        table_add(&table, "%s", place->path);
    }
    out_table(cli, &table, json);
    return ERR_OK;
}
