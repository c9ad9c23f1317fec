/* What the shell answers by itself (B5): events, bundles, rows of the log, STATS, the end.
 *
 * Method: turn_rig.h. What left is read from the port, so "zero frames" is counted, not assumed. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/broker/fake_kernel.h"
#include "tests/unit/broker/turn_rig.h"

TestSuite(answer, .init = turn_set_up, .fini = turn_tear_down, .timeout = 60);

/* ---- B5: what the shell answers ---- */

Test(answer, events_go_to_those_who_watch)
{
    connect_both();
    arrive(DOOR_CLIENTS, 21, 0, TAG_client_hello, &a_client_hello);
    arrive(DOOR_CLIENTS, 21, 0, TAG_watch, &(msg_watch_t){{{1}}, 1, 0});
    arrive(DOOR_CLIENTS, 22, 0, TAG_client_hello, &a_client_hello);
    arrive(DOOR_CLIENTS, 22, 0, TAG_watch, &(msg_watch_t){{{1}}, 0, 1});
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_eq(count_sent(21, TAG_event), 1);
    cr_expect_eq(count_sent(22, TAG_event), 0, "it watches something else");
    cr_expect_eq(count_sent(20, TAG_event), 0);
    cr_expect_eq(fake_watched, TOPIC_CONSOLE | TOPIC_TRAFFIC);
    gone_route = 21;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    turn();
    cr_expect_eq(fake_watched, TOPIC_TRAFFIC, "nobody watches the console any more");
}

/* The one TRACE_ROW that went to ROUTE; its durable_us. */
static uint64_t durable_told(uint8_t route)
{
    uint64_t ret = 0;
    msg_t msg, row;
    for (size_t i = 0; i < sent_count; i++) {
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        if (msg.tag == TAG_rows) {
            bin_t rest = msg.body.rows.rows;
            cr_assert_eq(msg_next(&rest, &row), ERR_OK);
            cr_assert_eq(row.tag, TAG_trace_row);
            ret = row.body.trace_row.durable_us;
            msg_clear(&row);
        }
        msg_clear(&msg);
    }
    return ret;
}

Test(answer, what_happened_is_told_when_it_is_durable)
{
    connect_both();
    cr_assert_eq(fake_traced_below, TRACES_ALL);
    msg_event_t event = {.type = text_of("send"), .trace = {{7}}, .time_us = 1};
    msg_trace_t trace = {.request = {{4}}, .trace = {{7}}};
    gate_says = GATE_NOT_YET;
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    fake_trace_take(fake_trace_context, TOPIC_TRAFFIC, &event);
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &trace);
    turn();
    cr_expect_eq(sent_count, 0, "what is not durable is told to nobody");
    gate_says = GATE_DONE;
    turn();
    cr_expect_eq(count_sent(20, TAG_rows), 1);
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &trace);
    turn();
    cr_expect_gt(durable_told(20), 1000000, "and later it says since when it is");
    forget_sent();
    arrive(DOOR_CLIENTS, 20, 0, TAG_trace, &(msg_trace_t){.request = {{4}}, .trace = {{8}}});
    turn();
    cr_expect_eq(count_sent(20, TAG_failed), 1);
}

Test(answer, a_launch_whose_bundle_is_not_here_fails_before_the_kernel_sees_it)
{
    connect_both();
    buf_t vats = buf_of(10000);
    msg_launch_vat_t vat = {.name = text_of("alice"), .bundle = text_of("b1-none")};
    cr_assert_eq(msg_encode(TAG_launch_vat, &vat, &vats), ERR_OK);
    msg_launch_t launch = {.request = {{4}}, .name = text_of("c"), .vats = {vats.at, vats.len}};
    arrive(DOOR_CLIENTS, 20, 0, TAG_launch, &launch);
    buf_clear(&vats);
    turn();
    cr_assert_eq(sent_count, 1);
    msg_t msg;
    cr_assert_eq(msg_decode(blob_bin(sent[0].frame), &msg), ERR_OK);
    cr_expect_eq(msg.tag, TAG_failed);
    cr_expect_eq(msg.body.failed.error, ERR_BUNDLE_UNKNOWN);
    cr_assert_geq(msg.body.failed.what.len, 9);
    cr_expect_eq(memcmp(msg.body.failed.what.at, "vat alice", 9), 0, "it names the vat");
    msg_clear(&msg);
    cr_expect_eq(fake_inputs[INPUT_CLIENT], 0);
}

