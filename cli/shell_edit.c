#include "cli/shell_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/link.h"
#include "cli/shell_complete.h"
#include "wire/base/must.h"

/* The file may grow to twice what is kept of it before it is written anew. */
enum { HISTORY_MAX = 1000 };

struct edit {
    EditLine *el;
    History *history;
    FILE *file; /* lines are added at its end; NULL: none is kept */
    edit_complete_t *complete;
    edit_news_t *news;
    void *context;
    const char *prompt;
    char *line;
    bool stopped;
};

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

/* ---- history ---- */

static void history_add(edit_t *self, const char *text)
{
    HistEvent event;

    history(self->history, &event, H_ENTER, text);
}

/* Of a file that grew too long the last lines are kept. */
static void history_shorten(FILE *file, size_t lines)
{
    char *line = NULL, *kept = NULL;
    size_t room = 0, kept_len = 0;
    FILE *memory = open_memstream(&kept, &kept_len);

    must(memory);
    rewind(file);
    for (size_t i = 0; getline(&line, &room, file) > 0; i++)
        if (i + HISTORY_MAX >= lines) fputs(line, memory);
    must(fclose(memory) == 0);
    if (ftruncate(fileno(file), 0) == 0) fwrite(kept, 1, kept_len, file);
    fflush(file);
    free(kept);
    free(line);
}

static void history_load(edit_t *self, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char *line = NULL;
    size_t room = 0, lines = 0;

    if (fd < 0) {
        fprintf(stderr, "history is not kept: %s: %s\n", path, strerror(errno));
        return;
    }
    fchmod(fd, 0600); /* one that was made otherwise */
    self->file = fdopen(fd, "a+");
    must(self->file);
    rewind(self->file);
    for (ssize_t len; (len = getline(&line, &room, self->file)) > 0; lines++) {
        line[strcspn(line, "\n")] = 0;
        if (*line) history_add(self, line);
    }
    if (lines > 2 * HISTORY_MAX) history_shorten(self->file, lines);
    free(line);
}

void edit_remember(edit_t *self, const char *text)
{
    if (!*text || *text == ' ' || *text == '\n') return;
    history_add(self, text);
    if (!self->file) return;
    fprintf(self->file, "%s\n", text);
    fflush(self->file);
}

/* ---- keys ---- */

static edit_t *owner(EditLine *el)
{
    void *self = NULL;

    el_get(el, EL_CLIENTDATA, &self);
    return self;
}

static char *prompt_of(EditLine *el) { return (char *)(uintptr_t)owner(el)->prompt; }

static void news_ask(EditLine *el)
{
    const LineInfo *line = el_line(el);
    edit_t *self = owner(el);

    if (line->lastchar == line->buffer && self->news(self->context)) el_set(el, EL_REFRESH);
}

