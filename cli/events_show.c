/* For people. */
#include <stdlib.h>
#include <time.h>

#include "cli/events_own.h"
#include "cli/value.h"

enum { SHORT_HASH = 19 /* "b1-" and 16 digits */ };

void put_safely(FILE *out, text_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xa0;
        if (c1) i++;
        fputc(c1 || (c < 0x20 && c != '\t' && c != '\n') || c == 0x7f ? '?' : c, out);
    }
}

static void show_name(events_t *self, const msg_event_t *event)
{
    static const char *const colors[] = {"36", "33", "32", "35", "34", "96"};
    char number[16];
    text_t name = event->name;

    if (!name.len) {
        snprintf(number, sizeof number, event->vat.n ? "v%u" : "cli", event->vat.n);
        name = text_of(number);
    }
    if (name.len > self->width) self->width = name.len;
    if (self->color) fprintf(self->people, "\033[%sm", colors[event->vat.n % 6]);
    put_safely(self->people, name);
    fprintf(self->people, "%*s |%s ", (int)(self->width - name.len), "",
            self->color ? "\033[0m" : "");
}

static void show_console(events_t *self, const msg_event_t *event)
{
    text_t rest = event->text;

    do {
        const char *end = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
        size_t len = end ? (size_t)(end - rest.at) : rest.len;
        show_name(self, event);
        put_safely(self->people, (text_t){rest.at, len});
        fputc('\n', self->people);
        rest = end ? (text_t){end + 1, rest.len - len - 1} : (text_t){rest.at, 0};
    } while (rest.len);
}

static void show_data(events_t *self, const msg_event_t *event, uint64_t bytes, bool arguments)
{
    buf_t shown = buf_of(CAPDATA_BYTES_MAX);

    if (self->args == ARGS_NONE) {
        fputs("...", self->people);
        return;
    }
    event_data(&shown, event, bytes, arguments);
    size_t len = shown.len;
    if (self->args != ARGS_FULL && len > ARGS_SHORT_BYTES) {
        for (len = ARGS_SHORT_BYTES; len && (shown.at[len] & 0xc0) == 0x80;) len--;
    }
    put_safely(self->people, (text_t){(const char *)shown.at, len});
    if (len < shown.len) fputs("...", self->people);
    buf_clear(&shown);
}

static void show_time(FILE *out, uint64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[32];

    strftime(text, sizeof text, "%H:%M:%S", localtime_r(&seconds, &parts));
    fprintf(out, "%s.%06u  ", text, (unsigned)(time_us % 1000000));
}

static void show_traffic(events_t *self, const msg_event_t *event, uint64_t bytes)
{
    char kref[KREF_TEXT_MAX];
    FILE *out = self->people;

    show_time(out, event->time_us);
    show_name(self, event);
    if (text_is(event->type, "send")) {
        fprintf(out, "-> %s.", kref_text(event->target, kref));
        put_safely(out, event->method);
        fputc('(', out);
        show_data(self, event, bytes, true);
        fprintf(out, ")  v%u/%llu#%u", event->msg.vat.n, (unsigned long long)event->msg.d,
                event->msg.n);
        if (!kref_none(event->promise)) fprintf(out, "  %s", kref_text(event->promise, kref));
    } else if (text_is(event->type, "deliver")) {
        fprintf(out, "<- %.*s", (int)event->kind.len, event->kind.at);
        if (text_is(event->kind, "message")) {
            fprintf(out, " v%u/%llu#%u", event->msg.vat.n, (unsigned long long)event->msg.d,
                    event->msg.n);
        } else if (!kref_none(event->promise)) {
            fprintf(out, " %s", kref_text(event->promise, kref));
        }
        fprintf(out, "  waited %.2f ms", (double)event->wait_us / 1000);
    } else if (text_is(event->type, "service")) {
        put_safely(out, event->kind);
        fprintf(out, " does %s.", kref_text(event->target, kref));
        put_safely(out, event->method);
        fprintf(out, "  v%u/%llu#%u", event->msg.vat.n, (unsigned long long)event->msg.d,
                event->msg.n);
    } else if (text_is(event->type, "done")) {
        fprintf(out, "%s  ran %.2f ms, %llu syscalls", event->ok ? "done" : "failed",
                (double)event->run_us / 1000, (unsigned long long)event->syscalls);
    } else {
        fprintf(out, "%s %s  ", event->rejected ? "rejects" : "resolves",
                kref_text(event->promise, kref));
        show_data(self, event, bytes, false);
    }
    fputc('\n', out);
}