Test(answer, bundles_that_are_not_here_have_a_total_of_zero)
{
    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_bundle_get, &(msg_bundle_get_t){text_of("b1-none"), 0});
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_have, &(msg_bundle_have_t){{{1}}, text_of("b1-none")});
    uint8_t byte = 1;
    arrive(DOOR_CLIENTS, 20, 0, TAG_bundle_put,
           &(msg_bundle_put_t){{{2}}, text_of("b1-none"), 0, 1, {&byte, 1}});
    turn();
    cr_expect_eq(count_sent(10, TAG_bundle_part), 1);
    cr_expect_eq(count_sent(20, TAG_bundle_part), 1);
    cr_expect_eq(count_sent(20, TAG_failed), 1);
}

/* ---- rows of the log ---- */

static void add_log(record_t *record, uint64_t d, uint64_t outcome)
{
    static uint8_t bytes[32] = {1, 2, 3};
    row_t row = {.table = ROW_log};
    row.body.log.vat = 3;
    row.body.log.d = d;
    row.body.log.outcome = outcome;
    row.body.log.delivery = (bin_t){bytes, 10 + d};
    row.body.log.result_hash = (bin_t){bytes, outcome ? 32 : 0};
    row.body.log.trace = (bin_t){bytes, 16};
    record_add(record, &row);
}

Test(answer, history_is_read_back_from_the_store_with_its_verdict)
{
    gate_t real = store_gate(store);
    record_t record = {0};
    uint64_t seq;
    record_begin(&record, 1);
    add_log(&record, 1, 1);
    add_log(&record, 2, 2);
    add_log(&record, 3, 0);
    record_end(&record);
    cr_assert_eq(real.append(real.self, &record), ERR_OK);
    cr_assert_eq(real.durable(real.self, &seq), ERR_OK);
    record_clear(&record);

    connect_both();
    arrive(DOOR_HOSTS, 10, 1, TAG_attach, &(msg_attach_t){.vat = {3}});
    turn();
    cr_assert_eq(count_sent(10, TAG_deliver), 3);
    for (uint64_t d = 1; d <= 3; d++) {
        msg_t msg;
        cr_assert_eq(msg_decode(blob_bin(sent[d - 1].frame), &msg), ERR_OK);
        const msg_deliver_t *deliver = &msg.body.deliver;
        cr_expect_eq(deliver->d, d);
        cr_expect_eq(deliver->verdict, d % 3, "1 replay, 2 skip, 0 live");
        cr_expect_eq(deliver->run, 7);
        cr_expect_eq(deliver->applied, 2);
        cr_expect_eq(deliver->durable, 3);
        cr_expect_eq(deliver->expect.b[1], d < 3 ? 2 : 0);
        cr_expect_eq(deliver->trace.b[2], 3);
        cr_expect_eq(deliver->delivery.len, 10 + d);
        msg_clear(&msg);
    }
}

