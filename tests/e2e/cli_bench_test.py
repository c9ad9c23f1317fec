#!/usr/bin/env python3
"""`vatctl bench`: every scenario with a handful of calls, against a broker that runs and with one of its own.

What is asked: the result says what was done and that nothing was lost; the bench leaves nothing behind; wrong
use is refused. How fast anything is, is not asked: the machine may be busy."""

import csv
import json
import os
import signal
import time
import xml.etree.ElementTree

from yard import YardTest, main, wait_for

try:
    import jsonschema
except ImportError:
    jsonschema = None

CALLS = 6
SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "cli", "schema", "bench.json")


class Bench(YardTest):
    def bench(self, *words, code=0):
        got = self.yard.ctl("bench", *words, "--json", "--progress", "never")
        self.assertExit(code, got)
        if jsonschema:
            with open(SCHEMA, encoding="utf-8") as file:
                jsonschema.validate(got.json, json.load(file))
        return got.json

    def expect(self, *words, units, calls=CALLS):
        """Runs it with so many calls; each of them counts for UNITS."""
        with self.subTest(" ".join(words)):
            got = self.bench(*words, "-n", str(calls))
            of = got["calls"]
            self.assertEqual((calls, calls, 0, 0), (of["sent"], of["answered"], of["errors"], of["dropped"]))
            self.assertEqual(units * calls, got["units"])
            self.assertGreater(got["rate_per_s"], 0)
            self.assertTrue(got["good"] and got["checks"] and all(row["met"] for row in got["checks"]), got["checks"])
            times = got["service"]
            values = [times[name] for name in ("min_us", "p50_us", "p90_us", "p99_us", "p999_us", "p9999_us", "max_us")]
            self.assertEqual(sorted(values), values)
            self.assertGreater(values[0], 0)
            self.assertEqual(calls, times["count"])
            self.assertEqual(calls, sum(count for _, count in times["buckets_us"]))
            self.assertEqual(calls, sum(row["answered"] for row in got["intervals"]))
            # What the broker says of its part. A one-way message is answered before it is run.
            self.assertGreaterEqual(got["time"]["run"]["count"], 0 if words[0] == "send" and "client" in words else calls)
            self.assertGreater(got["time"]["commits"], 0)
            return got

    def test_scenarios_on_a_broker_that_runs(self):
        self.yard.ok("up")
        self.expect("ping", "--rounds", "2", "--pairs", "2", "-c", "3", units=2)
        self.expect("ping", "--from", "client", "-c", "6", units=1)
        self.expect("send", "--rounds", "5", "--payload", "100", units=5)
        self.expect("send", "--from", "client", "-c", "4", units=1)
        self.expect("pipeline", "--depth", "4", "-c", "2", units=4)
        self.expect("pipeline", "--depth", "3", "--no-pipeline", units=3)
        self.expect("fanout", "--vats", "3", "--window", "4", units=3)
        self.expect("churn", "--objects", "7", "-c", "2", units=7)
        self.expect("payload", "--payload", "20Ki", units=1)
        self.expect("start", "--vats", "2", calls=1, units=2)
        null = ("--engine", "null")
        self.expect("ping", *null, "--rounds", "3", units=3)
        self.expect("send", *null, "--rounds", "20", units=20)
        self.expect("fanout", *null, "--vats", "3", units=3)
        self.expect("churn", *null, "-c", "2", units=10)
        self.expect("pipeline", *null, "--no-pipeline", units=10)
        # More answers at once than are taken between two looks at the clock.
        self.expect("send", *null, "--from", "client", "-c", "1500", units=1, calls=3000)
        self.expect("ping", *null, "--from", "client", "-c", "600", "--window", "16", units=1, calls=600)
        self.assertEqual([], self.yard.ok("cluster", "ls", "--json").json)
        self.assertSound()

        line = self.yard.ok("bench", "ping", "-n", "3", "-q")
        self.assertEqual(("ping ", 1, ""), (line.out[:5], line.out.count("\n"), line.err))
        table = self.yard.ok("bench", "ping", "-n", "3")
        self.assertRegex(table.out, r"sent 3 +answered 3 +dropped 0 +late 0 +errors 0")
        self.assertIn("Closed loop", table.out)

    def test_open_loop_with_a_broker_of_its_own(self):
        got = self.bench("ping", "--hosts", "2", "--rate", "40", "--arrival", "uniform", "-d", "500ms", "--warmup", "100ms",
                         "--interval", "100ms")
        self.assertEqual(("open", 40), (got["options"]["loop"], got["options"]["target_per_s"]))
        self.assertTrue(18 <= got["calls"]["sent"] <= 21, got["calls"])
        self.assertGreaterEqual(got["response"]["p50_us"], got["service"]["p50_us"])
        self.assertGreaterEqual(len(got["intervals"]), 4)
        self.assertNothingRuns()
        self.assertEqual([], [name for name in os.listdir(self.yard.dir) if name.startswith("vatyard-bench")])

    def test_a_load_maker_that_stood_still_counts_what_it_made_others_wait(self):
        bench = self.yard.start("bench", "ping", "--hosts", "1", "--engine", "null", "--from", "client", "--rate", "200", "--warmup", "400ms",
                                "-d", "1500ms", "--interval", "100ms", "--json", "--progress", "always")
        self.assertIn("round trips/s", bench.stderr.readline())
        time.sleep(0.4)
        os.kill(bench.pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(bench.pid, signal.SIGCONT)
        out, _ = bench.communicate(timeout=60)
        got = json.loads(out)
        self.assertGreater(got["calls"]["late"], 20)
        self.assertGreater(got["response"]["max_us"], 400000)
        self.assertGreater(got["response"]["p90_us"], 150000)
        # Those that came in meanwhile were due all the same.
        self.assertTrue(250 <= got["calls"]["sent"] <= 350, got["calls"])
        self.assertEqual(got["calls"]["sent"], got["calls"]["answered"])
        self.assertTrue(got["good"])

    def test_a_broker_that_is_killed_meanwhile(self):
        self.yard.ok("up", "--hosts", "2")
        bench = self.yard.start("bench", "ping", "-c", "8", "-d", "3s", "--warmup", "0s", "--interval", "200ms", "--json", "--progress", "always")
        self.assertIn("round trips/s", bench.stderr.readline())
        time.sleep(0.5)
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        out, err = bench.communicate(timeout=60)
        got = json.loads(out)
        checks = {row["what"]: row for row in got["checks"]}
        # All arrived, once and in order, and nothing is left. What the broker counted began anew, and is left out.
        for what in ("calls", "messages", "order", "objects", "promises"):
            self.assertTrue(checks[what]["met"], checks)
        self.assertIsNone(got.get("first_error"))
        self.assertEqual((0, 0), (got["calls"]["unanswered"], got["calls"]["errors"]))
        self.assertEqual(0, bench.returncode, err)
        self.assertIsNone(got["time"])

    def test_ctrl_c_ends_it_and_shows_what_there_is(self):
        self.yard.ok("up")
        bench = self.yard.start("bench", "ping", "-d", "1h", "--warmup", "0s", "--interval", "100ms", "--json", "--progress", "always")
        self.assertIn("round trips/s", bench.stderr.readline())
        time.sleep(0.5)
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=30)
        self.assertEqual(130, bench.returncode, err)
        got = json.loads(out)
        self.assertTrue(got["stopped"] and got["calls"]["answered"] > 0, got["calls"])
        self.assertEqual([], self.yard.ok("cluster", "ls", "--json").json)
        self.assertSound()

    def test_ctrl_c_while_it_launches_leaves_no_cluster(self):
        self.yard.ok("up")
        clusters = lambda: self.yard.ok("cluster", "ls", "--json").json
        self.yard.kill(self.yard.processes("vathost"), signal.SIGSTOP)
        for scenario in "ping", "start":
            bench = self.yard.start("bench", scenario, "--progress", "never")
            self.assertTrue(wait_for(lambda: [row["state"] for row in clusters()] == ["starting"]))
            bench.send_signal(signal.SIGINT)
            _, err = bench.communicate(timeout=30)
            self.assertEqual(130, bench.returncode, err)
            self.assertEqual([], clusters())
        self.yard.kill(self.yard.processes("vathost"), signal.SIGCONT)
        self.yard.ok("bench", "ping", "-n", "1", "-q")
        self.assertSound()

    def test_vats_that_end_are_a_result(self):
        self.yard.ok("up")
        bench = self.yard.start("bench", "ping", "-n", "2000", "--json", "--progress", "always", "--interval", "100ms")
        self.assertIn("round trips/s", bench.stderr.readline())
        self.yard.ok("kill", "a0", "--yes", "--reason", "enough")
        out, err = bench.communicate(timeout=60)
        self.assertEqual(9, bench.returncode, err)
        got = json.loads(out)
        self.assertIn("vats", [row["what"] for row in got["checks"] if not row["met"]])
        self.assertGreater(got["calls"]["errors"], 0)
        self.assertEqual([], self.yard.ok("cluster", "ls", "--json").json)

    def test_assertions_and_files(self):
        got = self.bench("ping", "--hosts", "1", "-n", "3", "--assert", "errors==0", "--assert", "p99<1us", "--assert", "max<60s", code=9)
        self.assertEqual([True, False, True], [row["met"] for row in got["asserts"]])
        self.assertEqual(1, got["asserts"][1]["bound"])
        self.assertTrue(got["good"])

        report, rows = os.path.join(self.yard.dir, "r.html"), os.path.join(self.yard.dir, "r.csv")
        self.yard.ok("bench", "ping", "--hosts", "1", "--rate", "60", "-d", "600ms", "--warmup", "100ms", "--interval", "200ms",
                     "--report", report, "--csv", rows, "--assert", "errors==0")
        page = xml.etree.ElementTree.parse(report)
        texts = " ".join(page.getroot().itertext())
        for text in ("Latency by percentile", "Rate over time", "p99 over time", "Where the time of a delivery went", "from the planned time", "errors==0"):
            self.assertIn(text, texts)
        tags = {tag.tag.split("}")[1] for tag in page.iter()}
        self.assertTrue({"svg", "polyline"} <= tags and "script" not in tags, tags)
        with open(rows, encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        self.assertGreaterEqual(len(table), 2)
        self.assertTrue(all(float(row["to_s"]) > float(row["from_s"]) for row in table), table)
        unwritable = self.yard.ctl("bench", "ping", "--report", os.path.join(self.yard.dir, "no", "r.html"))
        self.assertExit(3, unwritable)

    def test_what_was_not_measured_has_no_figures(self):
        report = os.path.join(self.yard.dir, "none.html")
        none = ("bench", "ping", "--hosts", "1", "--engine", "null", "--rate", "0.004", "--arrival", "uniform", "-d", "50ms", "--warmup", "0s",
                "--report", report, "--progress", "never")
        self.assertIn(" p50=- p90=- p99=- p99.9=- p99.99=- max=- ms ", self.yard.ok(*none, "-q").out)
        table = self.yard.ok(*none).out
        self.assertRegex(table, r"response +- +- +- +- +- +- +- ")
        for text in ("nothing was answered", "open loop 0.004/s", "(target 0.004)"):
            self.assertIn(text, table)
        with open(report, encoding="utf-8") as file:
            self.assertIn("<b>-</b>p50", file.read())

    def test_wrong_use_is_refused(self):
        for words in (("pang",), ("ping", "--rate", "fast"), ("start", "--rate", "5"), ("churn", "--from", "client"),
                      ("pipeline", "--engine", "null", "--depth", "513"),
                      ("ping", "-n", "0"), ("ping", "-d", "0s"), ("ping", "--interval", "1ms"), ("ping", "--rounds", "1000000000"), ("ping", "--rate", "5", "-c", "2"), ("ping", "-c", "1000000"),
                      ("ping", "--assert", "p99<10"), ("ping", "--assert", "rate>=target")):
            with self.subTest(words):
                refused = self.yard.ctl("bench", *words, "--json")
                self.assertExit(2, refused)
                self.assertEqual("", refused.out)
                self.assertTrue(json.loads(refused.err)["error"]["try"])
        self.assertExit(4, self.yard.ctl("bench", "ping", "-e", "ipc:///nowhere/c"))
        self.assertEqual(["ping", "send"], [row["scenario"] for row in self.yard.ok("bench", "--json").json][:2])


if __name__ == "__main__":
    main()
