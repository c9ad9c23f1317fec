#!/usr/bin/env python3
"""Prints the figures of README.md, measured on real processes with the programs of one build:

    VATYARD_BIN=build/release/bin tests/bench/figures.py [run|start|idle|cpu...]

What is measured: wall time of whole commands, and CPU time and memory as the system counts them
(/proc/PID/schedstat, smaps_rollup). One machine, all parts on it; nothing is warmed up that a user would not have.
"""

import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import VATS, Yard, wait_for  # noqa: E402

VATS_IDLE = 50
CALLS = 4000


def say(what, value, wanted=""):
    print(f"{what:58} {value:>14} {wanted}", flush=True)


def vat(name):
    return os.path.join(VATS, name)


def cpu_us(pid):
    """CPU time of all threads of a process so far."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1000


def memory_kib(pid):
    """Resident, and what of it is the process's own or its share (PSS)."""
    found = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("Rss", "Pss"):
                found[name] = int(value.split()[0])
    return found["Rss"], found["Pss"]


def run():
    """`vatctl run` of a small cluster, bundles ready."""
    with Yard() as yard:
        file = yard.cluster({"alice": vat("hello.js"), "bob": vat("hello.js")})
        times = []
        for _ in range(11):
            result = yard.ok("run", file, "--json", "-q")
            times.append(result.seconds)
        say("vatctl run of two vats, bundles cached, median of 11", f"{statistics.median(times) * 1000:.0f} ms",
            "wanted < 1000 ms")


def start():
    """Clusters of one trivial vat, launched one after the other on a host that runs."""
    with Yard() as yard:
        yard.ok("up")
        times = []
        for n in range(21):
            file = yard.cluster({"alice": vat("hello.js")}, name=f"c{n}.json")
            before = time.monotonic()
            yard.ok("cluster", "launch", file, "--name", f"c{n}")
            times.append(time.monotonic() - before)
        version = []
        for _ in range(21):
            before = time.monotonic()
            yard.ok("ps")
            version.append(time.monotonic() - before)
        say("cluster launch of one trivial vat, the command, median", f"{statistics.median(times[1:]) * 1000:.1f} ms")
        say("  of that: a command that only asks (ps)", f"{statistics.median(version) * 1000:.1f} ms")

        # Many vats at once: what one more costs.
        for count in (1, 101):
            file = yard.cluster({f"v{n}": vat("hello.js") for n in range(count)}, name=f"many{count}.json")
            before = time.monotonic()
            yard.ok("cluster", "launch", file, "--name", f"many{count}")
            took = time.monotonic() - before
            if count == 1:
                one = took
        say("start of one more trivial vat (100 more in one launch)", f"{(took - one) * 10:.1f} ms", "wanted < 15 ms")
        yard.ok("down")


def idle():
    with Yard() as yard:
        yard.ok("up")
        file = yard.cluster({f"v{n}": vat("hello.js") for n in range(VATS_IDLE)})
        yard.ok("cluster", "launch", file)
        time.sleep(1)
        workers = yard.workers()
        sizes = [memory_kib(pid) for pid in workers]
        say(f"RSS of an idle vat's worker, median of {len(workers)}",
            f"{statistics.median(rss for rss, _ in sizes) / 1024:.1f} MiB", "wanted < 12 MiB")
        say("  its share of the machine's memory (PSS)", f"{statistics.median(pss for _, pss in sizes) / 1024:.1f} MiB")
        for program in ("vatbroker", "vathost"):
            for pid in yard.processes(program):
                say(f"RSS of {program} with {VATS_IDLE} vats", f"{memory_kib(pid)[0] / 1024:.1f} MiB")
        yard.ok("down")


def cpu(pairs):
    """PAIRS callers send messages to as many counters, 50 at a time each, and wait for the answers."""
    with Yard() as yard:
        yard.ok("up")
        vats = {}
        for n in range(pairs):
            vats[f"front{n}"] = vat("caller.js")
            vats[f"counter{n}"] = vat("counter.js")
        # A bootstrap vat that introduces each caller to its counter.
        vats["boot"] = vat("pairs.js")
        yard.ok("cluster", "launch", yard.cluster(vats, bootstrap="boot"), "--wait")
        each = CALLS // pairs // 50 * 50
        yard.ok("call", "@boot", "run", "50", timeout=300)  # what happens once, happens now
        broker, = yard.processes("vatbroker")
        host, = yard.processes("vathost")
        workers = yard.workers()

        before = {pid: cpu_us(pid) for pid in [broker, host, *workers]}
        begin = time.monotonic()
        yard.ok("call", "@boot", "run", str(each), timeout=300)
        took = time.monotonic() - begin
        used = {pid: cpu_us(pid) - before[pid] for pid in before}

        # Each counter gets EACH messages and nothing else, each caller EACH notifies, boot next to nothing.
        calls = each * pairs
        by_worker = sorted(used[pid] for pid in workers)[1:]
        say(f"{calls} calls with answers, {pairs} pair(s), window 1", f"{calls / took:.0f} /s")
        say("  CPU per trivial delivery in the counters' workers", f"{sum(by_worker[:pairs]) / calls:.0f} us", "wanted < 150 us")
        say("  CPU per call in the callers' workers (send, notify)", f"{sum(by_worker[pairs:]) / calls:.0f} us")
        say("  CPU per message in the broker (two cranks a call)", f"{used[broker] / (2 * calls):.0f} us", "wanted < 40 us")
        say("  CPU per crank in the vathost", f"{used[host] / (2 * calls):.0f} us")
        yard.ok("down")


if __name__ == "__main__":
    for name in sys.argv[1:] or ["run", "start", "idle", "cpu"]:
        {"run": run, "start": start, "idle": idle, "cpu": lambda: [cpu(1), cpu(16)]}[name]()
