#!/usr/bin/env python3
"""SIGKILL of workers, of hosts, of the broker and of everything, in the middle of work: every coin
moves once, every line appears once, and nobody notices more than a delay."""

import json
import os
import threading
import time

from yard import EXAMPLES, VATS, YardTest, command_line, main, wait_for

COINS, EVERY = 60, 5
LINES = [f"moved {n}" for n in range(EVERY, COINS + 1, EVERY)]
RESULT = ["0n", f"{COINS}n", "insufficient funds"]


class Reader(threading.Thread):
    """Collects what a child prints on stderr, as it comes."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream, self.text = stream, ""
        self.start()

    def run(self):
        for line in self.stream:
            self.text += line

    def says(self, text, seconds=60):
        return wait_for(lambda: text in self.text, seconds)


class Crash(YardTest):
    def cluster(self, coins=COINS):
        return self.yard.cluster({
            "teller": {"source": os.path.join(VATS, "teller.js"), "parameters": {"coins": coins, "every": EVERY}},
            "bank": os.path.join(VATS, "bank.js")}, name="bank.json")

    def finish(self, child, reader):
        self.assertEqual(0, child.wait(timeout=90), reader.text)
        value = json.loads(child.stdout.read())["value"]
        reader.join(5)
        self.assertEqual(RESULT, value)
        lines = [line.split("| ", 1)[1] for line in reader.text.splitlines() if line.startswith("teller | ")]
        self.assertEqual(LINES, lines)
        self.assertNothingRuns()

    def test_workers(self):
        child = self.yard.start("run", self.cluster(), "--json", "--hosts", "2")
        reader = Reader(child.stderr)
        killed = 0
        for line in LINES[:-2:2]:
            self.assertTrue(reader.says(line), reader.text)
            workers = self.yard.workers()
            self.yard.kill(workers)
            killed += len(workers)
        self.assertGreater(killed, 5)
        self.finish(child, reader)

    def test_zygote(self):
        child = self.yard.start("run", self.cluster(), "--json")
        reader = Reader(child.stderr)
        self.assertTrue(reader.says(LINES[2]), reader.text)
        self.assertTrue(self.yard.zygotes())
        self.yard.kill(self.yard.zygotes())
        self.finish(child, reader)

    def test_everything_of_a_run(self):
        file = self.cluster()
        state = os.path.join(self.yard.dir, "state")
        whole = []
        for stop in (LINES[1], LINES[4], LINES[8]):
            child = self.yard.start("run", file, "--json", "--state", state)
            reader = Reader(child.stderr)
            self.assertTrue(reader.says(stop), reader.text)
            self.yard.kill(self.yard.processes())
            self.assertNothingRuns()
            reader.join(5)
            whole += [line for line in reader.text.splitlines() if line.startswith("teller | ")]
        result = self.yard.ctl("run", file, "--json", "--state", state)
        self.assertExit(0, result)
        self.assertEqual(RESULT, result.json["value"])
        whole += [f"teller | {line}" for line in result.lines("teller")]
        # A line is lost with the eyes that would have read it, but never told twice.
        self.assertEqual(len(whole), len(set(whole)), whole)
        self.assertIn(f"teller | {LINES[-1]}", whole)
        self.assertNothingRuns()

    def test_the_broker_of_a_run(self):
        file = self.cluster()
        state = os.path.join(self.yard.dir, "state")
        child = self.yard.start("run", file, "--json", "--state", state)
        reader = Reader(child.stderr)
        self.assertTrue(reader.says(LINES[3]), reader.text)
        self.yard.kill(self.yard.processes("vatbroker"))
        self.assertNotEqual(0, child.wait(timeout=60))
        self.assertEqual("", child.stdout.read())
        reader.join(5)
        self.assertRegex(reader.text, r'"code":"E\d{4}"')
        self.assertNothingRuns()
        result = self.yard.ctl("run", file, "--json", "--state", state)
        self.assertExit(0, result)
        self.assertEqual(RESULT, result.json["value"])

    def test_the_example_bank(self):
        example = os.path.join(EXAMPLES, "bank", "cluster.json")
        state = os.path.join(self.yard.dir, "state")
        right = self.yard.ok("run", example, "--json").json["value"]
        for kill in ("vatworker", "vatbroker", None):
            child = self.yard.start("run", example, "--json", "--state", f"{state}-{kill}")
            reader = Reader(child.stderr)
            self.assertTrue(wait_for(lambda: " | " in reader.text, 60), reader.text)
            self.yard.kill(self.yard.processes(kill))
            child.wait(timeout=60)
            result = self.yard.ctl("run", example, "--json", "--state", f"{state}-{kill}")
            self.assertExit(0, result)
            self.assertEqual(right, result.json["value"], f"after SIGKILL of {kill or 'everything'}")
            self.assertNothingRuns()


class Background(YardTest):
    """The same for an instance in the background."""

    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")

    def call(self, *args):
        return self.yard.ok("call", *args, "--json", timeout=60).json["value"]

    def launch(self):
        file = self.yard.cluster({"bob": os.path.join(VATS, "counter.js"),
                                  "alice": os.path.join(VATS, "hello.js")}, bootstrap="alice")
        self.yard.ok("cluster", "launch", file)
        self.assertEqual(1, self.call("@bob", "count"))

    def test_workers(self):
        self.launch()
        for n in range(2, 6):
            self.yard.kill(self.yard.workers())
            self.assertEqual(n, self.call("@bob", "count"))
        self.assertSound()

    def test_hosts(self):
        self.launch()
        self.yard.kill(self.yard.processes("vathost"))
        self.assertTrue(wait_for(lambda: not self.yard.workers(), 10), "workers end with their host")
        self.yard.ctl("up", "--hosts", "2")
        self.assertEqual(2, self.call("@bob", "count"))
        self.assertSound()

    def test_a_vat_waits_for_its_host(self):
        self.launch()
        states = lambda: {row["name"]: row["state"] for row in self.yard.ok("ps", "--json").json}
        self.assertEqual({"alice": "running", "bob": "running"}, states())
        host = {row["name"]: row["host_name"] for row in self.yard.ok("ps", "--json").json}["bob"]
        pid = next(pid for pid in self.yard.processes("vathost") if host in command_line(pid))
        self.yard.kill([pid])
        self.assertTrue(wait_for(lambda: states() == {"alice": "running", "bob": "waiting"}, 30), states())
        self.assertRegex(self.yard.ok("ps").out, r"(?m)^v\d +bob .* waiting ")
        self.assertEqual("waiting", self.yard.ok("inspect", "bob", "--json").json["state"])
        self.yard.ok("up", "--hosts", "2")
        self.assertEqual(2, self.call("@bob", "count"))
        self.assertEqual({"alice": "running", "bob": "running"}, states())

    def test_broker(self):
        self.launch()
        for n in range(2, 5):
            self.yard.kill(self.yard.processes("vatbroker"))
            self.yard.ok("up", "--hosts", "2")
            self.assertEqual(n, self.call("@bob", "count"))
        self.assertSound()

    def test_the_broker_while_somebody_waits(self):
        """A waiting call goes on with the broker that comes back at the same door."""
        file = self.yard.cluster({"waits": os.path.join(VATS, "waits.js")})
        self.yard.ok("cluster", "launch", file)
        call = self.yard.start("call", "@waits", "bootstrap")
        time.sleep(0.5)
        self.yard.kill(self.yard.processes("vatbroker"))
        self.assertTrue(wait_for(lambda: not self.yard.processes("vatbroker")))  # its lock goes with it
        home = self.yard.home
        self.yard.start("--state", f"{home}/broker", "--control", f"ipc://{home}/control.sock", program="vatbroker")
        self.assertTrue(wait_for(lambda: self.yard.ctl("ps").code == 0, 10))
        self.assertIsNone(call.poll())
        self.yard.ok("kill", "@waits", "--yes")
        out, err = call.communicate(timeout=10)
        self.assertEqual((8, "rejected: Error: [KERNEL:VAT_TERMINATED] vat terminated\n"), (call.returncode, out), err)
        self.yard.end()

    def test_the_broker_while_up_starts_all(self):
        """`up` does not wait for hosts that cannot be ready any more, and leaves nothing that `down` or the next `up`
        would take for a process: the broker dies as the first host says hello, and as the recorder begins to watch."""
        self.launch()
        self.yard.ok("down")
        for label in "broker_stepped_hello", "broker_sends_done":
            up = self.yard.ctl("up", "--hosts", "2", env=dict(self.yard.env, VATYARD_FAILPOINT=label))
            self.assertExit(1, up)
            self.assertIn("E3010: the process broker ended", up.err)
            self.assertLess(up.seconds, 20, label)
            self.assertNothingRuns()
            down = self.yard.ctl("down")
            self.assertExit(4, down)
            self.assertLess(down.seconds, 8, label)
        up = self.yard.ok("up", "--hosts", "2")
        self.assertLess(up.seconds, 8)
        self.assertEqual(2, self.call("@bob", "count"))

    def test_everything(self):
        self.launch()
        for n in range(2, 5):
            self.yard.kill(self.yard.processes())
            self.assertNothingRuns()
            self.yard.ok("up", "--hosts", "2")
            self.assertEqual(n, self.call("@bob", "count"))
        self.assertSound()


if __name__ == "__main__":
    main()
