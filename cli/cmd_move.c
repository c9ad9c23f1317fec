/* move, checkpoint: where a vat is, and how much of it is on disk. */
#include <inttypes.h>
#include <string.h>

#include "cli/client.h"
#include "cli/each.h"
#include "cli/look.h"
#include "wire/base/own.h"

static err_t checkpoint_one(cli_t *cli, link_t *link, const char *word, named_t *ret)
{
    msg_checkpoint_make_t ask = {.request = request_id(), .ship = args_yes(&cli->args, "ship")};
    const msg_t *msg;
    err_t err = vat_word(cli, link, word, &ask.vat, ret);

    return err ? err
               : link_ask(link, TAG_checkpoint_make, &ask, TAG_done, each_ms(cli), &msg, &cli->f);
}

err_t cmd_checkpoint(cli_t *cli)
{
    return each_word(cli, checkpoint_one,
                     args_yes(&cli->args, "ship") ? "checkpointed and copied" : "checkpointed");
}

/* Where VAT stands now. */
static err_t place_of(link_t *link, vat_t vat, host_t *ret, char name[NAME_BYTES_MAX + 1],
                      fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_VATS, true, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *msg; (msg = rows_next(&rows));) {
        const msg_vat_row_t *row = &msg->body.vat_row;
        if (msg->tag != TAG_vat_row || row->vat.n != vat.n) continue;
        *ret = row->host;
        snprintf(name, NAME_BYTES_MAX + 1, "%.*s", TEXT(row->host_name));
    }
    rows_clear(&rows);
    return ERR_OK;
}

err_t cmd_move(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    msg_move_t move = {.request = request_id()};
    named_t vat = {0}, host = {0};
    host_t to = {0};
    const msg_t *msg;

    if (!link) return cli->f.err;
    err_t err = vat_word(cli, link, cli->args.words[0], &move.vat, &vat);
    if (!err && cli->args.word_count > 1)
        err = host_word(cli, link, cli->args.words[1], &move.host, &host);
    if (err) return err;
    uint64_t began = now_ms();
    err = link_ask(link, TAG_move, &move, TAG_done, each_ms(cli), &msg, &cli->f);
    if (err == ERR_TIMED_OUT) {
        fail_why(&cli->f, "%s is still on its way; it goes on moving", vat.id);
        fail_try(&cli->f, "vatctl inspect %s", vat.id);
    }
    if (err) return err;
    uint64_t ms = now_ms() - began;
    err = place_of(link, move.vat, &to, host.name, &cli->f);
    if (err) return err;
    if (cli->json)
        out_json(json_pack("{s:s, s:s, s:o, s:s, s:o}", "vat", vat.id, "name", vat.name, "host",
                           json_id('h', to.n), "host_name", host.name, "ms", json_number(ms)));
    else
        say(cli, "moved %s %s to h%u %s in %" PRIu64 " ms", vat.id, vat.name, to.n, host.name, ms);
    return ERR_OK;
}
