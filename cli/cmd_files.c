/* Commands that need no broker: cluster validate, bundle make. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bundle.h"
#include "cli/bundler.h"
#include "cli/cli.h"
#include "wire/base/own.h"

err_t cmd_cluster_validate(cli_t *cli)
{
    AUTO(plan) plan = plan_new(cli->args.words[0], args_yes(&cli->args, "schema-only"), &cli->f);
    if (!plan) return cli->f.err;

    for (size_t i = 0; i < plan->warning_count; i++) say(cli, "warning: %s", plan->warnings[i]);
    if (cli->json) {
        json_t *warnings = json_array();
        for (size_t i = 0; i < plan->warning_count; i++) {
            json_array_append_new(warnings, json_text(text_of(plan->warnings[i])));
        }
        out_json(json_pack("{s:b, s:s, s:i, s:o}", "valid", 1, "name", plan->name, "vats",
                           (int)plan->vat_count, "warnings", warnings));
    } else if (!cli->quiet) {
        printf("%s is valid\n", plan->path);
    }
    return ERR_OK;
}

err_t cmd_bundle_make(cli_t *cli)
{
    const char *source = cli->args.words[0], *out = args_text(&cli->args, "output");
    char path[PATH_MAX], extra[PATH_MAX + 16];
    bundle_t bundle = {0};
    size_t len;

    snprintf(path, sizeof path - 16, "%s", source);
    char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    if (dot && dot > path && (!slash || dot > slash + 1)) *dot = 0;
    strcat(path, ".bundle.json");
    if (!out) out = path;

    err_t err = bundler_run(source, out, args_text(&cli->args, "format"), &cli->f);
    snprintf(extra, sizeof extra, "%s.inputs", out);
    unlink(extra);
    if (err) return err;
    char *data = file_read(out, BUNDLE_BYTES_MAX, &len, &cli->f);
    if (!data) return cli->f.err;
    err = bundle_check(data, len, out, &bundle, &cli->f);
    if (!err && cli->json) {
        out_json(json_pack("{s:s, s:s, s:I}", "file", out, "hash", bundle.name, "bytes",
                           (json_int_t)len));
    } else if (!err) {
        printf("%s  %zu bytes  %.19s...\n", out, len, bundle.name);
    }
    free(data);
    return err;
}
