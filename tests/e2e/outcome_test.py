#!/usr/bin/env python3
"""Every way a real vat can end, row by row: whoever waits is answered once, what it exported keeps its identity
and answers no more, nothing of a discarded crank is seen, and `ps`, `logs` and `inspect` say why."""

import json
import os
import re
import signal
import threading
import time

from yard import VATS, YardTest, main, wait_for

TERMINATED = "[KERNEL:VAT_TERMINATED] vat terminated"
REJECTED = ["rejected", TERMINATED]
WORK = 50_000_000  # what mortal.js counts to
ENDLESS = {"wallPerDelivery": "60s", "computronsPerDelivery": 10**12}


def vat(name):
    return os.path.join(VATS, name)


class Story(YardTest):
    """A mortal, a mourner and a witness on two hosts."""

    window = 1

    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")

    def launch(self, limits=None, critical=False, name="story", **parameters):
        mortal = {"source": vat("mortal.js"), "parameters": parameters}
        if critical:
            mortal["creationOptions"] = {"critical": True}
        file = self.yard.cluster(
            {"mourner": vat("mourner.js"), "mortal": mortal, "witness": vat("witness.js")},
            name=f"{name}.json", deploy={"window": self.window, "vats": {"mortal": {"limits": limits or {}}}})
        return self.yard.ctl("cluster", "launch", file, "--name", name, "--wait")

    def row(self, name="mortal"):
        return [row for row in self.yard.ok("ps", "-a", "--json").json if row["name"] == name][-1]

    def call(self, *words):
        return self.yard.ok("call", *words, "--json").json["value"]

    def later(self, answer, kept):
        """What is true after the end, and stays true."""
        value = ["fulfilled", "kept"] if kept else REJECTED
        seen = self.call("@mourner", "later")
        self.assertEqual(answer, seen["answer"])
        self.assertEqual(value, seen["held"])
        self.assertEqual(value, seen["seen"], "so says the third vat, too")
        self.assertEqual("rejected", seen["queued"][0])
        self.assertIn("data is not callable" if kept else TERMINATED, seen["queued"][1])
        self.assertEqual([REJECTED, REJECTED], [seen["thing"], seen["root"]])
        self.assertIs(True, seen["same"])
        self.assertEqual(["last words"] if kept else [], seen["heard"])
        refused = self.yard.ctl("call", "@mortal", "ok")
        self.assertExit(1, refused)
        self.assertIn("E2201", refused.err)

    def told(self, reason):
        row = self.row()
        self.assertEqual("terminated", row["state"])
        self.assertIn(reason, row["reason"])
        self.assertEqual(["running", "running"], [self.row(name)["state"] for name in ("mourner", "witness")])
        self.assertIn(reason, self.yard.ok("inspect", "mortal").out)
        self.assertTrue(wait_for(lambda: reason in self.yard.ok("logs", "mortal").out, 5))

    def check(self, answer, reason, kept):
        self.told(reason)
        self.later(answer, kept)
        self.assertSound()
        self.yard.ok("down")
        self.yard.ok("up", "--hosts", "2")
        self.later(answer, kept)
        self.assertSound()

    def worker(self, name="mortal"):
        """The process that runs this vat: the one that has its database open."""
        number = self.row(name)["vat"][1:]
        for pid in self.yard.workers():
            try:
                files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            except OSError:
                continue
            if any(re.search(rf"/vat-{number}\.\d+\.db", file) for file in files):
                return pid
        return None

    def busy(self):
        """The worker of the mortal, once it computes."""
        def used(pid):
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                return int(file.read().rsplit(")", 1)[1].split()[11])

        pid = wait_for(self.worker)
        before = used(pid)
        self.assertTrue(wait_for(lambda: used(pid) > before + 20, 20), "it computes")
        return pid

    def start_end(self, way):
        return self.yard.start("call", "@mourner", "end", f"s:{way}", "--json")

    def interrupted(self, way, act):
        self.assertExit(0, self.launch(ENDLESS))
        child = self.start_end(way)
        pid = self.busy()
        # Others run while it computes.
        self.assertEqual("pong", self.call("@mourner", "ping"))
        act(pid)
        return self.end_of(child)

    def end_of(self, child):
        out, err = child.communicate(timeout=30)
        self.assertEqual(0, child.returncode, err)
        return json.loads(out)["value"]

    def clusters(self):
        return [row["name"] for row in self.yard.ok("cluster", "ls", "--json").json]


