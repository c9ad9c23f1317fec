#include "cli/rows.h"

#include <string.h>

#include "cli/guess.h"
#include "cli/json.h"
#include "cli/value.h"
#include "wire/base/must.h"

err_t rows_get(link_t *link, rows_what_t what, bool ended, kref_t kref, rows_t *ret, fail_t *f)
{
    msg_list_t list = {.request = request_id(), .what = what, .ended = ended, .kref = kref};

    return rows_ask(link, TAG_list, &list, ANSWER_MS, ret, f);
}

err_t rows_ask(link_t *link, msg_tag_t tag, const void *body, unsigned ms, rows_t *ret, fail_t *f)
{
    const msg_t *msg;
    err_t err = link_ask(link, tag, body, TAG_rows, ms, &msg, f);

    *ret = (rows_t){.bytes = buf_of(FRAME_BYTES_MAX)};
    if (err) return err;
    must(!buf_add(&ret->bytes, msg->body.rows.rows.at, msg->body.rows.rows.len));
    ret->rest = (bin_t){ret->bytes.at, ret->bytes.len};
    ret->next = msg->body.rows.next;
    return ERR_OK;
}

const msg_t *rows_next(rows_t *self)
{
    if (self->has_row) msg_clear(&self->row);
    self->has_row = self->rest.len > 0 && !msg_next(&self->rest, &self->row);
    return self->has_row ? &self->row : NULL;
}

void rows_again(rows_t *self)
{
    if (self->has_row) msg_clear(&self->row);
    self->has_row = false;
    self->rest = (bin_t){self->bytes.at, self->bytes.len};
}

void rows_clear(rows_t *self)
{
    if (self->has_row) msg_clear(&self->row);
    buf_clear(&self->bytes);
    *self = (rows_t){0};
}

static bool is_named(const msg_vat_row_t *vat, const char *name)
{
    const char *slash = strchr(name, '/'), *own = slash ? slash + 1 : name;

    if (!text_is(vat->name, own)) return false;
    return !slash || text_same(vat->cluster_name, (text_t){name, (size_t)(slash - name)});
}

static void ended_told(const msg_vat_row_t *vat, const char *name, found_t *ret, fail_t *f)
{
    ret->vat = vat->vat;
    fail(f, ERR_VAT_TERMINATED, "vat \"%.200s\" (v%u) is terminated", name, vat->vat.n);
    buf_t reason = buf_of(4 * TEXT_BYTES_MAX);
    if (!value_show_reason(&reason, vat->reason)) fail_why(f, "%.*s", (int)reason.len, reason.at);
    buf_clear(&reason);
    fail_try(f, "vatctl inspect v%u", vat->vat.n);
}

/* A vat of that name that is no more: better told than "no such vat". */
static bool ended_named(link_t *link, const char *name, found_t *ret, fail_t *f)
{
    rows_t rows;
    bool found = false;

    if (rows_get(link, ROWS_VATS, true, (kref_t){0}, &rows, f)) return false;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        if (row->tag != TAG_vat_row || !is_named(vat, name)) continue;
        ended_told(vat, name, ret, f);
        found = true;
    }
    rows_clear(&rows);
    return found;
}

err_t vat_named(link_t *link, const char *name, found_t *ret, fail_t *f)
{
    const char *slash = strchr(name, '/'), *own = slash ? slash + 1 : name;
    uint32_t number = 0;
    bool by_number = id_parse('v', name, strlen(name), &number);
    size_t matches = 0;
    char whole[2 * NAME_BYTES_MAX + 2];
    like_t like = {.name = name};
    rows_t rows;
    err_t err = rows_get(link, ROWS_VATS, by_number, (kref_t){0}, &rows, f);

    for (const msg_t *row; !err && (row = rows_next(&rows));) {
        const msg_vat_row_t *vat = &row->body.vat_row;
        if (row->tag != TAG_vat_row) continue;
        snprintf(whole, sizeof whole, "%.*s/%.*s", (int)vat->cluster_name.len, vat->cluster_name.at,
                 (int)vat->name.len, vat->name.at);
        like_add(&like, slash ? text_of(whole) : vat->name);
        if (by_number ? vat->vat.n != number : !is_named(vat, name)) continue;
        if (by_number && text_is(vat->state, "terminated")) {
            ended_told(vat, name, ret, f);
            rows_clear(&rows);
            return f->err;
        }
        ret->vat = vat->vat;
        ret->cluster = vat->cluster;
        snprintf(ret->name, sizeof ret->name, "%.*s", (int)vat->name.len, vat->name.at);
        matches++;
    }
    if (!err) rows_clear(&rows);
    if (err || matches == 1) return err;
    if (!matches && !by_number && ended_named(link, name, ret, f)) return f->err;
    if (matches)
        fail(f, ERR_VAT_UNKNOWN, "several vats are called \"%.200s\"", name);
    else
        like_fail(&like, ERR_VAT_UNKNOWN, "vat", f);
    if (matches) fail_try(f, "CLUSTER/%.200s, or its number: vatctl ps", own);
    return ERR_VAT_UNKNOWN;
}

err_t cluster_named(link_t *link, const char *name, cluster_t *ret, uint64_t *ret_vats, fail_t *f)
{
    rows_t rows;
    uint32_t number = 0;
    bool found = false, by_number = id_parse('s', name, strlen(name), &number);
    like_t like = {.name = name};
    err_t err = rows_get(link, ROWS_CLUSTERS, false, (kref_t){0}, &rows, f);

    if (err) return err;
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_cluster_row_t *cluster = &row->body.cluster_row;
        if (row->tag != TAG_cluster_row) continue;
        bool same = text_is(cluster->name, name);
        like_add(&like, cluster->name);
        if (!same && !(by_number && cluster->cluster.n == number)) continue;
        *ret = cluster->cluster;
        *ret_vats = cluster->vats;
        found = true;
    }
    rows_clear(&rows);
    return found ? ERR_OK : like_fail(&like, ERR_CLUSTER_UNKNOWN, "cluster", f);
}

err_t counters_get(link_t *link, json_t **ret, fail_t *f)
{
    rows_t rows;
    err_t err = rows_get(link, ROWS_COUNTERS, false, (kref_t){0}, &rows, f);

    if (err) return err;
    *ret = json_object();
    for (const msg_t *row; (row = rows_next(&rows));) {
        const msg_counter_row_t *counter = &row->body.counter_row;
        if (row->tag == TAG_counter_row) json_set_counter(*ret, counter->name, counter->value);
    }
    rows_clear(&rows);
    return ERR_OK;
}

err_t root_named(link_t *link, const char *name, kref_t *ret, fail_t *f)
{
    found_t found;
    err_t err = vat_named(link, name, &found, f);

    if (!err) *ret = kref_root(found.vat);
    return err;
}

err_t ref_named(link_t *link, const char *ref, kref_t *ret, fail_t *f)
{
    if (kref_parse(ref, strlen(ref), ret)) return ERR_OK;
    uint32_t number;
    bool is_vat = id_parse('v', ref, strlen(ref), &number);
    if (*ref != '@' && !is_vat && !strchr(ref, '/')) {
        fail(f, ERR_BARE_WORD, "\"%.200s\" is a bare word", ref);
        fail_try(f, "@%.200s   the root object of the vat of that name", ref);
        return ERR_BARE_WORD;
    }
    return root_named(link, *ref == '@' ? ref + 1 : ref, ret, f);
}
