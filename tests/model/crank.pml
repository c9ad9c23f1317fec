/* The crank protocol: a log that is durable at the broker, a vat that is durable only at checkpoints.
 *
 * One vat, up to three deliveries, one host or two. Each action names the function of the code that it
 * stands for. README.md says what is checked, with which bounds, and what is left out.
 *
 * Time and network. An action is one transaction, or one message taken. Frames of one run (a worker,
 * attached once) form a set: each may be taken late, more than once, in any order, or never. ATTACH,
 * ATTACHED, LOST, SLEEP and VAT_NEW keep their order within a connection, as ZeroMQ and the pipes of
 * workers do; a connection that ends takes them along.
 *
 * Row d of the log is bit d of a mask. rv: which of two contents a row has; av: what was applied; wv:
 * what a worker ran. Equal bits up to d stand for equal chains at d, equal bits d for equal hashes.
 *
 * Settings come from the environment, so that one compiled verifier does all runs. MUTANT plants a
 * bug: BUG(name) is true where the code would be wrong. */

#define RUNS 12 /* more ATTACHes than all faults together can cause: a livelock */

hidden byte ROWS, WINDOW; /* deliveries; how many may be beyond `applied` */
hidden byte BCRASH, HCRASH, WCRASH, CUTS; /* how often broker, host, worker are killed, links cut, */
hidden byte SPOILS;                       /* and newest heaps become unreadable */
hidden byte RESTH, RESTB;                 /* host, broker restored from an old backup */
hidden byte CHANCE;                       /* 1: the engine is not deterministic, although it should be */
hidden byte POISON, SLEEP;                /* 1: rows that kill their worker; idle vats sleep */
hidden byte MOVES, MIRROR;                /* how often the vat moves; 1: each checkpoint is mirrored */
hidden byte MUTANT;
hidden byte LIVE; /* 1: everything that began must come to its end once faults stop */

c_code {
    static int setting(const char *name)
    {
        const char *text = getenv(name);
        return text ? atoi(text) : 0;
    }
}

/* nothing leaves before it is durable */
#define BUG_deliver_before_commit 1
#define BUG_ack_before_commit 2
#define BUG_report_before_durable 3
/* results */
#define BUG_gap_applied 4
#define BUG_applied_twice 5
#define BUG_result_unchecked 6
#define BUG_result_of_another_run 7
#define BUG_checkpoint_without_results 8
/* the trim rule */
#define BUG_trim_beyond_applied 9
#define BUG_newest_reported 10
#define BUG_mirror_not_counted 11
#define BUG_reported_once 12
#define BUG_reported_forgotten 13
/* ATTACH */
#define BUG_attach_safe_unchecked 14
#define BUG_attach_back_unchecked 15
#define BUG_attach_chain_unchecked 16
#define BUG_old_attached_honoured 17
#define BUG_worker_not_attached_again 18
#define BUG_replay_not_compared 19
#define BUG_sent_from_applied 20
#define BUG_went_back_forgotten 21
/* placements */
#define BUG_old_host_not_fenced 22
#define BUG_old_host_attached 23
#define BUG_flip_below_safe 24
#define BUG_flip_keeps_reported 25
#define BUG_flip_not_trimmed 26
#define BUG_copy_taken_again 27
#define BUG_copy_without_results 28
#define BUG_old_database_used 29
#define BUG_copy_keeps_generations 30
#define BUG_ship_asked_once 31
#define BUG_moved_asleep 32
/* poison */
#define BUG_verdict_forgotten 33
#define BUG_attempts_forgotten 34
#define BUG_lost_of_another_run 35
#define BUG_lost_not_answered 36
/* sleep */
#define BUG_sleep_before_applied 37
#define BUG_sleep_with_rows 38
#define BUG_wake_forgotten 39
#define BUG_sleep_of_another_run 40
#define BUG_sleep_while_moving 41

#define BUG(name) (MUTANT == BUG_##name)

#define BIT(d) (1 << (d))
#define HAS(mask, d) (((mask) >> (d)) & 1)
#define UPTO(d) ((2 << (d)) - 2)             /* bits 1 .. d */
#define BEYOND(a, d) (UPTO(d) & ~UPTO(a))    /* bits a+1 .. d */
#define SAME(a, b, d) ((((a) ^ (b)) & UPTO(d)) == 0)
#define WITH(mask, d, b) (((mask) & ~BIT(d)) | ((b) << (d)))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define ATTEMPTS 2 /* POISON_ATTEMPTS, smaller */

