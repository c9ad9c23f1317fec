/* metrics: Prometheus' text, once to stdout. */
#include "cli/client.h"
#include "cli/metrics.h"
#include "wire/base/own.h"

enum { METRICS_BYTES_MAX = 4 * 1024 * 1024 };

static err_t print_once(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    stats_t stats;
    buf_t text = buf_of(METRICS_BYTES_MAX);
    err_t err = stats_get(link, true, ANSWER_MS, &stats, &cli->f);
    if (!err && metrics_add(&stats, &text))
        err = fail(&cli->f, ERR_INTERNAL, "the metrics are too long");
    if (!err) fwrite(text.at, 1, text.len, stdout);
    buf_clear(&text);
    stats_clear(&stats);
    return err;
}

err_t cmd_metrics(cli_t *cli) { return print_once(cli); }
