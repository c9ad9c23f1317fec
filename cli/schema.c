#include "cli/schema.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "wire/base/must.h"

typedef struct {
    const json_t *root;
    fail_t *f; /* NULL while an alternative is only tried */
    bool *at_key;
    char pointer[FAIL_NAME_MAX];
} check_t;

static bool check(check_t *c, const json_t *schema, const json_t *value);

static bool refuse(check_t *c, err_t err, bool at_key, const char *what, const char *why)
{
    if (!c->f) return false;
    fail(c->f, err, "%s", what);
    fail_why(c->f, "%s", why);
    fail_at(c->f, "", 0, 0, c->pointer);
    *c->at_key = at_key;
    return false;
}

static const json_t *resolve(const json_t *root, const char *ref)
{
    char path[256], *save = NULL;
    const json_t *at = root;

    must(ref[0] == '#' && strlen(ref) < sizeof path);
    strcpy(path, ref + 1);
    for (char *part = strtok_r(path, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
        at = json_object_get(at, part);
        must(at);
    }
    return at;
}

static bool is_type(const json_t *value, const char *type)
{
    if (strcmp(type, "object") == 0) return json_is_object(value);
    if (strcmp(type, "array") == 0) return json_is_array(value);
    if (strcmp(type, "string") == 0) return json_is_string(value);
    if (strcmp(type, "boolean") == 0) return json_is_boolean(value);
    if (strcmp(type, "number") == 0) return json_is_number(value);
    must(strcmp(type, "integer") == 0);
    double number = json_number_value(value);
    return json_is_number(value) && number == floor(number) && isfinite(number);
}

static bool matches(const char *pattern, const json_t *value)
{
    regex_t regex;

    /* A NUL inside the text would hide what stands behind it. */
    if (strlen(json_string_value(value)) != json_string_length(value)) return false;
    must(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
    int no = regexec(&regex, json_string_value(value), 0, NULL, 0);
    regfree(&regex);
    return no == 0;
}

/* The texts of an enum, for people: console, listen or file. */
static void choices(const json_t *list, char *ret, size_t room)
{
    size_t len = 0;

    *ret = 0;
    for (size_t i = 0; i < json_array_size(list) && len < room; i++) {
        const char *mark = i == 0 ? "" : i + 1 == json_array_size(list) ? " or " : ", ";
        int n = snprintf(ret + len, room - len, "%s\"%s\"", mark,
                         json_string_value(json_array_get(list, i)));
        len += n > 0 ? (size_t)n : 0;
    }
}

static bool check_scalar(check_t *c, const json_t *schema, const json_t *value)
{
    const json_t *word;
    char why[FAIL_NAME_MAX];

    if ((word = json_object_get(schema, "type")) && !is_type(value, json_string_value(word))) {
        snprintf(why, sizeof why, "it must be %s %s",
                 strchr("aeiou", *json_string_value(word)) ? "an" : "a", json_string_value(word));
        return refuse(c, ERR_VALUE_TYPE, false, "a value has the wrong type", why);
    }
    if ((word = json_object_get(schema, "const")) && !json_equal(word, value)) {
        snprintf(why, sizeof why, "it must be \"%s\"", json_string_value(word));
        return refuse(c, ERR_VALUE_TYPE, false, "a value is not the one allowed", why);
    }
    if ((word = json_object_get(schema, "enum"))) {
        bool found = false;
        for (size_t i = 0; i < json_array_size(word) && !found; i++) {
            found = json_equal(json_array_get(word, i), value);
        }
        choices(word, why, sizeof why);
        if (!found)
            return refuse(c, ERR_VALUE_TYPE, false, "a value is none of those allowed", why);
    }
    if ((word = json_object_get(schema, "pattern")) && json_is_string(value) &&
        !matches(json_string_value(word), value)) {
        snprintf(why, sizeof why, "it must match %s", json_string_value(word));
        return refuse(c, ERR_VALUE_TYPE, false, "a text has the wrong form", why);
    }
    if (json_is_number(value)) {
        double number = json_number_value(value);
        word = json_object_get(schema, "minimum");
        if (word && number < json_number_value(word)) {
            snprintf(why, sizeof why, "it must be at least %g", json_number_value(word));
            return refuse(c, ERR_VALUE_TYPE, false, "a number is too small", why);
        }
        word = json_object_get(schema, "maximum");
        if (word && number > json_number_value(word)) {
            snprintf(why, sizeof why, "it must be at most %g", json_number_value(word));
            return refuse(c, ERR_VALUE_TYPE, false, "a number is too large", why);
        }
    }
    return true;
}

static bool check_sub(check_t *c, const json_t *schema, const json_t *value, const char *key)
{
    size_t len = strlen(c->pointer);

    pointer_add(c->pointer, sizeof c->pointer, key);
    bool ok = check(c, schema, value);
    c->pointer[len] = 0;
    return ok;
}

static bool unknown_key(check_t *c, const json_t *known, const char *key)
{
    const char *names[64], *name;
    size_t count = 0;
    json_t *item, *object = (json_t *)(uintptr_t)known;
    char what[FAIL_NAME_MAX], why[FAIL_NAME_MAX];

    if (!c->f) return false;
    json_object_foreach(object, name, item) if (count < 64) names[count++] = name;
    const char *like = nearest(key, names, count);
    if (like)
        snprintf(what, sizeof what, "\"%.200s\": did you mean \"%s\"?", key, like);
    else
        snprintf(what, sizeof what, "unknown key \"%.200s\"", key);
    size_t len = (size_t)snprintf(why, sizeof why, "keys known here:");
    for (size_t i = 0; i < count && len < sizeof why; i++) {
        int n = snprintf(why + len, sizeof why - len, " %s", names[i]);
        len += n > 0 ? (size_t)n : 0;
    }

    len = strlen(c->pointer);
    pointer_add(c->pointer, sizeof c->pointer, key);
    refuse(c, ERR_KEY_UNKNOWN, true, what, why);
    c->pointer[len] = 0;
    if (like) fail_try(c->f, "write \"%s\", or remove the key", like);
    return false;
}

static bool check_member(check_t *c, const json_t *schema, const char *key, const json_t *item)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *names = json_object_get(schema, "propertyNames");
    const json_t *rest = json_object_get(schema, "additionalProperties");
    const json_t *own = json_object_get(properties, key);

    if (names) {
        json_t *name = json_string(key);
        const char *pattern = json_string_value(json_object_get(names, "pattern"));
        bool ok = matches(pattern, name);
        json_decref(name);
        if (!ok) {
            char what[FAIL_NAME_MAX], why[FAIL_NAME_MAX];
            size_t len = strlen(c->pointer);
            snprintf(what, sizeof what, "\"%.200s\" cannot be a name here", key);
            snprintf(why, sizeof why, "a name must match %s", pattern);
            pointer_add(c->pointer, sizeof c->pointer, key);
            refuse(c, ERR_VALUE_TYPE, true, what, why);
            c->pointer[len] = 0;
            return false;
        }
    }
    if (own) return check_sub(c, own, item, key);
    if (json_is_false(rest)) return unknown_key(c, properties, key);
    return !rest || check_sub(c, rest, item, key);
}

static bool check_object(check_t *c, const json_t *schema, const json_t *value)
{
    const json_t *word = json_object_get(schema, "required");
    const char *key;
    json_t *item, *object = (json_t *)(uintptr_t)value;
    char what[FAIL_NAME_MAX];

    /* Unknown keys first: a misspelt key is also a missing one, and the spelling is the cause. */
    json_object_foreach(object, key, item)
    {
        if (!check_member(c, schema, key, item)) return false;
    }
    for (size_t i = 0; i < json_array_size(word); i++) {
        const char *name = json_string_value(json_array_get(word, i));
        if (json_object_get(value, name)) continue;
        snprintf(what, sizeof what, "the key \"%s\" is missing", name);
        return refuse(c, ERR_KEY_MISSING, false, what, "it is required here");
    }
    if ((word = json_object_get(schema, "minProperties")) &&
        (double)json_object_size(value) < json_number_value(word)) {
        return refuse(c, ERR_KEY_MISSING, false, "an object is empty", "it needs at least one key");
    }
    if ((word = json_object_get(schema, "maxProperties")) &&
        (double)json_object_size(value) > json_number_value(word)) {
        return refuse(c, ERR_CODE_SOURCES, false, "an object has too many keys",
                      "it takes exactly one key");
    }
    return true;
}

static bool check_array(check_t *c, const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items");
    bool unique = json_is_true(json_object_get(schema, "uniqueItems"));
    char index[24];

    for (size_t i = 0; i < json_array_size(value); i++) {
        snprintf(index, sizeof index, "%zu", i);
        if (items && !check_sub(c, items, json_array_get(value, i), index)) return false;
        for (size_t j = 0; unique && j < i; j++) {
            if (!json_equal(json_array_get(value, i), json_array_get(value, j))) continue;
            return refuse(c, ERR_VALUE_TYPE, false, "an item stands twice in the list",
                          "the items must differ");
        }
    }
    return true;
}

/* What an alternative that fits none is called; CODE is the vat's "exactly one source". */
static bool refuse_one_of(check_t *c, const json_t *schema, unsigned fits)
{
    char why[FAIL_NAME_MAX] = "";
    const json_t *examples = json_object_get(schema, "examples");

    if (json_object_get(json_array_get(json_object_get(schema, "oneOf"), 0), "required")) {
        return refuse(c, ERR_CODE_SOURCES, false,
                      fits ? "a vat has more than one source of code"
                           : "a vat has no source of code",
                      "exactly one of sourceSpec, bundleSpec, bundleName, bundleHash, nativeSpec");
    }
    for (size_t i = 0; i < json_array_size(examples); i++) {
        buf_t out = buf_of(200);
        must(!json_add(&out, json_array_get(examples, i)));
        size_t len = strlen(why);
        snprintf(why + len, sizeof why - len, "%s%.*s", i ? " or " : "for example ", (int)out.len,
                 (const char *)out.at);
        buf_clear(&out);
    }
    if (!*why) strcpy(why, "an integer of at least 1, or \"never\"");
    return refuse(c, ERR_VALUE_TYPE, false, "a value has the wrong form", why);
}

static bool check_combined(check_t *c, const json_t *schema, const json_t *value)
{
    const json_t *word = json_object_get(schema, "$ref");
    fail_t *f = c->f;

    if (word && !check(c, resolve(c->root, json_string_value(word)), value)) return false;
    if ((word = json_object_get(schema, "oneOf"))) {
        unsigned fits = 0;
        c->f = NULL;
        for (size_t i = 0; i < json_array_size(word); i++) {
            fits += check(c, json_array_get(word, i), value);
        }
        c->f = f;
        if (fits != 1) return refuse_one_of(c, schema, fits);
    }
    word = json_object_get(schema, "allOf");
    for (size_t i = 0; i < json_array_size(word); i++) {
        if (!check(c, json_array_get(word, i), value)) return false;
    }
    if ((word = json_object_get(schema, "if"))) {
        c->f = NULL;
        bool applies = check(c, word, value);
        c->f = f;
        word = json_object_get(schema, applies ? "then" : "else");
        if (word && !check(c, word, value)) return false;
    }
    return true;
}

/* Every word of the schema is one that is understood here, or one that only explains. */
static void check_words(const json_t *schema)
{
    static const char words[] = " $schema $id $defs $ref title description default examples type "
                                "const enum pattern minimum maximum required properties items "
                                "propertyNames additionalProperties minProperties maxProperties "
                                "uniqueItems oneOf allOf if then ";
    const char *key;
    json_t *item, *object = (json_t *)(uintptr_t)schema;
    char word[64];

    json_object_foreach(object, key, item)
    {
        snprintf(word, sizeof word, " %s ", key);
        must(strstr(words, word));
    }
}

static bool check(check_t *c, const json_t *schema, const json_t *value)
{
    check_words(schema);
    if (!check_scalar(c, schema, value)) return false;
    if (json_is_object(value) && !check_object(c, schema, value)) return false;
    if (json_is_array(value) && !check_array(c, schema, value)) return false;
    return check_combined(c, schema, value);
}

err_t schema_check(const json_t *schema, const json_t *value, fail_t *f, bool *ret_at_key)
{
    check_t c = {.root = schema, .f = f, .at_key = ret_at_key};

    return check(&c, schema, value) ? ERR_OK : f->err;
}
