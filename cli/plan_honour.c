/* Which keys of the schema this version honours: a table, so that the answer is in one place. */
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/plan.h"

/* What a key may say. Text: JSON values that are honoured, separated by '|'; "" for none. */
typedef struct {
    const char *key, *honoured, *why;
} rule_t;

#define NATIVE_ENGINES "\"null\""
#define NATIVE_WHY     "the only native engine is \"null\"; shared objects are not loaded yet"

/* clang-format off */
static const rule_t top_rules[] = {
    {"defaultManagerType", "\"local\"|\"xs-worker\"|\"xsnap\"", "native vats are not there yet"},
    {"pinBootstrapRoot", "true", "roots of a cluster's vats are always pinned"},
    {"relaxDurabilityRules", "false", "durability rules are always in force"},
    {"includeDevDependencies", "false", "development dependencies are not bundled"},
    {NULL, NULL, NULL},
};
static const rule_t vat_rules[] = {
    {"nativeSpec", NATIVE_ENGINES, NATIVE_WHY},
    {"platformConfig", "", "no vat can reach the platform's files yet; see \"io\""},
    {NULL, NULL, NULL},
};
static const rule_t bundle_rules[] = {
    {"nativeSpec", NATIVE_ENGINES, NATIVE_WHY},
    {NULL, NULL, NULL},
};
static const rule_t placement_rules[] = {
    {"labels", "", "hosts have no labels yet"},
    {"with", "", "vats are placed in turn"},
    {"apart", "", "vats are placed in turn"},
    {"prefer", "\"spread\"", "vats are placed in turn, one host after the other"},
    {NULL, NULL, NULL},
};
static const rule_t limit_rules[] = {
    {"stack", "", "the stack has one size for all"},
    {"vatstore", "", "the vat store is not limited yet"},
    {"message", "", "messages have one limit for all"},
    {"queue", "", "queues are not limited yet"},
    {NULL, NULL, NULL},
};
static const rule_t persistence_rules[] = {
    {"mode", "\"durable\"", "every vat is durable"},
    {"transcript", "true", "the log of a vat is always kept"},
    {NULL, NULL, NULL},
};
static const rule_t restart_rules[] = {
    {"policy", "", "a vat's worker is always started again"},
    {"maxRetries", "", "a vat's worker is always started again"},
    {"backoff", "", "a vat's worker is always started again"},
    {"maxBackoff", "", "a vat's worker is always started again"},
    {"moveOnHostLoss", "true", "vats of a host that was disavowed are always brought back where they can be"},
    {"hostLossAfter", "", "it is the broker's: vatctl up --host-loss-after"},
    {NULL, NULL, NULL},
};
static const char *const option_names[] = {"managerType", "enablePipelining", "enableDisavow",
                                           "useTranscript"};
/* clang-format on */

static bool is_honoured(const rule_t *rule, const json_t *value)
{
    buf_t text = buf_of(1024);
    bool found = false;

    if (!json_add(&text, value)) {
        for (const char *at = rule->honoured; at && *at;
             at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
            size_t len = strcspn(at, "|");
            found = found || (len == text.len && memcmp(at, text.at, len) == 0);
        }
    }
    buf_clear(&text);
    return found;
}

static err_t unsupported(const plan_t *self, const char *pointer, bool key, const char *why,
                         fail_t *f)
{
    const char *name = strrchr(pointer, '/');

    fail(f, ERR_NOT_SUPPORTED, "\"%.200s\" is not supported yet", name ? name + 1 : "");
    fail_why(f, "%s", why);
    plan_place(self, pointer, key, f);
    return ERR_NOT_SUPPORTED;
}

/* POINTER is that of VALUE, and has FAIL_NAME_MAX bytes of room. */
static err_t rules_check(const plan_t *self, const rule_t *rules, const json_t *value,
                         char *pointer, fail_t *f)
{
    size_t len = strlen(pointer);

    for (const rule_t *rule = rules; rule->key; rule++) {
        const json_t *item = json_object_get(value, rule->key);
        if (!item || is_honoured(rule, item)) continue;
        pointer_add(pointer, FAIL_NAME_MAX, rule->key);
        return unsupported(self, pointer, true, rule->why, f);
    }
    pointer[len] = 0;
    return ERR_OK;
}

static err_t deploy_check(const plan_t *self, const json_t *deploy, char *pointer, fail_t *f)
{
    static const struct {
        const char *key;
        const rule_t *rules;
    } parts[] = {{"placement", placement_rules},
                 {"limits", limit_rules},
                 {"persistence", persistence_rules},
                 {"restart", restart_rules}};
    size_t len = strlen(pointer);
    err_t err = ERR_OK;

    for (size_t i = 0; i < sizeof parts / sizeof *parts && !err; i++) {
        pointer_add(pointer, FAIL_NAME_MAX, parts[i].key);
        err = rules_check(self, parts[i].rules, json_object_get(deploy, parts[i].key), pointer, f);
        pointer[len] = 0;
    }
    return err;
}

