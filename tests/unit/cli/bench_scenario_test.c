/* The scenarios without a broker: every combination of scenario, engine and caller gives a cluster file that is
 * valid, calls whose bodies the kernel takes, and a judge who knows a right answer from a wrong one. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench/scenario.h"
#include "cli/plan.h"
#include "wire/base/own.h"
#include "wire/smallcaps/smallcaps.h"

static fail_t f;

/* All that may be run: I counts up; false behind the last one. */
static bool combination(unsigned i, options_t *ret)
{
    const scenario_t *scenario = scenario_at(i / 8);

    if (!scenario) return false;
    *ret = (options_t){.scenario = scenario,
                       .null_engine = i & 1,
                       .direct = i & 2,
                       .steps = i & 4,
                       .pairs = 3,
                       .payload = 100,
                       .window = 4,
                       .concurrency = 1,
                       .serial = i & 4};
    return true;
}

static plan_t *plan_of(const options_t *options)
{
    char path[] = "/tmp/bench-scenario-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    json_t *json = scenario_cluster(options, "bench", "/driver.json", "/target.json");

    json_print(json, file);
    fclose(file);
    json_decref(json);
    plan_t *plan = plan_new(path, false, &f);
    unlink(path);
    return plan;
}

Test(scenario, every_one_is_a_valid_cluster)
{
    options_t options;
    unsigned settled = 0;

    for (unsigned i = 0; combination(i, &options); i++) {
        if (scenario_settle(&options, &f)) continue;
        AUTO(plan) plan = plan_of(&options);
        cr_assert(plan, "%s: %s %s", options.scenario->name, f.what, f.why);
        cr_expect_eq(plan->vat_count, scenario_drivers(&options) + scenario_targets(&options));
        cr_expect_eq(plan->vats[plan->bootstrap].window, 4);
        cr_expect_eq(plan->serial, options.serial);
        cr_expect(plan->services_given && !*plan->services, "no service is needed");
        settled++;
    }
    cr_expect_eq(settled, 56 - 12, "pipeline, churn and start cannot be called by the client");
}

Test(scenario, the_kernel_takes_every_call)
{
    const kref_t targets[16] = {{1}, {2},  {3},  {4},  {5},  {6},  {7},  {8},
                                {9}, {10}, {11}, {12}, {13}, {14}, {15}, {16}};
    options_t options;

    for (unsigned i = 0; combination(i, &options); i++) {
        if (scenario_settle(&options, &f) || options.scenario->id == SCENARIO_START) continue;
        size_t drivers = scenario_drivers(&options), all = scenario_targets(&options);
        lane_t lane = {.targets = {targets, drivers ? all / drivers : 0}};
        buf_t body = buf_of(CAPDATA_BYTES_MAX);
        bool slots = scenario_call(&options, &lane, UINT64_C(1) << 52, &body);
        capdata_t data = {{body.at, body.len}, slots ? lane.targets : (krefs_t){NULL, 0}};
        cr_expect_eq(smallcaps_check(&data, SHAPE_METHARGS), ERR_OK, "%s: %.*s",
                     options.scenario->name, (int)body.len, (const char *)body.at);
        cr_expect_eq(slots, options.null_engine && !options.direct);
        if (options.direct || options.scenario->id == SCENARIO_PAYLOAD)
            cr_expect_eq(body.len > 100, options.direct || options.null_engine,
                         "the payload is in it, or the driver's");
        buf_clear(&body);
    }
}

static bool answers(const options_t *options, uint64_t seq, const char *body)
{
    capdata_t data = {{(const uint8_t *)body, strlen(body)}, {NULL, 0}};
    return scenario_answer(options, seq, &data);
}

Test(scenario, wrong_answers_are_seen)
{
    options_t direct = {.scenario = scenario_find("ping"), .direct = true};
    cr_expect(answers(&direct, 7, "#7"));
    cr_expect(!answers(&direct, 7, "#8") && !answers(&direct, 7, "#77") &&
              !answers(&direct, 7, "#\"7\""));
    cr_expect(!answers(&direct, 7, "#") && !answers(&direct, 7, ""));

    options_t driven = {.scenario = scenario_find("churn"), .objects = 25};
    cr_expect(answers(&driven, 1, "#25") && !answers(&driven, 1, "#24") &&
              !answers(&driven, 1, "#\"#undefined\""));

    options_t null = {.scenario = scenario_find("ping"), .null_engine = true};
    cr_expect(answers(&null, 1, "#{\"answered\":5,\"rejected\":0,\"sent\":5}"));
    cr_expect(!answers(&null, 1, "#{\"answered\":4,\"rejected\":0,\"sent\":5}"));
    cr_expect(!answers(&null, 1, "#{\"answered\":5,\"rejected\":1,\"sent\":5}"));
    cr_expect(!answers(&null, 1, "#{}") && !answers(&null, 1, "#3") && !answers(&null, 1, ""));
}

Test(scenario, a_call_counts_for_what_it_carries)
{
    static const struct {
        const char *name;
        uint64_t units;
    } rows[] = {{"ping", 1},   {"send", 100},  {"pipeline", 10}, {"fanout", 16},
                {"churn", 10}, {"payload", 1}, {"start", 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        options_t options = {.scenario = scenario_find(rows[i].name), .concurrency = 1};
        cr_assert_eq(scenario_settle(&options, &f), ERR_OK);
        cr_expect_eq(scenario_units(&options), rows[i].units, "%s", rows[i].name);
    }
    options_t open = {.scenario = scenario_find("send"), .rate = 5};
    cr_assert_eq(scenario_settle(&open, &f), ERR_OK);
    cr_expect_eq(scenario_units(&open), 1, "one message for each time that is due");
    cr_expect_null(scenario_find("pong"));
}
