#include "cli/console.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void console_begin(console_t *self, const plan_t *plan, const char *folder)
{
    struct stat stat_;

    *self = (console_t){0};
    for (size_t i = 0; i < plan->channel_count; i++)
        self->wanted = self->wanted || strcmp(plan->channels[i].type, "console") == 0;
    snprintf(self->log, sizeof self->log, "%.1000s/broker.log", folder);
    if (stat(self->log, &stat_) == 0) self->from = (long)stat_.st_size;
}

static void line_show(const char *line, events_t *events)
{
    json_t *json = json_loads(line, 0, NULL);
    const char *type = json_string_value(json_object_get(json, "type"));
    const char *channel = json_string_value(json_object_get(json, "channel"));
    const char *text = json_string_value(json_object_get(json, "text"));

    if (type && channel && text && strcmp(type, "console") == 0) {
        const char *colon = strchr(channel, ':'); /* cluster:name */
        msg_event_t event = {.type = text_of("console"),
                             .name = text_of(colon ? colon + 1 : channel),
                             .text = text_of(text),
                             .time_us =
                                 (uint64_t)(json_real_value(json_object_get(json, "time")) * 1e6)};
        events_take(events, &event);
    }
    json_decref(json);
}

void console_show(console_t *self, events_t *events)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    if (!self->wanted) return;
    if (!self->file) self->file = fopen(self->log, "re");
    if (!self->file || fseek(self->file, self->from, SEEK_SET) != 0) return;
    while ((len = getline(&line, &room, self->file)) > 0) {
        if (line[len - 1] != '\n') break; /* the rest is being written */
        self->from += len;
        line_show(line, events);
    }
    free(line);
}

void console_end(console_t *self)
{
    if (self->file) fclose(self->file);
    *self = (console_t){0};
}
