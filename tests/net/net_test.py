"""Broker and hosts on a network that loses, delays and repeats packets, that carries one way only, or nothing for
longer than anybody waits; keys that two processes have, and disks that went back."""

import os
import re
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import why_not  # noqa: E402
from weather import BROKER, Weather  # noqa: E402

LINK_LOST = 6.0  # LINK_LOST_MS
SLACK = 1.5  # a beat, a tick, and a machine that is busy
WHY_NOT = why_not()
if WHY_NOT:
    print(f"tests/net is skipped: {WHY_NOT}", file=sys.stderr)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Net(unittest.TestCase):
    """One cluster and one history; the episodes follow one another, the last one judges."""

    @classmethod
    def setUpClass(cls):
        cls.net = Weather(hosts=2, spare=1)
        cls.addClassCleanup(cls.net.close)
        cls.net.begin()

    def setUp(self):
        self.lab, self.work = self.net.lab, self.net.work
        self.one, self.two = self.net.cluster.hosts
        self.addCleanup(self.lab.heal)

    def assertAllAnswer(self, seconds=30):
        took = self.net.answered(seconds)
        self.assertIsNotNone(took, "\n".join(self.work.findings + self.net.cluster.surprises))
        return took

    def test_1_loss_delay_and_repetition(self):
        for node in (1, 2):
            self.lab.both(BROKER, node, lose=0.05, delay_ms=15, jitter_ms=12, twice=0.05)
        self.net.go_on(6)
        self.lab.heal()
        self.assertAllAnswer()
        figures = self.lab.figures()
        self.assertGreater(figures["lost"], 20, figures)
        self.assertGreater(figures["repeated"], 20, figures)

    def test_2_one_way(self):
        for pair in ((BROKER, 1), (1, BROKER)):
            self.lab.cut(*pair)
            self.net.go_on(LINK_LOST + 2)
            self.lab.heal()
            self.assertAllAnswer()

    def test_3_nothing_for_longer_than_anybody_waits(self):
        """Found on both sides in time; the other host goes on; nothing fails because of it."""
        self.work.without += ("move",)
        self.assertTrue(self.net.until(lambda: not self.work.busy.get("move"), 30), "a move does not end")
        beyond = self.net.vats_on(self.two)
        self.assertTrue(beyond)
        ups = len(self.work.states)
        log = os.path.getsize(self.one.log)
        self.lab.cut(BROKER, 1)
        self.lab.cut(1, BROKER)
        begin = time.monotonic()

        found = {}

        def both_found():
            if "broker" not in found and any(kind == "host-down" for _, kind, _ in self.work.states[ups:]):
                found["broker"] = time.monotonic() - begin
            with open(self.one.log, encoding="utf-8", errors="replace") as file:
                file.seek(log)
                if "host" not in found and "link_lost" in file.read():
                    found["host"] = time.monotonic() - begin
            return len(found) == 2
        self.net.until(both_found, 20)
        for side in ("broker", "host"):
            self.assertLess(found.get(side, 99), LINK_LOST + SLACK, f"{side} found the dead link too late")
        self.assertIsNotNone(self.net.answered(10, beyond), "the other host's vats do not answer")
        self.net.go_on(max(0.0, 20 - (time.monotonic() - begin)))
        self.lab.heal()
        self.assertAllAnswer()
        self.work.without = tuple(kind for kind in self.work.without if kind != "move")

    def test_4_the_newest_session_wins(self):
        """A host dies where nobody hears it, and is there again before its old link is given up. What the old
        one still had under way arrives when the new one has long been at work."""
        vats = self.net.vats_on(self.one)
        self.assertTrue(vats)
        self.lab.keep(1, BROKER)
        self.net.go_on(1)
        self.net.kill(self.one)
        self.net.until(lambda: False, 0.3)
        self.lab.pass_on(1, BROKER)
        self.net.start(self.one)
        took = self.net.answered(30, vats)
        self.assertIsNotNone(took, "no answer after the restart")
        self.assertGreater(self.lab.let_go(1, BROKER), 0)
        self.net.go_on(2)
        self.assertAllAnswer()
        self.assertLess(took, LINK_LOST - 1, "the new session waited for the old link's end")

    def test_5_a_clone(self):
        """Two processes with one key end in quarantine. Nothing ran meanwhile: the operator admits the one that
        is left, and nobody has lost anything."""
        self.net.rest()
        self.work.expected = ("host-quarantine",)
        self.net.resting.add(self.one)
        twin = self.net.cluster.clone(self.one, 3)
        seen = self.net.until(lambda: self.work.seen, 30)
        self.assertTrue(seen, f"nobody noticed the clone\n{self.one.tail()}{twin.tail()}")
        for process in (self.one, twin):
            self.assertTrue(self.net.until(lambda p=process: p.child.poll() is not None, 20), f"{process.name} runs on")
            self.assertIn("E3014", process.tail())
        self.assertRegex(self.net.cluster.yard.ok("host", "ls").out, r"host-1 +quarantined")
        self.net.cluster.yard.ok("host", "readmit", "host-1")
        self.one.child = None
        self.net.start(self.one)
        self.work.expected = ()
        self.assertAllAnswer()
        self.net.work_again()
        self.net.go_on(2)

    def test_9_history(self):
        self.assertEqual([], self.net.judge())
        self.assertGreater(self.work.finished, 300)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class OldCopies(unittest.TestCase):
    """Disks that went back: found, named, and nothing of such a vat runs on."""

    def setUp(self):
        self.net = Weather(hosts=1)
        self.addCleanup(self.net.close)
        self.net.work.without += ("move", "copy", "guest", "audit")
        self.net.work.expected = ("vat-quarantine",)
        self.net.begin()

    def old_copy(self, process):
        """PROCESS goes back by some seconds of its life."""
        state = self.net.cluster.state_of(process)
        self.net.kill(process)
        shutil.copytree(state, f"{state}.old")
        self.net.start(process)
        self.assertIsNotNone(self.net.answered(30))
        self.net.go_on(4)
        self.net.kill(process)
        shutil.rmtree(state)
        os.rename(f"{state}.old", state)
        self.net.start(process)

    def assertQuarantined(self, error, why):
        work = self.net.work
        self.assertTrue(self.net.until(lambda: len(work.seen) > 2, 30), f"{work.seen}\n{self.net.cluster.broker.tail()}"
                        f"{self.net.cluster.hosts[0].tail()}")
        for event in work.seen:
            self.assertRegex(event["text"], why)
        shown = self.net.cluster.yard.ok("inspect", f"v{work.seen[0]['vat']}")
        self.assertRegex(re.sub(r"\s+", " ", shown.out), why)
        self.assertIn("quarantine", self.net.cluster.yard.ok("ps").out)

    def test_a_host(self):
        self.old_copy(self.net.cluster.hosts[0])
        self.assertQuarantined("VAT_REGRESSED", r"delivery \d+, and the log begins behind \d+")

    def test_a_broker(self):
        self.old_copy(self.net.cluster.broker)
        self.assertQuarantined("BROKER_REGRESSED", r"never assigned|is applied, and here|another history")


if __name__ == "__main__":
    unittest.main()
