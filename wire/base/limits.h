/* Every maximum in the system. A limit has a unit in its name, a reason, and its relation to the
 * others as a static assertion: change one and the compiler tells you which promise breaks. */
#pragma once
#include <stdint.h>

enum {
    /* One message body. liveslots' own limit (it throws above it), so no honest vat meets ours. */
    CAPDATA_BYTES_MAX = 10 * 1000 * 1000,

    /* Krefs in one message or in one list of a garbage collection delivery. liveslots' own. */
    SLOTS_MAX = 10 * 1000,

    /* Promises settled by one syscall or one notify. */
    RESOLUTIONS_MAX = 10 * 1000,

    /* Syscalls one crank may make. A vat that wants more is looping: its crank is illegal. */
    CRANK_CALLS_MAX = 10 * 1000,

    /* All syscalls of one crank together, encoded. Keeps a RESULT bounded in everybody's memory. */
    CRANK_BYTES_MAX = 32 * 1024 * 1024,

    /* Console lines of one crank, encoded; what comes after is dropped and counted. */
    CONSOLE_BYTES_MAX = 64 * 1024,

    /* One delivery, encoded: a notify may carry several resolutions of full size. */
    DELIVERY_BYTES_MAX = 32 * 1024 * 1024,

    /* One whole message of any kind, and one part of it on the network. A larger message travels
     * as a ZeroMQ multipart of parts of this size; the socket refuses a larger part unseen. */
    FRAME_BYTES_MAX = 40 * 1024 * 1024,
    PART_BYTES_MAX = 1024 * 1024,

    /* One bundle, and the piece of it that one message carries. */
    BUNDLE_BYTES_MAX = 16 * 1024 * 1024,
    BUNDLE_PART_BYTES_MAX = 512 * 1024,

    /* Names people give, and texts that explain. */
    NAME_BYTES_MAX = 255,
    TEXT_BYTES_MAX = 4096,
    PATH_BYTES_MAX = 4096,

    /* Vats in one cluster, and all their launch rows together, encoded. */
    CLUSTER_VATS_MAX = 10 * 1000,
    LAUNCH_BYTES_MAX = 16 * 1024 * 1024,

    /* Names of bundles, and IO channels, of one cluster. */
    LAUNCH_NAMES_BYTES_MAX = 4 * 1024 * 1024,

    /* Depth of nesting of a frame: array of arrays of krefs. */
    SCAN_DEPTH_MAX = 8,

    /* Depth of nesting of a smallcaps body. liveslots has no limit of its own, but its coder recurses:
     * on our XS the stack meter ends the vat that encodes 868 records or 905 arrays inside each other,
     * and the vat that decodes between 800 and 1000. So a body we let pass ends no receiver, and what
     * we refuse is near what the sender's own engine would have refused. */
    BODY_DEPTH_MAX = 512,

    /* Unresolved promises that a vat may decide and still be upgraded: one row names them all. */
    UPGRADE_PROMISES_MAX = 1000 * 1000,

    /* Objects, promises and queue entries are listed with values up to this size. */
    VALUE_SHOWN_MAX = 4096,

    /* Timers, and errands outside, that one cluster may have open. A vat that wants more is looping. */
    TIMERS_MAX = 100 * 1000,
    ERRANDS_MAX = 10 * 1000,

    /* Random bytes that a vat may ask for at once: Web Crypto's figure. */
    RANDOM_BYTES_MAX = 65536,

    /* A timer of a vat's own globals fires no sooner (ocap-kernel's figure). */
    TIMEOUT_MS_MIN = 10,

    /* Rows of a log that one FETCH may ask for: bounds what a replay holds in flight. */
    FETCH_ROWS_MAX = 64,

    /* Deliveries a vat may have in flight. With 1 a vat waits for the broker's
     * commit after each crank, as in SwingSet; nothing a vat can see differs with more. */
    WINDOW_MAX = 16,
    WINDOW_DEFAULT = 16,

    /* A vat is reaped after so many deliveries, or when GC deliveries told it of so many krefs
     * (SwingSet's figures in production), unless its options say otherwise. */
    REAP_DELIVERIES_DEFAULT = 1000,
    REAP_KREFS_DEFAULT = 20,
    REAP_NEVER = INT32_MAX,

    /* What is due for garbage collection waits, in a busy vat with a window, until so many
     * deliveries were assigned since the last one that stood alone, or so many krefs wait. */
    BARRIER_DELIVERIES = 64,
    BARRIER_KREFS = 256,

    /* Krefs that one GC delivery tells of: what it changes is one step and one commit, which others wait for. */
    GC_KREFS_MAX = 1000,

    /* Pairs of a c-list that one NAMES carries, encoded. */
    NAMES_BYTES_MAX = 9 * 64 * 1024,

    /* Vats that one GUESTS names. */
    GUESTS_BYTES_MAX = 12 * 4096,

