#!/usr/bin/env python3
"""Objects made and dropped across two vats: what stays in memory, and what is still counted.

    VATYARD_BIN=build/release/bin tests/bench/leak.py [--objects 1000000] [--first 100000] [--batch 250] [--reap 5]

alice and bob send each other batches of new objects and forget them, as many in one direction as in the other, and are
reaped every REAP deliveries. After FIRST objects and after all of them everything is collected (`vatctl gc`), the counts
are compared with those before the first object, and RSS of each process is read. Fails when a count differs, or when RSS grew by
more than --slack between the two. kernel.db grows all the time: nothing trims the log yet.
"""

import argparse
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from figures import memory_kib  # noqa: E402
from yard import Yard  # noqa: E402

COUNTS = ("objects", "promises", "held", "queued", "waiting", "in_flight")
ROUND = 20000  # objects of one call


def vat(name):
    return os.path.join(HERE, "vats", name)


class Leak:
    def __init__(self, yard, batch, reap):
        self.yard, self.batch, self.made = yard, batch, 0
        yard.ok("up", "--trace", "0")  # what the broker remembers of the last events fills up to its bound, and is no leak
        options = {"creationOptions": {"reapInterval": reap}}
        file = yard.cluster({"swap": vat("swap.js"), "alice": {"source": vat("swapper.js"), **options},
                             "bob": {"source": vat("swapper.js"), **options}})
        yard.ok("cluster", "launch", file, "--wait")
        self.programs = {pid: name for pid, name in yard.processes().items()
                         if name in ("vatbroker", "vathost", "vatworker", "vatzygote")}
        self.swap(2 * batch)  # what happens once, happens now
        self.baseline = self.counts()

    def counts(self):
        """What is counted when everything that can be collected was."""
        self.yard.ok("gc", timeout=300)
        counters = self.yard.ok("status", "--json").json["counters"]
        return {name: counters[name] for name in COUNTS}

    def swap(self, objects):
        batches = objects // (2 * self.batch)
        seen = self.yard.ok("call", "@swap", "swap", str(batches), str(self.batch), "--json", timeout=600).json["value"]
        if seen != 2 * batches * self.batch:
            raise AssertionError(f"{seen} objects arrived, not {2 * batches * self.batch}")
        self.made += seen

    def until(self, objects):
        while self.made < objects:
            self.swap(min(ROUND, objects - self.made))

    def sizes(self):
        """RSS in KiB by process. They are the same ones all the time, or it means nothing."""
        if self.programs.items() - self.yard.processes().items():
            raise AssertionError("a process ended")
        return {f"{name} {pid}": memory_kib(pid)[0] for pid, name in sorted(self.programs.items(), key=lambda x: x[::-1])}


def measure(objects, first, batch, reap, say=print):
    """Returns what is wrong with the counts, as text; RSS after FIRST objects; RSS after OBJECTS."""
    with Yard() as yard:
        leak = Leak(yard, batch, reap)
        wrong, sizes = [], []
        for goal in (first, objects):
            begin, made = time.monotonic(), leak.made
            leak.until(goal)
            took = time.monotonic() - begin
            counts = leak.counts()
            say(f"{leak.made} objects, {(leak.made - made) / took:.0f} /s; counted: {counts}")
            if counts != leak.baseline:
                wrong.append(f"after {leak.made} objects {counts}, at the start {leak.baseline}")
            sizes.append(leak.sizes())
        if yard.ctl("db", "audit").code:
            wrong.append("the audit finds damage")
        return wrong, *sizes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1000000)
    parser.add_argument("--first", type=int, default=100000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--reap", type=int, default=5)
    parser.add_argument("--slack", type=float, default=0.05)
    args = parser.parse_args()
    wrong, before, after = measure(args.objects, args.first, args.batch, args.reap, lambda *w: print(*w, flush=True))
    print(f"{'RSS':28} {'after ' + str(args.first):>16} {'after ' + str(args.objects):>16} {'ratio':>8}")
    for name, size in before.items():
        ratio = after[name] / size
        print(f"{name:28} {size / 1024:12.1f} MiB {after[name] / 1024:12.1f} MiB {ratio:8.3f}")
        if ratio > 1 + args.slack:
            wrong.append(f"RSS of {name} grew by {(ratio - 1) * 100:.1f} %")
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
