/* A broker with a fake port, a fake gate and a fake kernel (fake_kernel.h): the port is two lists in memory, what
 * arrives and what left; the gate says "not yet", "full", "broken" or "done" as the test tells it. */
#pragma once
#include "broker/broker.h"

enum { SENT_MAX = 1024 };

typedef struct {
    door_t door;
    uint8_t route;
    blob_t *frame;
} sent_t;

typedef enum { GATE_DONE, GATE_NOT_YET, GATE_FULL, GATE_BROKEN } gate_answer_t;

extern broker_t *broker;
extern store_t *store;

/* The clock, in milliseconds, and the disk, in MiB. */
extern uint64_t now, disk_free, disk_total;

/* What left; how often the broker asked what has come, and how long it was ready to wait for it at last. */
extern sent_t sent[SENT_MAX];
extern size_t sent_count;
extern unsigned takes;
extern int waited_ms;

/* A route that nothing gets to, and a key that the list has no more; the first byte of each. */
extern uint8_t gone_route, revoked_key;
/* What the list calls a host, what it says to a newcomer's key, and the key it then has. */
extern const char *operators_name;
extern err_t admit_says;
extern hash_t admitted_key;
/* A key that begins with this byte is on the list once it was admitted: its next two bytes, low one first, say where it is
 * here. And how often the list was written. */
enum { NEWCOMER = 77 };
extern bool on_list[1024];
extern unsigned admits;
/* How often hosts were put out, and the first key of the last time. */
extern unsigned expels;
extern err_t expel_says;
extern hash_t expelled;

/* What the gate says; the last record it was given. */
extern gate_answer_t gate_says;
extern uint64_t appended;

/* Of the suite. */
void turn_set_up(void);
void turn_tear_down(void);

/* With what turn_set_up() made the broker. */
broker_options_t turn_options(void);

void turn(void);

/* A frame comes through DOOR; it may be bent until the next turn. */
arrival_t *arrive(door_t door, uint8_t route, uint8_t key, msg_tag_t tag, const void *body);

/* How many frames with TAG went to ROUTE; the error of the first REFUSE that did, 0: none. */
size_t count_sent(uint8_t route, msg_tag_t tag);
uint64_t refused(uint8_t route);
void forget_sent(void);

extern const msg_hello_t a_hello;
extern const msg_client_hello_t a_client_hello;
extern const msg_ping_t a_ping;
extern const msg_kill_t a_kill;

/* Host 1 on route 10 with key 1, a client on route 20. */
void connect_both(void);
