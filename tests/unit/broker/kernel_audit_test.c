/* Rows of a whole kernel, and one of them wrong: a start refuses, and the audit says which row it is and
 * what it should be. What cannot be wrong in a store (lists in memory) is planted in the simulator. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/broker/audit_stage.h"

TestSuite(audit, .init = audit_set_up, .fini = audit_tear_down);

Test(audit, what_is_whole_is_whole)
{
    cr_expect(load());
    for (size_t i = 0; i < line_count; i++) cr_expect_fail("%s", lines[i]);
}

/* ---- objects ---- */

Test(audit, k1_names)
{
    set(ROW_vat, 1, 0, "objects", 0);
    EXPECT("K1  object ko1.1: its issuer made 0, its number should be at most that");
    set(ROW_vat, 1, 0, "promises", 0);
    EXPECT("K1  promise kp1.1: its issuer made 0, its number should be at most that");
    set_counter("next_promise", 1);
    EXPECT("K1  promise kp0.2: its issuer made 1, its number should be at most that");
    object(O(9, 1), 0, 0, 0, 0);
    EXPECT("K1  object ko9.1: its issuer v9 should be known and is not",
           "K7  object ko9.1: nobody owns it and nobody recognizes it, should be gone");
}

Test(audit, k2_k3_owners)
{
    set(ROW_object, O(1, 1), 0, "owner", 3);
    EXPECT("K2  object ko1.1: its owner is v3, should be its issuer v1 or 0",
           "K2  object ko1.1: its owner v3 is not alive, should be 0: an orphan",
           "K3  object ko1.1: exported by v1, should be by its owner v3 (0: nobody)");
    set(ROW_object, O(1, 1), 0, "owner", 0);
    EXPECT("K3  object ko1.1: exported by v1, should be by its owner v0 (0: nobody)");
    drop(ROW_held, 1, O(1, 1));
    EXPECT("K3  object ko1.1: its owner v1 should have an export row for it, has none");
}

Test(audit, k4_to_k7_counts)
{
    set(ROW_object, O(1, 1), 0, "reachable", 3);
    EXPECT("K4  object ko1.1: reachable is 3, should be at most recognizable, 2",
           "K5  object ko1.1: reachable is 3, should be 1");
    set(ROW_object, O(1, 1), 0, "reachable", 2);
    EXPECT("K5  object ko1.1: reachable is 2, should be 1");
    set(ROW_object, O(1, 1), 0, "reachable", 0);
    EXPECT("K5  object ko1.1: reachable is 0, should be 1");
    set(ROW_object, O(1, 1), 0, "recognizable", 3);
    EXPECT("K6  object ko1.1: recognizable is 3, should be 2");
    set(ROW_object, O(1, 0), 0, "pins", 0);
    EXPECT("K5  object ko1.0: pins is 0, should be at least 1",
           "K5  object ko1.0: reachable is 4, should be 3",
           "K6  object ko1.0: recognizable is 4, should be 3");
    set(ROW_vat, 2, 0, "objects", 1);
    object(O(2, 1), 0, 0, 0, 0);
    EXPECT("K7  object ko2.1: nobody owns it and nobody recognizes it, should be gone");
}

/* ---- promises ---- */

Test(audit, k11_states)
{
    set(ROW_promise, P(1, 1), 0, "state", 3);
    EXPECT("not loaded");
}

Test(audit, k12_k13_deciders)
{
    set(ROW_promise, P(1, 1), 0, "decider", 0);
    EXPECT(
        "K12  promise kp1.1: decided by 0 queued messages and no vat, should be by one of either");
    set(ROW_entry, 1, 5, "result", P(1, 1));
    set(ROW_promise, P(1, 1), 0, "count", 4);
    EXPECT(
        "K12  promise kp1.1: decided by 1 queued messages and a vat, should be by one of either");
    set(ROW_promise, P(1, 1), 0, "decider", 3);
    EXPECT("K12  promise kp1.1: its decider v3 is not alive, should be a live vat",
           "K44  vat v3: ended, should decide nothing any more, and decides promises");
    set(ROW_promise, P(1, 1), 0, "decider", 9);
    EXPECT("K12  promise kp1.1: its decider v9 is not alive, should be a live vat");
    drop(ROW_held, 1, P(0, 2));
    EXPECT("K13  promise kp0.2: its decider v1 should have a row for it and has none",
           "K15  promise kp0.2: its count is 3, should be 2");
}