/* ---- broker: kernel.db ---- */
byte assigned, applied, safe;
byte reported;                /* the oldest checkpoint the vat may start from, as its worker said */
byte rv, av, af;              /* contents; applied contents; applied as failed */
byte pz, attempts;            /* rows that are poison; of row applied+1 */
byte runno, pgen;               /* the placement is host pgen & 1 */
byte mirror, mv, mf, ma;      /* the copy in the blob store: a checkpoint, its history, its acked */
bool quarantined;
byte content;                 /* of rows yet to come: 1 after a restore */
/* ---- broker: memory ---- */
byte pend, pv, pf;            /* applied, but not committed */
bool attached, asleep;
bool bs[2];                   /* a session of this host stands */
/* ---- hosts: vat-N.PGEN.db ---- */
byte db[2];                   /* pgen+1 of the file, 0: there is none */
byte ck[2], cv[2], cf[2], ca[2];     /* newest checkpoint: number, history, failed, acked */
byte ck0[2], cv0[2], cf0[2], ca0[2]; /* the one before */
bool heapless[2];             /* no heap of them can be read */
/* ---- hosts: memory ---- */
bool hs[2];                   /* the host believes that its session stands */
byte guest[2];                /* pgen+1 of the vat as the host knows it, 0: unknown */
bool wait[2];                 /* its worker was lost: it starts again when the broker asks */
bool dozes[2], wake[2];       /* its worker ended asleep; VAT_NEW came before that end */
#define DOWN 0
#define UP 1       /* no ATTACH under way */
#define ASKED 2    /* ATTACH or ATTACHED under way */
#define ATTACHED 3
byte w[2], wrun[2];
byte last[2], wv[2], wf[2], acked[2];
/* ---- frames ---- */
byte at_ck[2];                /* ATTACH: the checkpoint it names */
byte answer[2];               /* ATTACHED: its run */
bool afresh[2];                /* ATTACHED: begin with nothing */
byte down[RUNS], downv[RUNS], downf[RUNS]; /* DELIVER: rows, contents, to be skipped */
byte up[RUNS], upv[RUNS], upf[RUNS];       /* RESULT: rows, history up to there, failed */
byte told[RUNS];              /* highest `applied` in frames of the run */
byte ckpt[RUNS];              /* CHECKPOINT: oldest generation */
byte lost_run[2], lost_d[2];  /* LOST */
byte doze_run, doze_d, dozed; /* CHECKPOINT with asleep=1 */
byte sleep_run, vat_new;      /* SLEEP; VAT_NEW behind it */
/* ---- what happened, and backups ---- */
bool calm;                    /* nothing goes wrong any more */
byte bcrash, hcrash, wcrash, cuts, spoils, resth, restb, asked;
byte effects[4];              /* how often the kernel applied each row */
byte ship;                    /* the run that was asked to ship a checkpoint; memory */
byte blamed;                  /* LOSTs counted for row applied+1 */
byte hk, hv, hf, ha; bool hsaved;
byte b1, b2, b3, b4, bv, ba, bf; bool bsaved;

#define PLACE (pgen & 1)
#define HERE(x) (PLACE == (x))
#define OLDEST(x) (BUG(newest_reported) -> ck[x] : ck0[x])
#define HONEST (resth == 0 && restb == 0 && !CHANCE)

/* vat.c, vat_quarantine(). Without a restore or a bad engine it is a false alarm. */
inline quarantine() { quarantined = true; assert(!HONEST) }

/* ---- broker ---- */

/* checkpoint.c, superfluous(): the trim rule. Looked at again whenever one of the numbers moves. */
inline trim()
{
    if
    :: MIN(reported, BUG(trim_beyond_applied) -> reported : applied) > safe &&
       (!MIRROR || BUG(mirror_not_counted) || MIN(reported, applied) <= mirror) ->
        safe = (BUG(trim_beyond_applied) -> reported : MIN(reported, applied))
    :: MIRROR && !BUG(mirror_not_counted) && mirror > safe && MIN(reported, applied) > mirror ->
        safe = mirror
    :: else
    fi
}

/* result.c, apply_crank(): the crank's effects, once and in order. */
inline effect(d)
{
    effects[d]++;
    assert(effects[d] == 1); /* once */
    assert(d == 1 || effects[d - 1] == 1) /* and in order */
}

/* broker.c, commit(): the batch becomes durable, and what it wants sent leaves. */
inline commit()
{
    if :: pend > applied -> effect(applied + 1); applied++; attempts = 0; blamed = 0 :: else fi;
    if :: pend > applied -> effect(applied + 1); applied++ :: else fi;
    if :: pend > applied -> effect(applied + 1); applied++ :: else fi;
    av = pv;
    af = pf;
    told[runno] = MAX(told[runno], applied);
    if :: !BUG(reported_forgotten) -> trim() :: else fi
}

