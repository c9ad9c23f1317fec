#include "tests/unit/broker/turn_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t appended;
static uint64_t durable;

/* ---- port ---- */

static arrival_t coming[512];
static size_t coming_first, coming_last;
sent_t sent[SENT_MAX];
size_t sent_count;
uint8_t gone_route, revoked_key;
unsigned takes;
int waited_ms;
static bool hosts_held;

static void port_hold(void *self, bool hosts)
{
    (void)self;
    hosts_held = hosts;
}

static void port_wait(void *self, int ms)
{
    (void)self;
    waited_ms = ms;
}

static bool port_take(void *self, arrival_t *ret)
{
    (void)self;
    takes++;
    if (coming_first == coming_last) return false;
    if (hosts_held && coming[coming_first].door == DOOR_HOSTS) return false;
    *ret = coming[coming_first++];
    return true;
}

static bool port_send(void *self, door_t door, const route_t *route, bin_t frame)
{
    (void)self;
    if (route->at[0] == gone_route) return false;
    sent[sent_count++] = (sent_t){door, route->at[0], blob_new(frame.at, frame.len)};
    return true;
}

const char *operators_name = "";
bool on_list[1024];

static bool *listed(hash_t key) { return &on_list[key.b[1] + 256 * key.b[2]]; }

static bool port_admits(void *self, hash_t key, char name[NAME_BYTES_MAX + 1])
{
    (void)self;
    if (name) strcpy(name, operators_name);
    return key.b[0] != revoked_key && (key.b[0] != NEWCOMER || *listed(key));
}

hash_t admitted_key;
err_t admit_says;
unsigned admits;

static void port_admit(void *self, newcomer_t *all, size_t count)
{
    (void)self;
    admits++;
    for (size_t i = 0; i < count; i++) {
        if (!all[i].err) all[i].err = admit_says;
        if (all[i].err) continue;
        admitted_key = all[i].key;
        *listed(all[i].key) = true;
    }
}

unsigned expels;
err_t expel_says;
hash_t expelled;

static err_t port_expel(void *self, const hash_t *keys, size_t count)
{
    (void)self;
    expels++;
    cr_assert_eq(durable, appended, "what they are put out for is on the disk");
    if (count) expelled = keys[0];
    return expel_says;
}

void forget_sent(void)
{
    while (sent_count) blob_destroy(&sent[--sent_count].frame);
}

arrival_t *arrive(door_t door, uint8_t route, uint8_t key, msg_tag_t tag, const void *body)
{
    arrival_t *arrival = &coming[coming_last++];
    *arrival = (arrival_t){.door = door, .admitted = true};
    arrival->route = (route_t){1, {route}};
    arrival->key.b[0] = key;
    buf_t frame = buf_of(FRAME_BYTES_MAX);
    cr_assert_eq(msg_encode(tag, body, &frame), ERR_OK);
    arrival->frame = blob_new(frame.at, frame.len);
    buf_clear(&frame);
    return arrival;
}

size_t count_sent(uint8_t route, msg_tag_t tag)
{
    size_t count = 0;
    for (size_t i = 0; i < sent_count; i++) {
        count += sent[i].route == route && msg_peek(blob_bin(sent[i].frame)) == tag;
    }
    return count;
}

uint64_t refused(uint8_t route)
{
    for (size_t i = 0; i < sent_count; i++) {
        msg_t msg;
        if (sent[i].route != route || msg_decode(blob_bin(sent[i].frame), &msg)) continue;
        uint64_t error = msg.tag == TAG_refuse ? msg.body.refuse.error : 0;
        msg_clear(&msg);
        if (error) return error;
    }
    return 0;
}

/* ---- gate ---- */

gate_answer_t gate_says;

static err_t gate_append(void *self, const record_t *record)
{
    (void)self;
    cr_assert_eq(record->seq, appended + 1);
    cr_assert_eq(durable, appended, "one record at a time");
    appended = record->seq;
    return ERR_OK;
}

static err_t gate_durable(void *self, uint64_t *ret_seq)
{
    (void)self;
    if (gate_says == GATE_DONE) durable = appended;
    *ret_seq = durable;
    return gate_says == GATE_FULL ? ERR_STORE_FULL : gate_says == GATE_BROKEN ? ERR_STORE : ERR_OK;
}

static void gate_last(void *self, uint64_t *ret_seq, hash_t *ret_chain)
{
    (void)self;
    *ret_seq = appended;
    *ret_chain = (hash_t){{0}};
}

/* ---- the broker under test ---- */

store_t *store;
broker_t *broker;
uint64_t now = 1000000;
uint64_t disk_free = 1000, disk_total = 1000;
static char dir[64], path[96];

static void disk_room(uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = disk_free << 20;
    *ret_total = disk_total << 20;
}

static uint64_t clock_ms(void) { return now; }

static void port_pause(void *self, int ms)
{
    (void)self;
    now += (uint64_t)ms;
}

broker_options_t turn_options(void)
{
    return (broker_options_t){
        .port = {NULL, port_wait, port_pause, port_take, port_send, port_admits,
                 .admit = port_admit, .expel = port_expel, .hold = port_hold},
        .gate = {NULL, gate_append, gate_durable, gate_last},
        .store = store,
        .hosts_endpoint = "tcp://127.0.0.1:1",
        .key = "key",
        .traced_below = TRACES_ALL,
        .clock_ms = clock_ms,
        .room = disk_room,
    };
}

void turn_set_up(void)
{
    setenv("VATYARD_LOG_LEVEL", "error", 1);
    strcpy(dir, "/tmp/vatyard-turn-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/kernel.db", dir);
    cr_assert_eq(store_open(&(store_options_t){.path = path}, &store), ERR_OK);
    broker_options_t options = turn_options();
    broker = broker_new(&options);
    cr_assert_eq(broker_load(broker), ERR_OK);
}

void turn_tear_down(void)
{
    broker_destroy(&broker);
    store_destroy(&store);
    forget_sent();
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    cr_expect_eq(system(command), 0);
}

void turn(void) { cr_assert_eq(broker_turn(broker, 1000), ERR_OK); }

const msg_hello_t a_hello = {.proto_min = 1, .proto_max = 1, .nonce = {{9}}};
const msg_client_hello_t a_client_hello = {1, 1};
const msg_ping_t a_ping = {5};
const msg_kill_t a_kill = {.request = {{3}}, .vat = {1}};

void connect_both(void)
{
    arrive(DOOR_HOSTS, 10, 1, TAG_hello, &a_hello);
    arrive(DOOR_CLIENTS, 20, 0, TAG_client_hello, &a_client_hello);
    turn();
    cr_assert_eq(count_sent(10, TAG_welcome), 1);
    cr_assert_eq(count_sent(20, TAG_client_welcome), 1);
    forget_sent();
}
