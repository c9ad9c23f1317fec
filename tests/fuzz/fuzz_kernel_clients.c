/* What clients say, and the agent. */
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz_kernel.h"
#include "wire/base/must.h"

void client_first(world_t *w)
{
    msg_hello_t hello = {1, 1, {{7}}, 0, text_of("h"), {0}, {{0}}};
    world_say(w, (input_t){.kind = INPUT_HOST, .key = {{1}}}, TAG_hello, &hello);
    world_say(w, (input_t){.kind = INPUT_HOST, .key = {{2}}}, TAG_hello, &hello);
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    unsigned how = byte(w);
    for (unsigned i = 0; i < 3; i++) {
        msg_launch_vat_t vat = {.name = text_of(i == 0   ? "x"
                                                : i == 1 ? "y"
                                                         : "z"),
                                .bundle = text_of("b1-0"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .dialect = how & 1,
                                .poison = how / 40 % 3,
                                .globals = text_of(i ? "" : "fetch setTimeout"),
                                .hosts = text_of(i ? "" : "localhost"),
                                .window = how % 5};
        must(msg_encode(TAG_launch_vat, &vat, &vats) == ERR_OK);
    }
    buf_t channels = buf_of(LAUNCH_NAMES_BYTES_MAX);
    msg_launch_channel_t channel = {
        .name = text_of("io"), .type = text_of("console"), .direction = 3};
    must(msg_encode(TAG_launch_channel, &channel, &channels) == ERR_OK);
    msg_launch_t msg = {.request = {{0xff}},
                        .name = text_of("first"),
                        .services = text_of("vatAdmin timer"),
                        .channels = {channels.at, channels.len},
                        .serial = how / 5 % 8 == 7,
                        .vats = {vats.at, vats.len}};
    world_say(w, (input_t){.kind = INPUT_CLIENT, .from = 1}, TAG_launch, &msg);
    buf_clear(&vats);
    buf_clear(&channels);
}

void client_launch(world_t *w)
{
    static const char *const names[] = {"a", "b", "a\"\\", "10", "9"};
    static const char *const hosts[] = {"", "", "", "h1", "west", "moon"};
    buf_t vats = buf_of(LAUNCH_BYTES_MAX);
    unsigned count = roll(w, 4), from = roll(w, 3);
    if (w->rows.count > 2000) count = 0;
    for (unsigned i = 0; i < count; i++) {
        msg_launch_vat_t vat = {.name = text_of(names[(from + i) % 5]),
                                .bundle = text_of("b1-0"),
                                .parameters = {(const uint8_t *)"#{}", 3},
                                .critical = roll(w, 4) == 3,
                                .window = roll(w, 5),
                                .host = text_of(hosts[roll(w, 6)])};
        must(msg_encode(TAG_launch_vat, &vat, &vats) == ERR_OK);
    }
    char name[8];
    snprintf(name, sizeof name, "c%u", roll(w, 6));
    msg_launch_t msg = {.request = world_request(w),
                        .name = text_of(name),
                        .bootstrap = roll(w, 8) == 7,
                        .serial = roll(w, 4) == 3,
                        .vats = {vats.at, vats.len}};
    world_client_says(w, TAG_launch, &msg);
    buf_clear(&vats);
}

void client_asks(world_t *w)
{
    unsigned what = roll(w, 6);
    if (what == 5) {
        msg_log_get_t msg = {world_request(w), {roll(w, VATS)}, roll(w, 9), roll(w, 9)};
        world_client_says(w, TAG_log_get, &msg);
    } else if (what == 0) {
        world_client_says(w, TAG_await, &(msg_await_t){world_request(w), world_kref(w)});
    } else if (what == 1) {
        world_client_says(w, TAG_quiet, &(msg_quiet_t){world_request(w), {roll(w, 3)}});
    } else if (what == 2) {
        msg_list_t msg = {.request = world_request(w), .what = roll(w, 12)};
        msg.ended = roll(w, 2);
        msg.kref = world_kref(w);
        world_client_says(w, TAG_list, &msg);
    } else if (what == 3) {
        const row_vat_t *vat = world_vat(w);
        world_client_says(w, TAG_restart,
                          &(msg_restart_t){world_request(w), {vat ? (uint32_t)vat->vat : 7}});
    } else {
        world_step(w, (input_t){.kind = INPUT_CLIENT_GONE, .from = 1 + roll(w, CLIENTS)});
    }
}

void client_ends(world_t *w)
{
    unsigned what = roll(w, 16);
    if (what < 1) {
        const row_vat_t *vat = world_vat(w);
        msg_kill_t msg = {world_request(w), {vat ? (uint32_t)vat->vat : 7}, text_of("")};
        world_client_says(w, TAG_kill, &msg);
    } else if (what == 1) {
        world_client_says(w, TAG_cluster_rm,
                          &(msg_cluster_rm_t){world_request(w), {1 + roll(w, 4)}});
    } else if (what < 5) {
        memset(w->runs, 0, sizeof w->runs);
        world_step(w, (input_t){.kind = INPUT_HOST_GONE, .from = 1 + roll(w, HOSTS)});
    } else {
        kernel_watched(w->kernel, roll(w, 4));
    }
}

/* ---- what changes a cluster while it runs, and the agent ---- */

void client_changes(world_t *w)
{
    const row_vat_t *vat = world_vat(w);
    vat_t id = {vat ? (uint32_t)vat->vat : 7};
    unsigned what = roll(w, 8);
    if (what < 3) {
        msg_upgrade_t msg = {.request = world_request(w), .vat = id, .bundle = text_of("b1-1")};
        msg.message = text_of(roll(w, 2) ? "" : "next");
        if (roll(w, 8) == 7) msg.bundle = text_of("moon");
        world_client_says(w, TAG_upgrade, &msg);
    } else if (what < 6) {
        world_client_says(w, TAG_pin,
                          &(msg_pin_t){world_request(w), world_kref(w), roll(w, 3) == 2});
    } else if (what == 6) {
        world_client_says(w, TAG_revoke, &(msg_revoke_t){world_request(w), world_kref(w)});
    } else {
        world_client_says(w, TAG_cluster_reload,
                          &(msg_cluster_reload_t){world_request(w), {1 + roll(w, 4)}});
    }
}

void agent_says(world_t *w)
{
    static const char *const bodies[] = {"#1", "#\"$0\"", "",
                                         "#{\"#error\":\"e\",\"name\":\"Error\"}", "#null"};
    unsigned what = roll(w, 8);
    if (what < 2) {
        world_step(w, (input_t){.kind = INPUT_AGENT});
    } else if (what == 2) {
        world_step(w, (input_t){.kind = INPUT_AGENT_GONE});
    } else {
        const row_t *row = world_row(w, ROW_errand, 0, byte(w));
        const char *body = bodies[roll(w, 5)];
        msg_agent_told_t msg = {.errand = row && what < 7 ? row->body.errand.errand : byte(w),
                                .rejected = roll(w, 2),
                                .body = {(const uint8_t *)body, strlen(body)}};
        world_say(w, (input_t){.kind = INPUT_AGENT}, TAG_agent_told, &msg);
    }
}

void client_call(world_t *w)
{
    mind_t m = {.w = w, .vat = 1 + roll(w, VATS), .objects = 9, .promises = 9};
    msg_call_t msg = {.request = world_request(w),
                      .target = roll(w, 4) ? kref_root((vat_t){1 + roll(w, 3)}) : world_kref(w),
                      .no_result = roll(w, 2)};
    kref_t service = roll(w, 3) ? (kref_t){0} : world_service(w, 0);
    if (!kref_none(service)) msg.target = service;
    msg.methargs = kref_none(service) ? mind_args(&m, "#[\"hi\",", "]") : mind_ask(&m, service);
    world_client_says(w, TAG_call, &msg);
}

void client_moves(world_t *w)
{
    const row_vat_t *vat = world_vat(w);
    vat_t id = {vat ? (uint32_t)vat->vat : 7};
    host_t host = {roll(w, HOSTS + 2)};
    msg_present_t present = {w->session + roll(w, 2)};
    unsigned what = roll(w, 16);
    if (what < 3)
        world_client_says(w, TAG_move, &(msg_move_t){world_request(w), id, host});
    else if (what < 7 && vat)
        host_ready(w, vat);
    else if (what < 11)
        host_fetched(w);
    else if (what < 12)
        world_client_says(w, TAG_checkpoint_make,
                          &(msg_checkpoint_make_t){world_request(w), id, roll(w, 2)});
    else if (what < 13)
        world_client_says(w, TAG_host_change,
                          &(msg_host_change_t){world_request(w), host, roll(w, 6)});
    else if (what < 14)
        world_client_says(w, TAG_backup, &(msg_backup_t){world_request(w), text_of("/there")});
    else if (what < 15)
        world_step(w, (input_t){.kind = INPUT_BACKED_UP,
                                .err = roll(w, 2) ? ERR_STORE_FULL : ERR_OK,
                                .why = ""});
    else
        world_host_says(w, 1 + roll(w, HOSTS), TAG_present, &present);
}
