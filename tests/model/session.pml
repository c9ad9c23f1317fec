/* Sessions: who speaks for a host. One key, processes that start one after the other, or, with
 * CLONES, two at once.
 *
 * Each HELLO has a number (its nonce) and counts as a connection of its own. It may be taken late, when
 * its process has another connection or is dead, or never. WELCOME goes to the connection of its HELLO
 * and names the session; PRESENT says that name back and so proves that its sender lives now. */

#define PROCESSES 3
#define HELLOS 9
#define EARLY 4 /* of them until all is calm: each that is late can cost another one */

hidden byte CLONES, CUTS, DEATHS, BCRASH, MUTANT;
hidden byte LIVE;

c_code {
    static int setting(const char *name)
    {
        const char *text = getenv(name);
        return text ? atoi(text) : 0;
    }
}

#define BUG_hello_is_proof 1
#define BUG_present_of_another_session 2
#define BUG_stale_ends_process 3
#define BUG_welcome_of_another_hello 4
#define BUG_instances_in_memory 5
#define BUG_last_instance_only 6
#define BUG(name) (MUTANT == BUG_##name)

#define BIT(n) (1 << (n))
#define NOBODY PROCESSES

/* ---- broker ---- */
byte present = NOBODY;     /* khost_t.instances: the first of them, */
byte replaced;             /* and the others: a mask */
bool quarantined;
byte session, instance;    /* session: the HELLO it was opened by, until its PRESENT came; memory */
byte route;                /* which connection speaks for the host; memory */
/* ---- processes ---- */
bool alive[PROCESSES];
bool ended[PROCESSES];     /* by itself, for good */
byte conn[PROCESSES];      /* its newest HELLO; 0: it has no connection */
bool open[PROCESSES];      /* WELCOME was taken on it */
/* ---- frames, by HELLO ---- */
#define NONE 0
#define SENT 1
#define TAKEN 2
byte hellos;
byte owner[HELLOS + 1], hello[HELLOS + 1], welcome[HELLOS + 1], presence[HELLOS + 1];
bool stale[HELLOS + 1];    /* REFUSE(STALE_SESSION) under way on it */
/* ---- what happened ---- */
bool calm;
byte cuts, deaths, bcrash;
byte worker = NOBODY, workers; /* whose frames were taken last, and whose before: a mask */

inline quarantine()
{
    quarantined = true;
    assert(CLONES) /* no false alarm */
}

/* hosts.c, on_present() */
inline seen(p)
{
    if
    :: present == p -> skip
    :: present != p && (replaced & BIT(p)) -> quarantine()
    :: else ->
        if
        :: present != NOBODY && !BUG(last_instance_only) -> replaced = replaced | BIT(present)
        :: else
        fi;
        present = p
    fi
}

/* vathost_session.c, say_hello() */
inline say_hello(p)
{
    alive[p] && conn[p] == 0 && hellos < (calm -> HELLOS : EARLY) ->
    hellos++;
    owner[hellos] = p;
    conn[p] = hellos;
    open[p] = false;
    hello[hellos] = SENT
}

/* hosts.c, on_hello(): the newest connection speaks for the host. */
inline hello_taken(h)
{
    hello[h] == SENT ->
    hello[h] = TAKEN;
    if :: route != 0 -> stale[route] = true :: else fi;
    route = h;
    session = h;
    instance = owner[h];
    welcome[h] = SENT;
    if :: BUG(hello_is_proof) -> seen(owner[h]) :: else fi
}

/* vathost_session.c, on_welcome(): PRESENT is the first thing it says. */
inline welcome_taken(p, h)
{
    alive[p] && conn[p] != 0 && !open[p] && owner[h] == p && welcome[h] == SENT &&
    (conn[p] == h || BUG(welcome_of_another_hello)) ->
    welcome[h] = TAKEN;
    open[p] = true;
    presence[h] = SENT
}

inline present_taken(h)
{
    presence[h] == SENT ->
    presence[h] = TAKEN;
    if
    :: session == h || BUG(present_of_another_session) ->
        session = 0;
        seen(owner[h])
    :: else
    fi
}

