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

enum { LOOK_MS = 200, KEPT_MS = 1000 };

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

static void answer_failed(http_answer_t *answer, const fail_t *f)
{
    answer->status = 503;
    answer->type = "text/plain; charset=utf-8";
    buf_reset(&answer->body);
    (void)!buf_text(&answer->body, f->what);
    (void)!buf_text(&answer->body, "\n");
}

static err_t answer_health(link_t *link, health_depth_t depth, http_answer_t *answer, fail_t *f)
{
    health_t health = health_new();
    err_t err = health_broker(&health, link, depth, 0, HEALTH_MS, f);
    json_t *json = json_pack("{s:b, s:O}", "healthy", health.met, "checks", health.checks);
    answer->type = "application/json";
    answer->status = health.met ? 200 : 503;
    if (!err) err = json_add(&answer->body, json);
    (void)!buf_text(&answer->body, "\n");
    json_decref(json);
    health_clear(&health);
    return err;
}

/* This process serves: nobody else is asked, so it is no sign of a broker, and no reason to end this one. Nor does it wait
 * behind those who ask a broker that does not answer. */
static bool answer_livez(const char *path, http_answer_t *answer)
{
    if (strcmp(path, "/livez") != 0) return false;
    answer->status = 200;
    answer->type = "text/plain; charset=utf-8";
    (void)!buf_text(&answer->body, "serving\n");
    return true;
}

enum { AT_METRICS, AT_HEALTHZ, AT_READYZ, PATHS };
static const char *const paths[PATHS] = {"/metrics", "/healthz", "/readyz"};

/* What was answered last, if it was good, for KEPT_MS: however often somebody asks, a broker that works is asked no
 * more than once a second for each path. */
typedef struct {
    char endpoint[CLIENT_ENDPOINT_MAX];
    struct {
        http_answer_t answer;
        uint64_t at_ms; /* 0: never */
    } kept[PATHS];
} served_t;

/* A connection for each time: a broker that was started anew is simply the next one. */
static void ask(const char *endpoint, int path, http_answer_t *answer)
{
    fail_t f = {0};
    AUTO(link) link = link_new(endpoint, HEALTH_MS, &f);
    err_t err = f.err;
    if (link && path == AT_METRICS) {
        answer->type = "text/plain; version=0.0.4; charset=utf-8";
        err = metrics_now(link, &answer->body, &f);
    } else if (link) {
        err = answer_health(link, path == AT_HEALTHZ ? HEALTH_LIVE : HEALTH_READY, answer, &f);
    }
    if (err) answer_failed(answer, &f);
}

static void answer(void *context, const char *path, http_answer_t *answer)
{
    served_t *self = context;
    int at = 0;
    while (at < PATHS && strcmp(path, paths[at]) != 0) at++;
    if (at == PATHS) {
        answer->status = 404;
        (void)!buf_text(&answer->body, "/metrics /livez /healthz /readyz\n");
        return;
    }
    http_answer_t *kept = &self->kept[at].answer;
    if (!self->kept[at].at_ms || now_ms() - self->kept[at].at_ms >= KEPT_MS) {
        buf_clear(&kept->body);
        *kept = (http_answer_t){200, "text/plain; charset=utf-8", buf_of(HTTP_BODY_BYTES_MAX)};
        ask(self->endpoint, at, kept);
        self->kept[at].at_ms = kept->status == 200 ? now_ms() : 0;
    }
    answer->status = kept->status;
    answer->type = kept->type;
    (void)!buf_add(&answer->body, kept->body.at, kept->body.len);
}

/* The threads that serve leave signals to this one. */
static http_t *serve(cli_t *cli, const char *listen, served_t *served)
{
    http_options_t options = {
        .listen = listen, .at_once = answer_livez, .handle = answer, .context = served};
    sigset_t ends, before;
    for (size_t i = 0; i + 1 < HTTP_NAMES_MAX; i++)
        options.names[i] = args_texts(&cli->args, "name", i);
    if (args_texts(&cli->args, "name", HTTP_NAMES_MAX - 1)) {
        fail(&cli->f, ERR_BAD_VALUE, "--name is given more than %d times", HTTP_NAMES_MAX - 1);
        return NULL;
    }
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
    static served_t served;
    client_endpoint(cli, served.endpoint);
    signals_catch();
    AUTO(http) http = serve(cli, listen, &served);
    if (!http) return cli->f.err;
    printf("%s\n", http_url(http));
    fflush(stdout);
    say(cli, "%s/metrics, /livez, /healthz and /readyz of %s, until SIGTERM", http_url(http),
        served.endpoint);
    while (!signal_caught()) nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    http_destroy(&http);
    for (int i = 0; i < PATHS; i++) buf_clear(&served.kept[i].answer.body);
    return ERR_OK;
}

err_t cmd_metrics(cli_t *cli)
{
    const char *listen = args_text(&cli->args, "listen");
    return listen ? listen_on(cli, listen) : print_once(cli);
}
