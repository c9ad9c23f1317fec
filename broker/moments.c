/* Failpoints that are told apart by the message: what the kernel took, what is about to leave. */
#include "broker/broker_own.h"
#include "wire/base/failpoint.h"

static void step_by(msg_tag_t tag)
{
    switch (tag) {
    case TAG_hello: FAILPOINT(broker_stepped_hello); break;
    case TAG_attach: FAILPOINT(broker_stepped_attach); break;
    case TAG_fetch: FAILPOINT(broker_stepped_fetch); break;
    case TAG_result: FAILPOINT(broker_stepped_result); break;
    case TAG_names: FAILPOINT(broker_stepped_names); break;
    case TAG_launch: FAILPOINT(broker_stepped_launch); break;
    case TAG_call: FAILPOINT(broker_stepped_call); break;
    case TAG_await: FAILPOINT(broker_stepped_await); break;
    case TAG_restart: FAILPOINT(broker_stepped_restart); break;
    case TAG_upgrade: FAILPOINT(broker_stepped_upgrade); break;
    case TAG_cluster_rm: FAILPOINT(broker_stepped_remove); break;
    case TAG_checkpoint: FAILPOINT(broker_stepped_checkpoint); break;
    case TAG_checkpoint_ready: FAILPOINT(broker_stepped_ready); break;
    case TAG_lost: FAILPOINT(broker_stepped_lost); break;
    case TAG_move: FAILPOINT(broker_stepped_move); break;
    case TAG_host_change: FAILPOINT(broker_stepped_change); break;
    default: FAILPOINT(broker_stepped); break;
    }
}

void moment_stepped(input_kind_t kind, const msg_t *msg)
{
    if (!failpoint_armed) return;
    switch (kind) {
    case INPUT_CHORE: FAILPOINT(broker_stepped_timer); break;
    case INPUT_HOST_GONE: FAILPOINT(broker_stepped_gone); break;
    case INPUT_MIRRORED: FAILPOINT(broker_stepped_mirrored); break;
    case INPUT_AGENT: FAILPOINT(broker_stepped_told); break;
    default:
        if (msg) step_by(msg->tag);
        break;
    }
}

void moment_leaving(bin_t frame)
{
    if (!failpoint_armed) return;
    switch (msg_peek(frame)) {
    case TAG_welcome: FAILPOINT(broker_sends_welcome); break;
    case TAG_vat_new: FAILPOINT(broker_sends_vat_new); break;
    case TAG_vat_end: FAILPOINT(broker_sends_vat_end); break;
    case TAG_attached: FAILPOINT(broker_sends_attached); break;
    case TAG_deliver: FAILPOINT(broker_sends_deliver); break;
    case TAG_checkpoint_ask: FAILPOINT(broker_sends_ask); break;
    case TAG_checkpoint_get: FAILPOINT(broker_sends_get); break;
    case TAG_checkpoint_part: FAILPOINT(broker_sends_part); break;
    case TAG_sleep: FAILPOINT(broker_sends_sleep); break;
    case TAG_event: FAILPOINT(broker_sends_event); break;
    case TAG_launched: FAILPOINT(broker_sends_launched); break;
    case TAG_sent: FAILPOINT(broker_sends_sent); break;
    case TAG_settled: FAILPOINT(broker_sends_settled); break;
    case TAG_done: FAILPOINT(broker_sends_done); break;
    default: FAILPOINT(broker_sends); break;
    }
}
