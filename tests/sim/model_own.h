/* What the two files of the model vat share. */
#pragma once
#include "tests/sim/chance.h"
#include "tests/sim/model.h"

enum {
    OWN_MAX = 512,
    IMPORTS_MAX = 512,
    PROMISES_MAX = 512,
    CELLS = 4,
    NAME_MAX = 24,
    CARGO_MAX = 8,
    BODY_MAX = 1024
};

/* What an import is, as the body said that brought it: an object of the kernel, or anything else. */
typedef enum {
    KIND_PLAIN,
#define SERVICE(kind, iface) KIND_##kind,
#include "broker/kernel/service.def"
#undef SERVICE
    KIND_COUNT
} ask_kind_t;

typedef struct {
    uint32_t n;    /* o+n, or o+d1/n */
    bool durable;  /* it outlives an upgrade */
    bool rooted;   /* its own heap holds it */
    bool exported; /* the kernel reaches it: the export pillar */
    bool known;    /* the kernel recognizes it */
    bool token;    /* it was a cancel token */
} own_t;

typedef struct {
    uint32_t n; /* o-n */
    ask_kind_t kind;
    bool held;    /* its own heap holds the Presence */
    bool reached; /* not dropped yet */
    bool weak;    /* key of a weak collection */
} import_t;

typedef struct {
    char sign;
    uint32_t n;
    bool decided; /* by this vat; otherwise it waits for it */
    bool waited;  /* it waited for it before it had to decide it: a message to itself */
    bool plain;   /* to be settled without references */
} vpromise_t;

typedef struct {
    engine_t port;
    model_config_t config;

    /* What follows is the vat's memory. */
    unsigned crank, tokens, budget, naughty;
    bool quiet; /* it was told to let go of everything */
    bool started;
    bool made; /* it made a vat, or tried to: none makes two */
    own_t own[OWN_MAX];
    import_t imports[IMPORTS_MAX];
    vpromise_t promises[PROMISES_MAX];
    unsigned own_count, import_count, promise_count;
    unsigned next_object, next_promise, last_import;
    uint64_t stamp_ms;
    uint64_t cells[CELLS]; /* what the vat store must say */
    bool cell_set[CELLS];

    /* Of the crank that runs. */
    const engine_host_t *host;
    engine_report_t *report;
    bool over; /* a syscall was refused, or it asked to end: it does nothing more */
} model_t;

typedef char name_t[NAME_MAX];

/* Some references, and a body that mentions them in order. */
typedef struct {
    name_t names[CARGO_MAX];
    vref_t slots[CARGO_MAX];
    ask_kind_t kinds[CARGO_MAX];
    unsigned count;
    size_t len; /* of the body */
    char body[BODY_MAX];
} cargo_t;

void model_fail(const model_t *self, const char *rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void model_call(model_t *self, const vcall_t *call);
void model_own_name(name_t name, const own_t *own);
own_t *model_own(model_t *self, uint32_t n);
import_t *model_import(model_t *self, uint32_t n);
vpromise_t *model_promise(model_t *self, char sign, uint32_t n);
vpromise_t *model_wait(model_t *self, char sign, uint32_t n, bool decided);
void model_forget(model_t *self, const vpromise_t *promise);
void model_gc_call(model_t *self, msg_tag_t tag, const name_t *names, unsigned count);
void model_resolve_all(model_t *self);
void model_act(model_t *self, chance_t *chance);
void model_settle(model_t *self, const vpromise_t *promise, bool rejected);

/* model_act.c, for model_ask.c */
own_t *model_new_own(model_t *self, bool rooted);
own_t *model_rooted(model_t *self, chance_t *chance);
void model_add_own(cargo_t *cargo, own_t *own);
void model_add_import(cargo_t *cargo, const import_t *import);
void model_load(model_t *self, chance_t *chance, cargo_t *cargo, unsigned most);
__attribute__((format(printf, 2, 3))) void model_print(cargo_t *cargo, const char *format, ...);
void model_mention(cargo_t *cargo, unsigned slot);
bool model_send(model_t *self, const char *target, cargo_t *cargo, bool result);

/* model_ask.c */
ask_kind_t model_kind(const vcapdata_t *data, size_t slot);
const char *model_iface(ask_kind_t kind);
bool model_ask(model_t *self, chance_t *chance);