/* assign.c, assign_head(): the head of the queue becomes a row. DELIVER leaves with the commit. */
inline assign()
{
    assigned < ROWS && assigned - applied < WINDOW ->
    assigned++;
    rv = WITH(rv, assigned, content);
    if
    :: asleep -> asleep = false; vat_new = 1
    :: attached && HAS(down[runno], assigned) == 0 ->
        down[runno] = down[runno] | BIT(assigned);
        downv[runno] = WITH(downv[runno], assigned, content)
    :: else
    fi
}

inline assign_poison()
{
    POISON && pz == 0 && assigned < ROWS && assigned - applied < WINDOW && !asleep ->
    pz = BIT(assigned + 1);
    assign()
}

/* Mutant: DELIVER leaves before the row is durable. */
inline deliver_early()
{
    BUG(deliver_before_commit) && attached && assigned < ROWS && assigned - applied < WINDOW &&
    !HAS(down[runno], assigned + 1) ->
    down[runno] = down[runno] | BIT(assigned + 1);
    downv[runno] = WITH(downv[runno], assigned + 1, content)
}

/* result.c, on_result(): the next row, of the worker that speaks for the vat. */
inline result(r)
{
    (r == runno || BUG(result_of_another_run)) && attached && HAS(up[r], pend + 1) &&
    pend < assigned ->
    if
    :: !BUG(result_unchecked) && (!SAME(pv, upv[r], pend) || !SAME(pf, upf[r], pend)) -> quarantine()
    :: !BUG(result_unchecked) && !CHANCE && HAS(rv, pend + 1) != HAS(upv[r], pend + 1) -> quarantine()
    :: else ->
        assert(SAME(pv, upv[r], pend) && SAME(pf, upf[r], pend));
        assert(CHANCE || HAS(rv, pend + 1) == HAS(upv[r], pend + 1));
        pend++;
        pv = WITH(pv, pend, HAS(upv[r], pend));
        pf = WITH(pf, pend, HAS(upf[r], pend));
        if :: HAS(pf, pend) -> attached = false :: else fi;
        if :: BUG(ack_before_commit) -> told[runno] = pend :: else fi
    fi
}

/* Mutant: a row is applied although the one before it is missing. */
inline result_gap()
{
    BUG(gap_applied) && attached && pend + 2 <= assigned && HAS(up[runno], pend + 2) -> effect(pend + 2)
}

/* result.c, repeated(): the newest applied row comes again, and is compared. */
inline repeated()
{
    attached && applied > 0 && pend == applied && HAS(up[runno], applied) &&
    (BUG(applied_twice) || !SAME(av, upv[runno], applied) || !SAME(af, upf[runno], applied)) ->
    if
    :: BUG(applied_twice) -> effect(applied)
    :: else -> quarantine()
    fi
}

/* checkpoint.c, on_checkpoint() */
inline checkpoint_told(r, d)
{
    r == runno && attached && HAS(ckpt[r], d) && d > reported ->
    reported = d;
    trim()
}

/* host.c, on_attach(). As everything below that looks at `applied`, it is a step behind the commit of
 * what came before it: a batch is durable as a whole, and nothing of it leaves earlier. While a connection
 * stands, the ATTACH of a fresh worker comes behind the RESULTs of the one before. */
inline attach(x)
{
    pend == applied && bs[x] && w[x] == ASKED && answer[x] == 0 &&
    (!attached || (up[runno] & BEYOND(applied, assigned)) == 0) &&
    (HERE(x) && guest[x] == pgen + 1 || BUG(old_host_attached)) ->
    if
    :: !BUG(attach_safe_unchecked) && at_ck[x] < safe -> quarantine()
    :: !BUG(attach_back_unchecked) &&
       (last[x] > assigned || acked[x] > applied) -> quarantine()
    :: !BUG(attach_chain_unchecked) && last[x] <= applied &&
       (!SAME(wv[x], av, last[x]) || !SAME(wf[x], af, last[x])) -> quarantine()
    :: heapless[x] && safe > 0 -> quarantined = true /* baggage.c, heap_lost(): what follows is left out */
    :: else ->
        assert(runno < RUNS - 1);
        if
        :: MUTANT == 0 -> /* frames that nobody will take again */
            down[runno] = 0; downv[runno] = 0; downf[runno] = 0; told[runno] = 0;
            up[runno] = 0; upv[runno] = 0; upf[runno] = 0; ckpt[runno] = 0
        :: else
        fi;
        runno++;
        attached = true;
        asleep = false;
        afresh[x] = heapless[x];
        if
        :: BUG(went_back_forgotten) || BUG(flip_keeps_reported) -> skip /* the flip alone would be mended here */
        :: heapless[x] -> reported = 0
        :: at_ck[x] < reported -> reported = at_ck[x]
        :: else
        fi;
        answer[x] = runno;
        down[runno] = (BUG(sent_from_applied) -> BEYOND(applied, assigned) : BEYOND(safe, assigned));
        downv[runno] = rv;
        downf[runno] = (BUG(verdict_forgotten) -> 0 : af);
        told[runno] = applied;
        if :: asked > pgen && !BUG(ship_asked_once) -> ship = runno :: else fi
    fi
}

