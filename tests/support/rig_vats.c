/* Vats at work: what many tests have them do before the point is reached that they are about. */
#include "tests/support/kernel_rig.h"
#include "wire/base/must.h"

void rig_call(rig_t *self, uint32_t vat, const char *body)
{
    msg_call_t call = {rig_id(self), root(vat), rig_data(body, NULL, 0), 1};
    const msg_t *answer = rig_ask(self, TAG_call, &call);
    must(answer && answer->tag == TAG_sent);
}

void rig_runs(rig_t *self, uint32_t vat, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        rig_call(self, vat, "#[\"ping\",[]]");
        rig_run_dry(self);
    }
}

void rig_send(rig_t *self, uint32_t from, uint32_t to, const char *body, kref_t slot, kref_t result)
{
    buf_t calls = {0};
    rig_call(self, from, "#[\"go\",[]]");
    call_send(&calls, root(to), body, &slot, kref_none(slot) ? 0 : 1, result);
    if (!kref_none(result)) call_subscribe(&calls, result);
    rig_result(self, from, &calls);
    buf_clear(&calls);
}

msg_vat_row_t rig_vat(rig_t *self, uint32_t vat)
{
    enum { OTHER_CLIENT = 9 };
    const msg_list_t list = {.request = rig_id(self)};
    rig_ask_from(self, OTHER_CLIENT, TAG_list, &list);
    bin_t rest = rig_reply(self, OTHER_CLIENT)->body.rows.rows;
    msg_vat_row_t found = {0};
    while (rest.len > 0) {
        msg_t row;
        must(!msg_next(&rest, &row));
        if (row.body.vat_row.vat.n == vat) found = row.body.vat_row;
        msg_clear(&row);
    }
    return found;
}
