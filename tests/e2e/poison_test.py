#!/usr/bin/env python3
"""A delivery that no worker survives is given up: its sender hears of it, and the vat goes on as it was before it, with
all that it has in its heap only. A limit that is counted is enough once, a death has to come three times, and a worker
that somebody else ended is no death."""

import json
import os
import signal

from yard import VATS, YardTest, main, wait_for


class Poison(YardTest):
    def launch(self, poison="reject", wall="20s", **persistence):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster(
            {"boss": os.path.join(VATS, "poisoner.js"), "victim": os.path.join(VATS, "poisoned.js")},
            deploy={"persistence": {"onPoison": poison, **persistence},
                    "vats": {"victim": {"limits": {"wallPerDelivery": wall, "heap": "32Mi"}}}})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.said = []

    def call(self, *args):
        result = self.yard.ok("call", "@boss", *map(str, args), "--json", timeout=90)
        return json.loads(result.out)["value"]

    def victim(self):
        return json.loads(self.yard.ok("inspect", "victim", "--json").out)

    def heard(self, word):
        self.said.append(word)
        return ["fulfilled", " ".join(self.said)]

    def assertGivenUp(self, answers, why):
        before, poison, behind, after = answers
        self.assertEqual(self.heard("before"), before)
        self.assertEqual("rejected", poison[0])
        self.assertIn("[KERNEL:CRANK_FAILED]", poison[1])
        self.assertIn(why, poison[1])
        self.assertEqual(self.heard("behind"), behind)
        self.assertEqual(self.heard("after"), after)

    def assertWhole(self):
        self.assertEqual(0, self.call("kept"), "nothing of it happened")
        self.assertEqual(0, self.call("visits"))
        self.assertEqual("nothing yet", self.call("paid"))
        self.call("pay")
        self.assertTrue(wait_for(lambda: self.call("paid") == "a debt"))
        self.assertSound()

    def test_limits_that_are_counted(self):
        self.launch(snapshotEvery=3)
        for method, why in (("forgetful", "Compute meter exceeded"), ("arrays", "Allocate meter exceeded"),
                            ("recurse", "Stack meter exceeded"), ("loop", "Compute meter exceeded")):
            self.assertGivenUp(self.call("poison", f"s:{method}"), why)
        self.yard.kill(self.yard.workers())  # a replay steps over all of them
        self.assertEqual(self.heard("still here")[1], self.call("hear", "s:still here"))
        self.assertWhole()

    def test_a_clock_is_asked_three_times(self):
        self.launch(wall="1s")
        self.assertGivenUp(self.call("poison", "s:nativeLoop"), "wall clock limit exceeded")
        self.assertWhole()

    def begin(self, method):
        """Sends it, and waits until the victim's worker runs it."""
        call = self.yard.start("call", "@boss", "poison", f"s:{method}", "--json")
        self.addCleanup(call.wait)
        self.assertTrue(wait_for(lambda: self.victim()["in_flight"] > 0))
        return call

    def busy_worker(self, busy=0.3):
        """The worker that uses the processor, found by what it used so far."""
        def used(pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            except OSError:
                return 0

        def find():
            first = {pid: used(pid) for pid in self.yard.workers()}
            wait_for(lambda: False, busy)
            loud = [pid for pid, before in first.items() if used(pid) - before > busy / 4]
            return loud and loud[0]
        pid = wait_for(find, 30)
        self.assertTrue(pid)
        return pid

    def test_a_crash_counts_and_an_end_from_outside_does_not(self):
        self.launch(snapshotEvery=2)
        call = self.begin("nativeLoop")
        for sig in [signal.SIGKILL] * 4 + [signal.SIGSEGV] * 3:
            self.assertIsNone(call.poll(), "nobody has given up yet")
            self.yard.kill([self.busy_worker()], sig)
        out, err = call.communicate(timeout=60)
        self.assertEqual(0, call.returncode, err)
        self.assertGivenUp(json.loads(out)["value"], "the vat's worker crashed")
        self.assertWhole()

    def test_attempts_outlive_the_broker(self):
        self.launch()
        call = self.begin("nativeLoop")
        for attempt in (1, 2):
            self.yard.kill([self.busy_worker()], signal.SIGSEGV)
            self.assertTrue(wait_for(lambda attempt=attempt: self.victim()["attempts"] == attempt))
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        self.assertEqual(2, self.victim()["attempts"])
        self.yard.kill([self.busy_worker()], signal.SIGSEGV)
        self.assertTrue(wait_for(lambda: self.victim()["attempts"] == 0))
        self.said = ["before", "behind", "after"]
        self.assertTrue(wait_for(lambda: self.call("hear", "s:once more") and self.victim()["in_flight"] == 0))
        self.assertSound()
        call.communicate(timeout=60)

    def test_a_vat_that_is_to_end_does(self):
        self.launch(poison="terminate")
        answers = self.call("poison", "s:loop")
        self.assertEqual("rejected", answers[1][0])
        self.assertIn("vat terminated", answers[1][1])
        self.assertEqual("rejected", answers[3][0])


if __name__ == "__main__":
    main()
