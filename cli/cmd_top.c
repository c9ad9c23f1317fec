/* top: the same screen again and again. On a terminal it is drawn over itself, with keys; anywhere else one picture
 * follows the other. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/top.h"
#include "wire/base/must.h"
#include "wire/base/own.h"

enum { INTERVAL_MS = 1000, FIRST_MS = 300, HEAD_LINES = 8, ALL = 1000 * 1000 };

typedef struct {
    cli_t *cli;
    link_t *link;
    bool screen, once, utf8;
    top_sort_t sort;
    size_t most; /* vats; 0: as many as the screen has room for */
    uint64_t interval_ms;
    top_t last, now; /* last: as it was looked at; now: what came since the one before */
    bool has_last, has_now, paused, quit;
    top_trend_t trend;
    struct termios before;
} view_t;

/* ---- the terminal ---- */

static void screen_begin(view_t *self)
{
    struct termios raw;
    tcgetattr(STDIN_FILENO, &self->before);
    raw = self->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    signal(SIGTSTP, SIG_IGN);              /* it would leave the terminal as it is now */
    fputs("\033[?1049h\033[?25l", stdout); /* another screen, no cursor */
}

static void screen_end(view_t *self)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &self->before);
}

static struct winsize screen_size(void)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    if (size.ws_row == 0) size.ws_row = 24;
    if (size.ws_col == 0) size.ws_col = 80;
    return size;
}

/* One line of at most COLUMNS characters; what is behind it on the screen goes. Returns where the next begins. */
static const char *draw_line(const char *line, unsigned columns)
{
    size_t len = strcspn(line, "\n"), cut = 0;
    for (unsigned n = 0; cut < len; cut++) {
        if (((unsigned char)line[cut] & 0xc0) != 0x80 && n++ == columns) break;
    }
    fwrite(line, 1, cut, stdout);
    fputs("\033[K", stdout);
    return line[len] ? line + len + 1 : line + len;
}

static void draw(const view_t *self, const char *text)
{
    struct winsize size = screen_size();
    char foot[128];
    fputs("\033[H", stdout);
    for (unsigned row = 1; *text && row < size.ws_row; row++) {
        text = draw_line(text, size.ws_col);
        fputc('\n', stdout);
    }
    snprintf(foot, sizeof foot, "[s]ort: %s  [p]ause%s  [q]uit", top_sort_name(self->sort),
             self->paused ? "d" : "");
    draw_line(foot, size.ws_col);
    fputs("\033[J", stdout);
    fflush(stdout);
}

/* ---- showing ---- */

static size_t most_of(const view_t *self)
{
    if (self->most) return self->most;
    if (!self->screen) return ALL;
    size_t rows = screen_size().ws_row, used = HEAD_LINES + self->now.host_count;
    return rows > used ? rows - used : 1;
}

static void show(view_t *self)
{
    top_sort(&self->now, self->sort);
    if (self->cli->json) {
        out_json(top_json(&self->now, most_of(self)));
    } else {
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        must(out);
        top_show(&self->now, &self->trend, most_of(self), self->utf8, out);
        must(fclose(out) == 0);
        if (self->screen)
            draw(self, text);
        else
            printf("%s%s", text, self->once ? "" : "\n");
        free(text);
    }
    fflush(stdout);
}

/* ---- looking ---- */

/* A broker that went away is waited for on a screen, since somebody is looking; otherwise it is the end. */
static err_t lost(view_t *self)
{
    link_destroy(&self->link);
    top_clear(&self->last);
    self->has_last = self->has_now = false;
    if (!self->screen || signal_caught()) return self->cli->f.err;
    draw(self, self->cli->f.what);
    return ERR_OK;
}

/* After the first look, and after a broker was started anew, there is nothing to show yet. */
static err_t look(view_t *self)
{
    top_t next;
    if (!self->link) self->link = client_link(self->cli);
    if (!self->link) return lost(self);
    err_t err = top_look(self->link, &next, &self->cli->f);
    if (err) {
        top_clear(&next);
        return lost(self);
    }
    top_clear(&self->now);
    self->has_now = self->has_last && top_between(&self->last, &next, &self->now);
    top_clear(&self->last);
    self->last = next;
    self->has_last = true;
    if (!self->has_now) return ERR_OK;
    top_trend_add(&self->trend, &self->now);
    show(self);
    return ERR_OK;
}

/* ---- the loop ---- */

static void key(view_t *self, char c)
{
    if (c == 'q' || c == 'Q') self->quit = true;
    if (c == 's') self->sort = (top_sort_t)((self->sort + 1) % TOP_SORTS);
    if (c == 'p') self->paused = !self->paused;
    if (self->has_now && !self->quit) show(self);
}

static void wait_and_hear(view_t *self, uint64_t ms)
{
    uint64_t end = now_ms() + ms;
    for (uint64_t now; !self->quit && !signal_caught() && (now = now_ms()) < end;) {
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        if (poll(&in, self->screen ? 1 : 0, (int)(end - now)) <= 0) continue;
        char c;
        if (read(STDIN_FILENO, &c, 1) != 1)
            self->quit = true; /* the terminal is gone */
        else
            key(self, c);
    }
}

static err_t run(view_t *self)
{
    bool shown = false;
    while (!self->quit && !signal_caught() && !(self->once && shown)) {
        err_t err = self->paused ? ERR_OK : look(self);
        if (err) return signal_caught() ? ERR_OK : err;
        shown = self->has_now;
        bool first = self->screen && !self->has_now;
        if (!(self->once && shown)) wait_and_hear(self, first ? FIRST_MS : self->interval_ms);
    }
    return ERR_OK;
}

/* The locale's characters: blocks are drawn only where they are. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

err_t cmd_top(cli_t *cli)
{
    const char *sort = args_text(&cli->args, "sort");
    view_t self = {.cli = cli,
                   .once = args_yes(&cli->args, "once"),
                   .utf8 = speaks_utf8(),
                   .sort = sort ? top_sort_named(sort) : TOP_TURNS,
                   .most = args_count(&cli->args, "lines", 0),
                   .interval_ms = args_ms(&cli->args, "interval", INTERVAL_MS)};
    self.screen = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !self.once && !cli->json;
    self.link = client_link(cli);
    if (!self.link) return cli->f.err;
    if (self.screen) screen_begin(&self);
    err_t err = run(&self);
    if (self.screen) screen_end(&self);
    top_clear(&self.last);
    top_clear(&self.now);
    link_destroy(&self.link);
    return err;
}