/* host.c, end_stranger(): a placement that ended; move.c, place(): the flip. VAT_END. */
inline vat_end(x)
{
    bs[x] && hs[x] && guest[x] > 0 && !HERE(x) ->
    guest[x] = 0; w[x] = DOWN; db[x] = 0; answer[x] = 0; afresh[x] = false; heapless[x] = false;
    wait[x] = false; dozes[x] = false; wake[x] = false;
    last[x] = 0; wv[x] = 0; wf[x] = 0; acked[x] = 0; wrun[x] = 0; at_ck[x] = 0
}

/* hosts.c, host_up(), with HELLO and WELCOME of vathost_session.c; session.pml is about these two alone. Workers
 * that run attach again (guests.c, guests_session()); VAT_NEW goes out for the vats of this host. */
inline connect(x)
{
    (!hs[x] || !bs[x]) && (x == 0 || MOVES > 0 || MIRROR) ->
    hs[x] = true;
    bs[x] = true;
    if
    :: HERE(x) ->
        attached = false;
        vat_new = !asleep; /* VAT_NEW goes out for all that should run */
        sleep_run = 0;
        doze_run = 0
    :: else
    fi;
    wait[x] = false;
    lost_run[x] = 0;
    if
    :: w[x] != DOWN && !(BUG(old_attached_honoured) && answer[x]) ->
        w[x] = ASKED; wrun[x] = 0; at_ck[x] = ck[x]; answer[x] = 0; afresh[x] = false
    :: else
    fi
}

/* broker.c, check_links(): the link fell silent. */
inline session_ends(x)
{
    !calm && bs[x] && cuts < CUTS ->
    cuts++;
    bs[x] = false;
    if :: HERE(x) -> attached = false :: else fi
}

/* SIGKILL: what was not committed is gone, and all connections. */
inline broker_dies()
{
    pend = applied; pv = av; pf = af;
    attached = false; asleep = false; vat_new = 0; sleep_run = 0; doze_run = 0;
    bs[0] = false; bs[1] = false; lost_run[0] = 0; lost_run[1] = 0;
    if :: BUG(attempts_forgotten) -> attempts = 0 :: else fi;
    if
    :: BUG(deliver_before_commit) -> content = 1
    :: else
    fi
}

inline broker_killed()
{
    !calm && bcrash < BCRASH ->
    bcrash++;
    broker_dies()
}

inline broker_saved()
{
    !calm && RESTB > 0 && !bsaved ->
    bsaved = true;
    b1 = assigned; b2 = applied; b3 = safe; b4 = reported; bv = rv; ba = av; bf = af
}

/* What was applied since never happened; rows get other contents from here on. */
inline broker_restored()
{
    !calm && restb < RESTB && bsaved ->
    restb++;
    content = 1;
    assigned = b1; applied = b2; safe = b3; reported = b4; rv = bv; av = ba; af = bf;
    broker_dies();
    if :: b2 < 1 -> effects[1] = 0 :: else fi;
    if :: b2 < 2 -> effects[2] = 0 :: else fi;
    if :: b2 < 3 -> effects[3] = 0 :: else fi
}

/* ---- broker: poison.c ---- */

/* poison.c, attempted(). A LOST comes behind the RESULTs of its run. */
inline lost(x)
{
    pend == applied && bs[x] && lost_run[x] > 0 &&
    (lost_run[x] != runno || !attached || (up[runno] & BEYOND(applied, lost_d[x] - 1)) == 0) ->
    if
    :: (lost_run[x] == runno && HERE(x) || BUG(lost_of_another_run)) && lost_d[x] == pend + 1 &&
       pend < assigned ->
        attempts++;
        blamed++;
        attached = false;
        assert(blamed <= ATTEMPTS);
        assert(HAS(pz, applied + 1)); /* no other row is blamed */
        if
        :: attempts == ATTEMPTS ->
            pend = applied + 1;
            pv = WITH(pv, pend, HAS(rv, pend));
            pf = WITH(pf, pend, 1);
            commit()
        :: else
        fi
    :: else
    fi;
    lost_run[x] = 0;
    if :: !BUG(lost_not_answered) -> wait[x] = false :: else fi /* VAT_NEW */
}

