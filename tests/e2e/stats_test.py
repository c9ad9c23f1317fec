#!/usr/bin/env python3
"""vatctl stats and vatctl metrics: what they say of messages that are known. The text format is read by a reader that
is as strict as promtool, and tried first."""

import os
import unittest

import prometheus
from yard import EXAMPLES, YardTest, main


class Reader(unittest.TestCase):
    def test_what_is_wrong_is_refused(self):
        good = '# TYPE a_total counter\na_total{x="1\\"2"} 3\n'
        self.assertEqual({"x": '1\\"2'}, prometheus.read(good)["a_total"][1][0][1])
        for bad in (good[:-1], good.replace("a_total", "a"), good + 'a_total{x="1\\"2"} 4\n', good.replace("} 3", "}  3"),
                    good + "b 1\n", good.replace('\\"', '"'), "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
                    "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"):
            with self.assertRaises(prometheus.Malformed, msg=bad):
                prometheus.read(bad)


class Stats(YardTest):
    def stats(self, *words):
        """{(name, of): value} and {name: times}."""
        out = self.yard.ok("stats", "--json", *words).json
        keys = {"name", "counter", "unit", "value"}
        rows = {(row["name"], next((row[k] for k in row if k not in keys), "")): row["value"] for row in out["stats"]}
        self.assertEqual(len(out["stats"]), len(rows), "no two have one name")
        return rows, {row["name"]: row for row in out["times"]}

    def metrics(self):
        return prometheus.read(self.yard.ok("metrics").out)

    def test_messages_are_counted_and_measured(self):
        self.assertExit(4, self.yard.ctl("stats"))
        self.assertExit(4, self.yard.ctl("metrics"))
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", os.path.join(EXAMPLES, "hello", "cluster.json"), "--wait")
        before, _ = self.stats()
        for _ in range(5):
            self.yard.ok("call", "@hello/bob", "hello", "s:Eve")
        after, times = self.stats()
        grown = {key: after[key] - before[key] for key in after}
        self.assertEqual(5, grown["deliveries", "message"])
        self.assertEqual(5, grown["syscalls", "resolve"])
        self.assertEqual(5, grown["results", "ok"])
        self.assertEqual(2, after["vats", "running"])
        self.assertEqual(2, after["hosts", "connected"])
        self.assertEqual(0, after["run_queue_length", ""])
        self.assertGreaterEqual(grown["commits", ""], 5)
        self.assertGreater(grown["commit_bytes", ""], 0)
        self.assertGreater(after["wal", ""], 0)
        deliveries = sum(value for (name, _), value in after.items() if name == "deliveries")
        self.assertEqual(deliveries, sum(v for (name, _), v in after.items() if name == "host_deliveries"))
        for name in "hold", "backlog", "wire", "run":
            self.assertEqual(deliveries, times[name]["count"], name)
        self.assertGreater(times["run"]["sum_us"], 0)
        self.assertEqual(after["commits", ""], times["commit"]["count"])

        # What nobody did during a second is nothing.
        quiet, times = self.stats("--interval", "300ms")
        self.assertEqual(0, quiet["deliveries", "message"])
        self.assertEqual(0, times["run"]["count"])
        self.assertEqual(2, quiet["vats", "running"])
        self.assertIn("commit", self.yard.ok("stats").out)

        families = self.metrics()
        for name in ("vatyard_deliveries_total vatyard_syscalls_total vatyard_delivery_wait_seconds "
                     "vatyard_delivery_run_seconds vatyard_commit_seconds vatyard_run_queue_length vatyard_kernel_objects "
                     "vatyard_kernel_promises vatyard_clist_entries vatyard_vats vatyard_hosts vatyard_gc_actions_total "
                     "vatyard_rejections_total vatyard_store_bytes vatyard_wal_bytes process_cpu_seconds_total "
                     "process_resident_memory_bytes process_start_time_seconds").split():
            self.assertIn(name, families)
        kinds = {labels["kind"]: value for _, labels, value in families["vatyard_deliveries_total"][1]}
        self.assertEqual(after["deliveries", "message"], kinds["message"])
        bounds = [labels["le"] for name, labels, _ in families["vatyard_commit_seconds"][1] if "le" in labels]
        self.assertEqual(["5e-05", "10", "+Inf"], [bounds[0], *bounds[-2:]])


if __name__ == "__main__":
    main()
