#!/usr/bin/env python3
"""Vats that others look after: SwingSet's promise-watcher, vat-admin/replay, external-termination (vats/overseer.js makes vats/watcher.js), and
timer/timer.test.js (vats/clocks.js)."""

import os
import re
import time

from conform import VATS, YardTest, bundle, main, shows
from yard import LINE, wait_for


class Overseen(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"boot": os.path.join(VATS, "overseer.js")}, defaultReapInterval="never",
                                 bundles={"watcher": {"bundleSpec": bundle(os.path.join(VATS, "watcher.js"))}})
        self.yard.ok("cluster", "launch", file, "--serial", "--wait")

    def call(self, method, *words):
        return self.yard.ok("call", "@boot", method, *words, "--json").json["value"]

    def lines(self):
        found = (LINE.match(line) for line in self.yard.ok("logs").out.splitlines())
        return [m[2] for m in found if m and " version v" in m[2]]

    def printed(self, lines):
        wait_for(lambda: len(self.lines()) >= len(lines), 5)
        self.assertEqual(lines, self.lines())

    @shows("promise-watcher", "promise watcher")
    def test_watcher(self):
        def twice(tag, said, version, words=""):
            return [f"{tag}-pw {said} version {version} via watcher [{words}]", f"{tag}-dk {said} version {version} via VDO"]

        def thrice(tag, said, version, words, ear):
            return [f"{tag}-pw {said} version {version} via watcher [{words}]", f"{tag}-dk.full {said} version {version} via VDO",
                    f"{tag}-dk.{ear} {said} version {version} via VDO ({ear})"]

        self.call("create")
        self.call("watch")
        before = [*twice("lp1", "resolved lval1", "v1"), *twice("lp2", 'rejected "lerr2"', "v1"),
                  *twice("rp1", "resolved rvalbefore", "v1"), *twice("rp2", 'rejected "rerrbefore"', "v1"),
                  *thrice("p1", "resolved val1", "v1", "", "res"), *thrice("p2", 'rejected "err2"', "v1", "a", "rej")]
        self.printed(before)
        self.call("upgrade")
        ended = 'rejected {"incarnationNumber":0,"name":"vatUpgraded","upgradeMessage":"test upgrade"}'
        self.printed([*before, *twice("lp3", ended, "v2"), *twice("lp4", ended, "v2"),
                      *thrice("p3", "resolved val3", "v2", "b,c", "res"), *thrice("p4", 'rejected "err4"', "v2", "d,e,f", "rej"),
                      *twice("rp3", "resolved rvalafter", "v2"), *twice("rp4", 'rejected "rerrafter"', "v2")])
        self.assertSound()

    @shows("replay", "replay dynamic vat")
    def test_replay(self):
        self.call("create")
        self.assertEqual(1, self.call("count", "1"))
        self.yard.ok("down")
        self.assertNothingRuns()
        self.yard.ok("up", "--hosts", "2")
        self.assertEqual(21, self.call("count", "20"))
        self.assertSound()

    @shows("external-termination", "external termination: local worker", "external termination: xsnap worker", verdict="same, but",
           why="`done()` is rejected with an Error of the operator's text, `vatctl kill --reason`")
    def test_kill(self):
        self.call("create")
        self.assertEqual(1, self.call("count", "1"))
        self.assertEqual("not yet", self.call("getEnded"))
        self.yard.ok("kill", "v2", "--yes", "--reason", "doom!")
        self.assertEqual(["boot"], [row["name"] for row in self.yard.ok("ps", "--json").json])
        result = self.yard.ctl("call", "@boot", "count", "1")
        self.assertExit(8, result)
        self.assertIn("vat terminated", result.out + result.err)
        how, why = self.call("getEnded")
        self.assertEqual("rejected", how)
        self.assertIn("doom!", why)
        self.assertSound()


class Timer(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", self.yard.cluster({"boot": os.path.join(VATS, "clocks.js")}), "--wait")

    def call(self, method, *words):
        return self.yard.ok("call", "@boot", method, *words, "--json").json["value"]

    def count(self, least, seconds=10):
        """Events that came until there were LEAST of them."""
        seen = []
        wait_for(lambda: seen.extend(self.call("getEvents")) or len(seen) >= least, seconds)
        self.assertTrue(all(seen), seen)
        return len(seen)

    @shows("timer", "timer vat", verdict="same, but", why="time is real, in milliseconds since 1970, not what a driver polls; each step has its outcome")
    def test_timer(self):
        self.assertEqual([True, True], self.call("wakeIn", "3000n", "false"))
        self.assertEqual([], self.call("getEvents"))
        self.assertEqual(1, self.count(1))
        self.assertEqual([True, True], self.call("wakeIn", "3000n", "true"))
        self.assertEqual([True, True], self.call("wakeIn", "3100n", "true"))
        self.assertEqual("[undefined]", self.call("cancel"))
        self.assertEqual("bad setWakeup() handler", self.call("badHandler"))
        time.sleep(3.3)
        self.assertEqual([], self.call("getEvents"))
        self.call("repeat", "200n", "100n")
        self.assertGreaterEqual(self.count(3), 3)
        self.call("stop")
        self.call("getEvents")
        time.sleep(0.4)
        self.assertEqual([], self.call("getEvents"))
        self.assertEqual("bad repeater.schedule() handler", self.call("badSchedule"))
        self.assertEqual("[undefined]", self.call("badCancel"))
        self.assertIs(True, self.call("delay", "150n"))
        self.assertSound()


if __name__ == "__main__":
    main()