/* ---- broker: sleep ---- */

/* checkpoint.c, sleep_if_idle(). It comes behind the RESULTs and CHECKPOINTs of its run. */
inline checkpoint_asleep()
{
    pend == applied && doze_run > 0 &&
    (doze_run != runno || !attached || (ckpt[runno] >> (reported + 1)) == 0) ->
    if
    :: attached && (doze_run == runno || BUG(sleep_of_another_run)) &&
       (doze_d == assigned || BUG(sleep_with_rows) && doze_d == applied) &&
       (doze_d == applied || BUG(sleep_before_applied)) && (asked == pgen || BUG(sleep_while_moving)) ->
        attached = false; asleep = true; sleep_run = doze_run
    :: else
    fi;
    doze_run = 0
}

/* ---- broker: move.c ---- */

/* mirror.c, on_mirrored(): the shell pulled all parts of a worker's copy, and the hash is right. The
 * copy holds a checkpoint with all that belongs to it; until it is here the host may go on and make others, and
 * a later one is copied just as well. */
inline mirrored(x)
{
    bs[x] && hs[x] && HERE(x) && db[x] == pgen + 1 && guest[x] == pgen + 1 && w[x] != DOWN && !heapless[x] &&
    (asked > pgen && ship == runno || MIRROR) && ck[x] > mirror ->
    mirror = ck[x]; mv = cv[x]; mf = cf[x];
    ma = (BUG(copy_without_results) -> ck[x] : ca[x]);
    trim()
}

/* mirror.c, ship_ask(), and mirror.c, ship_attached(): CHECKPOINT_ASK{ship} goes out now, and again
 * after each ATTACH; a vat that sleeps is woken for it. */
inline move_asked()
{
    !calm && asked < MOVES && asked == pgen ->
    asked++;
    ship = (attached -> runno : 0);
    if
    :: asleep && !BUG(moved_asleep) -> asleep = false; vat_new = 1
    :: else
    fi
}

/* move.c, place(), in one step: from here on everything of the old placement is late. */
inline flip()
{
    pend == applied && asked > pgen && (mirror > 0 || MIRROR && safe == 0) &&
    (mirror >= safe || BUG(flip_below_safe)) ->
    assert(MIRROR == 0 || mirror >= safe);
    if
    :: mirror <= applied && (!SAME(mv, av, mirror) || !SAME(mf, af, mirror)) -> quarantine()
    :: else ->
        pgen++;
        if :: !BUG(old_host_not_fenced) -> attached = false :: else fi;
        asleep = false;
        if :: !BUG(flip_keeps_reported) -> reported = mirror :: else fi;
        attempts = 0;
        blamed = 0;
        if :: !BUG(flip_not_trimmed) -> trim() :: else fi
    fi
}

/* ---- host ---- */

/* guests.c, on_vat_new(): a placement that this host does not know yet. Its file may be here from
 * before; else it is pulled from the broker, whole or not at all. */
inline vat_placed(x)
{
    hs[x] && bs[x] && HERE(x) && !asleep && guest[x] != pgen + 1 ->
    guest[x] = pgen + 1;
    vat_new = 0;
    w[x] = DOWN; answer[x] = 0; wrun[x] = 0; dozes[x] = false; wake[x] = false; wait[x] = false;
    if
    :: db[x] == pgen + 1 && !(BUG(copy_taken_again) && pgen > 0) -> skip
    :: db[x] > 0 && BUG(old_database_used) -> db[x] = pgen + 1
    :: else ->
        db[x] = pgen + 1;
        ck[x] = mirror; cv[x] = mv; cf[x] = mf; ca[x] = ma;
        heapless[x] = false;
        ck0[x] = (BUG(copy_keeps_generations) -> 0 : mirror); cv0[x] = mv; cf0[x] = mf; ca0[x] = ma
    fi;
    last[x] = ck[x]; wv[x] = cv[x]; wf[x] = cf[x]; acked[x] = ca[x]; at_ck[x] = 0
}

/* guests_start.c, guests_start(), and worker.c, on_start(): the database is back at its last commit by
 * itself. */
inline start(x)
{
    guest[x] > 0 && w[x] == DOWN && !wait[x] && !dozes[x] ->
    w[x] = (hs[x] -> ASKED : UP);
    at_ck[x] = (hs[x] -> ck[x] : 0)
}

/* What a worker leaves when it dies: the checkpoint, and the results in it. */
inline worker_dies(x)
{
    w[x] = DOWN; wrun[x] = 0; answer[x] = 0; at_ck[x] = 0; afresh[x] = false;
    last[x] = ck[x]; wv[x] = cv[x]; wf[x] = cf[x]; acked[x] = ca[x]
}

