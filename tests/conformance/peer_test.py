#!/usr/bin/env python3
"""What another kernel of this kind got wrong, as it is told in the list of its defects (section 9 of the survey
that the project started from); each test has the number of its row. Real vats on two hosts; those of
the kernel's inside are in tests/story/peer_story.c."""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "kill")]
from failpoints import Board  # noqa: E402
from yard import BIN, YardTest, main, wait_for  # noqa: E402

ACTOR = os.path.join(HERE, "vats", "peer.js")
TERMINATED = ["rejected", "[KERNEL:VAT_TERMINATED] vat terminated"]
ENDLESS = {"wallPerDelivery": "120s", "computronsPerDelivery": 10**12}
COUNTS = ("objects", "promises", "references")


def word(value):
    """As vatctl reads it: text that is not an @object is a string."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"s:{value}" if isinstance(value, str) and value[0] != "@" else str(value)


class Actors(YardTest):
    window = 1
    names = ("alice", "bob", "carol", "dave")

    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        self.launch()

    def launch(self, name="peer", names=None, limits=None, reap="never"):
        file = self.yard.cluster({vat: {"source": ACTOR, "creationOptions": {"reapInterval": reap}}
                                  for vat in names or self.names}, name=f"{name}.json",
                                 deploy={"limits": limits or {}, "window": self.window})
        return self.yard.ok("cluster", "launch", file, "--name", name, "--wait")

    def call(self, vat, method, *args):
        return self.yard.ok("call", f"@{vat}", method, *map(word, args), "--json").json["value"]

    def start_call(self, vat, method, *args):
        return self.yard.start("call", f"@{vat}", method, *map(word, args), "--json")

    def rows(self):
        return {row["name"]: row for row in self.yard.ok("ps", "-a", "--json").json}

    def gc(self, *vats):
        """All garbage is collected; what is left."""
        after = self.yard.ok("gc", *vats, "--json").json["after"]
        return {key: after[key] for key in COUNTS}

    def assertAlive(self, *names):
        for name in names or self.names:
            self.assertEqual("pong", self.call(name, "ping"))
        self.assertSound()


class References(Actors):
    """Who holds what, and when it is forgotten."""

    # -- 2

    def test_09_02_pipelining_keeps_its_target(self):
        """N calls pipelined to one fresh object: it lives as long as it is held, and not longer."""
        base = self.gc()
        for n in range(1, 11):
            name = f"thing{n}"
            answers = [[f"thing{n}", i] for i in range(1, n + 1)]
            self.assertEqual(answers, self.call("alice", "pipeline", "@bob", name, n))
            self.gc()
            self.assertEqual(["fulfilled", [f"thing{n}", 42]], self.call("alice", "use", name, 42))
        self.assertEqual(base["objects"] + 10, self.gc()["objects"])
        for n in range(1, 11):
            self.call("alice", "drop", f"thing{n}")
        self.assertEqual(base, self.gc())
        self.assertAlive()

    # -- 3

    def test_09_03_each_importer_counts(self):
        """A fresh object goes to two vats as an argument; one of them drops it, the other goes on using it."""
        base = self.gc()
        self.call("bob", "give", "it", "@alice", "@carol")
        self.call("alice", "drop", "it")
        self.gc("alice")
        self.gc()
        for word in 1, 2:
            self.assertEqual(["fulfilled", ["it", word]], self.call("carol", "use", "it", word))
            self.gc()
        self.call("carol", "handOn", "it", "@dave")
        self.call("carol", "drop", "it")
        self.gc()
        self.assertEqual(["fulfilled", ["it", 3]], self.call("dave", "use", "it", 3))
        self.call("dave", "drop", "it")
        self.assertEqual(base, self.gc())
        self.assertAlive()

    # -- 4

    def test_09_04_settled_promises_are_forgotten(self):
        """What is counted does not grow with the number of messages."""
        def counts():
            seen = self.yard.ok("gc", "--json").json
            return seen["before"]["promises"], {key: seen["after"][key] for key in COUNTS}

        self.call("alice", "calls", "@bob", 3)
        before = counts()
        for _ in range(3):
            self.call("alice", "calls", "@bob", 60)
            self.call("carol", "calls", "@bob", 20)
            self.assertEqual(before, counts())
        self.assertSound()

    # -- 8

    def test_09_08_messages_through_chains_of_promises_arrive(self):
        """A message waits on a promise that becomes a promise settled before or after: all arrive, in order."""
        for first in "before", "after":
            inner, outer = f"inner-{first}", f"outer-{first}"
            self.call("bob", "deferHere", inner)
            self.call("bob", "deferHere", outer)
            self.call("alice", "fetch", "@bob", outer)
            self.call("alice", "fetch", "@bob", inner)
            words = [f"{first}-{n}" for n in range(6)]
            self.call("alice", "sayTo", outer, words[0])
            if first == "before":
                self.call("bob", "settleWithThing", inner)
            self.call("alice", "sayTo", outer, words[1])
            self.call("bob", "settleWith", outer, inner)
            self.call("alice", "sayTo", outer, words[2])
            self.call("alice", "sayTo", inner, words[3])
            if first == "after":
                self.call("bob", "settleWithThing", inner)
            self.call("alice", "sayTo", outer, words[4])
            self.call("alice", "sayTo", inner, words[5])
            lines = lambda: [line for line in self.call("bob", "lines") if line.startswith(first)]
            self.assertTrue(wait_for(lambda: len(lines()) == 6), lines())
            self.assertEqual([word for word in words if word not in (words[3], words[5])],
                             [line for line in lines() if line not in (words[3], words[5])])
        self.assertSound()

    # -- 9

    def test_09_09_what_is_dropped_is_what_is_dropped(self):
        """Two vats on two hosts export things with the same serials to each other; each drops another one."""
        rows = self.rows()
        self.assertNotEqual(rows["alice"]["host"], rows["bob"]["host"])
        base = self.gc()
        for n in 1, 2, 3:
            self.call("alice", "give", f"a{n}", "@bob")
            self.call("bob", "give", f"b{n}", "@alice")
        self.assertEqual(base["objects"] + 6, self.gc()["objects"])
        self.call("alice", "drop", "b2")
        self.call("bob", "drop", "a3")
        self.assertEqual(base["objects"] + 4, self.gc()["objects"])
        for vat, things in ("alice", ("b1", "b3")), ("bob", ("a1", "a2")):
            for thing in things:
                self.assertEqual(["fulfilled", [thing, 1]], self.call(vat, "use", f"{thing}", 1))
                self.call(vat, "drop", f"{thing}")
        self.assertEqual(base, self.gc())

    # -- 12

    def test_09_12_a_reap_needs_no_message_to_start(self):
        """Nothing else happens: the vat is reaped all the same, and what it dropped is collected."""
        base = self.gc()
        self.call("bob", "give", "it", "@alice")
        self.call("alice", "drop", "it")
        before = self.rows()["alice"]["deliveries"]
        time.sleep(0.5)
        self.assertEqual(before, self.rows()["alice"]["deliveries"], "idle")
        self.gc("alice")
        self.assertGreater(self.rows()["alice"]["deliveries"], before)
        self.assertEqual(base, self.gc())

    def test_09_12_reaps_come_by_themselves(self):
        """By deliveries, with nobody asking for it."""
        self.launch("eager", ("eve", "frank"), reap=2)
        objects = lambda: self.rows()["eve"]["exports"]
        base = objects()
        self.call("eve", "give", "it", "@frank")
        self.assertEqual(base + 1, objects())
        self.call("frank", "drop", "it")
        for _ in range(4):
            self.call("frank", "ping")
            self.call("eve", "ping")
        self.assertTrue(wait_for(lambda: objects() == base), objects())

    # -- 16

    def test_09_16_gc3_only_recognized_things_are_dropped_and_retired(self):
        """alice keeps a fresh thing of bob's only as the key of a WeakMap: bob may collect it, and lives on."""
        base = self.gc()
        self.call("bob", "give", "it", "@alice")
        self.call("alice", "weaken", "it")
        self.assertEqual(base, self.gc())
        self.assertAlive()

    def test_09_16_gc3_what_is_kept_elsewhere_is_recognized_again(self):
        self.call("bob", "giveKept", "it", "@alice")
        self.call("alice", "weaken", "it")
        self.gc()
        self.call("bob", "handOn", "it", "@alice")
        self.assertEqual("memo of it", self.call("alice", "memo", "it"))
        self.assertEqual(["fulfilled", ["it", 1]], self.call("alice", "use", "it", 1))
        self.assertAlive()

    def test_09_16_gc4_what_is_dropped_leaves_no_row(self):
        base = self.gc()
        self.call("bob", "give", "it", "@alice", "@carol")
        self.call("alice", "drop", "it")
        self.call("carol", "drop", "it")
        self.assertEqual(base, self.gc())
        result = self.yard.ctl("inspect", "ko2.1")
        self.assertExit(6, result)
        self.assertAlive()

    def test_09_16_what_comes_again_counts_again(self):
        """Dropped, collected, and given again, by its own vat and by a third one: it is held each time."""
        base = self.gc()
        self.call("bob", "giveKept", "it", "@alice")
        self.call("alice", "handOn", "it", "@carol")
        for n in range(3):
            self.call("alice", "drop", "it")
            self.gc()
            self.call(("bob", "carol")[n % 2], "handOn", "it", "@alice")
            self.call("bob", "drop", "it")
            self.gc()
            self.assertEqual(["fulfilled", ["it", n]], self.call("alice", "use", "it", n))
            self.call("alice", "handOn", "it", "@bob")
        for name in "alice", "bob", "carol":
            self.call(name, "drop", "it")
        self.assertEqual(base, self.gc())
        self.assertAlive()


