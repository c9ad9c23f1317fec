/* The two build tools in JavaScript, run as programs: bundle.mjs, which makes bundles of vats, and
 * build.mjs, which makes the supervisor and patches liveslots while it does. */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char folder[64];
static char said[8192]; /* stdout and stderr of the last command */

static void folder_make(void)
{
    strcpy(folder, "/tmp/vatyard-bundle-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int run(const char *format, ...)
{
    char command[4096], all[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(all, sizeof all, "cd %s && (%s) 2>&1", folder, command);
    FILE *pipe = popen(all, "r");
    cr_assert_not_null(pipe);
    size_t len = fread(said, 1, sizeof said - 1, pipe);
    said[len] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void folder_remove(void) { run("rm -rf %s", folder); }

TestSuite(xs_bundle, .init = folder_make, .fini = folder_remove);

#define BUNDLE "node " XS_TEST_SHARE "/bundler/bundle.mjs"

Test(xs_bundle, makes_a_bundle_and_names_its_inputs)
{
    run("printf 'export const n = 1;' > part.js;"
        "printf 'import { n } from \"./part.js\"; export const buildRootObject = () => n;' > "
        "vat.js");
    cr_assert_eq(run(BUNDLE " vat.js -o vat.json"), 0, "%s", said);
    cr_assert_str_eq(said, "");
    cr_assert_eq(run("grep -c '^{\"moduleFormat\":\"endoScript\",\"source\":' vat.json"), 0);
    run("cat vat.json.inputs");
    cr_assert_neq(strstr(said, "/part.js\n"), NULL);
    cr_assert_neq(strstr(said, "/vat.js\n"), NULL);
    cr_assert_eq(
        run(BUNDLE
            " vat.js -o vat.json --format iife && grep -c '\"moduleFormat\":\"iife\"' vat.json"),
        0);
}

/* Endo wants a package.json somewhere above; a source that has none is bundled all the same. */
Test(xs_bundle, makes_every_format_of_a_source_without_a_package)
{
    static const char *const formats[] = {"endoZipBase64", "nestedEvaluate", "getExport",
                                          "endo-endoScript"};
    run("printf 'export const n = 1;' > part.js;"
        "printf 'import { n } from \"./part.js\"; export const buildRootObject = () => n;' > "
        "vat.js");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        cr_expect_eq(run(BUNDLE " vat.js -o %s.json --format %s", formats[i], formats[i]), 0, "%s",
                     said);
        cr_expect_eq(run("test -s %s.json && grep -q /part.js %s.json.inputs", formats[i],
                         formats[i]),
                     0);
    }
    run("node -e 'const { source } = JSON.parse(fs.readFileSync(\"endo-endoScript.json\"));"
        "console.log(eval(source).buildRootObject())'");
    cr_expect_str_eq(said, "1\n");
}

Test(xs_bundle, says_where_an_error_is)
{
    run("printf 'const a = 1;\\nconst b = ;\\n' > bad.js; printf 'import \"nowhere\";' > lost.js");
    cr_assert_eq(run(BUNDLE " bad.js -o out.json"), 3);
    cr_assert_str_eq(said, "bad.js:2:11: Unexpected \";\"\n");
    cr_assert_eq(run(BUNDLE " lost.js -o out.json"), 3);
    cr_assert_str_eq(said, "lost.js:1:8: Could not resolve \"nowhere\"\n");
    cr_assert_eq(run(BUNDLE " none.js -o out.json"), 3);
    cr_assert_str_eq(said, "none.js: no such file\n");
    cr_assert_eq(run("test -e out.json"), 1, "an error leaves nothing behind");
    cr_assert_eq(run("echo 1 > good.js; " BUNDLE " good.js -o nowhere/out.json"), 4);
    cr_assert_neq(strstr(said, "nowhere/out.json"), NULL, "%s", said);
    cr_assert_eq(run(BUNDLE), 2);
    cr_assert_eq(run(BUNDLE " bad.js -o out.json --format zip"), 2);
}

Test(xs_bundle, own_node_modules_come_first)
{
    run("mkdir -p node_modules/@endo/far;"
        "printf '{\"name\":\"@endo/far\",\"main\":\"far.js\"}' > "
        "node_modules/@endo/far/package.json;"
        "printf 'export const Far = \"mine\";' > node_modules/@endo/far/far.js;"
        "printf 'export { Far } from \"@endo/far\"; export { M } from \"@endo/patterns\";' > "
        "vat.js");
    cr_assert_eq(run(BUNDLE " vat.js -o vat.json"), 0, "%s", said);
    run("cat vat.json.inputs");
    char own[128];
    snprintf(own, sizeof own, "%s/node_modules/@endo/far/far.js\n", folder);
    cr_assert_neq(strstr(said, own), NULL);
}

/* A liveslots that changed must stop the build: neither patched by chance nor left as it is. */
Test(xs_bundle, supervisor_is_not_built_over_another_liveslots)
{
    run("mkdir -p node_modules && cd node_modules && for d in %s/node_modules/*; do ln -s $d; done "
        "&&"
        "rm @agoric && mkdir @agoric && cd @agoric && for d in %s/node_modules/@agoric/*; do ln -s "
        "$d; done &&"
        "rm swingset-liveslots && cp -r %s/node_modules/@agoric/swingset-liveslots .",
        XS_TEST_NPM, XS_TEST_NPM, XS_TEST_NPM);
    cr_assert_eq(run("echo '{}' > package.json; node %s/build.mjs . lean.js", XS_TEST_JS), 0, "%s",
                 said);
    run("sed -i 's/const resultVPID = allocatePromiseID/const resultVPID  = allocatePromiseID/' "
        "node_modules/@agoric/swingset-liveslots/src/liveslots.js");
    cr_assert_neq(run("node %s/build.mjs . out/lean.js", XS_TEST_JS), 0);
    cr_assert_neq(strstr(said, "patch does not fit"), NULL, "%s", said);
    cr_assert_eq(run("test -e out/lean.js"), 1);
}
