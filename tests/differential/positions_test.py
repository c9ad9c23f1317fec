#!/usr/bin/env python3
"""Where an engine is saved, and whether it lives on or is read again, shows in nothing that it does. The deliveries of
random_test.py run once in an engine that is never saved, and then in others that are: everything asked, every console
line, the store after each delivery and the computrons must be equal."""

import argparse
import contextlib
import os
import random
import sys
import tempfile

import pair
import random_test
import vat as vats


class Straight(pair.Pair):
    """Our engine alone; what it was told and what it said is kept."""

    def __init__(self, vat, fresh=False):
        self.ours, self.vat, self.deliveries, self.store, self.lines, self.said = None, vat, 0, {}, [], []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.ours.close()

    def deliver(self, *delivery):
        if not self.ours:
            self.ours = pair.Ours(self.vat)
            self.ours.begin(["console"])
        outcome, asked, store = self.ours.deliver(list(delivery))
        self.deliveries += 1
        self.lines.append(list(delivery))
        self.said.append((outcome, asked, store, self.ours.computrons))
        self.store = store
        return outcome, [it for it in asked if it[0] != "console"]

    def renew(self, vat):
        self.ours.renew(vat)
        self.lines.append(["renew", vat])


def straight(seed, deliveries, upgrades):
    original, vats.Pair = vats.Pair, Straight
    try:
        with vats.Vat() as it:
            life = random_test.Life(it, seed)
            life.run(deliveries, upgrades)
            if not upgrades:
                with contextlib.suppress(AssertionError):  # what is held for ever is random_test.py's matter
                    life.let_go()
            return it.pair.lines, it.pair.said
    finally:
        vats.Pair = original


def begun():
    ours = pair.Ours("bench")
    ours.begin(["console"])
    return ours


def again(lines, said, schedule, where):
    """SCHEDULE(n) is what happens before delivery n: nothing, "save", "load", which saves first, or "restart", which
    loads in another process."""
    ours = begun()
    differences = 0
    n = 0
    with tempfile.TemporaryDirectory() as folder:
        saved = os.path.join(folder, "heap")
        for line in lines:
            if line[0] == "renew":
                ours.renew(line[1])
                continue
            way = schedule(n)
            if way:
                ours.begin(["save", saved])
            if way == "restart":
                ours.close()
                ours = begun()
                ours.begin(["store", said[n - 1][2] if n else {}])
            if way in ("load", "restart"):
                ours.begin(["load", saved])
            now = (*ours.deliver(line), ours.computrons)
            for what, one, other in zip(("outcome", "what was asked", "store", "computrons"), said[n], now):
                if one != other:
                    print(f"{where}: delivery {n} {line}: {what} differs\n  {one!s:.500}\n  {other!s:.500}")
                    differences += 1
            if differences > 5:
                break
            n += 1
    ours.close()
    return differences


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, nargs=2, default=(1, 1), metavar=("FIRST", "LAST"))
    arguments.add_argument("--deliveries", type=int, default=150)
    arguments.add_argument("--upgrades", action="store_true")
    arguments.add_argument("--only", metavar="TEXT", default="", help="the ways whose names contain it")
    options = arguments.parse_args()
    failed = 0
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        lines, said = straight(seed, options.deliveries, options.upgrades)
        chance = random.Random(seed)
        at = {way: {n for n in range(len(said)) if chance.random() < 0.2} for way in ("save", "load")}
        schedules = {
            "save at every": lambda n: "save",
            "load at every": lambda n: "load",
            "restart at every 10th": lambda n: n % 10 == 9 and "restart",
            "both at random": lambda n: "load" if n in at["load"] else "save" if n in at["save"] else None,
        }
        wanted = [name for name in schedules if options.only in name]
        if not wanted:
            arguments.error(f"--only: one of {', '.join(schedules)}")
        for name in wanted:
            failed += again(lines, said, schedules[name], f"seed {seed}, {name}")
    print(f"{'FAILED' if failed else 'no difference'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