/* A frame of a worker is taken: behind PRESENT, on the connection that speaks for the host. */
inline work_taken(h)
{
    route == h && presence[h] == TAKEN && alive[owner[h]] && conn[owner[h]] == h &&
    worker != owner[h] ->
    assert(!(workers & BIT(owner[h]))); /* A, B, and A again: that are two at once */
    if :: worker != NOBODY -> workers = workers | BIT(worker) :: else fi;
    worker = owner[h]
}

/* vathost_session.c, on_refuse() */
inline stale_told(p)
{
    alive[p] && conn[p] != 0 && stale[conn[p]] ->
    conn[p] = 0;
    open[p] = false;
    if :: BUG(stale_ends_process) -> alive[p] = false; ended[p] = true :: else fi
}

inline link_cut(p)
{
    !calm && cuts < CUTS && alive[p] && conn[p] != 0 ->
    cuts++;
    conn[p] = 0;
    open[p] = false
}

/* The next one starts when this one is dead. */
inline dies(p)
{
    !calm && deaths < DEATHS && alive[p] && !(CLONES && p == 0) && p + 1 < PROCESSES ->
    deaths++;
    alive[p] = false;
    conn[p] = 0;
    open[p] = false;
    alive[p + 1] = true
}

/* A copy of the machine starts. */
inline cloned()
{
    CLONES && alive[0] && !alive[1] && !alive[2] && deaths == 0 -> alive[1] = true
}

inline frame_lost(h)
{
    if :: hello[h] == SENT -> hello[h] = TAKEN :: else fi;
    if :: welcome[h] == SENT -> welcome[h] = TAKEN :: else fi;
    if :: presence[h] == SENT -> presence[h] = TAKEN :: else fi;
    stale[h] = false
}

/* Its connections are gone, and what was under way on them. */
inline broker_killed()
{
    !calm && bcrash < BCRASH ->
    bcrash++;
    route = 0;
    session = 0;
    if :: BUG(instances_in_memory) -> present = NOBODY; replaced = 0 :: else fi;
    conn[0] = 0; conn[1] = 0; conn[2] = 0;
    open[0] = false; open[1] = false; open[2] = false;
    frame_lost(1); frame_lost(2); frame_lost(3); frame_lost(4); frame_lost(5); frame_lost(6);
    frame_lost(7); frame_lost(8); frame_lost(9)
}

inline process_step(p)
{
    if
    :: d_step { say_hello(p) }
    :: d_step { stale_told(p) }
    :: d_step { link_cut(p) }
    :: d_step { dies(p) }
    fi
}

inline frame_step(h)
{
    if
    :: d_step { hello_taken(h) }
    :: d_step { welcome_taken(owner[h], h) }
    :: d_step { present_taken(h) }
    :: d_step { work_taken(h) }
    fi
}

active proctype System() provided (!quarantined)
{
    atomic {
        c_code {
            CLONES = setting("CLONES");
            CUTS = setting("CUTS");
            DEATHS = setting("DEATHS");
            BCRASH = setting("BCRASH");
            MUTANT = setting("MUTANT");
            LIVE = setting("LIVE");
        };
        alive[0] = true
    };
    do
    :: process_step(0)
    :: process_step(1)
    :: process_step(2)
    :: frame_step(1)
    :: frame_step(2)
    :: frame_step(3)
    :: frame_step(4)
    :: frame_step(5)
    :: frame_step(6)
    :: frame_step(7)
    :: frame_step(8)
    :: frame_step(9)
    :: d_step { cloned() }
    :: d_step { broker_killed() }
    :: d_step { LIVE && !calm -> calm = true }
    od
}

#define SPEAKS(p) (alive[p] && open[p] && route == conn[p] && present == p)

active proctype Watch()
{
    do
    :: timeout ->
        assert(!LIVE || quarantined || SPEAKS(0) || SPEAKS(1) || SPEAKS(2));
        break
    od
}