/* What it runs from now on, or why the new code did not. */
static void show_upgrade(const events_t *self, const msg_event_t *event)
{
    FILE *out = self->people;
    bool done = event_is_upgraded(event);
    text_t text = event->text;

    fprintf(out, "vat v%u ", event->vat.n);
    put_safely(out, event->name);
    if (done && text.len > SHORT_HASH) text.len = SHORT_HASH;
    fputs(done ? " upgraded to " : ": ", out);
    put_safely(out, text);
    fputs(done ? "...\n" : "\n", out);
}

static void show_life(events_t *self, const msg_event_t *event)
{
    FILE *out = self->people;

    if (text_is(event->type, "vat-upgrade")) show_upgrade(self, event);
    bool quarantined = text_is(event->type, "vat-quarantine");
    if (!quarantined && !text_is(event->type, "vat-exit")) return;
    fprintf(out, "vat v%u ", event->vat.n);
    put_safely(out, event->name);
    fputs(quarantined ? " is in quarantine: " : " ended: ", out);
    buf_t reason = buf_of(4 * TEXT_BYTES_MAX);
    err_t err = value_show_reason(&reason, event->text);
    put_safely(out, err ? event->text : (text_t){(const char *)reason.at, reason.len});
    fputc('\n', out);
    buf_clear(&reason);
}

bool event_shown(const events_t *self, const msg_event_t *event)
{
    static const char *const life[] = {"vat-upgrade", "vat-exit", "vat-quarantine"};
    bool shown = !self->people || self->life || text_is(event->type, "console") ||
                 (self->traffic && event_is_traffic(event));

    for (size_t i = 0; i < sizeof life / sizeof *life; i++) shown |= text_is(event->type, life[i]);
    return shown;
}

/* One line of `events`: what happened to whom, and why. */
static void show_happened(events_t *self, const msg_event_t *event)
{
    FILE *out = self->people;
    bool reason = text_is(event->type, "vat-exit") || text_is(event->type, "vat-quarantine");
    buf_t shown = buf_of(4 * TEXT_BYTES_MAX);
    text_t text = event->text;

    show_time(out, event->time_us);
    put_safely(out, event->type);
    fprintf(out, "%*s", event->type.len < 16 ? (int)(16 - event->type.len) : 1, "");
    if (event->vat.n)
        fprintf(out, "v%u ", event->vat.n);
    else if (event->host.n)
        fprintf(out, "h%u ", event->host.n);
    put_safely(out, event->name);
    if (event->vat.n && event->host.n) fprintf(out, " on h%u", event->host.n);
    if (event->d) fprintf(out, "  v%u/%llu", event->vat.n, (unsigned long long)event->d);
    if (reason && !value_show_reason(&shown, text))
        text = (text_t){(const char *)shown.at, shown.len};
    if (text.len) fputs("  ", out);
    put_safely(out, text);
    fputc('\n', out);
    buf_clear(&shown);
}

void event_show(events_t *self, const msg_event_t *event, uint64_t bytes)
{
    if (self->life)
        show_happened(self, event);
    else if (text_is(event->type, "console"))
        show_console(self, event);
    else if (event_is_traffic(event))
        show_traffic(self, event, bytes);
    else
        show_life(self, event);
}
