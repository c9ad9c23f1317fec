#!/usr/bin/env python3
"""Sessions that go wrong: a host's key in two processes, a host from an old backup, a broker that says nothing."""

import json
import os
import shutil
import signal
import time

from yard import VATS, YardTest, command_line, main, wait_for


class Session(YardTest):
    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.yard.home, "host-1")
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"counter": os.path.join(VATS, "counter.js")}, name="counter.json",
                                 deploy={"persistence": {"snapshotEvery": 1}})
        self.yard.ok("cluster", "launch", file)

    def count(self, **options):
        return self.yard.ok("call", "@counter", "count", "--json", **options).json["value"]

    def row(self):
        return self.yard.ok("inspect", "counter", "--json").json

    def hosts(self):
        return list(self.yard.processes("vathost"))

    def log(self):
        with open(os.path.join(self.yard.home, "host-1.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.startswith("{")]

    def copied(self, name):
        """A copy of the host's folder as it is now."""
        folder = os.path.join(self.yard.dir, name)
        shutil.copytree(self.state, folder)
        return folder

    def second(self, folder):
        """Starts another process of the same host, from the state in FOLDER."""
        words = command_line(self.hosts()[0])[1:]
        words[words.index("--state") + 1] = folder
        if "--ready-fd" in words:
            del words[words.index("--ready-fd"):words.index("--ready-fd") + 2]
        return self.yard.start(*words, program="vathost")

    # -- clones

    def test_two_processes_with_one_key(self):
        self.assertEqual(1, self.count())
        first = self.hosts()[0]
        clone = self.second(self.copied("clone"))
        ended = wait_for(lambda: clone.poll() is not None and first not in self.hosts(), 40)
        self.assertTrue(ended, f"{self.hosts()} run on")
        self.assertEqual(1, clone.returncode)
        self.assertIn("E3014", clone.stderr.read())
        rows = self.yard.ok("host", "ls", "--json").json
        self.assertEqual("quarantined", rows[0]["state"], rows)

        # It is the operator who says which of them it is.
        self.yard.ok("host", "readmit", "host-1")
        self.yard.ok("down")
        self.yard.ok("up")
        self.assertEqual(2, self.count(timeout=60))
        self.assertSound()

    def test_one_that_is_started_again_is_no_clone(self):
        for n in range(1, 6):
            self.assertEqual(n, self.count())
            self.yard.kill(self.hosts())
            self.yard.ok("down")
            self.yard.ok("up")
        self.assertEqual("connected", self.yard.ok("host", "ls", "--json").json[0]["state"])

    # -- backups

    def test_a_host_from_an_old_backup_is_found_out(self):
        self.assertEqual(1, self.count())
        self.yard.ok("down")
        old = self.copied("old")
        self.yard.ok("up")
        for n in range(2, 6):
            self.assertEqual(n, self.count())
        self.assertTrue(wait_for(lambda: self.row()["checkpoint"] >= 6, 10), self.row())
        self.yard.ok("down")
        shutil.rmtree(self.state)
        shutil.copytree(old, self.state)
        self.yard.ok("up")
        call = self.yard.start("call", "@counter", "count")
        self.assertTrue(wait_for(lambda: self.row()["state"] == "quarantined", 20), self.row())
        self.yard.kill([call.pid])

    # -- silence

    def test_a_broker_that_says_nothing_is_lost_in_time(self):
        self.assertEqual(1, self.count())
        broker = list(self.yard.processes("vatbroker"))
        self.yard.kill(broker, signal.SIGSTOP)
        stopped = time.monotonic()
        lost = wait_for(lambda: any(line["type"] == "link_lost" for line in self.log()), 12, 0.05)
        took = time.monotonic() - stopped
        self.yard.kill(broker, signal.SIGCONT)
        self.assertTrue(lost)
        self.assertLess(took, 6.5)
        self.assertEqual(2, self.count(timeout=30))


if __name__ == "__main__":
    main()
