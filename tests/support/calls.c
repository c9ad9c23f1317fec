#include "tests/support/calls.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/base/must.h"

static void say_kref(FILE *out, const char *before, kref_t kref)
{
    char text[KREF_TEXT_MAX];
    fprintf(out, "%s%s", before, kref_text(kref, text));
}

static void say_capdata(FILE *out, const capdata_t *data)
{
    fprintf(out, " %.*s {", (int)data->body.len, (const char *)data->body.at);
    for (size_t i = 0; i < data->slots.count; i++) {
        say_kref(out, i ? " " : "", data->slots.at[i]);
    }
    fputc('}', out);
}

static void say_call(FILE *out, const msg_t *msg)
{
    const msg_body_t *body = &msg->body;

    fputs(message_find(msg->tag)->name, out);
    switch (msg->tag) {
    case TAG_send:
        say_kref(out, " ", body->send.target);
        say_capdata(out, &body->send.methargs);
        if (!kref_none(body->send.result)) say_kref(out, " ", body->send.result);
        break;
    case TAG_subscribe: say_kref(out, " ", body->subscribe.promise); break;
    case TAG_resolve:
        for (size_t i = 0; i < body->resolve.resolutions.count; i++) {
            const resolution_t *one = &body->resolve.resolutions.at[i];
            say_kref(out, i ? "; " : " ", one->promise);
            fputs(one->rejected ? " rejected" : " ok", out);
            say_capdata(out, &one->data);
        }
        break;
    case TAG_exit:
        fputs(body->exit.failure ? " failure" : " ok", out);
        say_capdata(out, &body->exit.info);
        break;
    default: /* the lists lie alike */
        for (size_t i = 0; i < body->drop_imports.refs.count; i++) {
            say_kref(out, " ", body->drop_imports.refs.at[i]);
        }
    }
    fputc('\n', out);
}

char *calls_text(bin_t calls)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    msg_t msg;

    must(out);
    while (calls.len > 0) {
        must(msg_next(&calls, &msg) == ERR_OK);
        say_call(out, &msg);
        msg_clear(&msg);
    }
    must(fclose(out) == 0);
    return text;
}