class Outcome(Story):
    def ends(self, way, reason, kept=False, limits=None):
        self.assertExit(0, self.launch(limits))
        answer = ["fulfilled", "[undefined]"] if kept else REJECTED
        self.assertEqual({"answer": answer, "after": [REJECTED] * 3}, self.call("@mourner", "end", f"s:{way}"))
        self.check(answer, reason, kept)

    def test_illegal(self):
        self.ends("illegal", "illegal syscall")

    def test_exit(self):
        self.ends("exit", '"bye"', kept=True)

    def test_exit_with_failure(self):
        self.ends("exitWithFailure", "had enough")

    def test_compute(self):
        limits = {"computronsPerDelivery": 10**7, "wallPerDelivery": "20s"}
        self.ends("compute", "Compute meter exceeded", limits=limits)

    def test_clock(self):
        self.ends("clock", "wall clock limit exceeded", limits={"wallPerDelivery": "1s"})

    def test_memory(self):
        self.ends("memory", "Allocate meter exceeded", limits={"wallPerDelivery": "20s"})

    def test_stack(self):
        self.ends("stack", "Stack meter exceeded", limits={"wallPerDelivery": "20s"})

    # -- from outside, in the middle of a crank

    def crashes(self, sig):
        value = self.interrupted("clock", lambda pid: os.kill(pid, sig))
        self.assertEqual({"answer": REJECTED, "after": [REJECTED] * 3}, value)
        self.check(REJECTED, "the vat's worker crashed", False)

    def test_segmentation_fault(self):
        self.crashes(signal.SIGSEGV)

    def test_abort(self):
        self.crashes(signal.SIGABRT)

    def test_kill_of_a_vat_that_computes(self):
        value = self.interrupted("clock", lambda _: self.yard.ok("kill", "mortal", "--reason", "in the way"))
        self.assertEqual({"answer": REJECTED, "after": [REJECTED] * 3}, value)
        self.check(REJECTED, "in the way", False)

    def test_kill_of_a_vat_at_rest(self):
        self.assertExit(0, self.launch())
        before = self.row()["deliveries"]
        child = self.start_end("idle")
        # Its crank is over and counts: only the answer is still due.
        self.assertTrue(wait_for(lambda: self.row()["deliveries"] >= before + 4, 20), self.row())
        self.yard.ok("kill", "mortal", "--reason", "in the way")
        self.assertEqual({"answer": REJECTED, "after": [["fulfilled", "still alive"]] * 3}, self.end_of(child))
        self.check(REJECTED, "in the way", True)

    def test_a_worker_killed_from_outside_is_no_end(self):
        """SIGKILL and SIGTERM are not the vat's fault: the delivery is run again, nobody notices."""
        def kill(pid):
            os.kill(pid, signal.SIGKILL)
            again = wait_for(lambda: self.worker() not in (None, pid) and self.busy(), 20)
            os.kill(again, signal.SIGTERM)

        value = self.interrupted("work", kill)
        self.assertEqual({"answer": ["fulfilled", WORK], "after": [["fulfilled", "still alive"]] * 3}, value)
        self.assertEqual("running", self.row()["state"])
        seen = self.call("@mourner", "later")
        self.assertEqual(["last words"], seen["heard"], "once")
        self.assertEqual([["fulfilled", "kept"]] * 2, [seen["held"], seen["seen"]])
        self.assertEqual(["fulfilled", "too late"], seen["thing"])
        self.assertSound()

    # -- starts

    def test_failed_starts(self):
        ways = {"throw": "thrown from buildRootObject", "exit": "bye", "exitWithFailure": "had enough",
                "compute": "Compute meter exceeded", "clock": "wall clock limit exceeded",
                "memory": "Allocate meter exceeded", "stack": "Maximum call stack|Stack meter exceeded"}
        self.assertExit(0, self.launch(name="healthy"))
        before = self.yard.ok("ps", "-a", "--json").json
        for way, reason in ways.items():
            with self.subTest(way):
                limits = {"computronsPerDelivery": 10**8, "wallPerDelivery": "2s" if way == "clock" else "20s"}
                result = self.launch(limits, atStart=way)
                self.assertNotEqual(0, result.code)
                self.assertIn("mortal", result.err)
                self.assertRegex(result.err, reason)
                names = lambda rows: [(row["vat"], row["state"]) for row in rows]
                self.assertEqual(names(before), names(self.yard.ok("ps", "-a", "--json").json))
                self.assertEqual(["healthy"], self.clusters())
        self.assertExit(0, self.launch())
        self.assertSound()

    def test_an_end_while_it_starts(self):
        """Killed, removed with its cluster, or crashed before it ran: the launch is answered, nothing is left."""
        def crash():
            pid = self.busy()
            os.kill(pid, signal.SIGSEGV)

        ways = {"kill": (lambda: self.yard.ok("kill", "mortal", "--reason", "in the way"), "in the way"),
                "remove": (lambda: self.yard.ok("cluster", "rm", "story", "--yes"), "removed while it started"),
                "crash": (crash, "the vat's worker crashed")}
        for way, (act, reason) in ways.items():
            with self.subTest(way):
                launch = threading.Thread(target=lambda: results.append(self.launch(ENDLESS, atStart="clock")))
                results = []
                launch.start()
                starts = lambda: [row for row in self.yard.ok("ps", "--json").json if row["state"] == "starting"]
                self.assertTrue(wait_for(starts, 20))
                act()
                launch.join(30)
                self.assertFalse(launch.is_alive(), "the launch is answered")
                self.assertNotEqual(0, results[0].code)
                self.assertIn(reason, results[0].err)
                self.assertEqual([], self.clusters())
                self.assertEqual([], self.yard.ok("ps", "--json").json)
                self.assertTrue(wait_for(lambda: not self.yard.workers()), "no worker is left")
                self.assertSound()
        self.assertExit(0, self.launch())

    # -- critical vats

    def test_critical_vats_stop_their_cluster(self):
        self.assertExit(0, self.launch(name="other"))
        for way, limits in ("exit", {}), ("compute", {"computronsPerDelivery": 10**7}), ("kill", {}):
            with self.subTest(way):
                self.assertExit(0, self.launch(limits, critical=True))
                vats = {row["vat"]: row["name"] for row in self.yard.ok("ps", "--json").json
                        if row["cluster"] == "story"}
                number = {name: number for number, name in vats.items()}
                deliveries = lambda: next(row["deliveries"] for row in self.yard.ok("ps", "-a", "--json").json
                                          if row["vat"] == number["mortal"])
                before = deliveries()
                child = self.yard.start("call", number["mourner"], "end", "s:idle" if way == "kill" else f"s:{way}")
                if way == "kill":
                    self.assertTrue(wait_for(lambda: deliveries() > before))
                    self.yard.ok("kill", number["mortal"])
                out, err = child.communicate(timeout=30)  # no caller hangs
                self.assertEqual((8, True), (child.returncode, TERMINATED in out), out + err)
                self.assertTrue(wait_for(lambda: self.clusters() == ["other"], 5))
                rows = {row["vat"]: row for row in self.yard.ok("ps", "-a", "--json").json}
                self.assertEqual({"terminated"}, {rows[number]["state"] for number in vats})
                for name in "witness", "mourner":
                    self.assertEqual("a critical vat of its cluster ended", rows[number[name]]["reason"])
                self.assertEqual("pong", self.call("@other/mourner", "ping"))
                self.assertSound()


