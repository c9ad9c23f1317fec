/* key init: the keys that have to be there before the first broker and host start, in files. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "wire/base/keyfile.h"

typedef struct {
    uid_t user;
    gid_t group;
} owner_t;

/* UID or UID:GID; the group is the user's number when it is not there. */
static err_t read_owner(const char *text, owner_t *ret, fail_t *f)
{
    char *end;
    unsigned long user = strtoul(text, &end, 10), group = user;
    bool ok = *text >= '0' && *text <= '9';

    if (ok && *end == ':' && end[1] >= '0' && end[1] <= '9') group = strtoul(end + 1, &end, 10);
    if (!ok || *end || user >= UINT32_MAX || group >= UINT32_MAX) {
        fail(f, ERR_BAD_VALUE, "--owner %.100s is no UID or UID:GID", text);
        return ERR_BAD_VALUE;
    }
    *ret = (owner_t){(uid_t)user, (gid_t)group};
    return ERR_OK;
}

/* Both files of a pair, as far as they are there. */
static err_t give(const char *dir, const char *name, owner_t owner, fail_t *f)
{
    static const char *const tails[] = {"key", "pub"};
    char path[PATH_MAX];

    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%.4000s/%s.%s", dir, name, tails[i]);
        if (lchown(path, owner.user, owner.group) == 0 || errno == ENOENT) continue;
        fail(f, ERR_KEY_FILE, "%s cannot be given to %u:%u", path, (unsigned)owner.user,
             (unsigned)owner.group);
        fail_why(f, "%s", strerror(errno));
        return ERR_KEY_FILE;
    }
    return ERR_OK;
}

/* OWNER, unless NULL, gets the files; a pair that has been given away before is ours meanwhile. */
static err_t pair(const char *dir, const char *name, const owner_t *owner, keys_t *ret, fail_t *f)
{
    char why[256];
    err_t err = owner ? give(dir, name, (owner_t){geteuid(), getegid()}, f) : ERR_OK;

    if (!err && keys_open(dir, name, ret, why)) {
        err = fail(f, ERR_KEY_FILE, "%s", "");
        fail_why(f, "%s", why);
    }
    return err || !owner ? err : give(dir, name, *owner, f);
}

err_t cmd_key_init(cli_t *cli)
{
    const char *dir = cli->args.words[0], *text = args_text(&cli->args, "owner");
    keys_t broker, join;
    owner_t owner;

    err_t err = text ? read_owner(text, &owner, &cli->f) : ERR_OK;
    if (!err && mkdir(dir, 0700) != 0 && errno != EEXIST) {
        err = fail(&cli->f, ERR_KEY_FILE, "%.1000s cannot be made", dir);
        fail_why(&cli->f, "%s", strerror(errno));
    }
    if (!err) err = pair(dir, "broker", text ? &owner : NULL, &broker, &cli->f);
    if (!err) err = pair(dir, "join", text ? &owner : NULL, &join, &cli->f);
    if (err) return err;
    if (cli->json) {
        out_json(json_pack("{s:s, s:s, s:s}", "folder", dir, "broker", broker.public_key, "join",
                           join.public_key));
        return ERR_OK;
    }
    printf("%s/broker.key  the broker's, secret: vatbroker --key\n", dir);
    printf("%s/broker.pub  %s: vathost --server-key-file\n", dir, broker.public_key);
    printf("%s/join.key    of hosts that join, secret: vathost --join\n", dir);
    printf("%s/join.pub    %s: vatbroker --join\n", dir, join.public_key);
    return ERR_OK;
}