/* An engine in C has no globals, and runs under its own manager. */
static err_t native_check(const plan_t *self, const json_t *vat, char *pointer, fail_t *f)
{
    const json_t *type = json_object_get(json_object_get(vat, "creationOptions"), "managerType");
    bool native = json_object_get(vat, "nativeSpec");

    if (native && json_array_size(json_object_get(vat, "globals"))) {
        pointer_add(pointer, FAIL_NAME_MAX, "globals");
        return unsupported(self, pointer, true, "a native vat has no globals", f);
    }
    if (json_is_string(type) && (strcmp(json_string_value(type), "native") == 0) != native) {
        pointer_add(pointer, FAIL_NAME_MAX, "creationOptions");
        pointer_add(pointer, FAIL_NAME_MAX, "managerType");
        return unsupported(self, pointer, false,
                           "\"native\" goes with nativeSpec, and nothing else does", f);
    }
    return ERR_OK;
}

static void options_warn(plan_t *self, const char *name, const json_t *vat)
{
    const json_t *options = json_object_get(vat, "creationOptions");

    for (size_t i = 0; i < sizeof option_names / sizeof *option_names; i++) {
        if (!json_object_get(options, option_names[i])) continue;
        plan_warn(self, "vat \"%.200s\": creationOptions.%s has no effect", name, option_names[i]);
    }
}

static err_t vat_check(plan_t *self, const char *name, const json_t *vat, fail_t *f)
{
    char pointer[FAIL_NAME_MAX] = "/vats";

    pointer_add(pointer, sizeof pointer, name);
    size_t len = strlen(pointer);
    err_t err = rules_check(self, vat_rules, vat, pointer, f);
    if (!err) err = native_check(self, vat, pointer, f);
    if (err) return err;
    pointer[len] = 0;
    pointer_add(pointer, sizeof pointer, "deploy");
    err = deploy_check(self, json_object_get(vat, "deploy"), pointer, f);
    if (!err) options_warn(self, name, vat);
    return err;
}

static err_t deploy_vats_check(const plan_t *self, fail_t *f)
{
    json_t *vats = json_object_get(json_object_get(self->root, "deploy"), "vats"), *item;
    const json_t *known = json_object_get(self->root, "vats");
    const char *name;

    json_object_foreach(vats, name, item)
    {
        char pointer[FAIL_NAME_MAX] = "/deploy/vats";
        pointer_add(pointer, sizeof pointer, name);
        if (!json_object_get(known, name)) {
            fail(f, ERR_REFERENCE, "deploy.vats names a vat \"%.200s\" that the file does not have",
                 name);
            plan_place(self, pointer, true, f);
            return ERR_REFERENCE;
        }
        err_t err = deploy_check(self, item, pointer, f);
        if (err) return err;
    }
    return ERR_OK;
}

err_t plan_honour(plan_t *self, fail_t *f)
{
    json_t *vats = json_object_get(self->root, "vats"), *item;
    const char *name;
    char pointer[FAIL_NAME_MAX] = "";
    err_t err = rules_check(self, top_rules, self->root, pointer, f);

    json_object_foreach(vats, name, item) if (!err) err = vat_check(self, name, item, f);
    vats = json_object_get(self->root, "bundles");
    json_object_foreach(vats, name, item)
    {
        strcpy(pointer, "/bundles");
        pointer_add(pointer, sizeof pointer, name);
        if (!err) err = rules_check(self, bundle_rules, item, pointer, f);
    }
    strcpy(pointer, "/deploy");
    if (!err) err = deploy_check(self, json_object_get(self->root, "deploy"), pointer, f);
    if (!err) err = deploy_vats_check(self, f);
    if (!err && json_object_get(self->root, "forceReset"))
        plan_warn(self, "forceReset has no effect");
    if (!err && json_object_get(self->root, "snapshotInitial"))
        plan_warn(self,
                  "snapshotInitial has no effect: a vat's first checkpoint comes like the others");
    return err;
}

const char *plan_honoured(const char *key, const char **ret_why)
{
    static const rule_t *const all[] = {top_rules,       vat_rules,   bundle_rules,
                                        placement_rules, limit_rules, persistence_rules,
                                        restart_rules};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (const rule_t *rule = all[i]; rule->key; rule++) {
            if (strcmp(rule->key, key) != 0) continue;
            *ret_why = rule->why;
            return rule->honoured;
        }
    }
    return NULL;
}
