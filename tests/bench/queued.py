#!/usr/bin/env python3
"""A broker that is started with a long queue: from exec to the first delivery.

    VATYARD_BIN=build/release/bin tests/bench/queued.py [MESSAGES]      a million, each with a promise for its answer

One vat on one host. The broker is killed, the queue is put into its database, and it is started again; the host kept running.
READY is when its doors are open, ANSWERED when a client knows what the first message of the queue came to: the host's session, a delivery, a
commit and a start of vatctl are in it. The line before is the same without a queue."""

import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("kill", "e2e"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))
from cluster import Cluster  # noqa: E402
from yard import BIN, wait_for  # noqa: E402

VAT = """import { Far } from '@endo/far';
export const buildRootObject = () => { let n = 0; return Far('counter', { bootstrap: () => 'up', inc: () => (n += 1) }); };
"""
ROOT = 1 << 40  # ko1.0
PROMISE = -(1 << 63)  # kp0.0


def queue_sql(count):
    """Messages from clients, behind all there are, with all that the audit wants to find."""
    numbers = f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count})"
    first = "(SELECT value FROM counter WHERE name = 'next_promise')"
    sent = "(SELECT value FROM counter WHERE name = 'next_input')"
    yield "PRAGMA cache_size = -200000;"
    yield "BEGIN;"
    yield (f"{numbers} INSERT INTO promise (kref, state, decider, decider_d, count, made_ms, body, slots)"
           f" SELECT {PROMISE} + {first} + i, 0, 0, 0, 1, 0, x'', x'' FROM c;")
    yield (f"{numbers} INSERT INTO entry (holder, seq, kind, target, result, body, slots, msg_vat, msg_d, msg_n, trace, queued_ms, note)"
           f" SELECT 1, {1 << 32} + i, 1, {ROOT}, {PROMISE} + {first} + i, CAST('#[\"inc\",[]]' AS BLOB), x'', 0, {sent} + i, 0,"
           " zeroblob(16), 0, '' FROM c;")
    yield f"UPDATE counter SET value = value + {count} WHERE name IN ('next_promise', 'next_input');"
    yield f"UPDATE object SET reachable = reachable + {count}, recognizable = recognizable + {count} WHERE kref = {ROOT};"
    yield "COMMIT;"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmRSS"))


class Bench:
    def __init__(self):
        self.cluster = Cluster(hosts=1)
        self.yard = self.cluster.yard
        self.database = os.path.join(self.yard.home, "broker", "kernel.db")

    def sql(self, statement):
        result = subprocess.run([os.path.join(BIN, "pages_sql"), self.database], input=statement, text=True, check=True)
        return result.returncode

    def stop(self):
        self.cluster.broker.child.kill()
        self.cluster.broker.child.wait()

    def launch(self):
        self.yard.file("counter.js", VAT)
        file = self.yard.file("cluster.json", '{"bootstrap": "c", "vats": {"c": {"sourceSpec": "counter.js"}}}')
        wait_for(lambda: "connected" in str(self.yard.ctl("status")), 20)
        self.yard.ok("cluster", "launch", file)

    def start(self, promise):
        if os.path.exists(self.cluster.control):
            os.unlink(self.cluster.control)
        begin = time.monotonic()
        self.cluster.broker.start()
        wait_for(lambda: os.path.exists(self.cluster.control), 120, 0.002)
        ready = time.monotonic() - begin
        cpu = cpu_seconds(self.cluster.broker.pid)
        answer = self.yard.ok("await", promise)
        answered = time.monotonic() - begin
        print(f"ready {ready:6.2f} s (CPU {cpu:5.2f} s), answered {answered:6.2f} s, RSS {rss_mib(self.cluster.broker.pid)} MiB, {answer}"
              .replace("\n", " ")[:120], flush=True)

    def run(self, count):
        self.launch()
        self.stop()
        self.start("kp0.1")
        self.stop()
        self.sql("\n".join(queue_sql(count)) + "\n")
        print(f"{count} messages, kernel.db of {os.path.getsize(self.database) >> 20} MiB", flush=True)
        self.start("kp0.2")
        self.stop()


def main():
    bench = Bench()
    try:
        bench.run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000000)
    finally:
        bench.cluster.close()


if __name__ == "__main__":
    main()
