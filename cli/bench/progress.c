#include "cli/bench/progress.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/bench/show.h"

enum { BAR = 24, PLAIN_NS_S = 10 };

progress_t progress_of(const options_t *options, const char *when, bool quiet)
{
    bool terminal = isatty(STDERR_FILENO) == 1;
    progress_t self = {.options = options, .shown = !quiet, .moving = terminal};

    if (when && strcmp(when, "always") == 0) self.shown = true;
    if (when && strcmp(when, "never") == 0) self.shown = false;
    return self;
}

static double share_of(const moment_t *moment)
{
    double share = 0;

    if (moment->wanted) share = (double)moment->done / (double)moment->wanted;
    if (moment->end_ns) {
        double time = (double)moment->at_ns / (double)moment->end_ns;
        if (time > share) share = time;
    }
    return share > 1 ? 1 : share;
}

static void bar(char ret[BAR + 1], double share)
{
    for (int i = 0; i < BAR; i++) ret[i] = i < (int)(share * BAR) ? '#' : '-';
    ret[BAR] = 0;
}

static int columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void progress_show(void *context, const moment_t *moment)
{
    progress_t *self = context;
    const options_t *o = self->options;
    char line[256], filled[BAR + 1], rate[GROUPED_MAX], target[GROUPED_MAX], p99[TIME_TEXT_MAX];
    char aim[GROUPED_MAX + 16] = "", waiting[64] = "";
    uint64_t now = now_ns();

    if (!self->shown) return;
    if (!self->moving && self->last_ns && now - self->last_ns < PLAIN_NS_S * UINT64_C(1000000000))
        return;
    self->last_ns = now;

    double share = share_of(moment), at = (double)moment->at_ns / 1e9;
    double left = share > 0 && share < 1 ? at / share - at : 0;
    bar(filled, share);
    if (o->rate) snprintf(aim, sizeof aim, " (target %s)", show_rate(o->rate, target));
    if (moment->waiting)
        snprintf(waiting, sizeof waiting, "  waiting for %" PRIu64 " answers", moment->waiting);
    snprintf(line, sizeof line,
             "bench %s  [%s] %s%.0f%%  %.0f s  ETA %.0f s  %s %s/s%s  p99 %s  %" PRIu64 " errors%s",
             o->scenario->name, filled, moment->warming ? "warm-up " : "", 100 * share, at, left,
             show_rate(moment->rate, rate), o->scenario->unit, aim,
             moment->p99_ns ? time_text(moment->p99_ns, p99) : "-", moment->errors, waiting);
    /* A line that is broken in two cannot be written over. */
    if (self->moving)
        fprintf(stderr, "\r%.*s\x1b[K", columns() - 1, line);
    else
        fprintf(stderr, "%s\n", line);
    self->drawn = self->moving;
    fflush(stderr);
}

void progress_end(progress_t *self)
{
    if (self->drawn) fputs("\r\x1b[K", stderr);
    self->drawn = false;
}
