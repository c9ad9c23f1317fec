#!/usr/bin/env python3
"""What it costs the broker to remember the last events, in a flood.

    VATYARD_BIN=build/release/bin tests/bench/trace.py [ROUNDS [CALLS]]

Two instances, one with `up --trace 1`, one with `--trace 0`, each with a host and null vats; `vatctl bench send` floods them in turn,
on off off on ..., and the broker's CPU for each delivery is read from /proc. The median of the differences of neighbours is told: what
else the machine does comes and goes slower than that."""

import os
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import Yard  # noqa: E402


def cpu_us(pid):
    """All that it ran, to the nanosecond, unlike the ticks of stat."""
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1000


class Side:
    def __init__(self, share):
        self.yard = Yard()
        self.yard.ok("up", "--trace", share)
        self.broker = next(iter(self.yard.processes("vatbroker")))

    def round(self, calls):
        """CPU of the broker's main thread for each delivery."""
        cpu, cranks = cpu_us(self.broker), self.delivered()
        self.yard.ok("bench", "send", "--engine", "null", "-c", "16", "-n", str(calls), "-q", "--json", timeout=600)
        return (cpu_us(self.broker) - cpu) / (self.delivered() - cranks)

    def delivered(self):
        return sum(row["value"] for row in self.yard.ok("stats", "--json").json["stats"] if row["name"] == "deliveries")


def main(rounds=10, calls=400):
    sides = {"on": Side("1"), "off": Side("0")}
    try:
        seen = {"on": [], "off": []}
        for side in sides.values():
            side.round(calls)  # what happens once, happens now
        for i in range(rounds):
            for name in ("on", "off") if i % 2 else ("off", "on"):
                seen[name].append(sides[name].round(calls))
        on, off = (statistics.median(seen[name]) for name in ("on", "off"))
        more = statistics.median(a / b - 1 for a, b in zip(seen["on"], seen["off"]))
        print(f"broker's CPU for a delivery: {off:.1f} us off, {on:.1f} us on (best {min(seen['off']):.1f}, {min(seen['on']):.1f}); "
              f"neighbours differ by {more:+.1%} (median of {rounds})")
    finally:
        for side in sides.values():
            side.yard.close()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