/* Asks for rows FIRST to LAST of v4: how many come, of which the first is FIRST; NEXT is where to go on. */
static size_t ask_history(uint64_t first, uint64_t last, uint64_t *ret_next)
{
    size_t count = 0, before = sent_count;
    arrive(DOOR_CLIENTS, 20, 0, TAG_log_get, &(msg_log_get_t){{{9}}, {4}, first, last});
    turn();
    cr_assert_eq(sent_count, before + 1);
    msg_t msg, row;
    cr_assert_eq(msg_decode(blob_bin(sent[before].frame), &msg), ERR_OK);
    cr_assert_eq(msg.tag, TAG_rows);
    bin_t rest = msg.body.rows.rows;
    cr_assert(rest.len && rest.at[0] == 0xc0, "what the kernel said comes first");
    rest.at++;
    rest.len--;
    while (rest.len > 0) {
        cr_assert_eq(msg_next(&rest, &row), ERR_OK);
        cr_assert_eq(row.tag, TAG_log_row);
        cr_expect_eq(row.body.log_row.d, first + count);
        cr_expect_eq(row.body.log_row.verdict, 1);
        cr_expect_eq(row.body.log_row.attempts, 2);
        count++;
        msg_clear(&row);
    }
    *ret_next = msg.body.rows.next;
    msg_clear(&msg);
    return count;
}

static void add_large(record_t *record, uint64_t d, uint8_t *bytes, size_t delivery, size_t calls)
{
    row_t row = {.table = ROW_log};
    row.body.log = (row_log_t){.vat = 4, .d = d, .outcome = 1, .attempts = 2};
    row.body.log.delivery = (bin_t){bytes, delivery};
    row.body.log.calls = (bin_t){bytes, calls};
    record_add(record, &row);
}

Test(answer, a_log_is_told_in_pages)
{
    uint64_t seq, next;
    gate_t real = store_gate(store);
    record_t record = {0};
    uint8_t *bytes = calloc(1, 30u << 20);
    cr_assert(bytes);
    record_begin(&record, 1);
    for (uint64_t d = 1; d <= 1500; d++) add_large(&record, d, bytes, 10, 10);
    for (uint64_t d = 1501; d <= 1503; d++) add_large(&record, d, bytes, 3u << 20, 10);
    add_large(&record, 1504, bytes, 30u << 20, 30u << 20);
    add_large(&record, 1505, bytes, 10, 10);
    record_end(&record);
    cr_assert_eq(real.append(real.self, &record), ERR_OK);
    cr_assert_eq(real.durable(real.self, &seq), ERR_OK);
    record_clear(&record);
    free(bytes);

    connect_both();
    cr_expect_eq(ask_history(1, 1505, &next), 1000);
    cr_expect_eq(next, 1001);
    cr_expect_eq(ask_history(1001, 1505, &next), 502, "more than 4 MiB is a page");
    cr_expect_eq(next, 1503);
    cr_expect_eq(ask_history(1503, 1505, &next), 1, "the next one does not fit behind it");
    cr_expect_eq(next, 1504);
    cr_expect_eq(ask_history(1504, 1505, &next), 1,
                 "not even into a frame of its own, with its calls");
    cr_expect_eq(next, 1505);
    cr_expect_eq(ask_history(1505, 1505, &next), 1);
    cr_expect_eq(next, 0);
    cr_expect_eq(ask_history(1506, 1505, &next), 0);
}

Test(answer, a_client_that_asks_for_the_end_hears_that_it_comes)
{
    connect_both();
    arrive(DOOR_CLIENTS, 20, 0, TAG_shutdown, &(msg_shutdown_t){{{8}}});
    turn();
    cr_expect_eq(count_sent(20, TAG_done), 1);
    cr_expect(broker_stopped(broker));
}

/* ---- STATS ---- */

/* The value of a STAT_ROW in the last ROWS that went to ROUTE; UINT64_MAX: there is none. HISTS: how many
 * HIST_ROWs there are. */
static uint64_t stat(uint8_t route, const char *name, const char *of, size_t *ret_hists)
{
    uint64_t value = UINT64_MAX;
    *ret_hists = 0;
    for (size_t i = 0; i < sent_count; i++) {
        msg_t msg, row;
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        bin_t rest = msg.tag == TAG_rows ? msg.body.rows.rows : (bin_t){0};
        while (rest.len && !msg_next(&rest, &row)) {
            const msg_stat_row_t *stat = &row.body.stat_row;
            *ret_hists += row.tag == TAG_hist_row;
            if (row.tag == TAG_stat_row && stat->name.len == strlen(name) &&
                memcmp(stat->name.at, name, stat->name.len) == 0 && stat->of.len == strlen(of) &&
                memcmp(stat->of.at, of, stat->of.len) == 0)
                value = stat->value;
            msg_clear(&row);
        }
        msg_clear(&msg);
    }
    return value;
}

