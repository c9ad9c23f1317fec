/* db backup, db restore: a whole copy of the broker's state, and back. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/each.h"
#include "cli/instance.h"
#include "cli/process.h"
#include "wire/base/durable.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { ADOPT_MS = 600 * 1000 /* a large state takes its time */ };

/* The broker works in a folder of its own, so that it gets the whole path. */
static err_t whole_path(const char *path, char ret[PATH_MAX], fail_t *f)
{
    char here[PATH_MAX];

    if (*path == '/')
        *here = 0;
    else if (!getcwd(here, sizeof here))
        return fail(f, ERR_BAD_VALUE, "the current folder has no path");
    int len = snprintf(ret, PATH_MAX, "%s%s%s", here, *here ? "/" : "", path);
    return len < PATH_BYTES_MAX ? ERR_OK
                                : fail(f, ERR_BAD_VALUE, "%.200s...: the path is too long", ret);
}

err_t cmd_db_backup(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    char path[PATH_MAX];
    const msg_t *msg;

    if (!link) return cli->f.err;
    err_t err = whole_path(cli->args.words[0], path, &cli->f);
    if (err) return err;
    uint64_t began = now_ms();
    msg_backup_t backup = {.request = request_id(), .path = text_of(path)};
    err = link_ask(link, TAG_backup, &backup, TAG_done, each_ms(cli), &msg, &cli->f);
    if (err) return err;
    uint64_t ms = now_ms() - began;
    if (cli->json)
        out_json(json_pack("{s:s, s:o}", "backup", path, "ms", json_number(ms)));
    else
        say(cli, "backup in %s, complete after %" PRIu64 " ms", path, ms);
    return ERR_OK;
}

/* ---- restore ---- */

/* nftw() has no place for these. */
static struct {
    const char *from, *to;
    char what[PATH_MAX];
    int error;
} copying;

static bool copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC),
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = in >= 0 && out >= 0;

    for (ssize_t n = 1; good && n;) {
        n = sendfile(out, in, NULL, 1 << 20);
        good = n >= 0;
    }
    good = good && fsync(out) == 0;
    int error = errno;
    if (in >= 0) close(in);
    if (out >= 0 && close(out) != 0 && good) good = false, error = errno;
    errno = error;
    return good;
}

static int copy_one(const char *path, const struct stat *stat_, int type, struct FTW *ftw)
{
    char to[PATH_MAX];

    (void)stat_, (void)ftw;
    int len = snprintf(to, sizeof to, "%s%s", copying.to, path + strlen(copying.from));
    bool good = len < PATH_MAX && (type == FTW_D   ? mkdir(to, 0700) == 0
                                   : type == FTW_F ? copy_file(path, to)
                                                   : (errno = EINVAL, false));
    if (good) return 0;
    copying.error = errno;
    snprintf(copying.what, sizeof copying.what, "%s", path);
    return 1;
}

static err_t copy_folder(const char *from, const char *to, fail_t *f)
{
    copying.from = from, copying.to = to;
    if (nftw(from, copy_one, 16, FTW_PHYS) == 0) return ERR_OK;
    fail(f, ERR_STORE, "%.400s cannot be copied", copying.what);
    fail_why(f, "%s", strerror(copying.error));
    return ERR_STORE;
}

/* TEXT is about the copy STATE, which is gone when it is read: it names the backup FROM instead. */
static void name_backup(char text[FAIL_TEXT_MAX], const char *state, const char *from)
{
    char fresh[FAIL_TEXT_MAX];
    const char *at = strstr(text, state);

    if (!at) return;
    snprintf(fresh, sizeof fresh, "%.*s%s%s", (int)(at - text), text, from, at + strlen(state));
    memcpy(text, fresh, sizeof fresh);
}

/* A whole copy stands in HOME/restore.part before it gets its name, and has been adopted: what a restore
 * that was ended leaves behind is never taken for a state. */
static err_t restore(cli_t *cli, const char *from, const char *home, char ret_lost[LOST_TEXT_MAX])
{
    char part[PATH_MAX], broker[PATH_MAX], state[PATH_MAX + 8];

    snprintf(part, sizeof part, "%.4000s/restore.part", home);
    snprintf(state, sizeof state, "%s/broker", part);
    snprintf(broker, sizeof broker, "%.4000s/broker", home);
    folder_remove(part);
    err_t err = folder_make(part, &cli->f);
    if (!err) err = copy_folder(from, state, &cli->f);
    if (!err) {
        unsigned ms = (unsigned)args_ms(&cli->args, "timeout", ADOPT_MS);
        err = instance_adopt(part, ms, ret_lost, &cli->f);
        if (err) name_backup(cli->f.what, state, from);
        if (err) name_backup(cli->f.why, state, from);
    }
    if (!err && rename(state, broker) != 0) {
        err = fail(&cli->f, ERR_STORE, "%s cannot be made", broker);
        fail_why(&cli->f, "%s", strerror(errno));
    }
    if (!err && !durable_folder(home))
        err = fail(&cli->f, ERR_STORE, "%s cannot be written to disk", home);
    folder_remove(part);
    return err;
}

err_t cmd_db_restore(cli_t *cli)
{
    char from[PATH_MAX], home[PATH_MAX], path[PATH_MAX + 32], lost[LOST_TEXT_MAX] = "";

    if (!realpath(cli->args.words[0], from))
        return fail(&cli->f, ERR_FILE_MISSING, "no backup in %.200s", cli->args.words[0]);
    snprintf(path, sizeof path, "%s/kernel.db", from);
    if (access(path, R_OK) != 0)
        return fail(&cli->f, ERR_FILE_MISSING, "no backup in %.200s", from);
    instance_home(home);
    snprintf(path, sizeof path, "%s/broker", home);
    if (access(path, F_OK) == 0) {
        fail(&cli->f, ERR_STORE_LOCKED, "%.1000s has a broker's state", home);
        fail_why(&cli->f, "a restore never writes over one");
        fail_try(&cli->f, "vatctl down, and move %.900s away; or restore into another --home",
                 path);
        return ERR_STORE_LOCKED;
    }
    err_t err = folder_make(home, &cli->f);
    if (!err) err = restore(cli, from, home, lost);
    if (err) return err;
    if (*lost) cli->exit = 10;
    if (cli->json)
        out_json(json_pack("{s:s, s:s, s:s}", "restored", from, "home", home, "lost", lost));
    else
        say(cli, "restored into %s%s%s\n  next   vatctl up", home,
            *lost ? "\n  copies that are missing or damaged, so that their vats may not go on: "
                  : "",
            lost);
    return ERR_OK;
}
