#!/usr/bin/env python3
"""What it costs to make a vat from a vat, and to upgrade a vat that keeps many durable objects.

    VATYARD_BIN=build/release/bin tests/bench/lives.py [--vats 50] [--objects 10000] [--upgrades 5]

Making: a vat asks vatAdmin for VATS others, one after the other, each answers a message; the time of the whole by
their number. Upgrading: `vatctl upgrade` of a vat with no object, and of the same vat when it keeps OBJECTS of them in
a durable map; the median of UPGRADES each, with vatctl's own start and the bundle's look-up in it, which an empty
`vatctl status` shows apart.
"""

import argparse
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import Yard, bundle  # noqa: E402

BATCH = 500


def vat(name):
    return os.path.join(HERE, "vats", name)


def took(what, *args, **options):
    begin = time.monotonic()
    what(*args, **options)
    return time.monotonic() - begin


def making(vats):
    """Seconds for each vat made, the slowest part of which is its worker's start."""
    with Yard() as yard:
        yard.ok("up")
        file = yard.cluster({"maker": {"source": vat("maker.js")}}, bundles={"made": {"bundleSpec": bundle(vat("made.js"))}})
        yard.ok("cluster", "launch", file, "--wait")
        yard.ok("call", "@maker", "make", "2")
        return took(yard.ok, "call", "@maker", "make", str(vats), timeout=300) / vats


def upgrading(objects, upgrades):
    """Seconds: vatctl alone, an upgrade without objects, the first one after OBJECTS were made, the next ones; medians
    but for the first, of which there is one: its old heap still has what making the objects left behind."""
    with Yard() as yard:
        yard.ok("up")
        yard.ok("cluster", "launch", yard.cluster({"keeper": {"source": vat("keeper.js")}}), "--wait")
        code = bundle(vat("keeper.js"))

        def median():
            return statistics.median(took(yard.ok, "upgrade", "keeper", code, timeout=300) for _ in range(upgrades))

        nothing = statistics.median(took(yard.ok, "status") for _ in range(upgrades))
        empty = median()
        for n in range(0, objects, BATCH):
            yard.ok("call", "@keeper", "keep", str(n), str(min(BATCH, objects - n)), timeout=300)
        first = took(yard.ok, "upgrade", "keeper", code, timeout=300)
        later = median()
        kept = yard.ok("call", "@keeper", "sum", "0", str(objects), "--json", timeout=300).json["value"]
        if kept != objects:
            raise AssertionError(f"{kept} objects after the upgrades, not {objects}")
        return nothing, empty, first, later


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vats", type=int, default=50)
    parser.add_argument("--objects", type=int, default=10000)
    parser.add_argument("--upgrades", type=int, default=5)
    options = parser.parse_args()
    print(f"a vat made by a vat, and its first answer: {making(options.vats) * 1000:.1f} ms")
    nothing, empty, first, later = upgrading(options.objects, options.upgrades)
    print(f"vatctl alone: {nothing * 1000:.1f} ms")
    print(f"an upgrade, no objects: {empty * 1000:.1f} ms")
    print(f"the first upgrade after {options.objects} durable objects were made: {first * 1000:.1f} ms")
    print(f"the next ones: {later * 1000:.1f} ms")


if __name__ == "__main__":
    main()
