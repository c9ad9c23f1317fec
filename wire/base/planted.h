/* Planted bugs: deliberate defects that the simulator must find, so that we know it would find ours.
 * Each is one PLANTED(name) in the code it breaks; tests/sim/bugs.def says what each is and which
 * invariant must trip. In every build but the simulator's own they are the constant false and leave
 * nothing behind. */
#pragma once

#ifdef VATYARD_PLANTED
#include "tests/sim/bugs.h"
#define PLANTED(name) (bug_planted == BUG_##name)
#else
#define PLANTED(name) 0
#endif
