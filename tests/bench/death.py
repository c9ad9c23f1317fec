#!/usr/bin/env python3
"""What the end of a large vat costs the others.

    VATYARD_BIN=build/release/bin tests/bench/death.py [--objects 1000000] [--seconds 5]

left and right hold OBJECTS objects of each other, half of them each, so that each has a row for every one; alice asks bob for
an answer, again and again. Then left is killed. Printed are the round trips of alice's pings before that, while the broker cleans
up and right is told of what nobody holds any more, and afterwards; as the broker's clock has them. Fails when p99 during the
clean-up is more than twice that before. Making a million objects takes about ten minutes, the rest a few seconds."""

import argparse
import json
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from figures import memory_kib  # noqa: E402
from yard import Yard, wait_for  # noqa: E402

BATCH = 500
ROUND = 10000  # objects of one call
LIMITS = {"limits": {"heap": "2Gi", "wallPerDelivery": "60s", "computronsPerDelivery": 10**11}}


def vat(name):
    return os.path.join(HERE, "vats", f"{name}.js")


class Pings:
    """When alice had an answer, in seconds since 1970."""

    def __init__(self, yard):
        self.times = []
        self.child = yard.start("logs", "alice", "-f", "--json")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            row = json.loads(line)
            if row["type"] == "console":
                self.times.append(row["time"])

    def trips(self, begin, end):
        """Round trips in ms that ended between two times, ascending."""
        times = list(self.times)
        return sorted((b - a) * 1000 for a, b in zip(times, times[1:]) if begin <= a and b <= end)


def fill(yard, objects):
    begin, made = time.monotonic(), 0
    while made < objects:
        for one, other in (("left", "right"), ("right", "left")):
            count = min(ROUND, objects // 2)
            yard.ok("call", f"@{one}", "hoard", f"@{other}", str(count // BATCH), str(BATCH), timeout=600)
            made += count
    return made, time.monotonic() - begin


def held(yard):
    return yard.ok("status", "--json").json["counters"]["held"]


def settle(yard, wanted):
    """The same looking in every phase: waits until so few references are left."""
    return wait_for(lambda: held(yard) <= wanted, 600, 0.25)


def say(phase, trips):
    def at(share):
        return trips[min(len(trips) - 1, int(len(trips) * share))]

    print(f"{phase:12} {len(trips):8} pings   p50 {at(0.5):7.2f} ms   p99 {at(0.99):7.2f} ms   max {trips[-1]:7.2f} ms", flush=True)
    return at(0.99)


def measure(objects, seconds):
    """Returns p99 before, during, and after."""
    with Yard() as yard:
        yard.ok("up")
        hoard = {"source": vat("hoard"), "creationOptions": {"reapInterval": 10}}
        file = yard.cluster({"boot": vat("boot"), "left": hoard, "right": hoard, "alice": vat("pinger"), "bob": vat("pinger")},
                            deploy={"vats": {"left": LIMITS, "right": LIMITS}})
        yard.ok("cluster", "launch", file, "--wait")
        few = held(yard)
        made, took = fill(yard, objects)
        broker, = yard.processes("vatbroker")
        print(f"{made} objects in {took:.0f} s; broker {memory_kib(broker)[0] / 1024:.0f} MiB", flush=True)

        pings = Pings(yard)
        yard.ok("send", "@alice", "ping", "@bob")
        wait_for(lambda: len(pings.times) > 100)
        times = [time.time()]
        wait_for(lambda: held(yard) < few, seconds, 0.25)  # never: it only looks
        times.append(time.time())
        yard.ok("kill", "left", "--yes")
        if not settle(yard, few + made // 2 + BATCH):
            raise AssertionError(f"{held(yard)} references are left")
        times.append(time.time())
        wait_for(lambda: held(yard) < few // 2, seconds, 0.25)
        times.append(time.time())
        yard.ok("send", "@alice", "stop")
        print(f"clean-up: {times[2] - times[1]:.1f} s; broker {memory_kib(broker)[0] / 1024:.0f} MiB")
        if yard.ctl("db", "audit", timeout=300).code:
            raise AssertionError("the audit finds damage")
        return [say(name, pings.trips(*times[n:n + 2])) for n, name in enumerate(("before", "clean-up", "after"))]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1000000)
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    before, during, _ = measure(args.objects, args.seconds)
    print(f"p99 during the clean-up is {during / before:.2f} times that before (wanted: at most 2)")
    sys.exit(1 if during > 2 * before else 0)


if __name__ == "__main__":
    main()