Test(audit, k14_k17_k18_settled)
{
    set(ROW_promise, P(0, 1), 0, "decider", 1);
    EXPECT("K12  promise kp0.1: in the list of what v1 decides, should not be",
           "K14  promise kp0.1: settled, its decider is v1, should be 0");
    set(ROW_held, 1, P(2, 1), "flags", R | S);
    EXPECT("K14  promise kp2.1: settled, and the number of its subscribers is 1, should be 0");
    set(ROW_hold, P(0, 2), 0, "seq", 3);
    EXPECT("K14  hold kp0.2: its promise is unresolved: seq is 3, should be 0");
    ROW(entry, .holder = P(0, 1), .seq = 9, .kind = 1, .target = P(0, 1), .msg_d = 9,
        .body = BIN("#[\"x\",[]]"));
    set(ROW_promise, P(0, 1), 0, "count", 2);
    EXPECT("K17  promise kp0.1: settled, and the length of its queue is 1, should be 0");
    row_promise_t *row = &row_at(ROW_promise, P(0, 1), 0)->body.promise;
    row->body = (bin_t)BIN("#\"&0\"");
    row->slots = (bin_t){slot(slots_one, P(1, 1)), 8};
    drop(ROW_promise, P(2, 1), 0);
    drop(ROW_entry, 1, 6);
    drop(ROW_held, 1, P(2, 1));
    set(ROW_object, O(2, 0), 0, "reachable", 2);
    set(ROW_object, O(2, 0), 0, "recognizable", 2);
    set(ROW_promise, P(1, 1), 0, "count", 4);
    EXPECT("K18  promise kp0.1: fulfilled with nothing but a promise, should have followed it");
}

Test(audit, k15_k19_counts)
{
    set(ROW_promise, P(1, 1), 0, "count", 7);
    EXPECT("K15  promise kp1.1: its count is 7, should be 3");
    set(ROW_vat, 2, 0, "promises", 2);
    ROW(promise, .kref = P(2, 2), .state = 1, .body = BIN("#1"));
    EXPECT("K19  promise kp2.2: nobody names it, should be gone");
}

/* ---- authority rows ---- */

Test(audit, k16_k22_k23_k27_flags)
{
    set(ROW_held, 2, O(1, 1), "flags", S);
    EXPECT("K16  held v2 ko1.1: an object, should not be subscribed to");
    set(ROW_held, 2, O(1, 1), "flags", 8);
    EXPECT("K22  held v2 ko1.1: flags are 8, should be at most 7");
    held(2, O(1, 7), R, 1, 1);
    EXPECT("not loaded");
    set(ROW_held, 2, O(1, 1), "flags", E);
    EXPECT("K23  held v2 ko1.1: exported by v2, should be by v1",
           "K3  object ko1.1: exported by 2 vats, should be by its owner v1 alone",
           "K6  object ko1.1: recognizable is 2, should be 1");
    set(ROW_held, 2, P(1, 1), "flags", S);
    EXPECT("K27  held v2 kp1.1: a promise, should be reachable");
}

Test(audit, k25_deliveries)
{
    set(ROW_held, 2, O(1, 1), "intro_d", 3);
    EXPECT("K25  held v2 ko1.1: since_d, intro_d, told_d are 2, 3, 0, should be at most the vat's "
           "last "
           "delivery, 2");
    set(ROW_held, 2, O(1, 1), "intro_d", 1);
    EXPECT("K25  held v2 ko1.1: since_d, told_d are 2, 0, should be at most intro_d, 1");
    set(ROW_held, 2, P(1, 1), "told_d", 3);
    EXPECT("K25  held v2 kp1.1: since_d, intro_d, told_d are 2, 2, 3, should be at most the vat's "
           "last "
           "delivery, 2",
           "K25  held v2 kp1.1: since_d, told_d are 2, 3, should be at most intro_d, 2");
    set(ROW_promise, P(0, 2), 0, "decider_d", 5);
    EXPECT("K25  promise kp0.2: decided since v1/5, should be at most /4");
}

/* ---- queues and deliveries ---- */

Test(audit, k26_ended)
{
    ROW(entry, .holder = 3, .seq = 9, .kind = 0, .body = BIN("#{}"));
    EXPECT("K26  vat v3: ended: 0 authority rows, 1 queued, none in flight, should be none");
}

