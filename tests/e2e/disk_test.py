#!/usr/bin/env python3
"""A broker whose disk fills up: it says so, stays, answers, and goes on by itself when there is room again.

The disk is a small tmpfs in a mount namespace of our own; where that cannot be made the test says so and is skipped."""

import os
import subprocess
import sys

from yard import VATS, YardTest, main, wait_for

DISK_MIB = 64  # work stops growing below 6.4, all of it below 3.2
INSIDE = "VATYARD_TEST_NAMESPACE"


class Disk(YardTest):
    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.yard.home, "broker")
        os.makedirs(self.state, mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "none", self.state], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.state], check=False)
        self.filler = os.path.join(self.state, "filler")

    def leave(self, kib):
        """Takes all of the disk but that."""
        if os.path.exists(self.filler):
            os.unlink(self.filler)
        disk = os.statvfs(self.state)
        take = disk.f_bavail * disk.f_frsize - kib * 1024
        with open(self.filler, "wb") as file:
            try:
                while take > 0:
                    take -= file.write(bytes(min(take, 1 << 20)))
                file.flush()
            except OSError:
                self.assertEqual(kib, 0)

    def log(self):
        with open(os.path.join(self.yard.home, "broker.log"), encoding="utf-8") as file:
            return file.read()

    def said(self, what, times=1):
        self.assertTrue(wait_for(lambda: self.log().count(f'"{what}"') >= times, 20), self.log())

    def begin(self):
        self.yard.ok("up")
        self.yard.ok("cluster", "launch", self.yard.cluster({"counter": os.path.join(VATS, "counter.js")}, name="disk.json"))
        self.broker = list(self.yard.processes("vatbroker"))

    def room(self):
        return self.yard.ok("status", "--json").json["disk"]["room"]

    def incr(self):
        return int(self.yard.ok("call", "@disk/counter", "count").out)

    def end(self):
        self.assertEqual(list(self.yard.processes("vatbroker")), self.broker, "no broker ended meanwhile")
        self.yard.ok("down")
        self.yard.ok("db", "audit", "--state", self.yard.home)

    def test_little_room(self):
        self.begin()
        before = self.incr()
        self.assertEqual("enough", self.room())
        self.assertNotIn("its disk", self.yard.ok("status").out)
        self.leave(5 * 1024)
        self.said("disk_low")
        self.assertEqual("low", self.room())
        self.assertRegex(self.yard.ok("status").out, r"its disk is LOW: \d of 64 MiB are free; what would make the state larger")
        refused = self.yard.ctl("call", "@disk/counter", "count")
        self.assertIn("E5007", refused.err)
        self.assertIn("running", self.yard.ok("ps").out)
        self.leave(2 * 1024)
        self.said("disk_stop")
        self.assertEqual("none", self.room())
        self.assertRegex(self.yard.ok("status").out, r"(?s)its disk is NEARLY FULL: \d of 64 MiB .* connected")
        self.assertIn("E5007", self.yard.ctl("call", "@disk/counter", "count").err)
        self.assertFalse(wait_for(lambda: "host_down" in self.log(), 8), "who waits is not taken for silent")
        os.unlink(self.filler)
        self.said("disk_room")
        self.assertEqual(self.incr(), before + 1)
        self.end()

    def test_no_room(self):
        """What is asked for waits for its commit, and is done when there is room."""
        self.begin()
        before = self.incr()
        self.leave(0)
        pins = [self.yard.start("pin", "ko1.0") for _ in range(40)]
        self.said("disk_full")
        self.assertTrue(any(pin.poll() is None for pin in pins), "nothing is said to be done")
        os.unlink(self.filler)
        for pin in pins:
            self.assertEqual(pin.wait(20), 0)
        self.assertEqual(self.incr(), before + 1)
        self.end()


    def test_a_start_without_room(self):
        """A broker that was killed on a full disk starts, waits for room, and everything is there."""
        self.begin()
        before = self.incr()
        self.leave(0)
        self.yard.kill(self.yard.processes())
        self.assertTrue(self.yard.gone())
        broker = self.yard.start("--state", self.state, program="vatbroker")
        self.assertIn("ready", broker.stdout.readline())
        endpoint = dict(self.yard.env, VATYARD_ENDPOINT=f"ipc://{self.state}/control.sock")
        pin = self.yard.start("pin", "ko1.0", env=endpoint)
        self.assertFalse(wait_for(lambda: pin.poll() is not None, 3), "nothing is answered that is not durable")
        os.unlink(self.filler)
        self.assertEqual(pin.wait(20), 0)
        broker.terminate()
        self.assertIn("disk_full", broker.communicate(timeout=20)[1])
        self.yard.ok("up")
        self.broker = list(self.yard.processes("vatbroker"))
        self.assertEqual(self.incr(), before + 1)
        self.end()


def enter():
    """Starts this program again where it may mount; or says that it cannot."""
    for flags in ("-m", "-rm"):
        try:
            probe = ["unshare", flags, "mount", "-t", "tmpfs", "none", "/mnt"]
            if subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0:
                os.environ[INSIDE] = "1"
                os.execvp("unshare", ["unshare", flags, sys.executable, *sys.argv])
        except FileNotFoundError:
            pass
    print("skipped: no mount namespace can be made here (CAP_SYS_ADMIN, or user namespaces)")
    sys.exit(0)


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter()
    main()