/* Waits for a key. False: a signal came in, be it just before. */
static bool key_wait(EditLine *el)
{
    static const struct timespec slice = {0, NEWS_MS * 1000000L};
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    sigset_t held, before;
    int ready = 0;

    sigemptyset(&held);
    sigaddset(&held, SIGINT), sigaddset(&held, SIGTERM), sigaddset(&held, SIGHUP);
    sigaddset(&held, SIGWINCH);
    sigprocmask(SIG_BLOCK, &held, &before);
    while (!signal_caught() && ready == 0) {
        ready = ppoll(&input, 1, &slice, &before);
        if (ready == 0) news_ask(el);
        if (ready < 0 && errno == EINTR) ready = 0;
        if (resized) el_resize(el);
        resized = 0;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return !signal_caught();
}

/* One character of the terminal: libedit's own reader would not let signals end the line. */
static int key_read(EditLine *el, wchar_t *ret)
{
    mbstate_t state = {0};
    char byte;

    for (;;) {
        if (!key_wait(el)) return 0;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return (int)got;
        size_t used = mbrtowc(ret, &byte, 1, &state);
        if (used == (size_t)-2) continue;
        if (used == (size_t)-1) {
            state = (mbstate_t){0}; /* no character: it is passed over */
            continue;
        }
        return 1;
    }
}

/* Ctrl-C while a line is edited is a key. */
static unsigned char on_stop(EditLine *el, int key)
{
    (void)key;
    owner(el)->stopped = true;
    fputs("^C\r\n", stdout);
    return CC_NEWLINE;
}

static unsigned char on_suspend(EditLine *el, int key)
{
    (void)key;
    el_set(el, EL_PREP_TERM, 0);
    raise(SIGTSTP);
    el_set(el, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

static void words_show(char *const *words, size_t count)
{
    struct winsize size = {0};
    size_t width = 0;

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) > width) width = strlen(words[i]);
    size_t columns = (size.ws_col ? size.ws_col : 80) / (width + 2);
    if (!columns) columns = 1;
    fputs("\r\n", stdout);
    for (size_t i = 0; i < count; i++) {
        bool last = (i + 1) % columns == 0 || i + 1 == count;
        printf("%-*s%s", last ? 0 : (int)width + 2, words[i], last ? "\r\n" : "");
    }
    fflush(stdout);
}

static unsigned char on_tab(EditLine *el, int key)
{
    edit_t *self = owner(el);
    const LineInfo *info = el_line(el);
    size_t cursor = (size_t)(info->cursor - info->buffer), from = 0, count = 0;
    char *line = strndup(info->buffer, (size_t)(info->lastchar - info->buffer));
    unsigned char done = CC_ERROR;

    (void)key;
    must(line);
    char **words = self->complete(self->context, line, cursor, &from);
    while (words[count]) count++;
    if (count) {
        size_t typed = cursor - from, common = common_len(words, count);
        char *rest = strndup(words[0] + typed, common > typed ? common - typed : 0);
        must(rest);
        if (*rest) {
            el_insertstr(el, rest);
            done = CC_REFRESH;
        } else if (count > 1) {
            words_show(words, count);
            done = CC_REDISPLAY;
        }
        free(rest);
    }
    for (size_t i = 0; i < count; i++) free(words[i]);
    free(words);
    free(line);
    return done;
}

/* ---- lines ---- */

static void keys_bind(edit_t *self)
{
    EditLine *el = self->el;

    el_set(el, EL_CLIENTDATA, self);
    el_set(el, EL_PROMPT, prompt_of);
    el_set(el, EL_EDITOR, "emacs");
    el_source(el, NULL); /* what people want otherwise they say in ~/.editrc */
    el_set(el, EL_SIGNAL, 0);
    el_set(el, EL_HIST, history, self->history);
    el_set(el, EL_GETCFN, key_read);
    /* Wide: of narrow names libedit makes copies that nobody frees. */
    el_wset(el, EL_ADDFN, L"vatyard-complete", L"completes names and methods", on_tab);
    el_wset(el, EL_ADDFN, L"vatyard-stop", L"forgets the line", on_stop);
    el_wset(el, EL_ADDFN, L"vatyard-suspend", L"stops the program until fg", on_suspend);
    el_set(el, EL_BIND, "^I", "vatyard-complete", NULL);
    el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    /* While a line is edited the terminal makes no signals of keys. */
    el_set(el, EL_SETTY, "-d", "-isig", NULL);
    el_set(el, EL_BIND, "^C", "vatyard-stop", NULL);
    el_set(el, EL_BIND, "^Z", "vatyard-suspend", NULL);
}

edit_t *edit_new(const char *path, edit_complete_t *complete, edit_news_t *news, void *context)
{
    AUTO(edit) self = calloc(1, sizeof *self);
    HistEvent event;

    must(self);
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
    self->complete = complete;
    self->news = news;
    self->context = context;
    self->prompt = "";
    self->history = history_init();
    must(self->history);
    history(self->history, &event, H_SETSIZE, HISTORY_MAX);
    history(self->history, &event, H_SETUNIQUE, 1);
    self->el = el_init("vatctl", stdin, stdout, stderr);
    if (!self->el) return NULL;
    keys_bind(self);
    if (path) history_load(self, path);
    sigaction(SIGWINCH, &(struct sigaction){.sa_handler = on_resize}, NULL);
    return TAKE(self);
}

void edit_destroy(edit_t **self_p)
{
    edit_t *self = *self_p;
    if (!self) return;

    if (self->el) el_end(self->el);
    if (self->history) history_end(self->history);
    if (self->file) fclose(self->file);
    free(self->line);
    free(self);
    *self_p = NULL;
}

edit_event_t edit_line(edit_t *self, const char *prompt, const char **ret)
{
    int len = 0;

    self->prompt = prompt;
    self->stopped = false;
    const char *line = el_gets(self->el, &len);
    if (self->stopped) return EDIT_STOPPED;
    if (!line || len <= 0 || signal_caught()) return EDIT_END;
    free(self->line);
    self->line = strndup(line, (size_t)len);
    must(self->line);
    self->line[strcspn(self->line, "\r\n")] = 0;
    *ret = self->line;
    return EDIT_LINE;
}