    /* An audit asks so many workers for their names at a time, and takes one that is silent for so
     * long for away. */
    NAMES_ASKED_MAX = 16,
    NAMES_WAIT_MS = 10 * 1000,

    /* A link beats this often; a peer silent for longer than the other is taken for lost. */
    LINK_BEAT_MS = 1000,
    LINK_LOST_MS = 6000,

    /* Per vat, unless its options say otherwise. Computrons are XS meter steps (SwingSet's
     * default is the same 1e8, about 2 s); the wall clock catches native loops that the meter
     * does not see; the heap is what XS may allocate beyond its start size. */
    COMPUTRONS_DEFAULT = 100 * 1000 * 1000,
    WALL_MS_DEFAULT = 10 * 1000,
    HEAP_BYTES_DEFAULT = 128 * 1024 * 1024,

    /* After the wall limit the worker ends itself; after this much more the vathost kills it. */
    WALL_GRACE_MS = 1000,

    /* A reap may take so many times as long. It runs none of the vat's code, and how long it takes is decided by
     * others: a million objects that nobody holds any more, because a vat ended, take minutes. */
    WALL_REAP_TIMES = 100,

    /* A checkpoint costs some milliseconds and a sync, a restart re-runs the log since the older of two:
     * after so many deliveries, so many bytes of them, or so long without one, unless a vat's options
     * say otherwise. At 1000 it adds about 10 us to a trivial delivery, and a restart runs at most half a
     * second of them again (tests/bench/checkpoint_bench.c). */
    CHECKPOINT_ROWS_DEFAULT = 1000,
    CHECKPOINT_BYTES_DEFAULT = 4 * 1024 * 1024,
    CHECKPOINT_IDLE_MS_DEFAULT = 10 * 1000,

    /* A worker that takes longer for a checkpoint hangs: it is killed, and is at the one before. */
    CHECKPOINT_MS_MAX = 120 * 1000,

    /* What a vat's heap may take when it is saved, and a whole checkpoint's file. SQLite's own bound for
     * one value is 1 GB. */
    HEAP_SAVED_BYTES_MAX = 512 * 1024 * 1024,

    /* A whole checkpoint as a file, and its pieces that are asked for and have not come, of one and of all
     * that the broker fetches at a time. */
    CHECKPOINT_FILE_BYTES_MAX = 1024 * 1024 * 1024,
    CHECKPOINT_PARTS_ASKED_MAX = 4,
    CHECKPOINTS_PULLED_MAX = 8,

    /* The broker remembers so many events, for who asks after the fact, in so many bytes, whichever
     * is reached first: minutes of a busy cluster, seconds of a flood. Of a body and of a console
     * line it keeps a beginning, which is what people read; a body that is cut has no slots. */
    TRACE_EVENTS_MAX = 100 * 1000,
    TRACE_BYTES_MAX = 16 * 1024 * 1024,
    TRACE_BODY_BYTES_MAX = 512,
    TRACE_SLOTS_MAX = 32,
    TRACE_EVENT_BYTES_MAX = 4096,

    /* A delivery that costs its worker so often is given up, or its vat ends. */
    POISON_ATTEMPTS = 3,

    /* Instances of a host that are remembered, so that one that comes back is known for a clone. */
    HOST_INSTANCES_MAX = 8,

    /* Above so many lines no host is added to the allow-list by a join key. */
    ALLOW_HOSTS_MAX = 10 * 1000,

    /* Settled client results kept for `await`; above it the oldest settled one is let go. */
    CLIENT_HOLDS_MAX = 10 * 1000,

    /* Replies kept so that a repeated request gets the same answer. */
    REQUESTS_KEPT_MAX = 100 * 1000,

    /* One histogram of what the broker measures, encoded. */
    STAT_HIST_BYTES_MAX = 32 * 1024,
};

_Static_assert(FRAME_BYTES_MAX > CRANK_BYTES_MAX + CONSOLE_BYTES_MAX + 4096, "a full RESULT fits");
_Static_assert(FRAME_BYTES_MAX > DELIVERY_BYTES_MAX + 4096, "a full DELIVER fits");
_Static_assert(DELIVERY_BYTES_MAX > CAPDATA_BYTES_MAX + SLOTS_MAX * 9 + 1024, "one message fits");
_Static_assert(FRAME_BYTES_MAX > LAUNCH_BYTES_MAX + 2 * LAUNCH_NAMES_BYTES_MAX + 8192,
               "a full LAUNCH fits");
_Static_assert(FRAME_BYTES_MAX > BUNDLE_PART_BYTES_MAX + 1024, "a bundle part fits");
_Static_assert(TRACE_EVENT_BYTES_MAX >
                   4 * (NAME_BYTES_MAX + 8) + 2 * TRACE_BODY_BYTES_MAX + TRACE_SLOTS_MAX * 9 + 512,
               "a remembered EVENT fits: four names, body, text, slots, numbers");
_Static_assert(LINK_LOST_MS > 2 * LINK_BEAT_MS, "one lost beat is not a lost peer");