/* worker.c, on_attached(): results that wait for their ack go out again, and the checkpoint is told. */
inline attached_told(x)
{
    w[x] == ASKED && answer[x] > 0 ->
    w[x] = ATTACHED;
    wrun[x] = answer[x];
    answer[x] = 0;
    at_ck[x] = 0;
    if
    :: afresh[x] ->
        afresh[x] = false; heapless[x] = false;
        ck[x] = 0; cv[x] = 0; cf[x] = 0; ca[x] = 0;
        ck0[x] = 0; cv0[x] = 0; cf0[x] = 0; ca0[x] = 0;
        last[x] = 0; wv[x] = 0; wf[x] = 0; acked[x] = 0
    :: else
    fi;
    acked[x] = MAX(acked[x], told[wrun[x]]);
    up[wrun[x]] = up[wrun[x]] | BEYOND(acked[x], last[x]);
    upv[wrun[x]] = wv[x];
    upf[wrun[x]] = wf[x];
    if
    :: OLDEST(x) > 0 && !BUG(reported_once) -> ckpt[wrun[x]] = ckpt[wrun[x]] | BIT(OLDEST(x))
    :: else
    fi
}

/* worker.c, run_crank(): the next row. Rows up to acked are a replay: no result leaves. */
inline ran(x, b)
{
    wv[x] = WITH(wv[x], last[x] + 1, b); /* first: b speaks of the row behind last */
    last[x]++;
    if
    :: last[x] > acked[x] ->
        up[wrun[x]] = up[wrun[x]] | BIT(last[x]);
        upv[wrun[x]] = wv[x];
        upf[wrun[x]] = wf[x]
    :: else
    fi
}

#define NEXT(x) (last[x] + 1)
#define HAS_NEXT(x) (w[x] == ATTACHED && HAS(down[wrun[x]], NEXT(x)))
#define SKIPPED(x) HAS(downf[wrun[x]], NEXT(x))
#define DEADLY(x) (HAS(pz, NEXT(x)) && NEXT(x) > acked[x])

inline deliver(x)
{
    HAS_NEXT(x) && !SKIPPED(x) ->
    if
    :: !CHANCE || NEXT(x) > acked[x] || HAS(av, NEXT(x)) == HAS(downv[wrun[x]], NEXT(x)) ||
       BUG(replay_not_compared) -> ran(x, HAS(downv[wrun[x]], NEXT(x)))
    :: else -> quarantine() /* worker.c, compare(): DIVERGED */
    fi
}

/* An engine that gives another result than last time. */
inline deliver_chance(x)
{
    CHANCE && HAS_NEXT(x) ->
    if
    :: NEXT(x) > acked[x] || HAS(av, NEXT(x)) == 1 || BUG(replay_not_compared) -> ran(x, 1)
    :: else -> quarantine()
    fi
}

/* worker.c, run_crank(): a row whose outcome is `failed` is stepped over. */
inline deliver_skip(x)
{
    HAS_NEXT(x) && SKIPPED(x) ->
    wv[x] = WITH(wv[x], NEXT(x), HAS(downv[wrun[x]], NEXT(x)));
    wf[x] = wf[x] | BIT(NEXT(x));
    last[x]++
}

/* guests_worker.c, report_lost(): a live row killed its worker. Nobody hears of it while the link is
 * down. */
inline deliver_kills(x)
{
    HAS_NEXT(x) && !SKIPPED(x) && DEADLY(x) ->
    lost_run[x] = (hs[x] -> wrun[x] : 0);
    lost_d[x] = (hs[x] -> NEXT(x) : 0);
    wait[x] = true;
    worker_dies(x)
}

/* worker.c: a limit that is the same everywhere; the result says so, and the worker ends. */
inline deliver_fails(x)
{
    HAS_NEXT(x) && !SKIPPED(x) && DEADLY(x) ->
    up[wrun[x]] = up[wrun[x]] | BIT(NEXT(x));
    upv[wrun[x]] = WITH(wv[x], NEXT(x), HAS(downv[wrun[x]], NEXT(x)));
    upf[wrun[x]] = wf[x] | BIT(NEXT(x));
    worker_dies(x)
}

/* worker_keep.c, worker_forget(): a frame carries a higher `applied`. */
inline ack(x)
{
    w[x] == ATTACHED && told[wrun[x]] > acked[x] ->
    acked[x] = told[wrun[x]]
}

