#!/usr/bin/env python3
"""What it takes to move vats, to drain a host, and to back all of it up.

    VATYARD_BIN=build/release/bin tests/bench/moves.py [--vats 60] [--deliveries 20] [--rounds 10]

VATS small vats on two hosts, each with DELIVERIES deliveries behind it and checkpoints after every fifth. One of them moves ROUNDS times; then
all stand on one host, which is drained, twice; then a backup of them is made. Times are those that vatctl says, or its own from start to end."""

import argparse
import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from yard import VATS, Yard, wait_for  # noqa: E402


def table(yard):
    return yard.ok("ps", "--json").json


def states(yard):
    return {row["name"]: row for row in yard.ok("host", "ls", "--json").json}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--vats", type=int, default=60)
    arguments.add_argument("--deliveries", type=int, default=20)
    arguments.add_argument("--rounds", type=int, default=10)
    options = arguments.parse_args()
    with Yard() as yard:
        yard.ok("up", "--hosts", "2")
        keeper = os.path.join(VATS, "keeper.js")
        file = yard.cluster({f"k{n}": keeper for n in range(options.vats)}, name="keep.json",
                            deploy={"persistence": {"snapshotEvery": 5}})
        yard.ok("cluster", "launch", file, "--wait")
        for row in table(yard):
            for n in range(options.deliveries):
                yard.ok("call", f"@keep/{row['name']}", "add", f"s:{n}")
        moves = sorted(yard.ok("move", "v1", "--json").json["ms"] for _ in range(options.rounds))
        print(f"move of one vat: median {statistics.median(moves):.0f} ms, worst {moves[-1]} ms, of {len(moves)}", flush=True)
        yard.ok("host", "drain", "host-2")
        yard.ok("host", "undrain", "host-2")
        for here, there in (("host-1", "host-2"), ("host-2", "host-1")):
            vats = states(yard)[here]["vats"]
            drained = yard.ok("host", "drain", here)
            yard.ok("host", "undrain", here)
            print(f"drain of a host with {vats} vats: {drained.seconds:.2f} s", flush=True)
            assert states(yard)[there]["vats"] == vats
        backup = os.path.join(yard.dir, "backup")
        took = yard.ok("db", "backup", backup, "--json").json["ms"]
        size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(backup) for name in names)
        print(f"backup of {options.vats} vats: {took} ms, {size >> 10} KiB", flush=True)
        assert wait_for(lambda: all(row["state"] in ("running", "asleep") for row in table(yard)))
        for row in table(yard):
            count = yard.ok("call", f"@keep/{row['name']}", "told", "--json").json["value"]
            assert count == [options.deliveries] * 2 + [[]], (row, count)
        yard.ok("db", "audit")
        print(f"all {options.vats} vats have what they were told")


if __name__ == "__main__":
    main()
