#include "cli/each.h"

#include <string.h>

#include "cli/client.h"
#include "cli/guess.h"
#include "cli/look.h"
#include "wire/base/own.h"

err_t vat_word(cli_t *cli, link_t *link, const char *word, vat_t *ret_vat, named_t *ret)
{
    found_t found;
    err_t err = vat_named(link, *word == '@' ? word + 1 : word, &found, &cli->f);

    if (err) return err;
    *ret_vat = found.vat;
    ret->key = "vat";
    snprintf(ret->id, sizeof ret->id, "v%u", found.vat.n);
    snprintf(ret->name, sizeof ret->name, "%s", found.name);
    return ERR_OK;
}

/* Names are the operator's own, in hosts.allow, and nothing keeps two hosts from having the same. */
err_t host_word(cli_t *cli, link_t *link, const char *word, host_t *ret_host, named_t *ret)
{
    uint32_t number = 0;
    bool by_number = id_parse('h', word, strlen(word), &number);
    size_t matches = 0;
    like_t like = {.name = word};
    rows_t rows;
    err_t err = rows_get(link, ROWS_HOSTS, false, (kref_t){0}, &rows, &cli->f);

    if (err) return err;
    ret->key = "host";
    for (const msg_t *msg; (msg = rows_next(&rows));) {
        const msg_host_row_t *row = &msg->body.host_row;
        if (msg->tag != TAG_host_row) continue;
        like_add(&like, row->name);
        if (by_number ? row->host.n != number : !text_is(row->name, word)) continue;
        *ret_host = row->host;
        snprintf(ret->id, sizeof ret->id, "h%u", row->host.n);
        snprintf(ret->name, sizeof ret->name, "%.*s", TEXT(row->name));
        matches++;
    }
    rows_clear(&rows);
    if (matches == 1) return ERR_OK;
    if (matches)
        fail(&cli->f, ERR_HOST_UNKNOWN, "several hosts are called \"%.100s\"", word);
    else
        like_fail(&like, ERR_HOST_UNKNOWN, "host", &cli->f);
    fail_try(&cli->f, "vatctl host ls");
    return ERR_HOST_UNKNOWN;
}

unsigned each_ms(const cli_t *cli)
{
    uint64_t ms = args_ms(&cli->args, "timeout", FOREVER_MS);

    return ms < FOREVER_MS ? (unsigned)ms : FOREVER_MS;
}

err_t each_word(cli_t *cli, one_t *one, const char *done)
{
    AUTO(link) link = client_link(cli);
    json_t *json = json_array();
    err_t err = link ? ERR_OK : cli->f.err;
    int count = 0, declined = 0;

    for (int i = 0; link && i < cli->args.word_count; i++) {
        const char *word = cli->args.words[i];
        named_t named = {0};
        err_t now = one(cli, link, word, &named);
        if (now) {
            err = now;
            json_array_append_new(json, json_pack("{s:o, s:o}", "word", json_text(text_of(word)),
                                                  "error", fail_json(&cli->f)));
            /* When nothing was done the last one is told as every command's error is. */
            if (!cli->json && (count || i + 1 < cli->args.word_count))
                fail_print(&cli->f, stderr, cli->color);
            continue;
        }
        json_array_append_new(json, json_pack("{s:o, s:s, s:s}", "word", json_text(text_of(word)),
                                              named.key, named.id, "done",
                                              named.declined ? "declined" : done));
        if (!cli->json && named.declined)
            say(cli, "%s was left as it is", named.id);
        else if (!cli->json)
            say(cli, "%s %s%s%s", done, named.id, *named.name ? " " : "", named.name);
        *(named.declined ? &declined : &count) += 1;
    }
    if (count || declined) {
        cli->exit = !count ? 1 : err || declined ? 10 : 0;
        err = ERR_OK;
    }
    if (!err && cli->json) out_json(json_incref(json));
    json_decref(json);
    return err;
}