class OutcomeInAWindow(Outcome):
    """The same with many deliveries in flight."""

    window = 16


LINK_LOST = 7  # seconds without a word after which a link is lost; wire/base/limits.h


class Away(Story):
    """It ends while broker and host do not hear each other: nobody waits for ever."""

    def stopped(self, pids, act):
        self.yard.kill(pids, signal.SIGSTOP)
        time.sleep(LINK_LOST)
        act()
        self.yard.kill(pids, signal.SIGCONT)

    def state(self):
        return self.row()["state"]

    def test_crash_while_the_broker_is_away(self):
        self.assertExit(0, self.launch(ENDLESS))
        child = self.start_end("clock")
        pid = self.busy()
        self.stopped(self.yard.processes("vatbroker"), lambda: os.kill(pid, signal.SIGSEGV))
        # The news may be lost with the link: then it is run again, and may crash again.
        again = lambda: self.worker() not in (None, pid)
        self.assertTrue(wait_for(lambda: self.state() == "terminated" or again(), 30), self.row())
        if self.state() != "terminated":
            os.kill(self.busy(), signal.SIGSEGV)
        self.assertEqual({"answer": REJECTED, "after": [REJECTED] * 3}, self.end_of(child))
        self.check(REJECTED, "the vat's worker crashed", False)

    def test_clock_while_the_broker_is_away(self):
        self.assertExit(0, self.launch({"wallPerDelivery": "2s"}))
        child = self.start_end("clock")
        self.busy()
        self.stopped(self.yard.processes("vatbroker"), lambda: None)
        self.assertEqual({"answer": REJECTED, "after": [REJECTED] * 3}, self.end_of(child))
        self.check(REJECTED, "wall clock limit exceeded", False)

    def test_kill_while_the_host_is_away(self):
        self.assertExit(0, self.launch({"wallPerDelivery": "14s"}))
        child = self.start_end("clock")
        pid = self.busy()
        host = self.parent(self.parent(pid))

        def kill():
            self.yard.ok("kill", "mortal", "--reason", "in the way")
            self.assertTrue(wait_for(lambda: self.state() == "terminated", 5))
            self.assertIn(pid, self.yard.workers(), "its host hears nothing")

        self.stopped([host], kill)
        self.assertEqual({"answer": REJECTED, "after": [REJECTED] * 3}, self.end_of(child))
        # A worker that computes hears nothing, so its limit ends it; then nothing of the vat is left.
        database = f"vat-{self.row()['vat'][1:]}.1.db"
        left = lambda: [path for path in self.yard.vat_databases() if os.path.basename(path).startswith(database)]
        self.assertTrue(wait_for(lambda: pid not in self.yard.workers() and not left(), 30), left())
        self.check(REJECTED, "in the way", False)

    @staticmethod
    def parent(pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])


if __name__ == "__main__":
    main()