Test(answer, stats_say_what_came_and_what_left)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &a_hello);
    arrive(DOOR_CLIENTS, 20, 0, TAG_client_hello, &a_client_hello);
    turn();
    arrive(DOOR_HOSTS, 10, 1, TAG_ping, &a_ping);
    arrive(DOOR_HOSTS, 11, 2, TAG_ping, &a_ping); /* no session: NEED_HELLO */
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    size_t hists, to_hosts = 0;
    for (size_t i = 0; i < sent_count; i++) to_hosts += sent[i].door == DOOR_HOSTS;
    cr_expect_geq(to_hosts, 3);
    arrive(DOOR_CLIENTS, 20, 0, TAG_stats, &(msg_stats_t){.request = {{4}}});
    turn();
    cr_expect_eq(stat(20, "frames_in", "hosts", &hists), 3);
    cr_expect_eq(stat(20, "frames_out", "hosts", &hists), to_hosts);
    cr_expect_eq(stat(20, "frames_in", "clients", &hists), 3, "and this request");
    cr_expect_eq(stat(20, "host_frames_in", "h1", &hists), 1, "the HELLO was nobody's yet");
    cr_expect_eq(stat(20, "frames_refused", "", &hists), 1);
    cr_expect_eq(stat(20, "deliveries", "message", &hists), 7, "the kernel's own");
    cr_expect_eq(stat(20, "disk_free", "", &hists), disk_free << 20);
    cr_expect_eq(stat(20, "disk_size", "", &hists), disk_total << 20);
    cr_expect_eq(stat(20, "disk_level", "", &hists), 0);
    cr_expect_geq(stat(20, "commits", "", &hists), 1);
    cr_expect_eq(hists, 0);
    forget_sent();

    arrive(DOOR_CLIENTS, 20, 0, TAG_stats, &(msg_stats_t){.request = {{5}}, .hists = 1});
    turn();
    stat(20, "", "", &hists);
    cr_expect_eq(hists, 6);
}

/* ---- readers ---- */

static bool reads(const message_t *row) { return strncmp(row->direction, "reader ", 7) == 0; }

/* Every message there is, said by a reader: what its row does not give to readers is refused and reaches nobody. */
Test(answer, the_read_only_door_takes_what_its_table_says_and_no_more)
{
    size_t count, taken = 0;
    const message_t *all = message_all(&count);
    arrive(DOOR_READERS, 30, 0, TAG_client_hello, &a_client_hello);
    turn();
    cr_assert_eq(count_sent(30, TAG_client_welcome), 1);
    for (size_t i = 0; i < count; i++) {
        static const msg_body_t none;
        msg_tag_t tag = all[i].tag;
        if (tag == TAG_client_hello || tag == TAG_refuse || tag == TAG_pong) continue;
        unsigned before = fake_inputs[INPUT_CLIENT];
        forget_sent();
        arrive(DOOR_READERS, 30, 0, tag, &none);
        turn();
        bool asked = fake_inputs[INPUT_CLIENT] > before;
        if (reads(&all[i]) || tag == TAG_ping) {
            taken++;
            cr_expect_eq(refused(30), 0, "%s", all[i].name);
            cr_expect(asked || sent_count == 1, "%s", all[i].name);
        } else {
            cr_expect_eq(refused(30), ERR_READ_ONLY, "%s", all[i].name);
            cr_expect_not(asked, "%s", all[i].name);
            cr_expect_eq(sent_count, 1, "%s", all[i].name);
        }
    }
    cr_expect_eq(taken, 3, "PING, STATS and LIST");
}

