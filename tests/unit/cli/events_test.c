/* Events as JSON Lines: fixed order, and ids that follow from the event alone. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/events.h"

static char *line_of(const msg_event_t *event)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    event_line(out, event, 7, event->data.body.len, ARGS_USUAL);
    fclose(out);
    return text;
}

Test(events, a_send_has_its_fields_in_order)
{
    const char *body = "#[\"gr\\\"eet\",[\"Bob\",\"+42\",{\"a\":\"$0\"}]]";
    kref_t slot = kref_object((vat_t){4}, 4);
    msg_event_t event = {.type = text_of("send"),
                         .time_us = 1767225601200000,
                         .msg = {{3}, 41, 2},
                         .parent_vat = 3,
                         .parent_d = 41,
                         .from = {3},
                         .vat = {3},
                         .target = kref_object((vat_t){1}, 0),
                         .method = text_of("greet"),
                         .promise = kref_promise((vat_t){3}, 9),
                         .data = {{(const uint8_t *)body, strlen(body)}, {&slot, 1}}};
    char *text = line_of(&event), *again = line_of(&event);

    cr_assert_str_eq(text, again);
    cr_assert_eq(strncmp(text,
                         "{\"time\":1767225601.200000,\"type\":\"send\",\"sev\":\"INFO\",\"svc\":"
                         "\"broker\",\"seq\":7,\"span_id\":\"",
                         80),
                 0, "%s", text);
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json, "%s", text);
    cr_assert_str_eq(json_string_value(json_object_get(json, "msg")), "v3/41#2");
    cr_assert_str_eq(json_string_value(json_object_get(json, "to")), "v1");
    cr_assert_str_eq(json_string_value(json_object_get(json, "args")),
                     "[\"Bob\", 42n, {a: <ko4.4>}]");
    cr_assert_str_eq(json_string_value(json_object_get(json, "result")), "kp3.9");
    cr_assert_eq(strlen(json_string_value(json_object_get(json, "span_id"))), 16);
    json_decref(json);
    free(text);
    free(again);
}

Test(events, a_delivery_is_the_child_of_its_message_and_the_parent_of_what_it_sends)
{
    msg_event_t send = {
        .type = text_of("send"), .msg = {{3}, 41, 2}, .parent_vat = 3, .parent_d = 41, .from = {3}};
    msg_event_t deliver = {.type = text_of("deliver"),
                           .kind = text_of("message"),
                           .msg = {{3}, 41, 2},
                           .vat = {1},
                           .d = 5};
    msg_event_t next = {
        .type = text_of("send"), .msg = {{1}, 5, 1}, .parent_vat = 1, .parent_d = 5, .from = {1}};
    char *texts[] = {line_of(&send), line_of(&deliver), line_of(&next)};
    json_t *json[3];

    for (int i = 0; i < 3; i++)
        cr_assert((json[i] = json_loads(texts[i], 0, NULL)), "%s", texts[i]);
    cr_assert(json_equal(json_object_get(json[0], "span_id"), json_object_get(json[1], "parent")));
    cr_assert(json_equal(json_object_get(json[1], "span_id"), json_object_get(json[2], "parent")));
    cr_assert_not(
        json_equal(json_object_get(json[0], "span_id"), json_object_get(json[2], "span_id")));
    for (int i = 0; i < 3; i++) json_decref(json[i]), free(texts[i]);
}

Test(events, what_a_vat_prints_cannot_drive_the_terminal)
{
    char *shown = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&shown, &len);
    events_t events = {.people = out};
    msg_event_t event = {
        .type = text_of("console"), .name = text_of("al"), .text = text_of("a\033[2J\nb\xc2\x9b")};

    events_take(&events, &event);
    fclose(out);
    cr_assert_str_eq(shown, "al | a?[2J\nal | b?\n");
    free(shown);
}

Test(events, an_upgrade_says_what_runs_or_why_it_does_not)
{
    char *shown = NULL;
    size_t len = 0;
    events_t events = {.people = open_memstream(&shown, &len)};
    msg_event_t event = {.type = text_of("vat-upgrade"),
                         .vat = {2},
                         .name = text_of("bob"),
                         .text = text_of("b1-0123456789abcdef0123")};

    events_take(&events, &event);
    event.text = text_of("the upgrade failed: Error: no\033");
    events_take(&events, &event);
    fclose(events.people);
    cr_assert_str_eq(shown, "vat v2 bob upgraded to b1-0123456789abcdef...\n"
                            "vat v2 bob: the upgrade failed: Error: no?\n");
    free(shown);

    char *text = line_of(&event);
    cr_assert(strstr(text, "\"type\":\"vat-upgrade\",\"sev\":\"WARN\""), "%s", text);
    free(text);
}

Test(events, a_delivery_without_a_message_names_its_kind)
{
    const char *const kinds[] = {"dropExports", "retireExports", "retireImports",
                                 "bringOutYourDead"};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *text = NULL, want[64];
        size_t len = 0;
        events_t events = {.people = open_memstream(&text, &len), .traffic = true};
        msg_event_t event = {.type = text_of("deliver"),
                             .vat = {3},
                             .name = text_of("bob"),
                             .d = 4,
                             .kind = text_of(kinds[i])};
        events_take(&events, &event);
        fclose(events.people);
        snprintf(want, sizeof want, "bob | <- %s  waited 0.00 ms\n", kinds[i]);
        cr_assert(strstr(text, want), "%s", text);
        free(text);

        text = line_of(&event);
        json_t *json = json_loads(text, 0, NULL);
        cr_assert_str_eq(json_string_value(json_object_get(json, "kind")), kinds[i]);
        cr_assert_null(json_object_get(json, "target"), "%s", text);
        cr_assert_null(json_object_get(json, "result"), "%s", text);
        json_decref(json);
        free(text);
    }
}

/* ---- which are asked for ---- */

