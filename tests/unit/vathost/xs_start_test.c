/* Starting vats: the store log of a first start, every bundle format, and every way to fail. The
 * expected log is what SwingSet's own worker writes for an empty vat. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/vathost/xs_vat.h"
#include "wire/base/own.h"

#define NO_PARAMS "#\"#undefined\""

static const char first_start[] =
    "get idCounters -> -\n"
    "get kindIDID -> -\n"
    "set kindIDID=1\n"
    "get storeKindIDTable -> -\n"
    "set storeKindIDTable={\"scalarMapStore\":2,\"scalarWeakMapStore\":3,\"scalarSetStore\":4,"
    "\"scalarWeakSetStore\":5,\"scalarDurableMapStore\":6,\"scalarDurableWeakMapStore\":7,"
    "\"scalarDurableSetStore\":8,\"scalarDurableWeakSetStore\":9}\n"
    "get baggageID -> -\n"
    "set vc.1.|nextOrdinal=1\n"
    "set vc.1.|entryCount=0\n"
    "set baggageID=o+d6/1\n"
    "get vom.rc.o+d6/1 -> -\n"
    "set vom.rc.o+d6/1=1\n"
    "get watcherTableID -> -\n"
    "set vc.2.|nextOrdinal=1\n"
    "set vc.2.|entryCount=0\n"
    "set watcherTableID=o+d6/2\n"
    "get vom.rc.o+d6/2 -> -\n"
    "set vom.rc.o+d6/2=1\n"
    "get watchedPromiseTableID -> -\n"
    "set vc.3.|nextOrdinal=1\n"
    "set vc.3.|entryCount=0\n"
    "set watchedPromiseTableID=o+d6/3\n"
    "get vom.rc.o+d6/3 -> -\n"
    "set vom.rc.o+d6/3=1\n"
    "get vc.3. -> -\n"
    "next vc.3. -> vc.3.|entryCount\n"
    "next vom.dkind. -> vom.rc.o+d6/1\n"
    "set idCounters={\"exportID\":10,\"collectionID\":4,\"promiseID\":5}\n"
    "set vc.1.|schemata={\"body\":\"#{\\\"keyShape\\\":{\\\"#tag\\\":\\\"match:string\\\","
    "\\\"payload\\\":[]},\\\"label\\\":\\\"baggage\\\"}\",\"slots\":[]}\n"
    "set vc.2.|schemata={\"body\":\"#{\\\"keyShape\\\":{\\\"#tag\\\":\\\"match:scalar\\\","
    "\\\"payload\\\":\\\"#undefined\\\"},\\\"label\\\":\\\"promiseWatcherByKind\\\"}\",\"slots\":[]"
    "}\n"
    "set "
    "vc.3.|schemata={\"body\":\"#{\\\"keyShape\\\":{\\\"#tag\\\":\\\"match:and\\\",\\\"payload\\\":"
    "[{\\\"#tag\\\":\\\"match:scalar\\\",\\\"payload\\\":\\\"#undefined\\\"},{\\\"#tag\\\":"
    "\\\"match:string\\\",\\\"payload\\\":[]}]},\\\"label\\\":\\\"watchedPromises\\\"}\",\"slots\":"
    "[]}\n";

Test(xs_start, trivial_vat_answers)
{
    AUTO(xs_vat) vat = xs_vat_new("trivial.json", (xs_options_t){0});
    cr_assert_eq(xs_vat_start(vat, "#{\"hello\":\"world\"}")->outcome, ERR_OK);
    cr_assert_str_eq(xs_vat_calls(vat), "");
    cr_assert_str_eq(xs_vat_store(vat), first_start);
    cr_assert_eq(xs_vat_message(vat, "o+0", "#[\"ping\",[]]", NULL, "p-60")->outcome, ERR_OK);
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-60 fulfilled #1 {}\n");
    xs_vat_message(vat, "o+0", "#[\"params\",[]]", NULL, "p-61");
    cr_assert_str_eq(xs_vat_calls(vat), "resolve p-61 fulfilled #{\"hello\":\"world\"} {}\n");
    cr_assert_str_eq(xs_vat_store(vat), "");
}

static void check_durable(const char *bundle)
{
    AUTO(xs_vat) vat = xs_vat_new(bundle, (xs_options_t){0});
    const engine_report_t *report = xs_vat_start(vat, NO_PARAMS);
    cr_assert_eq(report->outcome, ERR_OK, "%s: %s", bundle, report->reason);
    cr_assert_gt(report->computrons, 0);
    xs_vat_message(vat, "o+0", "#[\"makeCounter\",[\"c\"]]", NULL, "p-60");
    cr_assert_str_eq(xs_vat_calls(vat),
                     "resolve p-60 fulfilled #\"$0.Alleged: counter\" {o+d10/1}\n", "%s", bundle);
    xs_vat_message(vat, "o+d10/1", "#[\"incr\",[]]", NULL, "p-61");
    xs_vat_message(vat, "o+0", "#[\"incr\",[\"c\"]]", NULL, "p-62");
    cr_assert_str_eq(xs_vat_calls(vat),
                     "resolve p-61 fulfilled #1 {}\nresolve p-62 fulfilled #2 {}\n");
    cr_assert_str_eq(xs_vat_get(vat, "vom.o+d10/1"),
                     "{\"name\":{\"body\":\"#\\\"c\\\"\",\"slots\":[]},"
                     "\"count\":{\"body\":\"#2\",\"slots\":[]}}");
    xs_vat_call(vat, "#[\"makePurse\",[\"p\",100]]");
    xs_vat_message(vat, "o+0", "#[\"deposit\",[\"p\",5]]", NULL, "p-63");
    xs_vat_message(vat, "o+0", "#[\"names\",[]]", NULL, "p-64");
    cr_assert_str_eq(xs_vat_calls(vat),
                     "resolve p-63 fulfilled #105 {}\nresolve p-64 fulfilled #[\"c\",\"p\"] {}\n");
    cr_assert_str_eq(xs_vat_console(vat), "");
}

Test(xs_start, format_endoScript) { check_durable("durable.json"); }
Test(xs_start, format_iife) { check_durable("durable.iife.json"); }
Test(xs_start, format_endoZipBase64) { check_durable("durable.endoZipBase64.json"); }
Test(xs_start, format_nestedEvaluate) { check_durable("durable.nestedEvaluate.json"); }
Test(xs_start, format_getExport) { check_durable("durable.getExport.json"); }
Test(xs_start, format_endoScript_of_bundle_source)
{
    check_durable("durable.endo-endoScript.json");
}

static void check_failure(const char *bundle, err_t outcome, const char *reason)
{
    AUTO(xs_vat) vat = xs_vat_new(bundle, (xs_options_t){.computrons = 20 * 1000 * 1000});
    const engine_report_t *report = xs_vat_start(vat, NO_PARAMS);
    cr_assert_eq(report->outcome, outcome, "%s: %s: %s", bundle, err_name(report->outcome),
                 report->reason);
    cr_assert_str_eq(report->reason, reason);
}

Test(xs_start, without_buildRootObject_the_exports_are_named)
{
    check_failure("noroot.json", ERR_NO_BUILD_ROOT, "the bundle exports only: build, other");
}

Test(xs_start, failures_of_the_source_say_what_was_thrown)
{
    check_failure("throws.json", ERR_BUILD_ROOT_THREW, "TypeError: not today");
    check_failure("never.json", ERR_BUILD_ROOT_THREW,
                  "buildRootObject did not settle within the crank");
    check_failure("evaluate.json", ERR_BUILD_ROOT_THREW,
                  "a module threw while it was evaluated: RangeError: no luck");
    check_failure("notfar.json", ERR_BUILD_ROOT_THREW,
                  "Error: buildRootObject() for vat \"v1\" returned {}, which is not Far");
}

Test(xs_start, loop_at_top_level_is_stopped)
{
    AUTO(xs_vat) vat = xs_vat_new("slow.json", (xs_options_t){.computrons = 20 * 1000 * 1000});
    const engine_report_t *report = xs_vat_start(vat, NO_PARAMS);
    cr_assert_eq(report->outcome, ERR_VAT_LIMIT_COMPUTE);
    cr_assert(report->dead);
}

static void check_text(const char *text, err_t outcome, const char *reason)
{
    char path[] = "/tmp/vatyard-bundle-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    check_failure(path, outcome, reason);
    unlink(path);
}

Test(xs_start, broken_bundles_say_how)
{
    check_text("{\"moduleFormat\":\"zip\"}", ERR_BUNDLE_FORMAT,
               "moduleFormat zip is not known; known: endoZipBase64, nestedEvaluate, getExport, "
               "endoScript, iife");
    check_text(
        "{}", ERR_BUNDLE_FORMAT,
        "moduleFormat undefined is not known; known: endoZipBase64, nestedEvaluate, getExport, "
        "endoScript, iife");
    check_text(
        "[]", ERR_BUNDLE_FORMAT,
        "moduleFormat undefined is not known; known: endoZipBase64, nestedEvaluate, getExport, "
        "endoScript, iife");
    check_text("3", ERR_BUNDLE_BROKEN, "the bundle is not a JSON object");
    check_text("", ERR_BUNDLE_BROKEN,
               "the bundle is not JSON: SyntaxError: JSON.parse: 1: invalid value");
    check_text("{\"moduleFormat\":\"iife\"}", ERR_BUNDLE_BROKEN,
               "SyntaxError: the bundle has no string code");
    check_text("{\"moduleFormat\":\"iife\",\"code\":\"var __vatExports__ = {};\"}",
               ERR_NO_BUILD_ROOT, "the bundle exports nothing");
    check_text("{\"moduleFormat\":\"endoScript\",\"source\":\"3\"}", ERR_NO_BUILD_ROOT,
               "the bundle exports nothing");
    check_text("{\"moduleFormat\":\"endoScript\",\"source\":\"({buildRootObject: 3})\"}",
               ERR_NO_BUILD_ROOT, "the bundle exports only: buildRootObject");
}

Test(xs_start, iife_finds_its_global_object)
{
    char path[] = "/tmp/vatyard-bundle-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    fputs("{\"moduleFormat\":\"iife\",\"code\":\"global.a = 1; globalThis.b = 2; "
          "var __vatExports__ = ({ buildRootObject: () => { throw Error(`${a}${b}`); } });\"}",
          file);
    fclose(file);
    check_failure(path, ERR_BUILD_ROOT_THREW, "Error: 12");
    unlink(path);
}

Test(xs_start, golden_snapshots_are_of_this_build)
{
    engine_t *engine = NULL;
    cr_assert_eq(xs_engine_new("/nowhere/lean.xss", &engine), ERR_FILE_MISSING);
    cr_assert_eq(xs_engine_new("/dev/null", &engine), ERR_BUNDLE_BROKEN);
    cr_assert_null(engine);
    cr_assert_eq(strlen(xs_engine_build()), 32);
}
