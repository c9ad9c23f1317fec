/* A vat that behaves as far as the kernel can see like one on liveslots, without JavaScript: objects
 * that its heap, the kernel or nobody holds; Presences that it reaches or only recognizes; promises
 * that it decides or waits for. What it does follows from its deliveries alone: chance comes from
 * (seed, vat, number of the crank, number of the action), so each action can be left out by itself.
 *
 * It fails loudly where liveslots would: a message to an object it does not remember, a notify of a
 * promise it decides, a GC delivery about something that is not in that state. */
#pragma once
#include "vathost/supervisor/engine.h"

typedef struct {
    void *context;
    /* Is action N of crank D of vat VAT to happen? */
    bool (*wanted)(void *context, unsigned vat, unsigned d, unsigned n);
    /* The vat met something that cannot be. Does not return. */
    void (*fail)(void *context, const char *rule, const char *text);

    uint64_t seed;
    unsigned vat;    /* its number */
    unsigned budget; /* sends it may make before anybody kicks it, and per kick */
    bool rude;       /* now and then it makes a syscall that is not legal */
    bool eager;      /* it drops and retires outside of bringOutYourDead as well */
    bool abandons;   /* it abandons exports; only with a window of 1 */
    bool exits;      /* it may end itself */
    bool dynamic;    /* a vat made it: its root is dropped like other objects */
    bool broken;     /* its code does not start */
    bool limits;     /* some of its cranks exceed a limit, always the same ones */
    bool asks;       /* it tries methods of the kernel's own objects */
} model_config_t;

engine_t *model_new(const model_config_t *config);

/* A delivery was stepped over: the crank's number counts all the same. */
void model_skipped(engine_t *engine);

/* The crank in which it did something illegal that a supervisor may let pass; 0: none. */
unsigned model_naughty(const engine_t *engine);