Test(audit, k29_k30_k35_messages)
{
    set(ROW_entry, 1, 5, "msg_vat", 0);
    set(ROW_entry, 1, 5, "msg_d", 8);
    set(ROW_entry, 1, 5, "msg_n", 0);
    EXPECT("K29  message v0/8: #0 is queued or in flight twice, should be in one place");
    set(ROW_entry, 1, 5, "msg_d", 3);
    EXPECT("K29  entry v1 5: sent by v2/3, should be at most /2");
    set(ROW_log, 1, 4, "msg_d", 10);
    EXPECT("K29  log v1/4: sent by input 10, should be at most 9");
    set(ROW_entry, 1, 6, "holder", P(1, 1));
    EXPECT("K30  entry kp1.1 6: waits for a promise, should be a message then");
    set(ROW_entry, 1, 6, "target", P(1, 1));
    EXPECT("K15  promise kp1.1: its count is 3, should be 4",
           "K15  promise kp2.1: its count is 2, should be 1",
           "K35  entry v1 6: a notify of kp1.1, which should be settled");
}

Test(audit, k31_k32_in_flight)
{
    hash[0][0] ^= 1;
    EXPECT("K31  log v1/4: its hash should be that of its delivery");
    drop(ROW_log, 1, 4);
    EXPECT("K15  promise kp0.2: its count is 3, should be 2",
           "K31  vat v1: assigned is 4, should be 3",
           "K5  object ko1.0: reachable is 4, should be 3",
           "K6  object ko1.0: recognizable is 4, should be 3");
    set(ROW_log, 1, 4, "outcome", 1);
    EXPECT("K31  log v1/4: in flight, should have no outcome");
    set(ROW_vat, 1, 0, "assigned", UINT64_C(1) << 62);
    EXPECT("K31  vat v1: assigned is 4611686018427387904, should be 4");
    set(ROW_vat, 1, 0, "assigned", 5);
    set(ROW_vat, 1, 0, "window", 2);
    msg_deliver_reap_t reap = {0};
    log_row(5, TAG_deliver_reap, &reap);
    EXPECT("K32  vat v1: delivery 5 is a start, reap or GC: should be alone in flight");
    set(ROW_vat, 1, 0, "assigned", 5);
    log_row(5, TAG_deliver_message,
            &(msg_deliver_message_t){.target = {O(1, 0)}, .methargs.body = BIN("#[\"go\",[]]")});
    rows[row_count - 1].body.log.msg_d = 9;
    set(ROW_object, O(1, 0), 0, "reachable", 5);
    set(ROW_object, O(1, 0), 0, "recognizable", 5);
    EXPECT("K31  vat v1: 2 deliveries in flight, should be at most its window, 1");
}

Test(audit, k33_what_is_named)
{
    set(ROW_entry, 1, 5, "target", O(1, 9));
    EXPECT("K33  entry v1 5: names ko1.9, which should exist and does not",
           "K5  object ko1.0: reachable is 4, should be 3",
           "K6  object ko1.0: recognizable is 4, should be 3");
    row_at(ROW_entry, 1, 5)->body.entry.body = (bin_t)BIN("#[\"take\",[\"$2\"]]");
    EXPECT("K33  entry v1 5: its body is broken, or names a slot of another kind or none");
    row_at(ROW_promise, P(2, 1), 0)->body.promise.body = (bin_t)BIN("#\"&0\"");
    EXPECT("K33  promise kp2.1: its body is broken, or names a slot of another kind or none");
}

/* ---- vats, clusters, hosts, requests ---- */

Test(audit, k42_k43_lives)
{
    set(ROW_vat, 2, 0, "window", 0);
    EXPECT("K42  vat v2: window is 0, should be 1 to 16");
    set(ROW_vat, 2, 0, "inc", 0);
    EXPECT("K42  vat v2: inc, pgen are 0, 1, should be at least 1");
    set(ROW_vat, 2, 0, "state", 0);
    EXPECT("K42  vat v2: applied is 2, should be 0 while it starts");
    set(ROW_vat, 2, 0, "host", 7);
    EXPECT("K43  vat v2: stands on h7, should be a known host");
    set(ROW_host, 1, 0, "epoch", 6);
    EXPECT("K43  host h1: epoch is 6, should be at most the kernel's, 5");
    set(ROW_cluster, 1, 0, "bootstrap", 3);
    EXPECT("K42  cluster s1: its bootstrap vat is v3, should be one of its vats");
    set(ROW_cluster, 1, 0, "result", P(1, 1));
    EXPECT("K42  cluster s1: it runs: bootstrap's promise should be held, and is not");
}

