#!/usr/bin/env python3
"""What it costs the broker to remember the last events, in a flood.

    VATYARD_BIN=build/release/bin tests/bench/trace.py [ROUNDS [CALLS]]

Four instances, two with `up --trace 1` and two with `--trace 0`, each with a host and null vats; `vatctl bench send` floods them in
turn, each time beginning with another, and the CPU of the broker's main thread for each delivery is read from /proc. What two that are the same
differ by is what the machine's other work makes of it: a difference of less says nothing."""

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


def main(rounds=8, calls=60):
    shares = ("0", "1", "1", "0")
    sides = []
    try:
        for share in shares:
            sides.append(Side(share))
        for side in sides:
            side.round(calls)  # what happens once, happens now
        seen = [[] for _ in sides]
        for i in range(rounds):
            for k in range(len(sides)):
                at = (i + k) % len(sides)
                seen[at].append(sides[at].round(calls))
        middle = [statistics.median(times) for times in seen]
        for share, time in zip(shares, middle):
            print(f"--trace {share}: {time:.1f} us of CPU for a delivery")
        off, on = (sum(t for s, t in zip(shares, middle) if s == share) / 2 for share in "01")
        print(f"on {on / off - 1:+.1%}; the two that are off differ by {abs(middle[0] - middle[3]) / off:.1%}, "
              f"the two that are on by {abs(middle[1] - middle[2]) / off:.1%}")
    finally:
        for side in sides:
            side.yard.close()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
