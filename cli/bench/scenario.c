#include "cli/bench/scenario.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/must.h"

/* clang-format off */
static const scenario_t scenarios[] = {
    {SCENARIO_PING, "ping", "round trips", "A calls B, B answers: the base line"},
    {SCENARIO_SEND, "send", "messages", "one way, nobody answers: how fast messages are routed"},
    {SCENARIO_PIPELINE, "pipeline", "messages", "a chain of messages, each to the result of the one before"},
    {SCENARIO_FANOUT, "fanout", "round trips", "one sender, many receivers"},
    {SCENARIO_CHURN, "churn", "objects", "objects made, passed on and let go of; nothing may be left"},
    {SCENARIO_PAYLOAD, "payload", "round trips", "large messages"},
    {SCENARIO_START, "start", "vats", "clusters launched and removed: how fast vats start"},
};
/* clang-format on */

const scenario_t *scenario_at(size_t i)
{
    return i < sizeof scenarios / sizeof *scenarios ? &scenarios[i] : NULL;
}

const scenario_t *scenario_find(const char *name)
{
    for (size_t i = 0; scenario_at(i); i++) {
        if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
    }
    return NULL;
}

static void otherwise(uint64_t *value, uint64_t usual)
{
    if (!*value) *value = usual;
}

/* What a drive of the null engine takes (vathost/native/README.md). */
enum { NULL_WINDOW_MAX = 4096, NULL_DEPTH_MAX = 512 };

static uint64_t null_window(uint64_t wanted)
{
    return wanted < NULL_WINDOW_MAX ? wanted : NULL_WINDOW_MAX;
}

static err_t refuse(const options_t *options, const char *flag, const char *why, fail_t *f)
{
    fail(f, ERR_BAD_VALUE, "bench %s takes no %s", options->scenario->name, flag);
    fail_why(f, "%s", why);
    return ERR_BAD_VALUE;
}

err_t scenario_settle(options_t *options, fail_t *f)
{
    scenario_id_t id = options->scenario->id;

    otherwise(&options->pairs, 1);
    otherwise(&options->vats, id == SCENARIO_START ? 10 : 16);
    otherwise(&options->depth, 10);
    otherwise(&options->objects, 10);
    otherwise(&options->rounds,
              id == SCENARIO_SEND && !options->rate && !options->direct ? 100 : 1);
    if (id == SCENARIO_PAYLOAD) otherwise(&options->payload, 64 * 1024);

    if (options->direct &&
        (id == SCENARIO_PIPELINE || id == SCENARIO_CHURN || id == SCENARIO_START))
        return refuse(options, "--from client", "its messages are such as only vats send", f);
    if (options->direct && options->rounds > 1)
        return refuse(options, "--rounds with --from client", "a call is one message then", f);
    if (options->null_engine && id == SCENARIO_PIPELINE && !options->steps &&
        options->depth > NULL_DEPTH_MAX)
        return refuse(options, "--depth above 512 with --engine null", "its chains are no longer",
                      f);
    if (id == SCENARIO_START && (options->rate || options->concurrency > 1)) {
        return refuse(options, options->rate ? "--rate" : "--concurrency",
                      "one cluster is launched after the other", f);
    }
    return ERR_OK;
}

size_t scenario_drivers(const options_t *options)
{
    if (options->direct || options->scenario->id == SCENARIO_START) return 0;
    return options->scenario->id == SCENARIO_FANOUT ? 1 : options->pairs;
}

size_t scenario_targets(const options_t *options)
{
    bool many = options->scenario->id == SCENARIO_FANOUT || options->scenario->id == SCENARIO_START;

    return many ? options->vats : options->pairs;
}

uint64_t scenario_units(const options_t *options)
{
    switch (options->scenario->id) {
    case SCENARIO_PIPELINE: return options->depth;
    case SCENARIO_FANOUT: return options->direct ? 1 : options->vats;
    case SCENARIO_CHURN: return options->objects;
    case SCENARIO_START: return options->vats;
    default: return options->rounds;
    }
}

/* ---- the cluster ---- */

static json_t *vat_json(const options_t *options, const char *bundle, bool driver)
{
    json_t *vat = options->null_engine ? json_pack("{s:s}", "nativeSpec", "null")
                                       : json_pack("{s:s}", "bundleSpec", bundle);

    if (driver && !options->null_engine) {
        json_object_set_new(vat, "parameters",
                            json_pack("{s:I}", "payload", (json_int_t)options->payload));
    }
    return vat;
}