Test(audit, k45_counters)
{
    set_counter("next_vat", 2);
    EXPECT("K45  vat v3: the last number given is 2, should be at least its own");
    set_counter("next_cluster", 0);
    EXPECT("K45  cluster s1: the last number given is 0, should be at least its own");
    set_counter("next_host", 0);
    EXPECT("K45  host h1: the last number given is 0, should be at least its own");
}

Test(audit, k48_requests)
{
    row_at(ROW_cluster, 1, 0)->body.cluster.request = (bin_t){id, 16};
    EXPECT("K42  cluster s1: it runs: its LAUNCH should be answered",
           "K48  cluster s1: its LAUNCH should be among the requests that wait");
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].table == ROW_request) rows[i].body.request.reply = (bin_t)NONE;
    EXPECT("K48  requests #1: how many wait for an answer is 1, should be 0");
}

Test(audit, k53_launches)
{
    drop(ROW_config, 1, 0);
    EXPECT("K53  config s1: should be the LAUNCH of its cluster, and is none");
    row_at(ROW_config, 1, 0)->body.config.launch = (bin_t)BIN("x");
    EXPECT("K53  config s1: should be the LAUNCH of its cluster, and is none");
    row_at(ROW_config, 1, 0)->body.config.launch = (bin_t){launch[1].at, launch[1].len};
    EXPECT("K53  config s1: should be the LAUNCH of its cluster, and is another message");
}

/* ---- what the kernel has of its own ---- */

static void begin_outside(void)
{
    made = make_outside;
    make_outside();
}

Test(audit, with_objects_and_errands_of_its_own_it_is_whole)
{
    begin_outside();
    cr_expect(load());
    for (size_t i = 0; i < line_count; i++) cr_expect_fail("%s", lines[i]);
}

Test(audit, k50_services)
{
    begin_outside();
    drop(ROW_service, O(0, 2), 0);
    EXPECT("K50  object ko0.2: of the kernel, should be one of its services");
    set(ROW_service, O(0, 2), 0, "cluster", 2);
    EXPECT("K50  service ko0.2: of s2, which was never there");
    set(ROW_service, O(0, 2), 0, "vat", 9);
    EXPECT("K50  service ko0.2: about v9, which should be known and is not",
           "K50  service ko0.2: should be what the globals of its vat use");
    object(O(0, 3), 0, 1, 1, 0);
    held(2, O(0, 3), R, 1, 1);
    set_counter("next_object", 3);
    ROW(service, .kref = O(0, 3), .kind = SERVICE_outside, .cluster = 1, .vat = 1);
    EXPECT("K50  service ko0.2: should be what the globals of its vat use");
    set(ROW_object, O(0, 1), 0, "pins", 0);
    set(ROW_object, O(0, 1), 0, "recognizable", 0);
    set(ROW_object, O(0, 1), 0, "reachable", 0);
    EXPECT("K5  object ko0.1: pins is 0, should be at least 1",
           "K7  object ko0.1: nobody owns it and nobody recognizes it, should be gone");
    ROW(service, .kref = O(2, 0), .kind = SERVICE_timer);
    EXPECT("not loaded");
    set(ROW_service, O(0, 2), 0, "kind", 99);
    EXPECT("not loaded");
}

Test(audit, k51_pendings)
{
    begin_outside();
    set(ROW_pending, P(0, 3), 0, "number", 2);
    EXPECT("K51  pending kp0.3: waits for errand 2, which should be open and know it");
    set(ROW_pending, P(2, 2), 0, "vat", 3);
    EXPECT("K51  pending kp2.2: waits for v3, which should be alive");
    set(ROW_pending, P(2, 2), 0, "vat", 0);
    EXPECT("K51  pending kp2.2: waits for v0, which should be alive");
    set(ROW_pending, P(2, 2), 0, "watched", P(0, 1));
    set(ROW_promise, P(0, 1), 0, "count", 2);
    EXPECT("K51  pending kp2.2: what it watches should be unresolved");
    drop(ROW_pending, P(2, 2), 0);
    set(ROW_promise, P(2, 2), 0, "count", 1);
    EXPECT(
        "K12  promise kp2.2: decided by 0 queued messages and no vat, should be by one of either");
    ROW(pending, .promise = P(2, 1), .kind = DONE, .vat = 2);
    set(ROW_promise, P(2, 1), 0, "count", 3);
    EXPECT(
        "K14  promise kp2.1: settled, and the number of messages that decide it is 1, should be 0",
        "K51  pending kp2.1: its promise should be unresolved");
    set(ROW_pending, P(2, 2), 0, "vat", 9);
    EXPECT("not loaded");
    ROW(pending, .promise = P(2, 7), .kind = DONE, .vat = 2);
    EXPECT("not loaded");
}

