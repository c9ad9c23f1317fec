/* Cluster files, from real files: the corpus, and small ones written here. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/bundle.h"
#include "wire/base/own.h"

static fail_t f;

static plan_t *plan_from(const char *text)
{
    char path[] = "/tmp/plan-XXXXXX";
    int fd = mkstemp(path);

    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    plan_t *plan = plan_new(path, false, &f);
    unlink(path);
    return plan;
}

static void refused(const char *text, err_t err, const char *pointer)
{
    cr_assert_null(plan_from(text), "%s", text);
    cr_assert_eq(f.err, err, "%s: E%d %s (%s)", text, f.err, f.what, f.why);
    cr_assert_str_eq(f.pointer, pointer);
    cr_assert_gt(f.line, 0);
}

Test(plan, a_misspelt_key_is_found_and_helped)
{
    cr_assert_null(plan_new(CORPUS "/invalid/misspelt.json", false, &f));
    cr_assert_eq(f.err, ERR_KEY_UNKNOWN);
    cr_assert_str_eq(f.what, "\"paramaters\": did you mean \"parameters\"?");
    cr_assert_str_eq(f.pointer, "/vats/a/paramaters");
    cr_assert(f.line == 1 && f.column == 54, "%u:%u", f.line, f.column);
}

Test(plan, what_the_form_forbids)
{
    refused("{\"vats\":{\"a\":{\"bundleSpec\":\"x\"}}}", ERR_KEY_MISSING, "");
    refused("{\"bootstrap\":\"a\",\"vats\":{}}", ERR_KEY_MISSING, "/vats");
    refused("{\"bootstrap\":1,\"vats\":{\"a\":{\"bundleSpec\":\"x\"}}}", ERR_VALUE_TYPE,
            "/bootstrap");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{}}}", ERR_CODE_SOURCES, "/vats/a");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\",\"sourceSpec\":\"y\"}}}",
            ERR_CODE_SOURCES, "/vats/a");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\",\"count\":0}}}",
            ERR_VALUE_TYPE, "/vats/a/count");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\"}},\"deploy\":{\"limits\":{"
            "\"heap\":\"1MiB\"}}}",
            ERR_VALUE_TYPE, "/deploy/limits/heap");
}

#define VAT "{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\""

Test(plan, known_keys_that_are_not_honoured_are_errors)
{
    refused(VAT "}},\"deploy\":{\"persistence\":{\"transcript\":false}}}", ERR_NOT_SUPPORTED,
            "/deploy/persistence/transcript");
    refused(VAT ",\"platformConfig\":{}}}}", ERR_NOT_SUPPORTED, "/vats/a/platformConfig");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"nativeSpec\":\"x\"}}}", ERR_NOT_SUPPORTED,
            "/vats/a/nativeSpec");
    refused(
        "{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"nativeSpec\":\"null\",\"globals\":[\"Date\"]}}}",
        ERR_NOT_SUPPORTED, "/vats/a/globals");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"nativeSpec\":\"null\","
            "\"creationOptions\":{\"managerType\":\"xs-worker\"}}}}",
            ERR_NOT_SUPPORTED, "/vats/a/creationOptions/managerType");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"nativeSpec\":\"null\",\"bundleSpec\":\"x\"}}}",
            ERR_CODE_SOURCES, "/vats/a");
    refused(VAT ",\"creationOptions\":{\"managerType\":\"native\"}}}}", ERR_NOT_SUPPORTED,
            "/vats/a/creationOptions/managerType");
    refused(VAT ",\"deploy\":{\"placement\":{\"labels\":{}}}}}}", ERR_NOT_SUPPORTED,
            "/vats/a/deploy/placement/labels");
    refused(VAT "}},\"deploy\":{\"placement\":{\"prefer\":\"pack\"}}}", ERR_NOT_SUPPORTED,
            "/deploy/placement/prefer");
    refused(VAT "}},\"deploy\":{\"restart\":{\"policy\":\"never\"}}}", ERR_NOT_SUPPORTED,
            "/deploy/restart/policy");
    refused(VAT "}},\"deploy\":{\"vats\":{\"a\":{\"persistence\":{\"mode\":\"ephemeral\"}}}}}",
            ERR_NOT_SUPPORTED, "/deploy/vats/a/persistence/mode");
    refused(VAT "}},\"deploy\":{\"limits\":{\"queue\":3}}}", ERR_NOT_SUPPORTED,
            "/deploy/limits/queue");
    refused(VAT "}},\"bundles\":{\"b\":{\"nativeSpec\":\"x\"}}}", ERR_NOT_SUPPORTED,
            "/bundles/b/nativeSpec");
}

Test(plan, a_native_vat_has_a_bundle_that_names_its_engine)
{
    AUTO(plan)
    plan =
        plan_from("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"nativeSpec\":\"null\","
                  "\"creationOptions\":{\"managerType\":\"native\"}},"
                  "\"b\":{\"bundleName\":\"n\"}},\"bundles\":{\"n\":{\"nativeSpec\":\"null\"}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);
    bundle_t bundle;
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(plan->vats[i].code.kind, CODE_NATIVE);
        cr_assert_eq(bundle_load(plan, "vat", &plan->vats[i].code, &bundle, &f), ERR_OK);
        static const char text[] = "{\"moduleFormat\":\"native\",\"engine\":\"null\"}";
        cr_assert(bundle.len == strlen(text) && memcmp(bundle.data, text, bundle.len) == 0);
        cr_assert_not(bundle.ocap_kernel);
        bundle_clear(&bundle);
    }
}

Test(plan, what_is_kept_of_vats_and_when)
{
    AUTO(plan)
    plan = plan_from(
        "{\"bootstrap\":\"a\",\"snapshotInterval\":7,\"vats\":{\"a\":{\"bundleSpec\":\"x\"},"
        "\"b\":{\"bundleSpec\":\"x\",\"deploy\":{\"persistence\":{\"snapshotEvery\":\"never\","
        "\"sleepAfter\":\"never\",\"onPoison\":\"terminate\"}}}},"
        "\"deploy\":{\"persistence\":{\"snapshotBytes\":\"2Mi\",\"snapshotAfter\":\"1.5s\","
        "\"sleepAfter\":\"1m30s\",\"mirror\":true,\"onPoison\":\"reject\"}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);
    const cluster_vat_t *a = &plan->vats[0], *b = &plan->vats[1];
    cr_assert_eq(a->every_rows, 7);
    cr_assert_eq(a->every_bytes, 2 * 1024 * 1024);
    cr_assert_eq(a->idle_ms, 1500);
    cr_assert_eq(a->sleep_ms, 90000);
    cr_assert(a->mirror && a->poison == 2);
    cr_assert(b->every_rows == REAP_NEVER && b->every_bytes == REAP_NEVER);
    cr_assert(b->idle_ms == REAP_NEVER && b->sleep_ms == 0);
    cr_assert(b->mirror && b->poison == 1);
}

Test(plan, names_must_be_defined)
{
    refused("{\"bootstrap\":\"b\",\"vats\":{\"a\":{\"bundleSpec\":\"x\"}}}", ERR_REFERENCE,
            "/bootstrap");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleName\":\"x\"}}}", ERR_REFERENCE,
            "/vats/a/bundleName");
    refused(VAT "}},\"deploy\":{\"vats\":{\"b\":{}}}}", ERR_REFERENCE, "/deploy/vats/b");
    refused("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\"},\"w\":{\"bundleSpec\":"
            "\"x\",\"count\":2},"
            "\"w1\":{\"bundleSpec\":\"x\"}}}",
            ERR_REFERENCE, "/vats/w1");
}

Test(plan, copies_parameters_and_limits)
{
    AUTO(plan)
    plan = plan_from(
        "{\"bootstrap\":\"w1\",\"name\":\"n\",\"forceReset\":true,\"vats\":{"
        "\"a\":{\"sourceSpec\":\"a.js\",\"creationOptions\":{\"critical\":true,\"reapInterval\":3},"
        "\"parameters\":{\"z\":\"#x\",\"#b\":[1.50,null,true,\"-\"],\"10\":1,\"9\":-0}},"
        "\"w\":{\"bundleName\":\"b\",\"count\":2,\"parameters\":{\"k\":1},\"deploy\":{\"limits\":{"
        "\"heap\":\"1Mi\"}}}},"
        "\"bundles\":{\"b\":{\"bundleSpec\":\"w.json\"}},"
        "\"deploy\":{\"hosts\":{\"min\":2,\"wait\":\"5s\"},\"placement\":{\"host\":\"h9\"},"
        "\"limits\":{\"wallPerDelivery\":\"1.5s\",\"computronsPerDelivery\":7,\"heap\":\"2k\"},"
        "\"vats\":{\"w\":{\"placement\":{\"host\":\"h2\"}}}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);

    cr_assert_eq(plan->vat_count, 3);
    cr_assert_eq(plan->bootstrap, 2);
    cr_assert_str_eq(plan->name, "n");
    cr_assert_eq(plan->hosts_min, 2);
    cr_assert_eq(plan->hosts_wait_ms, 5000);
    cr_assert_eq(plan->warning_count, 1, "forceReset");
    const cluster_vat_t *a = &plan->vats[0], *w = &plan->vats[2];
    const char *body = "#{\"9\":0,\"10\":1,\"!#b\":[1.5,null,true,\"!-\"],\"z\":\"!#x\"}";
    cr_assert(a->parameters.len == strlen(body) &&
                  memcmp(a->parameters.at, body, strlen(body)) == 0,
              "%.*s", (int)a->parameters.len, (const char *)a->parameters.at);
    cr_assert(a->critical && !w->critical);
    cr_assert_eq(a->heap_bytes, 2000);
    cr_assert_eq(a->wall_ms, 1500);
    cr_assert_eq(a->computrons, 7);
    cr_assert(a->reap_deliveries == 3 && w->reap_deliveries == 0);
    cr_assert(a->window == 0 && !plan->serial, "the broker's default");
    cr_assert_str_eq(a->host, "h9");
    cr_assert_str_eq(w->name, "w1");
    cr_assert_eq(w->heap_bytes, 1 << 20);
    cr_assert_str_eq(w->host, "h2");
    cr_assert_str_eq(w->code.spec, "w.json");
    cr_assert_eq(w->code.kind, CODE_BUNDLE);
    cr_assert_str_eq(w->code.pointer, "/bundles/b/bundleSpec");
    body = "#{\"index\":1,\"k\":1}";
    cr_assert(w->parameters.len == strlen(body) &&
              memcmp(w->parameters.at, body, strlen(body)) == 0);
}

Test(plan, services_are_the_kernels_to_judge)
{
    AUTO(plan)
    plan = plan_from(VAT "}},\"services\":[\"timer\",\"log\",\"kernelFacet\",\"oracle\"],"
                         "\"io\":{\"log\":{\"type\":\"console\"}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);
    cr_assert(plan->services_given);
    cr_assert_str_eq(plan->services, "timer kernelFacet oracle", "a channel is no service");
    cr_assert_eq(plan->warning_count, 1);
    cr_assert_str_eq(plan->warnings[0], "no registered kernel service 'oracle'");

    AUTO(plan) none = plan_from(VAT "}}}");
    AUTO(plan) empty = plan_from(VAT "}},\"services\":[]}");
    cr_assert(!none->services_given && empty->services_given && !*empty->services);
    refused(VAT "}},\"services\":[\"timer\",\"a b\"]}", ERR_SERVICE_UNKNOWN, "/services/1");
    cr_assert_str_eq(f.what, "no registered kernel service 'a b'");
    refused(VAT "}},\"services\":[\"\"]}", ERR_SERVICE_UNKNOWN, "/services/0");
}

Test(plan, globals_and_hosts_of_a_vat)
{
    AUTO(plan)
    plan = plan_from("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\",\"count\":2,"
                     "\"globals\":[\"Date\",\"setTimeout\"]},\"a\":{\"bundleSpec\":\"x\"}}}");
    cr_assert_null(plan, "a key is there twice");
    plan = plan_from("{\"bootstrap\":\"w0\",\"vats\":{\"w\":{\"bundleSpec\":\"x\",\"count\":2,"
                     "\"globals\":[\"Date\",\"setTimeout\"]},\"b\":{\"bundleSpec\":\"x\","
                     "\"globals\":[\"fetch\"],\"network\":{\"allowedHosts\":[\"a.example\","
                     "\"b.example\"]}},\"c\":{\"bundleSpec\":\"x\",\"globals\":[\"fetch\"],"
                     "\"network\":{\"allowedHosts\":[]}}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);
    cr_assert_str_eq(plan->vats[0].globals, "Date setTimeout");
    cr_assert_str_eq(plan->vats[1].globals, "Date setTimeout");
    cr_assert_str_eq(plan->vats[1].hosts, "");
    cr_assert_str_eq(plan->vats[2].globals, "fetch");
    cr_assert_str_eq(plan->vats[2].hosts, "a.example b.example");
    cr_assert_str_eq(plan->vats[3].hosts, " ", "a list that has none is a list");

    refused(VAT ",\"globals\":[\"URL\",\"Dat\"]}}}", ERR_GLOBAL_UNKNOWN, "/vats/a/globals/1");
    cr_assert_str_eq(f.what, "Vat \"a\" requested unknown global \"Dat\"");
    cr_assert_str_eq(f.tries[0], "\"Date\"");
    refused(VAT ",\"globals\":[\"\"]}}}", ERR_GLOBAL_UNKNOWN, "/vats/a/globals/0");
    refused(VAT ",\"globals\":[\"Date\",\"fetch\"]}}}", ERR_FETCH_HOSTS, "/vats/a/globals/1");
    cr_assert_str_eq(f.what,
                     "Vat \"a\" requested \"fetch\" but no network.allowedHosts was specified");
    refused(VAT ",\"network\":{\"allowedHosts\":[\"a\",\"b c\"]}}}}", ERR_VALUE_TYPE,
            "/vats/a/network/allowedHosts/1");
}

Test(plan, bundles_have_names_for_vats)
{
    AUTO(plan)
    plan =
        plan_from(VAT "},\"b\":{\"bundleName\":\"two\"}},\"bundles\":{"
                      "\"one\":{\"sourceSpec\":\"one.js\"},\"two\":{\"bundleSpec\":\"2.json\"}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);
    cr_assert_eq(plan->bundle_count, 2);
    cr_assert_str_eq(plan->bundles[0].name, "one");
    cr_assert_eq(plan->bundles[0].code.kind, CODE_SOURCE);
    cr_assert_str_eq(plan->bundles[0].code.spec, "one.js");
    cr_assert_str_eq(plan->bundles[1].code.pointer, "/bundles/two/bundleSpec");
    cr_assert_str_eq(plan->vats[1].code.spec, "2.json");
    refused(VAT "}},\"bundles\":{\"\":{\"sourceSpec\":\"x\"}}}", ERR_VALUE_TYPE, "/bundles/");
}

Test(plan, channels)
{
    AUTO(plan)
    plan = plan_from(VAT "}},\"io\":{\"c\":{\"type\":\"console\"},"
                         "\"s\":{\"type\":\"socket\",\"path\":\"a/s\",\"direction\":\"in\"},"
                         "\"f\":{\"type\":\"file\",\"path\":\"/x\",\"direction\":\"out\","
                         "\"unit\":\"bytes\"},"
                         "\"l\":{\"type\":\"listen\",\"hostport\":\":0\",\"unit\":\"chars\"},"
                         "\"n\":{\"type\":\"network\",\"hostport\":\"[::1]:80\","
                         "\"direction\":\"inout\",\"unit\":\"string\"}}}");
    cr_assert(plan, "%s: %s (%s)", f.what, f.pointer, f.why);
    static const struct {
        const char *name, *type, *place;
        uint64_t direction, unit;
    } rows[] = {{"c", "console", "", 3, 0},
                {"s", "socket", "/tmp/a/s", 1, 0},
                {"f", "file", "/x", 2, 3},
                {"l", "listen", ":0", 3, 2},
                {"n", "network", "[::1]:80", 3, 1}};
    cr_assert_eq(plan->channel_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const cluster_channel_t *channel = &plan->channels[i];
        cr_assert_str_eq(channel->name, rows[i].name);
        cr_assert_str_eq(channel->type, rows[i].type);
        cr_assert_str_eq(channel->place, rows[i].place);
        cr_assert(channel->direction == rows[i].direction && channel->unit == rows[i].unit, "%s",
                  channel->name);
    }
}

Test(plan, channels_that_cannot_be)
{
    static const char *const hostports[] = {"", "x", "x:", "x:70000", "a:b:1", "x:1y", "a b:1"};
    char text[1024], path[201];

    for (size_t i = 0; i < sizeof hostports / sizeof *hostports; i++) {
        snprintf(text, sizeof text,
                 VAT "}},\"io\":{\"c/d\":{\"type\":\"listen\",\"hostport\":\"%s\"}}}",
                 hostports[i]);
        refused(text, ERR_VALUE_TYPE, "/io/c~1d/hostport");
    }
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    snprintf(text, sizeof text, VAT "}},\"io\":{\"s\":{\"type\":\"socket\",\"path\":\"%s\"}}}",
             path);
    refused(text, ERR_VALUE_TYPE, "/io/s/path");
    cr_assert(strstr(f.why, "107"), "%s", f.why);
    refused(VAT "}},\"io\":{\"s\":{\"type\":\"file\",\"path\":\"\"}}}", ERR_VALUE_TYPE,
            "/io/s/path");
    refused(VAT "}},\"io\":{\"\":{\"type\":\"console\"}}}", ERR_VALUE_TYPE, "/io/");
}

Test(plan, when_vats_are_reaped)
{
    static const struct {
        const char *options;
        uint64_t deliveries, krefs;
    } rows[] = {
        {"{}", 7, REAP_NEVER},
        {"{\"reapInterval\":1,\"reapGCKrefs\":2}", 1, 2},
        {"{\"reapInterval\":\"never\",\"reapGCKrefs\":1e15}", REAP_NEVER, REAP_NEVER},
        {"{\"neverReap\":true,\"reapInterval\":1}", REAP_NEVER, REAP_NEVER},
        {"{\"neverReap\":false}", 7, REAP_NEVER},
    };
    char text[512];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text,
                 VAT ",\"creationOptions\":%s}},\"defaultReapInterval\":7,"
                     "\"defaultReapGCKrefs\":\"never\"}",
                 rows[i].options);
        AUTO(plan) plan = plan_from(text);
        cr_assert(plan, "%s: %s", text, f.what);
        cr_assert_eq(plan->vats[0].reap_deliveries, rows[i].deliveries, "%s", text);
        cr_assert_eq(plan->vats[0].reap_krefs, rows[i].krefs, "%s", text);
        cr_assert_eq(plan->warning_count, 0);
    }
}

Test(plan, the_nearest_window_counts)
{
    AUTO(plan)
    plan = plan_from("{\"bootstrap\":\"a\",\"vats\":{\"a\":{\"bundleSpec\":\"x\"},"
                     "\"b\":{\"bundleSpec\":\"x\",\"deploy\":{\"window\":2}},"
                     "\"c\":{\"bundleSpec\":\"x\",\"deploy\":{\"window\":2}}},"
                     "\"deploy\":{\"window\":16,\"serial\":true,\"vats\":{\"c\":{\"window\":1}}}}");
    cr_assert(plan, "%s: %s", f.what, f.pointer);

    cr_assert_eq(plan->vats[0].window, 16);
    cr_assert_eq(plan->vats[1].window, 2);
    cr_assert_eq(plan->vats[2].window, 1);
    cr_assert(plan->serial);
    cr_assert_eq(plan_window(plan, WINDOW_MAX + 1, &f), ERR_BAD_VALUE);
    cr_assert_eq(plan_window(plan, 0, &f), ERR_BAD_VALUE);
    cr_assert_eq(plan->vats[0].window, 16);
    cr_assert_eq(plan_window(plan, 8, &f), ERR_OK);
    for (size_t i = 0; i < 3; i++) cr_assert_eq(plan->vats[i].window, 8);
    refused(VAT "}},\"deploy\":{\"window\":17}}", ERR_VALUE_TYPE, "/deploy/window");
    refused(VAT ",\"deploy\":{\"window\":0}}}}", ERR_VALUE_TYPE, "/vats/a/deploy/window");
}

static void parameters_are(const plan_t *plan, size_t vat, const char *body)
{
    const buf_t *parameters = &plan->vats[vat].parameters;

    cr_assert(parameters->len == strlen(body) && memcmp(parameters->at, body, strlen(body)) == 0,
              "%.*s", (int)parameters->len, (const char *)parameters->at);
}

Test(plan, argv_is_for_the_bootstrap_vat)
{
    char one[] = "-x", two[] = "", *words[] = {one, two};
    AUTO(plan)
    plan = plan_from("{\"bootstrap\":\"w1\",\"vats\":{\"w\":{\"bundleSpec\":\"x\",\"count\":2,"
                     "\"parameters\":{\"argv\":1,\"k\":2}}}}");
    cr_assert(plan, "%s", f.what);

    cr_assert_eq(plan_argv(plan, words, 2, &f), ERR_OK, "%s", f.what);
    parameters_are(plan, 0, "#{\"argv\":1,\"index\":0,\"k\":2}");
    parameters_are(plan, 1, "#{\"argv\":[\"!-x\",\"\"],\"index\":1,\"k\":2}");
    cr_assert_eq(plan_argv(plan, words, 0, &f), ERR_OK);
    parameters_are(plan, 1, "#{\"argv\":[],\"index\":1,\"k\":2}");
}

Test(plan, argv_that_is_too_large_is_told)
{
    static char large[CAPDATA_BYTES_MAX + 1];
    char *words[] = {large};
    AUTO(plan) plan = plan_from(VAT "}}}");

    cr_assert(plan, "%s", f.what);
    memset(large, 'x', CAPDATA_BYTES_MAX);
    cr_assert_eq(plan_argv(plan, words, 1, &f), ERR_VALUE_TYPE);
    cr_assert(strstr(f.what, "\"a\""), "%s", f.what);
}

Test(plan, a_missing_file_is_told)
{
    cr_assert_null(plan_new("/nowhere/cluster.json", false, &f));
    cr_assert_eq(f.err, ERR_FILE_MISSING);
    cr_assert_gt(f.try_count, 0);
}