json_t *scenario_cluster(const options_t *options, const char *name, const char *driver,
                         const char *target)
{
    json_t *vats = json_object();
    size_t drivers = scenario_drivers(options), targets = scenario_targets(options);
    char key[32];

    for (size_t i = 0; i < drivers; i++) {
        snprintf(key, sizeof key, "a%zu", i);
        json_object_set_new(vats, key, vat_json(options, driver, true));
    }
    for (size_t i = 0; i < targets; i++) {
        snprintf(key, sizeof key, "b%zu", i);
        json_object_set_new(vats, key, vat_json(options, target, false));
    }
    json_t *deploy = json_object();
    if (options->window)
        json_object_set_new(deploy, "window", json_integer((json_int_t)options->window));
    if (options->serial) json_object_set_new(deploy, "serial", json_true());
    return json_pack("{s:s, s:s, s:[], s:o, s:o}", "name", name, "bootstrap", drivers ? "a0" : "b0",
                     "services", "vats", vats, "deploy", deploy);
}

/* ---- calls ---- */

static void add(buf_t *out, const char *format, ...) LIKE_PRINTF(2);
static void add(buf_t *out, const char *format, ...)
{
    va_list list;

    va_start(list, format);
    must(!buf_print_list(out, format, list));
    va_end(list);
}

static void add_payload(const options_t *options, buf_t *out)
{
    static const char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

    add(out, "\"");
    for (uint64_t left = options->payload; left;) {
        uint64_t part = left < sizeof text - 1 ? left : sizeof text - 1;
        must(!buf_add(out, text, part));
        left -= part;
    }
    add(out, "\"");
}

static void call_direct(const options_t *options, uint64_t seq, buf_t *out)
{
    add(out, "#[\"%s\",[%" PRIu64, options->scenario->id == SCENARIO_SEND ? "hit" : "ping", seq);
    if (options->payload) {
        add(out, ",");
        add_payload(options, out);
    }
    add(out, "]]");
}

static void call_driver(const options_t *options, uint64_t seq, buf_t *out)
{
    switch (options->scenario->id) {
    case SCENARIO_PING:
    case SCENARIO_PAYLOAD:
        add(out, "#[\"ping\",[%" PRIu64 ",%" PRIu64 "]]", seq, options->rounds);
        return;
    case SCENARIO_SEND:
        add(out, "#[\"send\",[%" PRIu64 ",%" PRIu64 "]]", seq, options->rounds);
        return;
    case SCENARIO_PIPELINE:
        add(out, "#[\"pipeline\",[%" PRIu64 ",%" PRIu64 ",%s]]", seq, options->depth,
            options->steps ? "true" : "false");
        return;
    case SCENARIO_FANOUT: add(out, "#[\"fanout\",[%" PRIu64 "]]", seq); return;
    case SCENARIO_CHURN:
        add(out, "#[\"churn\",[%" PRIu64 ",%" PRIu64 "]]", seq, options->objects);
        return;
    case SCENARIO_START: break;
    }
    must(false);
}

/* The null engine's drivers are told with each call whom to send to. */
static void call_null(const options_t *options, const lane_t *lane, buf_t *out)
{
    switch (options->scenario->id) {
    case SCENARIO_PING: add(out, "#[\"round\",[\"$0\",%" PRIu64 "]]", options->rounds); return;
    case SCENARIO_PAYLOAD:
        add(out, "#[\"drive\",[\"$0\",\"ping\",[");
        add_payload(options, out);
        add(out, "],%" PRIu64 ",1]]", options->rounds);
        return;
    case SCENARIO_SEND: add(out, "#[\"flood\",[\"$0\",%" PRIu64 "]]", options->rounds); return;
    case SCENARIO_PIPELINE:
        add(out, "#[\"pipeline\",[\"$0\",%" PRIu64 ",%" PRIu64 "]]",
            options->steps ? 1 : options->depth, options->steps ? options->depth : 1);
        return;
    case SCENARIO_FANOUT:
        add(out, "#[\"drive\",[[");
        for (size_t i = 0; i < lane->targets.count; i++) add(out, "%s\"$%zu\"", i ? "," : "", i);
        add(out, "],\"ping\",[],%zu,%" PRIu64 "]]", lane->targets.count,
            null_window(lane->targets.count));
        return;
    case SCENARIO_CHURN:
        add(out, "#[\"churn\",[\"$0\",%" PRIu64 ",%" PRIu64 "]]", options->objects,
            null_window(options->objects));
        return;
    case SCENARIO_START: break;
    }
    must(false);
}

bool scenario_call(const options_t *options, const lane_t *lane, uint64_t seq, buf_t *out)
{
    bool slots = options->null_engine && !options->direct;

    if (options->direct)
        call_direct(options, seq, out);
    else if (slots)
        call_null(options, lane, out);
    else
        call_driver(options, seq, out);
    return slots;
}