/* worker_checkpoint.c, checkpoint(): one commit of the vat's database, then CHECKPOINT. */
inline checkpoint(x)
{
    w[x] != DOWN && last[x] > ck[x] && !heapless[x] ->
    ck0[x] = ck[x]; cv0[x] = cv[x]; cf0[x] = cf[x]; ca0[x] = ca[x];
    ck[x] = last[x]; cv[x] = wv[x]; cf[x] = wf[x];
    ca[x] = (BUG(checkpoint_without_results) -> MAX(acked[x], last[x]) : acked[x]);
    if
    :: w[x] == ATTACHED && OLDEST(x) > 0 -> ckpt[wrun[x]] = ckpt[wrun[x]] | BIT(OLDEST(x))
    :: else
    fi
}

/* Mutant: CHECKPOINT leaves before the commit. */
inline checkpoint_early(x)
{
    BUG(report_before_durable) && w[x] == ATTACHED && last[x] > ck[x] && ck[x] > 0 ->
    ckpt[wrun[x]] = ckpt[wrun[x]] | BIT(ck[x])
}

inline worker_killed(x)
{
    !calm && wcrash < WCRASH && w[x] != DOWN ->
    wcrash++;
    if
    :: BUG(worker_not_attached_again) && w[x] == ATTACHED ->
        down[wrun[x]] = down[wrun[x]] & ~UPTO(last[x]); /* they went to the one that is dead */
        last[x] = ck[x]; wv[x] = cv[x]; wf[x] = cf[x]; acked[x] = MAX(ca[x], acked[x])
    :: else -> worker_dies(x)
    fi
}

/* vatdb_checkpoint.c, vatdb_back(): the newest heap cannot be read; the database goes back to the
 * generation before. */
inline heap_spoiled(x)
{
    !calm && spoils < SPOILS && w[x] == DOWN && db[x] > 0 && ck0[x] < ck[x] && !heapless[x] ->
    spoils++;
    ck[x] = ck0[x]; cv[x] = cv0[x]; cf[x] = cf0[x]; ca[x] = ca0[x];
    last[x] = ck[x]; wv[x] = cv[x]; wf[x] = cf[x]; acked[x] = ca[x]
}

/* Neither heap can be read. */
inline heaps_lost(x)
{
    !calm && spoils < SPOILS && w[x] == DOWN && db[x] == pgen + 1 && HERE(x) && ck[x] > 0 && !heapless[x] ->
    spoils++;
    heapless[x] = true
}

inline host_dies(x)
{
    hs[x] = false; guest[x] = 0; wait[x] = false; dozes[x] = false; wake[x] = false; lost_run[x] = 0;
    worker_dies(x)
}

inline host_killed(x)
{
    !calm && hcrash < HCRASH && (guest[x] > 0 || hs[x]) ->
    hcrash++;
    host_dies(x)
}

inline link_lost(x)
{
    !calm && cuts < CUTS && hs[x] ->
    cuts++;
    hs[x] = false
}

inline host_saved(x)
{
    !calm && RESTH > 0 && !hsaved && x == 0 ->
    hsaved = true;
    hk = ck[0]; hv = cv[0]; hf = cf[0]; ha = ca[0]
}

/* An old copy of the disk takes over; what was there is the copy from now on, as when a machine and its
 * clone take turns. */
inline host_restored(x)
{
    !calm && resth < RESTH && hsaved && x == 0 ->
    resth++;
    t = ck[0]; ck[0] = hk; hk = t;
    t = cv[0]; cv[0] = hv; hv = t;
    t = cf[0]; cf[0] = hf; hf = t;
    t = ca[0]; ca[0] = ha; ha = t;
    t = 0;
    ck0[0] = ck[0]; cv0[0] = cv[0]; cf0[0] = cf[0]; ca0[0] = ca[0];
    host_dies(0)
}

/* ---- host: sleep ---- */

/* worker_checkpoint.c, may_sleep(): nothing to do, and all of it is in the checkpoint: CHECKPOINT with
 * asleep=1. */
inline doze(x)
{
    SLEEP && w[x] == ATTACHED && last[x] == ck[x] && !HAS(down[wrun[x]], NEXT(x)) &&
    last[x] > 0 && doze_run == 0 && sleep_run == 0 && hs[x] &&
    HERE(x) && dozed < last[x] -> /* once for a row, so that the model comes to an end */
    doze_run = wrun[x];
    doze_d = last[x];
    dozed = last[x]
}

/* worker_checkpoint.c, worker_on_sleep(): WORKER_ASLEEP; guests_worker.c, after_end(). */
inline sleep(x)
{
    hs[x] && sleep_run > 0 && HERE(x) && w[x] == ATTACHED && wrun[x] == sleep_run ->
    sleep_run = 0;
    dozes[x] = !wake[x];
    wake[x] = false;
    worker_dies(x)
}

