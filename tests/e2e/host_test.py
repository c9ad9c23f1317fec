#!/usr/bin/env python3
"""What a vathost keeps: databases over its own end and its workers', sleeping vats, vats on a full disk."""

import os
import signal
import subprocess
import sys
import time
import unittest

from yard import VATS, YardTest, main, wait_for

OWN_MOUNTS = "VATYARD_OWN_MOUNTS"
COUNTER = os.path.join(VATS, "counter.js")
FILLER = os.path.join(VATS, "filler.js")


class Host(YardTest):
    def setUp(self):
        super().setUp()
        self.home = os.path.join(self.yard.home, "host-1")

    def up(self):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")

    def launch(self, source=COUNTER, name="counter", **persistence):
        deploy = {"persistence": persistence} if persistence else {}
        file = self.yard.cluster({name: {"source": source}}, name=f"{name}.json", deploy=deploy)
        self.yard.ok("cluster", "launch", file)

    def count(self, vat="counter"):
        return self.yard.ok("call", f"@{vat}", "count", "--json").json["value"]

    def row(self, vat="counter"):
        return self.yard.ok("inspect", vat, "--json").json

    def state(self):
        return self.row()["state"]

    def host(self):
        return list(self.yard.processes("vathost"))

    def log(self):
        with open(os.path.join(self.yard.home, "host-1.log"), encoding="utf-8") as file:
            return file.read()

    def asleep(self):
        return wait_for(lambda: self.state() == "asleep" and not self.yard.workers(), 20)


class Kept(Host):
    def test_databases_outlive_the_host_and_end_with_the_vat(self):
        self.up()
        self.launch()
        self.assertEqual([1, 2, 3], [self.count() for _ in range(3)])
        self.yard.ok("down")
        self.assertIn("vat-1.1.db", [os.path.basename(path) for path in self.yard.vat_databases()])
        self.yard.ok("up")
        self.assertEqual(4, self.count())
        self.assertSound()
        self.yard.ok("cluster", "rm", "counter", "--yes")
        self.assertTrue(wait_for(lambda: not self.yard.vat_databases(), 10), self.yard.vat_databases())

    def test_an_orderly_end_makes_checkpoints(self):
        self.up()
        self.launch(snapshotEvery="never", snapshotAfter="1h")
        for _ in range(5):
            self.count()
        self.assertEqual(0, self.row()["checkpoint"])
        self.yard.kill(self.host(), signal.SIGTERM)
        self.assertTrue(wait_for(lambda: self.row()["checkpoint"] > 0, 10), self.row())
        self.assertEqual(self.row()["deliveries"], self.row()["checkpoint"])
        self.assertTrue(wait_for(lambda: not self.host(), 5))

    def test_a_worker_that_is_killed_again_and_again_is_started_again(self):
        self.up()
        self.launch(snapshotEvery=2)
        for n in range(1, 13):
            self.assertEqual(n, self.count())
            self.yard.kill(self.yard.workers())
        self.assertEqual(0, self.row()["attempts"], "whoever kills a worker from outside makes no attempt of it")
        self.assertSound()

    def test_whoever_kills_the_zygote_only_costs_time(self):
        self.up()
        self.launch()
        self.assertEqual(1, self.count())
        host, zygote = self.host(), None
        for _ in range(7):
            new = wait_for(lambda: [pid for pid in self.yard.zygotes() if pid != zygote], 20)
            self.assertTrue(new, self.log())
            zygote = new[0]
            self.yard.kill([zygote])
        self.assertEqual(2, self.count())
        self.assertEqual(host, self.host(), "it is the same process still")
        self.assertEqual(1, self.log().count("zygote_lost_again_and_again"), self.log())
        self.assertSound()

    def test_what_ended_while_the_host_was_away_is_deleted(self):
        self.up()
        self.launch(sleepAfter="1s")
        self.assertEqual(1, self.count())
        self.assertTrue(self.asleep(), self.row())
        hosts = self.host()
        self.yard.kill(hosts, signal.SIGSTOP)
        self.yard.ok("kill", "counter")
        self.yard.kill(hosts, signal.SIGKILL)
        self.assertTrue(self.yard.vat_databases())
        self.yard.ok("down")
        self.yard.ok("up")
        self.assertTrue(wait_for(lambda: not self.yard.vat_databases(), 10), self.yard.vat_databases())