static bool value_is_number(const capdata_t *value, uint64_t number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "#%" PRIu64, number);

    return value->body.len == (size_t)len && memcmp(value->body.at, text, (size_t)len) == 0;
}

/* A member of a record of numbers, as vats report what they counted. Of anything else, UINT64_MAX. */
static uint64_t member(const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : UINT64_MAX;
}

static json_t *record_of(const capdata_t *value)
{
    if (!value->body.len) return NULL;
    return json_loadb((const char *)value->body.at + 1, value->body.len - 1, JSON_DECODE_ANY, NULL);
}

bool scenario_answer(const options_t *options, uint64_t seq, const capdata_t *value)
{
    if (options->direct)
        return options->scenario->id == SCENARIO_SEND || value_is_number(value, seq);
    if (!options->null_engine) return value_is_number(value, scenario_units(options));

    json_t *record = record_of(value);
    bool all =
        member(record, "rejected") == 0 && member(record, "sent") == member(record, "answered");
    json_decref(record);
    return all;
}

/* ---- what must be true at the end ---- */

static err_t ask(link_t *link, kref_t vat, const char *method, json_t **ret, fail_t *f)
{
    char body[64];
    int len = snprintf(body, sizeof body, "#[\"%s\",[]]", method);
    msg_call_t call = {request_id(), vat, {{(const uint8_t *)body, (size_t)len}, {NULL, 0}}, 0};
    const msg_t *msg;
    err_t err = link_ask(link, TAG_call, &call, TAG_sent, ANSWER_MS, &msg, f);
    if (err) return err;
    msg_await_t await = {request_id(), msg->body.sent.result};
    err = link_ask(link, TAG_await, &await, TAG_settled, ANSWER_MS, &msg, f);
    if (!err) *ret = record_of(&msg->body.settled.value);
    return err;
}

typedef struct {
    uint64_t calls, sent, came, wrong;
} tally_t;

static err_t tally_drivers(link_t *link, const lane_t *lanes, size_t count, tally_t *tally,
                           fail_t *f)
{
    err_t err = ERR_OK;

    for (size_t i = 0; i < count && !err; i++) {
        json_t *record = NULL;
        err = ask(link, lanes[i].root, "report", &record, f);
        tally->calls += member(record, "calls");
        tally->sent += member(record, "sent");
        tally->wrong += member(record, "wrong");
        json_decref(record);
    }
    return err;
}

static err_t tally_targets(const options_t *options, link_t *link, krefs_t targets, tally_t *tally,
                           fail_t *f)
{
    err_t err = ERR_OK;

    for (size_t i = 0; i < targets.count && !err; i++) {
        json_t *record = NULL;
        err = ask(link, targets.at[i], options->null_engine ? "count" : "report", &record, f);
        tally->came +=
            options->null_engine ? (uint64_t)json_integer_value(record) : member(record, "came");
        tally->wrong += options->null_engine ? 0 : member(record, "wrong");
        json_decref(record);
    }
    return err;
}

static void compare(result_t *result, const char *what, uint64_t sent, uint64_t came)
{
    char a[GROUPED_MAX], b[GROUPED_MAX];

    result_check(result, what, sent == came, "%s sent, %s came", grouped(sent, a),
                 grouped(came, b));
}

err_t scenario_check(const options_t *options, link_t *link, const lane_t *lanes, size_t count,
                     krefs_t targets, result_t *result, fail_t *f)
{
    bool drivers = scenario_drivers(options) != 0, null = options->null_engine;
    bool fanout = options->scenario->id == SCENARIO_FANOUT;
    tally_t tally = {0};
    uint64_t calls = 0;
    err_t err = ERR_OK;

    for (size_t i = 0; i < count; i++) calls += lanes[i].calls;
    if (drivers && !null) err = tally_drivers(link, lanes, count, &tally, f);
    if (!err) err = tally_targets(options, link, targets, &tally, f);
    if (err == ERR_REF_UNKNOWN) {
        /* What it was that ended it is in the errors of the calls, and in the events. */
        result_check(result, "vats", false, "one of them has ended: vatctl events --type vat-exit");
        return ERR_OK;
    }
    if (err) return err;

    if (null) {
        /* The null engine counts one-way messages; of the others each answer says that it came. */
        if (options->scenario->id == SCENARIO_SEND)
            compare(result, "messages", calls * scenario_units(options), tally.came);
        return ERR_OK;
    }
    if (drivers) compare(result, "calls", calls, tally.calls);
    compare(result, "messages",
            drivers ? (fanout ? tally.sent * targets.count : tally.sent) : calls, tally.came);
    result_check(result, "order", tally.wrong == 0, "%" PRIu64 " out of order, doubled or wrong",
                 tally.wrong);
    return ERR_OK;
}