/* guests.c, on_vat_new(): the vat has work again. Its worker may still be ending. */
inline woken(x)
{
    hs[x] && bs[x] && vat_new == 1 && HERE(x) && guest[x] == pgen + 1 ->
    vat_new = 0;
    if
    :: w[x] == DOWN -> dozes[x] = false
    :: w[x] != DOWN && !BUG(wake_forgotten) -> wake[x] = true
    :: else
    fi
}

/* ---- everything ---- */

inline host_step(x)
{
    if
    :: d_step { connect(x) }
    :: d_step { session_ends(x) }
    :: d_step { attach(x) }
    :: d_step { vat_end(x) }
    :: d_step { lost(x) }
    :: d_step { mirrored(x) }
    :: d_step { vat_placed(x) }
    :: d_step { start(x) }
    :: d_step { attached_told(x) }
    :: d_step { deliver(x) }
    :: d_step { deliver_chance(x) }
    :: d_step { deliver_skip(x) }
    :: d_step { deliver_kills(x) }
    :: d_step { deliver_fails(x) }
    :: d_step { ack(x) }
    :: d_step { checkpoint(x) }
    :: d_step { checkpoint_early(x) }
    :: d_step { worker_killed(x) }
    :: d_step { heap_spoiled(x) }
    :: d_step { heaps_lost(x) }
    :: d_step { host_killed(x) }
    :: d_step { link_lost(x) }
    :: d_step { host_saved(x) }
    :: d_step { host_restored(x) }
    :: d_step { doze(x) }
    :: d_step { sleep(x) }
    :: d_step { woken(x) }
    fi
}

inline broker_step()
{
    if
    :: d_step { pend > applied -> commit() }
    :: d_step { assign() }
    :: d_step { assign_poison() }
    :: d_step { deliver_early() }
    :: d_step { result(runno) }
    :: d_step { result((runno - (runno > 0))) }
    :: d_step { result_gap() }
    :: d_step { repeated() }
    :: d_step { checkpoint_told(runno, 1) }
    :: d_step { checkpoint_told(runno, 2) }
    :: d_step { checkpoint_told(runno, 3) }
    :: d_step { checkpoint_asleep() }
    :: d_step { broker_killed() }
    :: d_step { broker_saved() }
    :: d_step { broker_restored() }
    :: d_step { move_asked() }
    :: d_step { flip() }
    :: d_step { LIVE && !calm -> calm = true }
    fi
}

active proctype System() provided (!quarantined)
{
    byte t;
    atomic {
        c_code {
            ROWS = setting("ROWS");
            WINDOW = setting("WINDOW");
            BCRASH = setting("BCRASH");
            HCRASH = setting("HCRASH");
            WCRASH = setting("WCRASH");
            CUTS = setting("CUTS");
            SPOILS = setting("SPOILS");
            RESTH = setting("RESTH");
            RESTB = setting("RESTB");
            CHANCE = setting("CHANCE");
            POISON = setting("POISON");
            SLEEP = setting("SLEEP");
            MOVES = setting("MOVES");
            MIRROR = setting("MIRROR");
            MUTANT = setting("MUTANT");
            LIVE = setting("LIVE");
        };
    };
    do
    :: host_step(0)
    :: host_step(1)
    :: broker_step()
    od
}

#define PLACED_DB (db[PLACE] == pgen + 1)
#define DONE \
    (applied == ROWS && asked == pgen && pend == applied && PLACED_DB && last[PLACE] == ROWS && \
     ck[PLACE] == ROWS && (!HONEST || safe == (MIRROR -> MIN(ck0[PLACE], mirror) : ck0[PLACE])) && \
     (w[PLACE] == ATTACHED || asleep))

active proctype Watch()
{
    do
    :: !(safe <= applied && applied <= assigned) -> assert(false)
    /* an honest host never starts below what is trimmed, even from its older generation */
    :: HONEST && PLACED_DB && safe > ck0[PLACE] -> assert(false)
    :: HONEST && PLACED_DB && (ck[PLACE] > last[PLACE] || last[PLACE] > assigned || acked[PLACE] > applied) ->
        assert(false)
    :: HONEST && MIRROR && safe > mirror -> assert(false)
    /* The worker that speaks for the vat holds the history of the log: here a fork would show that nobody
     * found. While it has results yet to be taken, those find it. */
    :: attached && w[PLACE] == ATTACHED && wrun[PLACE] == runno && last[PLACE] <= applied &&
       !(SAME(wv[PLACE], av, last[PLACE]) && SAME(wf[PLACE], af, last[PLACE])) -> assert(false)
    :: timeout -> assert(!LIVE || quarantined || DONE); break
    od
}
