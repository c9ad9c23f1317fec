/* Globals that a vat asks for: which there are, and which are allowed here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kernel/hooks.h"
#include "broker/kernel/service/service.h"
#include "broker/kernel/state/state.h"
#include "broker/kernel/vat/own.h"

static const struct {
    const char *name;
    bool outside;
} globals[] = {
#define GLOBAL(name, outside) {#name, outside},
#include "wire/schema/global.def"
#undef GLOBAL
};

void kernel_globals(kernel_t *k, const char *names)
{
    blob_destroy(&k->globals);
    if (names) k->globals = text_blob(text_of(names));
}

static bool known(const kernel_t *k, text_t name)
{
    bool there = false;
    for (size_t i = 0; i < sizeof globals / sizeof globals[0] && !there; i++)
        there = text_is(name, globals[i].name);
    return there && (!k->globals || word_in(blob_text(k->globals), name));
}

/* May vat v<VAT> have these? WHY says what is wrong, in ocap-kernel's words. */
err_t globals_check(const kernel_t *k, uint64_t vat, text_t names, text_t hosts, char *why,
                    size_t room)
{
    text_t name;
    for (size_t at = 0; word_next(names, &at, &name);) {
        if (known(k, name)) continue;
        name = text_cut(name, 200);
        snprintf(why, room, "Vat \"v%llu\" requested unknown global \"%.*s\"",
                 (unsigned long long)vat, (int)name.len, name.at);
        return ERR_GLOBAL_UNKNOWN;
    }
    if (!word_in(names, text_of("fetch")) || hosts.len) return ERR_OK;
    snprintf(why, room,
             "Vat \"v%llu\" requested \"fetch\" but no network.allowedHosts was specified",
             (unsigned long long)vat);
    return ERR_FETCH_HOSTS;
}

/* Do any of these need the kernel's help? */
static bool globals_outside(text_t names)
{
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++)
        if (globals[i].outside && word_in(names, text_of(globals[i].name))) return true;
    return false;
}

/* Are these parameters well-formed, and is there room around them for the object that a vat's globals use? */
err_t parameters_check(const capdata_t *data)
{
    bin_t body = data->body;
    buf_t wrapped = buf_of(CAPDATA_BYTES_MAX);
    if (body.len > PARAMETERS_BYTES_MAX) return ERR_WIRE_LIMIT;
    err_t err = smallcaps_check(data, SHAPE_ANY);
    if (!err) err = buf_add(&wrapped, "#[", 2);
    if (!err) err = buf_add(&wrapped, body.at + 1, body.len - 1);
    if (!err) err = buf_add(&wrapped, "]", 1);
    capdata_t deeper = {{wrapped.at, wrapped.len}, data->slots};
    if (!err) err = smallcaps_check(&deeper, SHAPE_ANY);
    buf_clear(&wrapped);
    return err;
}

/* The parameters of a vat's start: as they are, or, when its globals need the kernel, in an array with
 * the object that they use. The caller gets a count. */
value_t *globals_wrap(kernel_t *k, kvat_t *vat, value_t *parameters)
{
    if (!globals_outside(vat->row.globals)) return value_ref(parameters);
    if (!vat->outside)
        vat->outside = service_new(k, SERVICE_outside, vat->cluster, vat, (text_t){0});

    capdata_t data = value_data(parameters);
    size_t count = data.slots.count;
    kref_t *slots = take((count + 1) * sizeof *slots);
    if (count) memcpy(slots, data.slots.at, count * sizeof *slots);
    slots[count] = service_kref(vat->outside);
    const void *body = data.body.at;
    value_t *value = value_print(k, slots, count + 1, "#[%.*s,\"$%zu.Alleged: outside\"]",
                                 (int)data.body.len - 1, (const char *)body + 1, count);
    free(slots);
    return value;
}