class ReferencesInAWindow(References):
    """The same with many deliveries in flight."""

    window = 16


class Failures(Actors):
    """What goes wrong in one place stays there, and is told."""

    # -- 5

    def test_09_05_poison_does_no_harm(self):
        """Things that are not there, and vats that are no more, in every order."""
        for ref in "kp0.999", "kp2.77", "ko2.99", "kp77.1":
            result = self.yard.ctl("call", ref, "ping")
            self.assertExit(6, result)
            self.assertIn("E4101", result.err)
        self.assertAlive()

        # Both ask bob, and end before he answers; both hold things of his, and he of theirs.
        for name in "alice", "carol":
            self.call(name, "ask", "q", "@bob", "defer", name)
            self.call("bob", "give", f"bobs-{name}", f"@{name}")
            self.call(name, "giveKept", f"{name}s", "@bob")
        self.yard.ok("kill", "alice", "carol")
        for name in "alice", "carol":
            self.call("bob", "settle", name, "late")
        self.gc()
        self.assertExit(1, self.yard.ctl("gc", "alice"))
        for name in "alice", "carol":
            self.assertEqual(TERMINATED, self.call("bob", "use", f"{name}s"))
            self.call("bob", "drop", f"{name}s")
        self.gc()
        self.assertAlive("bob", "dave")

    def test_09_05_garbage_of_a_vat_that_ends_meanwhile(self):
        """What is due for collection when a vat ends goes with it."""
        self.call("bob", "give", "it", "@alice")
        self.call("alice", "drop", "it")
        self.yard.ok("kill", "alice", "bob")
        self.gc()
        self.assertAlive("carol", "dave")

    # -- 6

    def test_09_06_who_waits_for_a_killed_vat_is_told(self):
        self.call("alice", "ask", "q", "@bob", "never")
        self.assertTrue(wait_for(lambda: self.rows()["bob"]["queue"] + self.rows()["bob"]["in_flight"] == 0))
        before = self.rows()["bob"]["deliveries"]
        client = self.start_call("bob", "never")
        self.assertTrue(wait_for(lambda: self.rows()["bob"]["deliveries"] > before), "the call was delivered")
        self.yard.ok("kill", "bob")
        self.assertEqual(TERMINATED, self.call("alice", "answer", "q"))
        client.communicate(timeout=20)
        self.assertEqual(8, client.returncode)
        self.call("carol", "ask", "q", "@alice", "ping")
        self.assertEqual(["fulfilled", "pong"], self.call("carol", "answer", "q"))

    # -- 7

    def test_09_07_an_exit_stays_said(self):
        """A vat that says it ends, and goes on with other things, ends."""
        self.call("alice", "ask", "q", "@bob", "exitThenSend", "@carol", False)
        self.assertEqual(["fulfilled", "last"], self.call("alice", "answer", "q"))
        self.assertEqual(("terminated", '"bye"'), (self.rows()["bob"]["state"], self.rows()["bob"]["reason"]))
        self.assertEqual(["one", "two"], self.call("carol", "lines"), "the crank counts")
        self.assertAlive("alice", "carol")

    def test_09_07_an_exit_with_failure_stays_said(self):
        self.call("alice", "ask", "q", "@bob", "exitThenSend", "@carol", True)
        self.assertEqual(TERMINATED, self.call("alice", "answer", "q"))
        self.assertEqual("terminated", self.rows()["bob"]["state"])
        self.assertIn("had enough", self.rows()["bob"]["reason"])
        self.assertEqual([], self.call("carol", "lines"), "nothing of the crank counts")
        self.assertAlive("alice", "carol")

    # -- 11

    def test_09_11_a_discarded_crank_takes_nobody_along(self):
        """Calls to healthy vats, made while a crank is open that is discarded later, are settled."""
        self.launch("victim", ("eve",), {"wallPerDelivery": "4s"})
        spin = self.start_call("eve", "nativeLoop")
        self.assertTrue(wait_for(lambda: self.rows()["eve"]["in_flight"]))
        began = time.monotonic()
        self.call("alice", "ask", "q", "@eve", "ping")
        waiting = [self.start_call("bob", "defer", str(n)) for n in range(3)]
        for n in range(3):
            self.assertEqual("pong", self.call("carol", "ping"))
        self.assertLess(time.monotonic() - began, 3.5, "nobody waits for the one that computes")
        self.assertIsNone(spin.poll())
        spin.communicate(timeout=30)
        self.assertEqual(8, spin.returncode)
        self.assertEqual(TERMINATED, self.call("alice", "answer", "q"))
        for n, child in enumerate(waiting):
            self.call("bob", "settle", str(n), n)
            out, err = child.communicate(timeout=20)
            self.assertEqual((0, n), (child.returncode, json.loads(out)["value"]), err)
        self.assertAlive()

    # -- 13

    def test_09_13_a_failed_launch_leaves_nothing(self):
        before = {key: self.gc()[key] for key in COUNTS}
        rows = self.rows()
        file = self.yard.cluster({"x": ACTOR, "y": {"source": ACTOR, "parameters": {"failStart": "y does not start"}},
                                  "z": ACTOR}, name="bad.json")
        for _ in range(3):
            result = self.yard.ctl("cluster", "launch", file)
            self.assertExit(3, result)
            self.assertIn("y does not start", result.err)
            self.assertEqual(set(rows), set(self.rows()))
            self.assertEqual(["peer"], [row["name"] for row in self.yard.ok("cluster", "ls", "--json").json])
            self.yard.ok("status")
        self.assertTrue(wait_for(lambda: len(self.yard.workers()) == 4))
        self.assertEqual(before, self.gc())
        self.assertAlive()

    # -- 14

    def test_09_14_a_spinning_vat_can_be_ended(self):
        """While one vat computes for ever everything else works, and so does ending it."""
        self.launch("spin", ("eve", "frank"), ENDLESS)
        spins = [self.start_call(name, way) for name, way in (("eve", "loop"), ("frank", "nativeLoop"))]
        self.assertTrue(wait_for(lambda: all(self.rows()[name]["in_flight"] for name in ("eve", "frank"))))

        def quick(*words):
            result = self.yard.ok(*words)
            self.assertLess(result.seconds, 4, words)

        quick("call", "@alice", "ping")
        quick("ps")
        quick("status")
        quick("restart", "alice")
        quick("call", "@alice", "ping")
        self.launch("more", ("grace",))
        quick("call", "@grace", "ping")
        quick("kill", "eve")
        self.assertEqual("terminated", self.rows()["eve"]["state"])
        spins[0].communicate(timeout=5)
        self.assertEqual(8, spins[0].returncode)
        quick("cluster", "rm", "spin", "--yes")
        spins[1].communicate(timeout=5)
        self.assertNotEqual(0, spins[1].returncode)
        self.assertTrue(wait_for(lambda: len(self.yard.workers()) == 5), self.yard.processes())
        self.assertAlive()

    def test_09_14_the_instance_ends_while_a_vat_spins(self):
        self.launch("spin", ("eve",), ENDLESS)
        self.start_call("eve", "nativeLoop")
        self.assertTrue(wait_for(lambda: self.rows()["eve"]["in_flight"]))
        self.assertLess(self.yard.ok("down").seconds, 10)
        self.assertNothingRuns()

    # -- 15

    def test_09_15_answers_for_clients_outlive_a_restart(self):
        promise = self.yard.ok("send", "@bob", "defer", "s:it", "--json").json["promise"]
        self.yard.ok("down")
        self.yard.ok("up", "--hosts", "2")
        self.call("bob", "settle", "it", "here")
        self.assertEqual("here", self.yard.ok("await", promise, "--json").json["value"])

    def test_09_15_a_restarted_vat_still_decides_its_promises(self):
        self.call("alice", "ask", "q", "@bob", "defer", "it")
        self.yard.ok("restart", "bob")
        self.yard.kill(self.yard.workers())
        self.call("bob", "settle", "it", "here")
        self.assertEqual(["fulfilled", "here"], self.call("alice", "answer", "q"))
        self.assertSound()

    def test_09_15_one_broken_vat_does_not_stop_the_others(self):
        """The code of one vat is lost: the others start, and that one can be ended."""
        with open(ACTOR, encoding="utf-8") as actor:
            source = self.yard.file("own/own.js", f"{actor.read()}\nexport const its = 'own';\n")
        file = self.yard.file("lost.json", {"bootstrap": "lost", "vats": {"lost": {"sourceSpec": source}}})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.call("alice", "ask", "q", "@lost", "never")
        self.yard.ok("down")
        self.lose_bundles_of("lost")
        self.yard.ok("up", "--hosts", "2")
        self.assertAlive()
        self.yard.ok("kill", "lost")
        self.assertEqual(TERMINATED, self.call("alice", "answer", "q"))
        self.assertAlive()

    def lose_bundles_of(self, name):
        found = 0
        for folder, _, files in os.walk(self.yard.home):
            if "kernel.db" in files:
                sql = f"DELETE FROM store_bundle WHERE name = (SELECT bundle FROM vat WHERE name = '{name}')"
                tool = [os.path.join(BIN, "pages_sql"), os.path.join(folder, "kernel.db"), sql]
                found += int(subprocess.run(tool, capture_output=True, text=True, check=True).stdout)
            if os.path.basename(folder) == "bundles":
                for file in files:
                    os.unlink(os.path.join(folder, file))
                    found += 1
        self.assertGreater(found, 1, "the broker's copy and the hosts'")

    def test_09_15_a_launch_is_whole_or_not_at_all(self):
        """The broker dies at each commit of a launch, just before it or just after: afterwards all of the cluster
        is there and works, or nothing of it is there."""
        board = Board(os.path.join(self.yard.dir, "board"))
        self.addCleanup(board.close)
        self.yard.env["VATYARD_FAILPOINT_BOARD"] = board.path
        self.again()
        seen = set()
        for label in "broker_commit_rows", "broker_commit_done":
            for n in range(1, 100):
                name = f"{label}-{n}"
                vats = [f"{name}-v{i}" for i in range(4)]
                died = self.launch_dying(board, label, n, name, vats)
                self.again()
                there = wait_for(lambda: self.settled(name, vats))
                self.assertIsNotNone(there, [row for row in self.rows().values() if row["name"] in vats])
                seen.add(there)
                if there == "all of it":
                    self.assertAlive(*vats)
                    self.yard.ok("cluster", "rm", name)
                self.assertSound()
                if not died:
                    break
            self.assertGreater(n, 3, "commits of a launch")
        self.assertEqual({"all of it", "nothing"}, seen)
        self.assertAlive()

    def again(self):
        self.yard.ctl("down")
        self.yard.ok("up", "--hosts", "2")

    def launch_dying(self, board, label, n, name, vats):
        """Launches a cluster; whether the broker died of it. Who asked for the launch does not ask again."""
        file = self.yard.cluster({vat: ACTOR for vat in vats}, name=f"{name}.json")
        before = board.died(label)
        board.arm(label, n)
        child = self.yard.start("cluster", "launch", file, "--name", name, "--wait")
        self.assertTrue(wait_for(lambda: board.died(label) > before or child.poll() is not None, 60), label)
        board.arm(label, 0)
        child.kill()
        died = child.wait() != 0 or board.died(label) > before
        self.assertEqual(died, board.died(label) > before, "a launch that failed of itself")
        return died

    def settled(self, name, vats):
        """What there is of a cluster, when it does not change any more: "nothing", "all of it", or None. A vat whose
        start was applied before the broker died has nothing to run, and sleeps."""
        rows = self.rows()
        states = [rows.get(vat, {}).get("state") for vat in vats]
        clusters = [row["state"] for row in self.yard.ok("cluster", "ls", "--json").json if row["name"] == name]
        if not clusters and states == [None] * len(vats):
            return "nothing"
        if clusters == ["running"] and all(state in ("running", "asleep") for state in states):
            return "all of it"
        return None


if __name__ == "__main__":
    main()