Test(audit, k45_k52_errands)
{
    begin_outside();
    set_counter("next_errand", 0);
    EXPECT("K45  errand 1: its number should be at most next_errand, 0");
    set(ROW_errand, 1, 0, "cluster", 2);
    EXPECT("K52  errand 1: of s2, which should be there and is not",
           "K52  errand 1: should be a fetch of a live vat, or for a channel, of its cluster",
           "K52  kernel e5: the number of errands is 1, should be 0");
    set(ROW_errand, 1, 0, "vat", 1);
    EXPECT("K52  errand 1: should be a fetch of a live vat, or for a channel, of its cluster");
    set(ROW_errand, 1, 0, "channel", O(0, 2));
    EXPECT("K52  errand 1: should be a fetch of a live vat, or for a channel, of its cluster");
    row_at(ROW_errand, 1, 0)->body.errand.what = text_of("fetch");
    EXPECT("K52  errand 1: should be a fetch of a live vat, or for a channel, of its cluster");
    row_at(ROW_errand, 1, 0)->body.errand.what = text_of("sing");
    EXPECT("K52  errand 1: should be a fetch of a live vat, or for a channel, of its cluster");
    row_at(ROW_errand, 1, 0)->body.errand.body = (bin_t)BIN("#\"$0\"");
    EXPECT("K52  errand 1: what is asked is broken, or has slots");
    drop(ROW_errand, 1, 0);
    EXPECT("K51  pending kp0.3: waits for errand 1, which should be open and know it");
}

Test(audit, k53_channels)
{
    static const char *const wrong =
        "K53  cluster s1: its IO channels should be those of its LAUNCH, in that order";
    begin_outside();
    set(ROW_service, O(0, 1), 0, "number", 2);
    EXPECT(wrong);
    row_at(ROW_service, O(0, 1), 0)->body.service.text = text_of("oi");
    EXPECT(wrong);
    set(ROW_service, O(0, 2), 0, "kind", SERVICE_channel);
    EXPECT("K5  object ko0.2: pins is 0, should be at least 1", wrong);
    row_at(ROW_config, 1, 0)->body.config.launch = (bin_t){launch[0].at, launch[0].len};
    EXPECT(wrong);
}

Test(audit, x1_numbers)
{
    set(ROW_vat, 2, 0, "safe", 3);
    EXPECT("not loaded");
}

static void mirrored(uint64_t of, uint64_t d, uint64_t pgen)
{
    ROW(mirror, .vat = of, .d = d, .pgen = pgen, .chain = {chain, 32}, .hash = {key, 32},
        .bytes = 5);
}

static void with_copies(void)
{
    make();
    mirrored(1, 3, 1);
    mirrored(2, 1, 1);
}

Test(audit, x16_moves)
{
    set(ROW_vat, 2, 0, "moving", 7);
    EXPECT("X16  vat v2: moves to h7, should be a known host");
    set(ROW_vat, 3, 0, "moving", 1);
    EXPECT("X16  vat v3: ended, should neither move nor have a copy");
    row_at(ROW_vat, 2, 0)->body.vat.move_request = (bin_t){id, 16};
    EXPECT("K48  vat v2: its MOVE should be among the requests that wait",
           "X16  vat v2: a MOVE waits for it, and it does not move");
    row_at(ROW_host, 1, 0)->body.host.request = (bin_t){id, 16};
    EXPECT("K43  host h1: a HOST_CHANGE waits until it is drained, and it is not being drained",
           "K48  host h1: its HOST_CHANGE should be among the requests that wait");
}

Test(audit, x17_copies)
{
    made = with_copies;
    made();
    set(ROW_mirror, 1, 0, "d", 5);
    EXPECT("not loaded");
    set(ROW_mirror, 2, 0, "pgen", 2);
    EXPECT("X17  vat v2: its copy is of placement 2, should be at most 1");
    set(ROW_mirror, 2, 0, "bytes", 0);
    EXPECT("X17  vat v2: its copy is of no file");
    mirrored(3, 1, 1);
    EXPECT("X16  vat v3: ended, should neither move nor have a copy",
           "X17  vat v3: its copy ends with 1, should be between safe, 2, and assigned, 2");
}