class Sleep(Host):
    def test_a_vat_sleeps_and_is_woken_with_its_heap(self):
        self.up()
        self.launch(sleepAfter="500ms")
        for n in (1, 2, 3):
            self.assertEqual(n, self.count())
            self.assertTrue(self.asleep(), self.row())
        self.assertSound()

    def test_it_sleeps_on_while_host_and_broker_end_and_start(self):
        self.up()
        self.launch(sleepAfter="500ms")
        self.assertEqual(1, self.count())
        self.assertTrue(self.asleep(), self.row())
        self.yard.ok("down")
        self.yard.ok("up")
        time.sleep(1)
        self.assertEqual([], self.yard.workers(), "nothing is under way")
        self.assertEqual(2, self.count())

    def test_calls_that_come_while_it_falls_asleep_are_answered(self):
        self.up()
        self.launch(sleepAfter="30ms")
        for n in range(1, 41):
            self.assertEqual(n, self.count())
            time.sleep(n * 0.003)
        self.assertSound()


def may_mount():
    return os.environ.get(OWN_MOUNTS) == "1"


@unittest.skipUnless(may_mount(), "no mounts of its own: needs root and unshare")
class FullDisk(Host):
    """The host's state on a disk of its own, which something else fills."""

    MIB = 48

    def setUp(self):
        super().setUp()
        os.makedirs(self.home, mode=0o700)
        self.tmpfs(self.home)
        self.addCleanup(subprocess.run, ["umount", "-l", self.home], check=False)

    def tmpfs(self, folder):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.MIB}m,mode=700", "none", folder], check=True)

    def fill(self):
        """Takes what is left on the host's disk, to the last byte."""
        with open(os.path.join(self.home, "ballast"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def empty(self):
        os.unlink(os.path.join(self.home, "ballast"))

    def test_a_vat_waits_for_room_and_goes_on(self):
        self.up()
        self.launch(FILLER, name="filler", snapshotEvery=1)
        self.launch(snapshotEvery=1)
        self.assertEqual(1, self.count())
        self.yard.ok("call", "@filler", "store", "1", "100000")
        self.fill()
        child = self.yard.start("call", "@filler", "store", "2", "3000000", "--json")
        self.assertTrue(wait_for(lambda: "disk_full" in self.log(), 30), self.log())
        began = set(self.yard.workers())
        time.sleep(3)
        self.assertLessEqual(len(set(self.yard.workers()) - began), 1, "it starts and starts in vain")
        self.assertIsNone(child.poll(), "nothing fails, it only waits")
        self.assertEqual("running", self.row("filler")["state"])
        self.empty()
        self.assertEqual(0, child.wait(60), child.stderr.read())
        self.assertEqual(3100000, self.yard.ok("call", "@filler", "size", "--json").json["value"])
        self.assertEqual(2, self.count())
        self.assertEqual(0, self.row("filler")["attempts"])
        self.assertIn("disk_has_room", self.log())
        self.assertSound()

    def test_one_that_is_new_waits_for_room(self):
        self.up()
        self.launch()
        self.assertEqual(1, self.count())
        self.fill()
        file = self.yard.cluster({"late": COUNTER}, name="late.json")
        child = self.yard.start("cluster", "launch", file)
        time.sleep(3)
        self.empty()
        self.assertEqual(0, child.wait(60), child.stderr.read())
        self.assertEqual(1, self.count("late"))
        self.assertEqual(2, self.count())
        self.assertSound()


def in_own_namespace():
    """Runs this script again with mounts that nobody else sees; where that is not allowed, as it is."""
    if may_mount() or os.geteuid() != 0:
        return
    allowed = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, check=False)
    if allowed.returncode == 0:
        os.environ[OWN_MOUNTS] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv])


if __name__ == "__main__":
    in_own_namespace()
    main()
