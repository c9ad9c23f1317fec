#!/usr/bin/env python3
"""The audit with real processes: names of live vats against the broker's authority, vats that are busy,
silent or away, and a kernel.db of which one row after the other is wrong."""

import os
import shutil
import signal
import sqlite3
import subprocess

from yard import BIN, VATS, YardTest, main, wait_for

DAMAGED = 9  # exit code of STORE_DAMAGED

COLLECTOR = {"collector": os.path.join(VATS, "collector.js"), "left": os.path.join(VATS, "maker.js"),
             "right": os.path.join(VATS, "maker.js")}


class Audit(YardTest):
    def setUp(self):
        super().setUp()
        self.up()
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", self.yard.cluster(COLLECTOR), "--wait")

    def up(self):
        self.yard.ok("up")

    def call(self, method, *args, **options):
        return self.yard.ctl("call", "@collector", method, *args, **options)

    def audit(self, **options):
        result = self.yard.ctl("db", "audit", "--json", **options)
        return result.json["findings"], result.json["checked"], result.seconds

    def assertClean(self, compared=3, busy=0, away=0):
        findings, checked, seconds = self.audit()
        self.assertEqual([], findings)
        self.assertEqual((compared, busy, away), tuple(checked[name] for name in ("vats_compared", "vats_busy", "vats_away")))
        return checked, seconds

    def test_names_of_live_vats(self):
        before, _ = self.assertClean()
        self.assertGreater(before["names"], 4)
        self.yard.ok("call", "@collector", "keep", "3000")
        self.yard.ok("call", "@collector", "chain", "9")
        self.yard.ok("call", "@collector", "ring")
        after, _ = self.assertClean()
        self.assertEqual(after["rows"], after["names"], "every authority row has a name")
        self.yard.ok("call", "@collector", "drop")
        self.yard.ok("gc", "--all", "--release")
        self.assertClean()
        # Other workers, of other runs, that re-ran the log.
        self.yard.kill(self.yard.workers())
        self.yard.ok("call", "@collector", "keep", "5")
        self.assertTrue(wait_for(lambda: self.audit()[1]["vats_compared"] == 3, 30))
        self.assertClean()

    def test_a_vat_that_runs_is_busy(self):
        calls = [self.yard.start("call", "@left", "make", "500") for _ in range(12)]
        seen = set()
        while any(call.poll() is None for call in calls):
            findings, checked, _ = self.audit()
            self.assertEqual([], findings)
            self.assertEqual(3, checked["vats_compared"] + checked["vats_busy"] + checked["vats_away"])
            seen.add(checked["vats_busy"])
        self.assertIn(1, seen, "it was asked in the middle of a crank")
        self.assertEqual([0] * 12, [call.wait() for call in calls])
        self.assertClean()

    def test_silent_and_away(self):
        for program, least, most in (("vatworker", 9, 40), ("vathost", 3, 40)):
            pids = list(self.yard.processes(program))
            self.assertTrue(pids)
            self.yard.kill(pids, signal.SIGSTOP)
            try:
                findings, checked, seconds = self.audit()
            finally:
                self.yard.kill(pids, signal.SIGCONT)
            self.assertEqual([], findings)
            self.assertEqual((0, 0, 3), (checked["vats_compared"], checked["vats_busy"], checked["vats_away"]), program)
            self.assertGreater(seconds, least)
            self.assertLess(seconds, most)
            self.assertTrue(wait_for(lambda: self.audit()[1]["vats_compared"] == 3, 60), program)

    # -- damage

    def damage(self, *statements):
        tool = os.path.join(BIN, "pages_sql")
        for statement in statements:
            changed = subprocess.run([tool, self.db, statement], capture_output=True, text=True, check=True)
            self.assertGreater(int(changed.stdout), 0, statement)

    def flip(self, at):
        with open(self.db, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 16]))

    def refused(self, *expected):
        """A broker does not start and says the first finding; the offline audit says them all."""
        state = os.path.dirname(self.db)
        broker = self.yard.start("--state", state, program="vatbroker")
        out, err = broker.communicate(timeout=30)
        self.assertEqual((DAMAGED, ""), (broker.returncode, out), err)
        self.assertIn("error E5005: ", err)
        self.assertTrue(any(f"{rule}: {text}" in err for rule, text in expected), err)
        result = self.yard.ctl("db", "audit", "--state", self.yard.home, "--json")
        self.assertExit(DAMAGED, result)
        self.assertEqual(sorted(expected), sorted((row["rule"], f"{row['row']}: {row['should']}")
                                                  for row in result.json["findings"]))
        shutil.copy(self.saved, self.db)

    def test_a_damaged_database(self):
        self.yard.ok("call", "@collector", "keep", "2")
        self.yard.ok("down")
        self.assertNothingRuns()
        self.db = os.path.join(self.yard.home, "broker", "kernel.db")
        self.saved = os.path.join(self.yard.dir, "saved.db")
        for name in (self.db + "-wal", self.db + "-shm"):
            self.assertFalse(os.path.exists(name), name)
        shutil.copy(self.db, self.saved)

        db = sqlite3.connect(self.db)
        reach, recognize = db.execute("SELECT reachable, recognizable FROM object WHERE kref = 2 << 40").fetchone()
        db.close()
        self.damage(f"UPDATE object SET reachable = {reach - 1} WHERE kref = 2 << 40")
        self.refused(("K5", f"object ko2.0: reachable is {reach - 1}, should be {reach}"))
        self.damage(f"UPDATE object SET recognizable = {recognize + 5} WHERE kref = 2 << 40")
        self.refused(("K6", f"object ko2.0: recognizable is {recognize + 5}, should be {recognize}"))
        # Object 1 of left: one more reference from collector's row than its flag says.
        self.damage("UPDATE held SET flags = 0 WHERE vat = 1 AND kref = (2 << 40) + 1")
        self.refused(("K5", "object ko2.1: reachable is 1, should be 0"))
        self.damage("DELETE FROM held WHERE vat = 2 AND kref = (2 << 40) + 1")
        self.refused(("K3", "object ko2.1: its owner v2 should have an export row for it, has none"))
        self.damage("UPDATE vat SET objects = 1 WHERE vat = 2")
        self.refused(("K1", "object ko2.2: its issuer made 1, its number should be at most that"))
        self.damage("DELETE FROM object WHERE kref = (2 << 40) + 1")
        self.refused(("LOAD", "held vat=1 kref=ko2.1: contradicts itself, or what was loaded before it"))
        self.damage("UPDATE vat SET window = 99 WHERE vat = 3")
        self.refused(("K42", "vat v3: window is 99, should be 1 to 16"))
        self.damage("UPDATE object SET owner = 0 WHERE kref = (2 << 40) + 1",
                    "UPDATE counter SET value = 2 WHERE name = 'next_vat'")
        self.refused(("K3", "object ko2.1: exported by v2, should be by its owner v0 (0: nobody)"),
                     ("K45", "vat v3: the last number given is 2, should be at least its own"))

        # A bit of a page that a start reads: the first one, and the root of a table.
        db = sqlite3.connect(f"file:{self.db}?immutable=1", uri=True)
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'vat'").fetchone()
        db.close()
        for page in (1, root):
            self.flip((page - 1) * 4096 + 4000)
            broker = self.yard.start("--state", os.path.dirname(self.db), program="vatbroker")
            err = broker.communicate(timeout=30)[1]
            self.assertEqual(DAMAGED, broker.returncode, err)
            self.assertIn(f"page {page} of {self.db}", err)
            result = self.yard.ctl("db", "audit", "--state", self.yard.home)
            self.assertExit(DAMAGED, result)
            self.assertIn("E5005", result.err)
            shutil.copy(self.saved, self.db)

        # Whole again, it starts, and nothing was lost.
        self.assertExit(0, self.yard.ctl("db", "audit", "--state", self.yard.home))
        self.up()
        self.assertEqual(3, self.yard.ok("call", "@collector", "keep", "3", "--json").json["value"])
        self.yard.ok("gc", "--all")  # each vat has a worker then
        self.assertClean()

    def test_a_running_broker_is_left_alone(self):
        result = self.yard.ctl("db", "audit", "--state", self.yard.home)
        self.assertNotEqual(0, result.code)
        self.assertIn("error E5003: ", result.err)
        self.assertClean()


if __name__ == "__main__":
    main()
