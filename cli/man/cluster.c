/* vatyard-cluster(5): every key of the schema, with what this version does with it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/man/page.h"
#include "cli/plan.h"

extern const char cluster_schema_text[];

enum { TEXT_BYTES = 2048 };

typedef struct {
    FILE *page;
    json_t *root;
} book_t;

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What `"$ref": "#/a/b"` points to; OBJECT itself when it has none, or NULL. */
static const json_t *follow(const book_t *book, const json_t *object)
{
    const char *ref = text_at(object, "$ref");
    const json_t *at = book->root;

    while (at && *ref && (ref = strchr(ref, '/'))) {
        char key[128];
        size_t len = strcspn(++ref, "/");
        snprintf(key, sizeof key, "%.*s", (int)len, ref);
        at = json_object_get(at, key);
    }
    return *text_at(object, "$ref") ? at : object;
}

static void add(char *text, const char *more)
{
    size_t len = strlen(text);
    snprintf(text + len, TEXT_BYTES - len, "%s", more);
}

static void add_json(char *text, const json_t *value)
{
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (dump) add(text, dump);
    free(dump);
}

/* "one of \"a\", \"b\"", "a number", "64Mi or 1048576": what may stand there. */
static void add_form(const book_t *book, const json_t *rule, char *text)
{
    const json_t *values = json_object_get(rule, "enum"), *one = json_object_get(rule, "oneOf");
    const char *type = text_at(rule, "type");

    if (json_object_get(rule, "const")) {
        add_json(text, json_object_get(rule, "const"));
    } else if (values) {
        for (size_t i = 0; i < json_array_size(values); i++) {
            add(text, i ? " or " : "");
            add_json(text, json_array_get(values, i));
        }
    } else if (json_object_get(rule, "examples")) {
        const json_t *examples = json_object_get(rule, "examples");
        add(text, "such as ");
        for (size_t i = 0; i < json_array_size(examples); i++) {
            add(text, i ? " or " : "");
            add_json(text, json_array_get(examples, i));
        }
    } else if (one) {
        for (size_t i = 0; i < json_array_size(one); i++) {
            add(text, i ? " or " : "");
            add_form(book, follow(book, json_array_get(one, i)), text);
        }
    } else if (strcmp(type, "integer") == 0) {
        add(text, "number");
    } else if (strcmp(type, "boolean") == 0) {
        add(text, "true or false");
    } else {
        add(text, *type ? type : "object");
    }
}

/* What is honoured of it, and what it is without. */
static void add_limits(const char *key, const json_t *rule, char *text)
{
    const char *why, *honoured = plan_honoured(key, &why);

    if (json_object_get(rule, "default") && !honoured) {
        add(text, " Without: ");
        add_json(text, json_object_get(rule, "default"));
        add(text, ".");
    }
    if (!honoured) return;
    add(text, " Not honoured by this version");
    for (const char *at = honoured; *at;) {
        char value[64];
        size_t len = strcspn(at, "|");
        snprintf(value, sizeof value, "%.*s", (int)len, at);
        add(text, at == honoured ? " but for " : " or ");
        add(text, value);
        at += len + (at[len] == '|');
    }
    add(text, ": ");
    add(text, why);
    add(text, ".");
}

static void items(book_t *book, const json_t *object, const char *before);

static void item(book_t *book, const char *before, const char *key, const json_t *entry)
{
    const json_t *rule = follow(book, entry);
    char head[256], text[TEXT_BYTES] = "", form[TEXT_BYTES] = "";
    const char *about = text_at(entry, "description");

    snprintf(head, sizeof head, "%s%s", before, key);
    if (!*about) about = text_at(rule, "description");
    add_form(book, rule, form);
    add(text, about);
    add_limits(key, rule, text);
    page_item(book->page, head, form, text);
    /* What stands inside it, unless it has a section of its own. */
    if (*text_at(entry, "$ref")) return;
    snprintf(head, sizeof head, "%s%s.", before, key);
    if (json_object_get(rule, "properties")) items(book, rule, head);
}

static void items(book_t *book, const json_t *object, const char *before)
{
    json_t *properties = json_object_get(object, "properties"), *entry;
    const char *key;

    json_object_foreach(properties, key, entry) item(book, before, key, entry);
}

static void section(book_t *book, const char *title, const char *definition, const char *about)
{
    page_section(book->page, title);
    page_text(book->page, about);
    items(book, json_object_get(json_object_get(book->root, "$defs"), definition), "");
}

static const char example[] =
    "{\n"
    "  \"bootstrap\": \"alice\",\n"
    "  \"vats\": {\n"
    "    \"alice\": {\"sourceSpec\": \"alice.js\"},\n"
    "    \"bob\": {\"sourceSpec\": \"bob.js\", \"parameters\": {\"greeting\": \"hello\"}}\n"
    "  },\n"
    "  \"deploy\": {\"hosts\": {\"min\": 2}, \"persistence\": {\"mirror\": true}}\n"
    "}\n";

bool write_cluster_page(const press_t *press)
{
    book_t book = {.root = json_loads(cluster_schema_text, 0, NULL)};

    book.page =
        page_open(press, "vatyard-cluster", 5, "the file that says which vats a cluster has");
    if (!book.page || !book.root) {
        json_decref(book.root);
        return false;
    }
    page_section(book.page, "DESCRIPTION");
    page_text(book.page, text_at(book.root, "description"));
    page_paragraph(book.page);
    page_text(book.page,
              "The file is JSON. A key that is not listed here is error E1104, one that is listed "
              "and not honoured by this version E1108: nothing is silently ignored. vatctl cluster "
              "validate FILE checks a file without a broker.");
    page_section(book.page, "KEYS");
    items(&book, book.root, "");
    section(&book, "\"KEYS OF A VAT\"", "vat",
            "Each entry of vats. It has exactly one source of code.");
    section(&book, "\"KEYS OF A BUNDLE\"", "bundle",
            "Each entry of bundles, with exactly one of them.");
    section(&book, "\"KEYS OF A CHANNEL\"", "io", "Each entry of io.");
    section(&book, "\"KEYS OF DEPLOY\"", "clusterDeploy", "Of the whole cluster.");
    section(&book, "\"KEYS OF A VAT'S DEPLOY\"", "vatDeploy",
            "Of one vat, in its deploy or under deploy.vats; placement, limits, persistence and "
            "restart stand in the deploy of the cluster as well.");
    page_section(book.page, "EXAMPLE");
    page_verbatim(book.page, example);
    page_see(book.page,
             (const char *const[]){"vatctl-run(1)", "vatctl-cluster-launch(1)",
                                   "vatctl-cluster-validate(1)", "vatctl-bundle-make(1)", NULL});
    json_decref(book.root);
    return page_close(book.page);
}
