#!/usr/bin/env python3
"""From SIGKILL to the next delivery.

    VATYARD_BIN=build/release/bin tests/bench/recovery.py [--vats 100] [--deliveries 250] [--rounds 20]

VATS vats on one host, each with DELIVERIES deliveries behind it (by default more than there are between two checkpoints). Then a worker is
killed, the host with all its workers, and the broker, ROUNDS times each (the host and the broker a quarter as often); a client that asked each vat right after the kill
says when the first and the last of them had answered. A process that was killed is started again at once, as a service manager does."""

import argparse
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("kill", "e2e"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))
from cluster import Cluster  # noqa: E402
from history import History  # noqa: E402
from session import body, root  # noqa: E402
from workload import CODE, LIST_VATS, Workload  # noqa: E402
from yard import bundle  # noqa: E402


class Bench:
    def __init__(self, options):
        self.options = options
        self.cluster = Cluster(hosts=1)
        self.work = Workload(self.cluster.control, History(os.devnull), None)
        self.vats = []

    def wait(self, seconds=120):
        if not self.work.until(lambda: not self.work.tasks.open, seconds, self.cluster.tend):
            raise RuntimeError("no answer")

    def launch(self):
        def task():
            while not any(row["state"] == "connected" for row in (yield from self.work.listed(2))):
                pass
            code = yield from self.work.store(bundle(os.path.join(CODE, "desk.js")))
            rows = [(f"v{n}", code, {}, {}) for n in range(self.options.vats)]
            got, fields = yield from self.work.launch("recovery", rows, 0)
            assert got == "launched", fields
            self.vats = [row["vat"] for row in (yield from self.work.listed(LIST_VATS))]
        self.work.tasks.start(task())
        self.wait()

    def fill(self, vat):
        for n in range(self.options.deliveries):
            yield self.work.operator.ask("call", target=root(vat), methargs=[body(["note", ["x", n]]), b""], no_result=1)

    def answers(self, vats):
        """When each of VATS answered what it is asked now, in the order of the answers; BEGIN is the time before."""
        begin, times = time.monotonic(), []
        for vat in vats:
            self.work.ping(vat, lambda: times.append(time.monotonic() - begin))
        self.wait()
        return times

    def settle(self):
        self.answers(self.vats)
        self.work.until(lambda: False, 0.3, self.cluster.tend)

    def say(self, what, times):
        times = sorted(times)
        print(f"{what:52} median {statistics.median(times) * 1000:8.1f} ms, worst {times[-1] * 1000:8.1f} ms", flush=True)

    def run(self):
        self.launch()
        for vat in self.vats:
            self.work.tasks.start(self.fill(vat))
        self.wait(600)
        self.settle()
        self.say("an answer while nothing dies", [self.answers([vat])[0] for vat in self.vats])
        times = []
        for n in range(self.options.rounds):
            pid, vat = sorted(self.cluster.workers().items())[n % len(self.vats)]
            self.cluster.kill(pid)
            times.append(self.answers([vat])[0])
        self.say("SIGKILL of a worker", times)
        for process in (self.cluster.hosts[0], self.cluster.broker):
            first, last = [], []
            for _ in range(max(1, self.options.rounds // 4)):
                self.settle()
                self.cluster.kill(process.pid)
                times = self.answers(self.vats)
                first.append(times[0])
                last.append(times[-1])
            self.say(f"SIGKILL of the {process.name.split('-')[0]}, {len(self.vats)} vats: the first answer", first)
            self.say("  the last of them", last)
        for text in self.cluster.surprises + self.work.findings:
            print(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--vats", type=int, default=100)
    parser.add_argument("--deliveries", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=20)
    bench = Bench(parser.parse_args())
    try:
        bench.run()
    finally:
        bench.cluster.close()


if __name__ == "__main__":
    main()