static void take(events_t *events, const char *type, uint32_t from, uint32_t vat, uint64_t d,
                 uint64_t answer)
{
    msg_event_t event = {.type = text_of(type),
                         .kind = text_of("message"),
                         .from = {from},
                         .vat = {vat},
                         .d = d,
                         .time_us = 1000,
                         .method =
                             text_of(strcmp(type, "done") && strcmp(type, "resolve") ? "ask" : ""),
                         .target = kref_root((vat_t){vat}),
                         .promise = kref_promise((vat_t){from}, answer),
                         .msg = {{from}, d, 1}};
    if (strcmp(type, "send") == 0) event.vat.n = from;
    if (strcmp(type, "done") == 0) event.promise.n = 0;
    events_take(events, &event);
}

/* Two messages to bank, of alice (v1) and of bob (v2), that are under way at the same time. */
static size_t lines_of(events_t events)
{
    char *text = NULL;
    size_t len = 0, lines = 0;

    events.lines = open_memstream(&text, &len);
    for (uint32_t from = 1; from <= 2; from++) take(&events, "send", from, 3, from, 5);
    for (uint32_t from = 1; from <= 2; from++) take(&events, "deliver", from, 3, from, 5);
    for (uint32_t from = 1; from <= 2; from++) take(&events, "resolve", from, 3, from, 5);
    for (uint32_t from = 1; from <= 2; from++) take(&events, "done", from, 3, from, 5);
    msg_event_t other = {
        .type = text_of("console"), .time_us = 2000, .vat = {3}, .kind = text_of("log vat")};
    events_take(&events, &other);
    other.type = text_of("vat-exit");
    events_take(&events, &other);
    fclose(events.lines);
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    free(text);
    return lines;
}

Test(events, a_message_that_is_asked_for_brings_what_follows_it)
{
    cr_expect_eq(lines_of((events_t){0}), 10);
    cr_expect_eq(lines_of((events_t){.from = "alice", .from_vat = {1}}), 4);
    cr_expect_eq(lines_of((events_t){.from = "cli"}), 0);
    cr_expect_eq(lines_of((events_t){.to = "bank", .to_vat = {3}}), 8);
    cr_expect_eq(lines_of((events_t){.to = "alice", .to_vat = {1}}), 0);
    cr_expect_eq(lines_of((events_t){.method = "ask"}), 8);
    cr_expect_eq(lines_of((events_t){.method = "as"}), 0);
    cr_expect_eq(lines_of((events_t){.promise = kref_promise((vat_t){2}, 5)}), 4);
    cr_expect_eq(lines_of((events_t){
                     .from = "bob", .from_vat = {2}, .method = "ask", .to = "bank", .to_vat = {3}}),
                 4);
    cr_expect_eq(lines_of((events_t){.since_us = 1500}), 2);
    cr_expect_eq(lines_of((events_t){.life = true}), 1);
    const char *const types[] = {"vat-start", "host-up"};
    cr_expect_eq(lines_of((events_t){.life = true, .types = types, .type_count = 2}), 0);
}

Test(events, arguments_are_shown_as_far_as_was_asked_for)
{
    char body[3 * 1024] = "#[\"ask\",[\"";
    size_t head = strlen(body);
    for (size_t i = 0; i < 600; i++) memcpy(body + head + 2 * i, "\xc3\xa4", 2);
    strcat(body, "\"]]");
    static const struct {
        args_shown_t args;
        size_t bytes;
    } rows[] = {{ARGS_FULL, 1204}, {ARGS_SHORT, 200}, {ARGS_USUAL, 1000}};
    msg_event_t event = {.type = text_of("send"),
                         .method = text_of("ask"),
                         .msg = {{1}, 1, 1},
                         .data = {{(const uint8_t *)body, strlen(body)}, {0}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        event_line(out, &event, 1, strlen(body), rows[i].args);
        fclose(out);
        json_t *json = json_loads(text, 0, NULL); /* which takes UTF-8 only: no character is cut */
        cr_assert(json, "%s", text);
        cr_expect_eq(json_string_length(json_object_get(json, "args")), rows[i].bytes);
        json_decref(json);
        free(text);
    }
    char *line = line_of(&event);
    cr_expect(strstr(line, "\"args\""));
    free(line);
}
