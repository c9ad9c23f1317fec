#!/usr/bin/env python3
"""What sleeping vats cost: VATS of them on one host, AWAKE of which do not sleep.

    VATYARD_BIN=build/release/bin tests/bench/sleep.py [--vats 10000] [--awake 100] [--seconds 900]

Vats are launched in clusters of 100; the process of one that may sleep ends when nothing came for a second. When
all have, the memory of all processes is added up: resident (RSS, shared pages counted in each), and proportional
(PSS, shared pages shared out). Then some are woken by a call, sleep again, and are woken once more: each has to
find its count as it was. When the time is over before all are launched, it goes on with those that are.
"""

import argparse
import collections
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import Yard, bundle, wait_for  # noqa: E402

BATCH, WOKEN = 100, 20


def launch(yard, code, names, sleeps):
    deploy = {"persistence": {"sleepAfter": "1s" if sleeps else "never"}}
    file = yard.cluster({name: {"bundleSpec": code} for name in names}, name=f"{names[0]}.json", deploy=deploy)
    yard.ok("cluster", "launch", file, "--wait", timeout=300)


def memory(yard):
    """{program: [count, RSS, PSS]} in KiB."""
    found = collections.defaultdict(lambda: [0, 0, 0])
    for pid, program in yard.processes().items():
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                rows = dict(line.split(":", 1) for line in file.read().splitlines()[1:])
        except OSError:
            continue
        row = found[program]
        row[0] += 1
        row[1] += int(rows["Rss"].split()[0])
        row[2] += int(rows["Pss"].split()[0])
    return found


def disk(root):
    """Bytes that the databases of vats take."""
    return sum(os.stat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(root) for name in names if name.startswith("vat-"))


def figure(what, value):
    print(f"{what}: {value}", flush=True)


def asleep(yard, awake):
    if not wait_for(lambda: len(yard.workers()) <= awake, 120, 0.2):
        raise AssertionError(f"{len(yard.workers())} workers run, {awake} should")


def wake(yard, names, awake):
    """Calls sleeping vats, twice each; milliseconds of a call, beside those of vatctl alone."""
    alone = statistics.median(yard.ok("status").seconds for _ in range(5)) * 1000
    took = []
    for count in (1, 2):
        for name in names:
            result = yard.ok("call", f"@{name}", "count", "--json")
            if result.json["value"] != count:
                raise AssertionError(f"{name} lost its count, {count}: {result.json}")
            took.append(result.seconds * 1000)
        asleep(yard, awake)
    figure("a call to a vat that sleeps (vatctl alone)", f"{statistics.median(took):.0f} ms ({alone:.0f} ms)")


def run(options):
    with Yard() as yard:
        yard.ok("up")
        begin = time.monotonic()
        code = bundle(os.path.join(HERE, "vats", "sleeper.js"))
        awake = [f"awake{n}" for n in range(options.awake)]
        launch(yard, code, awake, False)
        names = []
        while len(names) + len(awake) < options.vats and time.monotonic() - begin < options.seconds:
            more = min(BATCH, options.vats - len(awake) - len(names))
            batch = [f"s{len(names) + n}" for n in range(more)]
            launch(yard, code, batch, True)
            names += batch
        count = len(names) + len(awake)
        figure("vats launched", f"{count} in {time.monotonic() - begin:.0f} s")
        asleep(yard, len(awake))
        total = [0, 0]
        for program, (number, rss, pss) in sorted(memory(yard).items()):
            figure(f"{number} x {program}", f"RSS {rss / 1024:.1f} MiB, PSS {pss / 1024:.1f} MiB")
            total = [total[0] + rss, total[1] + pss]
        figure("all processes", f"RSS {total[0] / 1024:.0f} MiB, PSS {total[1] / 1024:.0f} MiB")
        figure("their databases on disk", f"{disk(yard.dir) / 1024 / 1024:.0f} MiB")
        wake(yard, names[:: max(1, len(names) // WOKEN)][:WOKEN], len(awake))
        yard.ok("down", timeout=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vats", type=int, default=10000)
    parser.add_argument("--awake", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=900)
    run(parser.parse_args())


if __name__ == "__main__":
    main()
