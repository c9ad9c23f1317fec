#!/usr/bin/env python3
"""Kills processes of a cluster at work, and has the history judged.

usage: campaign.py [--labels] [--only LABEL,...] [--kills N] [--minutes M] [--seed S] [--hosts N] [--keep]

  --labels       each label of failpoint.def once: somebody is killed there, and everything goes on
  --only A,B     only these labels
  --kills N      N random kills: SIGKILL of workers, hosts, the broker, several at once, and deaths at random labels
  --minutes M    random kills for so long
  --seed S       what is random; printed, for the next time
  --pace S       seconds between operations of a client, in the mean (0.05; 0: as fast as it goes); what goes on beside slows down alike
  --without A,B  what does not go on beside: step, journal, guest, mortal, audit, move, copy, drain, backup
  --keep         keep the folder of a run that was right, too

VATYARD_BIN says where the programs are. A run that fails keeps its folder and says how to run it again.
SIGTERM: no more kills; the end, and the verdict."""

import argparse
import os
import random
import signal
import sys
import time

from checker import check, summary
from cluster import Cluster
from history import History, read
from kills import Killer
from workload import PACE, Workload

STUCK = 90.0  # seconds without anything ended

# Labels that the workload need not reach, and why.
EXCUSED = {}


class Campaign:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.cluster = Cluster(options.hosts)
        self.folder = self.cluster.yard.dir
        self.history = History(os.path.join(self.folder, "history.jsonl"))
        self.work = Workload(self.cluster.control, self.history, random.Random(options.seed + 1), options.pace)
        self.work.without = tuple(options.without.split(","))
        self.killer = Killer(self.cluster, self.work, self.history, self.rng)
        self.last = (0, time.monotonic())
        self.not_reached = []
        self.told = 0

    def say(self, text):
        print(text, flush=True)

    def each(self):
        """Between two turns of the client."""
        self.cluster.tend()
        self.killer.see_labels()
        self.work.feed()
        if self.work.finished != self.last[0]:
            self.last = (self.work.finished, time.monotonic())
        elif time.monotonic() - self.last[1] > STUCK:
            raise RuntimeError(f"nothing ended for {STUCK:.0f} s")

    def go_on(self, seconds):
        self.work.until(lambda: False, seconds, self.each)

    def recovered(self, seconds=60):
        return self.work.until(lambda: not self.killer.open_pings, seconds, self.each)

    def enough(self):
        """No more random kills; the end, and the verdict."""
        self.options.kills = 0
        self.options.minutes = 0

    # -- phases

    def begin(self):
        if not self.work.until(self.work.begin(self.options.hosts), 60, self.cluster.tend):
            raise RuntimeError("the cluster did not come up")
        self.go_on(1.0)

    def label(self, label):
        """Whether somebody died there, and everything went on."""
        board = self.cluster.board
        before = board.died(label)
        # Some are passed only when a process is faster than the death of the one above it: on a busy machine not each time.
        for again in range(14):
            board.arm(label, 1 if again or board.passed(label) < 50 else self.rng.randrange(1, 6))
            self.killer.provoke(label, again)
            seconds = 12 if label == "broker_stepped_gone" else 1.0 + min(again, 5)
            if self.work.until(lambda: board.died(label) > before, seconds, self.each):
                break
        board.arm(label, 0)
        if board.died(label) == before:
            return False
        self.killer.see_labels()
        if not self.recovered():
            raise RuntimeError(f"no recovery after {label}")
        return True

    def restored(self):
        """Everything at rest, a backup, everything killed, the backup put back by somebody who dies at it once: and on it goes. Returns
        whether somebody did."""
        label, board, cluster = "broker_adopted", self.cluster.board, self.cluster
        path = os.path.join(self.folder, "backup")

        def each():
            cluster.tend()
            self.killer.see_labels()
        self.work.stopping = True
        if not self.work.until(lambda: not self.work.tasks.open, 120, each):
            raise RuntimeError(f"not answered: {', '.join(self.work.unanswered())}")
        self.work.tasks.start(self.work.rest_and_backup(path))
        if not self.work.until(lambda: not self.work.tasks.open, 120, each):
            raise RuntimeError("no backup was made")
        cluster.kill_all()
        self.killer.count("all", len(cluster.processes), ["everything, and the broker's state is gone"])
        os.rename(cluster.broker_state, f"{cluster.broker_state}.before")
        board.arm(label)
        results = [cluster.yard.ctl("db", "restore", path, env=cluster.env) for _ in range(2)]
        self.killer.see_labels()
        if results[0].code == 0 or results[1].code != 0:
            raise RuntimeError(f"the backup was not put back: {results[0]} {results[1]}")
        self.work.stopping = False
        for vat in self.work.names:
            self.killer.watch("restore", vat, time.monotonic())
        if not self.recovered(120):
            raise RuntimeError("no recovery after the backup was put back")
        self.go_on(2.0)
        return board.died(label) > 0

    def labels(self, names):
        for name in names:
            begin = time.monotonic()
            if not (self.restored() if name == "broker_adopted" else self.label(name)):
                self.not_reached.append(name)
                self.say(f"{name}: nobody passed there")
            elif self.options.verbose:
                self.say(f"{name}: {time.monotonic() - begin:.2f} s")

    def kills(self):
        begin, first = time.monotonic(), self.killer.kills
        while (self.options.kills or self.options.minutes) and (
                not self.options.kills or self.killer.kills - first < self.options.kills) and (
                not self.options.minutes or time.monotonic() - begin < self.options.minutes * 60):
            self.killer.random()
            if self.rng.random() < 0.5:
                self.go_on(self.rng.random() * 0.1)
            if self.rng.random() < 0.2 and not self.recovered():
                raise RuntimeError("no recovery")
            if self.rng.random() < 0.05:
                self.rng.choice(self.work.clients).die()
            if self.killer.kills - self.told >= 500:
                self.told = self.killer.kills
                self.say(f"{self.killer.kills} kills, {self.work.finished} operations, "
                         f"{time.monotonic() - self.history.began:.0f} s")
                self.history.flush()

    def end(self):
        for name, _, _ in self.cluster.board.rows:
            self.cluster.board.arm(name, 0)
        self.work.stopping = True

        def each():
            self.cluster.tend()
            self.killer.see_labels()
        if self.work.drain(120, each):
            self.work.reference(60 + self.work.steps, each)
            self.history.write("end")
        for text in self.cluster.surprises:
            self.work.finding(text)

    # -- all of it

    def run(self):
        options = self.options
        rows = [name for name, _, _ in self.cluster.board.rows]
        try:
            self.begin()
            if options.labels or options.only:
                self.labels(options.only.split(",") if options.only else rows)
            self.kills()
            self.recovered()
            self.end()
        except (RuntimeError, KeyboardInterrupt) as why:
            self.work.finding(f"{type(why).__name__}: {why}")
            for text in self.cluster.surprises:
                self.work.finding(text)
        self.history.close()
        violations, _ = check(read(self.history.path))
        return self.report(violations, rows)

    def report(self, violations, rows):
        for kind, text in violations[:30]:
            self.say(f"{kind}: {text}")
        missing = [name for name in self.not_reached if name not in EXCUSED]
        for name in self.not_reached:
            self.say(f"not reached: {name}{': ' + EXCUSED[name] if name in EXCUSED else ''}")
        for kind, (count, median, late) in self.killer.figures().items():
            self.say(f"{kind:8} {count:6} times back, median {median:7.1f} ms, p99 {late:7.1f} ms")
        self.say(", ".join(f"{count} {what}" for what, count in sorted(self.work.done.items())))
        died = sum(1 for name in rows if self.cluster.board.died(name))
        right = not violations and not missing
        self.say(f"{self.killer.kills} kills {'survived' if right else 'tried'} in "
                 f"{time.monotonic() - self.history.began:.0f} s, {self.work.finished} operations: {summary(violations)}; "
                 f"{died} of {len(rows)} labels")
        return right

    def close(self, right):
        if right and not self.options.keep:
            self.cluster.close()
            return
        self.cluster.yard.end()
        self.cluster.reap()
        self.say(f"kept: {self.folder}")
        if not right:
            self.say(f"again: {' '.join(['tests/kill/campaign.py', *self.options.again])}")


def parse(argv):
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].replace("usage: ", ""), add_help=True)
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--pace", type=float, default=PACE)
    parser.add_argument("--without", default="")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(argv)
    if not any(word.startswith("--seed") for word in argv):
        argv = [*argv, f"--seed={options.seed}"]
    options.again = argv
    return options


def main():
    options = parse(sys.argv[1:])
    campaign = Campaign(options)
    signal.signal(signal.SIGTERM, lambda *_: campaign.enough())
    right = False
    try:
        right = campaign.run()
    finally:
        campaign.close(right)
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
