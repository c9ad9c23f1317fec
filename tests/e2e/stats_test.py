#!/usr/bin/env python3
"""vatctl stats and vatctl metrics: what they say of messages that are known. The text format is read by a reader that
is as strict as promtool, and tried first."""

import http.client
import json
import os
import socket
import time
import unittest
from urllib.parse import urlsplit

import prometheus
from yard import EXAMPLES, YardTest, main, wait_for


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

    # -- over HTTP

    def listen(self, *words):
        """Starts it on a free port."""
        self.server = self.yard.start("metrics", "--listen", "127.0.0.1:0", *words)
        url = self.server.stdout.readline().strip()
        self.address = urlsplit(url).netloc
        self.assertTrue(url.startswith("http://127.0.0.1:"), url)

    def get(self, path, method="GET", **headers):
        """(status, type, body)"""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.getheader("Content-Type"), body

    def test_it_is_served_over_http(self):
        self.listen("--name", "vatyard.example")
        self.assertEqual(503, self.get("/metrics")[0], "there is no broker yet")
        self.assertEqual(503, self.get("/healthz")[0])
        for _ in range(2):  # and a broker that was started anew
            self.yard.ok("up")
            self.addCleanup(self.yard.ctl, "down")
            status, kind, body = self.get("/metrics")
            self.assertEqual((200, "text/plain; version=0.0.4; charset=utf-8"), (status, kind))
            self.assertIn("vatyard_commit_seconds", prometheus.read(body))
            self.assertEqual((200, ""), self.get("/metrics", "HEAD")[::2])
            for path in "/healthz", "/readyz":
                status, kind, body = self.get(path)
                self.assertEqual((200, "application/json"), (status, kind))
                self.assertTrue(json.loads(body)["healthy"])
            self.yard.ok("down")
            self.assertTrue(wait_for(lambda: self.get("/readyz")[0] == 503, 5), "an answer is kept for a second")
            self.assertTrue(wait_for(lambda: self.get("/metrics")[0] == 503, 5))

        self.assertEqual(404, self.get("/")[0])
        self.assertEqual(404, self.get("/metrics/../../etc/passwd")[0])
        self.assertEqual(405, self.get("/metrics", "POST")[0])
        self.assertEqual(421, self.get("/metrics", Host="evil.example")[0])
        preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        self.assertEqual(421, self.get("/metrics", "OPTIONS", Host="evil.example", **preflight)[0])
        self.assertEqual(405, self.get("/metrics", "OPTIONS", **preflight)[0])
        self.assertEqual(503, self.get("/metrics", Host="vatyard.example:80")[0])

        self.assertExit(1, self.yard.ctl("metrics", "--listen", self.address))
        self.assertExit(2, self.yard.ctl("metrics", "--listen", "0", *(f"--name=n{i}" for i in range(16))))
        for wrong in "nowhere", "127.0.0.1:x", "127.0.0.1:70000", "":
            self.assertExit(2, self.yard.ctl("metrics", "--listen", wrong))

        # Some who say nothing do not keep the others out.
        where = urlsplit(f"//{self.address}").netloc.split(":")
        idle = [socket.create_connection(where) for _ in range(40)]
        begin = time.monotonic()
        self.assertEqual(404, self.get("/")[0])
        self.assertLess(time.monotonic() - begin, 15)

        # It ends when it is told, although somebody is connected who says nothing.
        idle.append(socket.create_connection(where))
        begin = time.monotonic()
        self.server.terminate()
        self.assertEqual(0, self.server.wait(15))
        self.assertLess(time.monotonic() - begin, 8)
        for connection in idle:
            connection.close()


if __name__ == "__main__":
    main()