/* Lists of objects, promises and queues have values in them; an audit holds the broker up. */
Test(answer, of_lists_a_reader_gets_four)
{
    arrive(DOOR_READERS, 30, 0, TAG_client_hello, &a_client_hello);
    turn();
    for (uint64_t what = 0; what < 20; what++) {
        unsigned before = fake_inputs[INPUT_CLIENT];
        bool reads = what <= 2 || what == 5;
        forget_sent();
        arrive(DOOR_READERS, 30, 0, TAG_list, &(msg_list_t){.what = what});
        turn();
        cr_expect_eq(refused(30), reads ? ERR_OK : ERR_READ_ONLY, "%d", (int)what);
        cr_expect_eq(fake_inputs[INPUT_CLIENT] - before, reads, "%d", (int)what);
    }
}

/* Of the text that the log gets while readers are refused COUNT times, how often WHAT stands there. */
static int logged(int count, const char *what)
{
    static char text[65536];
    FILE *file = tmpfile();
    int before = dup(STDERR_FILENO), found = 0;
    cr_assert(file && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    for (int i = 0; i < count; i++) arrive(DOOR_READERS, 30, 0, TAG_kill, &a_kill);
    turn();
    cr_assert(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (const char *at = text; (at = strstr(at, what)); at++) found++;
    return found;
}

Test(answer, what_readers_are_refused_is_logged_once_a_second)
{
    arrive(DOOR_READERS, 30, 0, TAG_client_hello, &a_client_hello);
    turn();
    cr_expect_eq(logged(50, " frame_refused "), 1);
    cr_expect_eq(logged(20, " frame_refused "), 0);
    now += 1000;
    cr_expect_eq(logged(3, " more=69\n"), 1);
    now += 1000;
    cr_expect_eq(logged(1, " more=2\n"), 1);
    cr_expect_eq(count_sent(30, TAG_refuse), 74, "all are told");
}

/* The kernel answers a number: it is that of one client or reader. */
Test(answer, readers_and_clients_are_told_apart)
{
    arrive(DOOR_CLIENTS, 20, 0, TAG_client_hello, &a_client_hello);
    arrive(DOOR_READERS, 20, 0, TAG_client_hello, &a_client_hello);
    turn();
    cr_expect_eq(count_sent(20, TAG_client_welcome), 2);
    forget_sent();
    arrive(DOOR_READERS, 20, 0, TAG_stats, &(msg_stats_t){.request = {{7}}});
    turn();
    cr_assert_eq(sent_count, 1);
    cr_expect_eq(sent[0].door, DOOR_READERS);
    forget_sent();
    arrive(DOOR_READERS, 20, 0, TAG_kill, &a_kill);
    arrive(DOOR_CLIENTS, 20, 0, TAG_kill, &a_kill);
    turn();
    cr_expect_eq(fake_inputs[INPUT_CLIENT], 1);
}

/* A host whose vat cannot begin without it would ask for ever. */
Test(answer, the_kernel_hears_of_a_copy_that_a_host_asks_for_in_vain)
{
    connect_both();
    msg_checkpoint_get_t other = {{51}, 1, 4, 0}, get = {{52}, 1, 4, 0};
    arrive(DOOR_HOSTS, 10, 1, TAG_checkpoint_get, &other);
    arrive(DOOR_CLIENTS, 20, 0, TAG_checkpoint_get, &get);
    turn();
    cr_expect_eq(fake_inputs[INPUT_UNMIRRORED], 0);
    arrive(DOOR_HOSTS, 10, 1, TAG_checkpoint_get, &get);
    turn();
    cr_expect_eq(fake_inputs[INPUT_UNMIRRORED], 1);
    cr_expect_eq(count_sent(10, TAG_checkpoint_part), 2);
    cr_expect_eq(count_sent(20, TAG_checkpoint_part), 1);
}
