/* metrics: Prometheus' text, once to stdout; or for whoever asks over HTTP, with paths for health checks, from a
 * process of its own: the broker serves no HTTP. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/health.h"
#include "cli/http.h"
#include "cli/instance.h"
#include "cli/metrics.h"
#include "wire/base/own.h"

enum { LOOK_MS = 200 };

static err_t metrics_now(link_t *link, buf_t *text, fail_t *f)
{
    stats_t stats;
    err_t err = stats_get(link, true, HEALTH_MS, &stats, f);
    if (!err && metrics_add(&stats, text)) err = fail(f, ERR_INTERNAL, "the metrics are too long");
    stats_clear(&stats);
    return err;
}

static err_t print_once(cli_t *cli)
{
    AUTO(link) link = client_link(cli);
    if (!link) return cli->f.err;
    buf_t text = buf_of(HTTP_BODY_BYTES_MAX);
    err_t err = metrics_now(link, &text, &cli->f);
    if (!err) fwrite(text.at, 1, text.len, stdout);
    buf_clear(&text);
    return err;
}

/* ---- over HTTP ---- */

static void add_text(buf_t *out, const char *text) { (void)!buf_add(out, text, strlen(text)); }

static void answer_failed(http_answer_t *answer, const fail_t *f)
{
    answer->status = 503;
    answer->type = "text/plain; charset=utf-8";
    buf_reset(&answer->body);
    add_text(&answer->body, f->what);
    add_text(&answer->body, "\n");
}

static err_t answer_health(link_t *link, health_depth_t depth, http_answer_t *answer, fail_t *f)
{
    health_t health = health_new();
    err_t err = health_broker(&health, link, depth, 0, HEALTH_MS, f);
    json_t *json = json_pack("{s:b, s:O}", "healthy", health.met, "checks", health.checks);
    answer->type = "application/json";
    answer->status = health.met ? 200 : 503;
    if (!err) err = json_add(&answer->body, json);
    add_text(&answer->body, "\n");
    json_decref(json);
    health_clear(&health);
    return err;
}

/* A connection for each request: a broker that was started anew is simply the next one. */
static void answer(void *context, const char *path, http_answer_t *answer)
{
    const char *endpoint = context;
    fail_t f = {0};
    bool metrics = strcmp(path, "/metrics") == 0, live = strcmp(path, "/healthz") == 0,
         ready = strcmp(path, "/readyz") == 0;
    if (!metrics && !live && !ready) {
        answer->status = 404;
        add_text(&answer->body, "/metrics /healthz /readyz\n");
        return;
    }
    AUTO(link) link = link_new(endpoint, HEALTH_MS, &f);
    err_t err = f.err;
    if (link && metrics) {
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        err = metrics_now(link, &answer->body, &f);
    } else if (link) {
        err = answer_health(link, live ? HEALTH_LIVE : HEALTH_READY, answer, &f);
    }
    if (err) answer_failed(answer, &f);
}

/* The threads that serve leave signals to this one. */
static http_t *serve(cli_t *cli, const char *listen, char *endpoint)
{
    http_options_t options = {.listen = listen, .handle = answer, .context = endpoint};
    sigset_t ends, before;
    for (size_t i = 0; i + 1 < HTTP_NAMES_MAX; i++)
        options.names[i] = args_texts(&cli->args, "name", i);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    http_t *http = http_new(&options, &cli->f);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return http;
}

static err_t listen_on(cli_t *cli, const char *listen)
{
    char endpoint[CLIENT_ENDPOINT_MAX];
    client_endpoint(cli, endpoint);
    signals_catch();
    AUTO(http) http = serve(cli, listen, endpoint);
    if (!http) return cli->f.err;
    printf("%s\n", http_url(http));
    fflush(stdout);
    say(cli, "%s/metrics, /healthz and /readyz of %s, until SIGTERM", http_url(http), endpoint);
    while (!signal_caught()) nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    return ERR_OK;
}

err_t cmd_metrics(cli_t *cli)
{
    const char *listen = args_text(&cli->args, "listen");
    return listen ? listen_on(cli, listen) : print_once(cli);
}
