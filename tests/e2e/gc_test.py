#!/usr/bin/env python3
"""Garbage collection across real vats: three of the same source (vats/holder.js) make things, give them to each
other, hold them in every way there is, and let go of them. What the broker counts, who it says holds a thing, and which
deliveries the vats get must be what liveslots and SwingSet's kernel make of it; at the end of each story everything is back at
the baseline and the audit finds nothing. Vats are reaped only when a story says so."""

import json
import os
import threading

from yard import VATS, YardTest, main, wait_for

HOLDER = os.path.join(VATS, "holder.js")
COUNTS = ("objects", "promises", "held", "queued", "waiting", "in_flight")
TOLD = ("dropExports", "retireExports", "retireImports")
STRENGTHS = ("heap", "virtual", "durable", "kit", "durable kit")
# How a vat holds what it imported.
HOLDS = ("heap", "baggage", "map", "set", "durable map", "durable set", "virtual state", "durable state", "kit state",
         "durable kit state")
WEAK_MAPS = ("weak map", "weak map store", "durable weak map store")
WEAK_SETS = ("weak set", "weak set store", "durable weak set store")
DROPPED = [("alice", "dropExports"), ("alice", "retireExports")]
TERMINATED = "[KERNEL:VAT_TERMINATED] vat terminated"


class Traffic:
    """All deliveries, in the order in which they were made."""

    def __init__(self, yard):
        self.rows, self.at, self.marks = [], 0, 0
        self.child = yard.start("logs", "-f", "--traffic", "--json")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.child.stdout:
            row = json.loads(line)
            if row["type"] == "deliver":
                self.rows.append((row["name"], row["kind"], row.get("method")))

    def found(self, mark):
        return next((n for n in range(self.at, len(self.rows)) if self.rows[n][2] == mark), None)


class Gc(YardTest):
    window = 1
    names = ("alice", "bob", "carol")
    reap = "never"

    def setUp(self):
        super().setUp()
        self.given_so_far = 0
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({name: {"source": HOLDER, "creationOptions": {"reapInterval": self.reap}}
                                  for name in self.names}, deploy={"window": self.window})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.traffic = Traffic(self.yard)
        self.number = {row["name"]: row["vat"][1:] for row in self.yard.ok("ps", "--json").json}
        self.assertTrue(wait_for(lambda: self.mark(), 10), "traffic is heard")
        self.gc()
        self.told()
        self.baseline = self.counts()

    # -- what a story does

    def call(self, vat, method, *words):
        """One call to a vat's root. A word that is a vat's name stands for its root, any other for itself."""
        words = [f"@{word}" if word in self.names else str(word) if isinstance(word, int) else f"s:{word}" for word in words]
        return self.yard.ok("call", f"@{vat}", method, *words, "--json").json["value"]

    def gc(self, *vats):
        """Reaps these vats, all without a name, until nothing more comes of it."""
        return self.yard.ok("gc", "--release", *(vats or ["--all"]), "--json").json["after"]

    def reaped(self, *vats):
        """Reaps and returns what vats were told meanwhile."""
        self.gc(*vats)
        return self.told()

    # -- what is seen

    def mark(self):
        self.traffic.marks += 1
        mark = f"mark{self.traffic.marks}"
        self.yard.ctl("call", "@" + self.names[-1], mark)  # there is no such method, and nobody minds
        return wait_for(lambda: self.traffic.found(mark) is not None, 5) and mark

    def told(self):
        """GC deliveries since the last time, [(vat, kind)]."""
        mark = self.mark()
        self.assertTrue(mark)
        end = self.traffic.found(mark)
        rows = self.traffic.rows[self.traffic.at:end]
        self.traffic.at = end + 1
        return [row[:2] for row in rows if row[1] in TOLD]

    def counts(self):
        counters = self.yard.ok("status", "--json").json["counters"]
        return {name: counters[name] for name in COUNTS}

    def thing(self, n=1, vat="alice"):
        """The n-th object that a vat exported."""
        return f"ko{self.number[vat]}.{n}"

    def who(self, kref):
        """{vat: reachable or recognizable} of those who have a row for it, '' for what no vat holds; None: it is gone."""
        result = self.yard.ctl("inspect", kref, "--json")
        if result.code:
            self.assertExit(6, result)
            return None
        found = {row["name"]: row["state"] for row in result.json[1:]}
        if result.json[0]["elsewhere"]:
            found[""] = result.json[0]["elsewhere"]
        return found

    def clean(self):
        """Nothing is left of the story."""
        self.reaped()
        self.assertEqual(self.baseline, self.counts())
        self.assertSound()

    # -- stories that many tests begin with

    def given(self, strength="heap", how="heap", to="bob", keep=False, name="thing"):
        """alice makes something and gives it to another; she keeps it herself, or only for others. Returns its kref."""
        self.call("alice", "make", name, strength)
        self.call("alice", "give", name, to, how)
        if not keep:
            self.call("alice", "drop", name, "heap")
        self.given_so_far += 1
        self.assertEqual([], self.reaped())
        kref = self.thing(self.given_so_far)
        self.assertEqual({"alice": "reachable", to: "reachable"}, self.who(kref))
        return kref


class Drop(Gc):
    def test_dropped_and_retired_at_once(self):
        self.given()
        self.call("bob", "drop", "thing", "heap")
        self.assertEqual([], self.told(), "what a vat dropped is not known before it is reaped")
        self.assertEqual(DROPPED, self.reaped("bob"))
        self.assertIsNone(self.who(self.thing()))
        self.clean()

    def test_the_exporter_keeps_it(self):
        self.given(keep=True)
        self.call("bob", "drop", "thing", "heap")
        self.assertEqual(DROPPED, self.reaped())
        self.assertIsNone(self.who(self.thing()))
        # Given again, it is another object for everybody else, and the same for alice.
        self.call("alice", "give", "thing", "bob", "heap")
        self.assertEqual({"alice": "reachable", "bob": "reachable"}, self.who(self.thing(2)))
        self.assertIs(True, self.yard.ok("call", "@alice", "same", "s:thing", self.thing(2), "--json").json["value"])
        self.call("bob", "drop", "thing", "heap")
        self.call("alice", "drop", "thing", "heap")
        self.clean()

    def test_two_importers(self):
        self.given(keep=True)
        self.call("alice", "give", "thing", "carol", "heap")
        self.call("alice", "drop", "thing", "heap")
        self.call("bob", "drop", "thing", "heap")
        self.assertEqual([], self.reaped())
        self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(self.thing()))
        self.call("carol", "drop", "thing", "heap")
        self.assertEqual(DROPPED, self.reaped())
        self.clean()

    def test_every_strong_way_to_hold_it(self):
        for n, how in enumerate(HOLDS):
            strength = STRENGTHS[n % len(STRENGTHS)]
            with self.subTest(how=how, strength=strength):
                kref = self.given(strength, how)
                self.assertEqual([], self.reaped())
                self.call("bob", "drop", "thing", how)
                self.assertEqual(DROPPED, self.reaped())
                self.assertIsNone(self.who(kref))
                self.clean()

    def test_moved_from_one_holder_to_another(self):
        for how in ("baggage", "map"):
            kref = self.given("virtual", how)
            self.call("bob", "moveToHeap", "thing", how)
            self.assertEqual([], self.reaped())
            self.call("bob", "drop", "thing", "heap")
            self.assertEqual(DROPPED, self.reaped())
            self.assertIsNone(self.who(kref))
        self.clean()

    def test_three_vats_pass_it_round(self):
        self.call("alice", "make", "thing", "heap")
        self.call("alice", "pass", "thing", "bob", "carol", "bob", "carol", "alice")
        self.assertIs(True, self.same_again())
        self.reaped()
        self.assertIsNone(self.who(self.thing()), "it is at home, and nobody else knows it")
        self.call("alice", "pass", "thing", "bob", "carol")
        self.reaped()
        self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(self.thing(2)))
        self.call("carol", "drop", "thing", "heap")
        self.clean()

    def same_again(self):
        """What came home is what left."""
        self.call("alice", "make", "other", "heap")
        different = self.call("alice", "sameNames", "thing", "other")
        self.call("alice", "drop", "other", "heap")
        return not different and self.call("alice", "content", "thing") == "[undefined]"


class Weak(Gc):
    """An entry of a weak collection holds its value for as long as somebody else holds the key."""

    def entry(self, how, keep=True):
        """bob has an entry whose key is alice's thing, and nothing else of it. In maps its value is carol's thing."""
        key = self.given(keep=keep)
        self.call("carol", "make", "value", "heap")
        self.call("carol", "give", "value", "bob", "heap")
        self.call("carol", "drop", "value", "heap")
        self.values = getattr(self, "values", 0) + 1
        self.call("bob", "recognize", "thing", how, "value")
        self.call("bob", "drop", "value", "heap")
        self.told()
        return key, self.thing(self.values, "carol")

    def test_the_exporter_retires_the_key(self):
        for how in WEAK_MAPS + WEAK_SETS:
            with self.subTest(how=how):
                key, value = self.entry(how)
                self.call("bob", "drop", "thing", "heap")
                told = self.reaped("bob")
                self.assertEqual([("alice", "dropExports")], [row for row in told if row[0] == "alice"])
                self.assertEqual({"alice": "recognizable", "bob": "recognizable"}, self.who(key))
                held = {"carol": "reachable", "bob": "reachable"} if how in WEAK_MAPS else None
                self.assertEqual(held, self.who(value), "a map's entry holds its value")
                # alice has no more use for it: the entry goes, and what it held.
                self.call("alice", "drop", "thing", "heap")
                self.assertEqual([("bob", "retireImports")], self.reaped("alice"))
                self.assertIsNone(self.who(key))
                told = self.reaped()
                self.assertEqual([("carol", "dropExports"), ("carol", "retireExports")] if held else [], told)
                self.assertIsNone(self.who(value))
                self.clean()

    def test_the_entry_is_deleted(self):
        for how in WEAK_MAPS + WEAK_SETS:
            with self.subTest(how=how):
                key, value = self.entry(how)
                self.call("bob", "forgetHeld", "thing", how)
                self.call("bob", "drop", "thing", "heap")
                told = self.reaped()
                self.assertEqual(DROPPED, [row for row in told if row[0] == "alice"])
                self.assertIsNone(self.who(key))
                self.assertIsNone(self.who(value))
                self.call("alice", "drop", "thing", "heap")
                self.clean()

    def given_again(self, key):
        self.call("alice", "give", "thing", "bob", "heap")
        self.assertEqual({"alice": "reachable", "bob": "reachable"}, self.who(key))

    def test_given_again_it_is_recognized(self):
        for how in WEAK_MAPS + WEAK_SETS:
            with self.subTest(how=how):
                key, _ = self.entry(how)
                self.call("bob", "drop", "thing", "heap")
                self.reaped()
                self.assertEqual({"alice": "recognizable", "bob": "recognizable"}, self.who(key))
                self.given_again(key)
                self.assertIs(True, self.call("bob", "recognizesHeld", "thing", how))
                self.assertEqual([], self.reaped())
                self.call("bob", "forgetHeld", "thing", how)
                self.call("bob", "drop", "thing", "heap")
                self.call("alice", "drop", "thing", "heap")
                self.clean()

    def test_the_importer_forgets_after_it_dropped(self):
        key, _ = self.entry("weak map store")
        self.call("bob", "drop", "thing", "heap")
        self.assertEqual([("alice", "dropExports")], self.reaped("bob"))
        self.call("bob", "forgetAll", "weak map store")
        self.reaped()
        self.assertIsNone(self.who(key))
        self.call("alice", "drop", "thing", "heap")
        self.clean()


class Strong(Gc):
    """Virtual and durable objects of the exporter live as long as others hold them, and what they hold as long as they do."""

    def full(self, strength):
        """An object of alice's that holds a thing of carol's, and that only bob holds."""
        self.call("carol", "make", "inner", "heap")
        self.call("carol", "give", "inner", "alice", "heap")
        self.call("carol", "drop", "inner", "heap")
        self.inner = getattr(self, "inner", 0) + 1
        self.call("alice", "makeOf", "thing", strength, "inner")
        self.call("alice", "drop", "inner", "heap")

    def test_the_state_goes_with_the_object(self):
        for strength in STRENGTHS:
            with self.subTest(strength=strength):
                self.full(strength)
                self.call("alice", "give", "thing", "bob", "durable map")
                self.call("alice", "drop", "thing", "heap")
                self.given_so_far += 1
                self.assertEqual([], self.reaped())
                inner = self.thing(self.inner, "carol")
                self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(inner))
                self.call("bob", "drop", "thing", "durable map")
                told = self.reaped()
                self.assertEqual(DROPPED, [row for row in told if row[0] == "alice"])
                self.assertEqual([("carol", "dropExports"), ("carol", "retireExports")], [row for row in told if row[0] == "carol"])
                self.assertIsNone(self.who(inner))
                self.clean()

    def test_a_facet_keeps_the_others(self):
        for strength in ("kit", "durable kit"):
            with self.subTest(strength=strength):
                self.full(strength)
                self.call("alice", "split", "thing", "bob", "carol")
                self.call("alice", "drop", "thing", "heap")
                self.reaped()
                front, back = self.thing(self.given_so_far + 1), self.thing(self.given_so_far + 2)
                self.given_so_far += 2
                inner = self.thing(self.inner, "carol")
                self.call("bob", "drop", "front", "heap")
                self.assertEqual([("alice", "dropExports"), ("alice", "retireExports")], self.reaped())
                self.assertIsNone(self.who(front))
                self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(back))
                self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(inner), "the state is shared")
                self.call("carol", "drop", "back", "heap")
                self.reaped()
                self.assertIsNone(self.who(back))
                self.assertIsNone(self.who(inner))
                self.clean()


class Passage(Gc):
    """What is held by no vat, but by something on its way."""

    def test_in_a_message_to_a_promise(self):
        self.call("bob", "promise", "later")
        self.call("bob", "givePromise", "later", "alice", "promised")
        self.call("alice", "make", "thing", "heap")
        self.call("alice", "sendTo", "later", "thing")
        self.call("alice", "drop", "thing", "heap")
        self.assertEqual([], self.reaped())
        self.assertEqual({"alice": "reachable", "": 1}, self.who(self.thing()))
        self.call("bob", "resolve", "later", "carol")
        self.gc()
        self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(self.thing()))
        self.call("carol", "drop", "queued", "heap")
        self.call("alice", "drop", "later", "heap")
        self.call("bob", "drop", "later", "heap")
        self.clean()

    def test_in_the_answer_to_a_client(self):
        self.call("alice", "make", "thing", "heap")
        promise = self.yard.ok("send", "@alice", "show", "s:thing", "--json").json["promise"]
        self.call("alice", "drop", "thing", "heap")
        self.yard.ok("gc", "--all")
        self.assertEqual({"alice": "reachable", "": 1}, self.who(self.thing()))
        self.assertIn(self.thing(), self.yard.ok("await", promise, "--json").out)
        self.yard.ok("gc", "--all")
        self.assertEqual({"alice": "reachable", "": 1}, self.who(self.thing()), "who was shown it may use it")
        self.assertEqual(DROPPED, self.reaped())
        self.assertIsNone(self.who(self.thing()))
        self.clean()

    def test_to_myself_by_way_of_another(self):
        self.call("alice", "make", "thing", "heap")
        self.assertEqual("there", self.call("alice", "toMyself", "thing", "bob", "alice"))
        self.reaped()
        self.assertIsNone(self.who(self.thing()), "it is at home, and nobody else knows it")
        self.assertEqual("[undefined]", self.call("alice", "content", "thing"))
        self.call("alice", "drop", "thing", "heap")
        self.clean()

    def test_promises_of_a_thousand_calls(self):
        self.assertEqual(1000, self.call("alice", "calls", "bob", 1000))
        # Results and arguments are retired at both ends, without any reap.
        names = ("promises", "queued", "waiting", "in_flight")
        self.assertTrue(wait_for(lambda: all(self.counts()[name] == self.baseline[name] for name in names), 10), self.counts())
        self.clean()

    def test_a_promise_at_both_ends(self):
        self.call("alice", "promise", "later")
        for vat in ("bob", "carol"):
            self.call("alice", "givePromise", "later", vat, "promised")
        self.gc()
        self.assertEqual(self.baseline["promises"] + 1, self.counts()["promises"])
        self.call("alice", "make", "thing", "virtual")
        self.call("alice", "resolveWith", "later", "thing")
        self.call("alice", "drop", "thing", "heap")
        self.gc()
        self.assertEqual(self.baseline["promises"], self.counts()["promises"], "all have been told")
        self.assertEqual({"alice": "reachable", "bob": "reachable", "carol": "reachable"}, self.who(self.thing()))
        for vat in ("bob", "carol", "alice"):
            self.call(vat, "drop", "later", "heap")
        self.clean()

    def test_settled_promises_that_hold_each_other(self):
        self.call("alice", "tangle", "bob")
        self.call("bob", "drop", "tangle", "heap")
        self.clean()


class End(Gc):
    def kill(self, vat):
        self.yard.ok("kill", vat, "--yes")

    def test_an_orphan_is_the_same_object(self):
        kref = self.given(keep=True)
        self.call("alice", "give", "thing", "carol", "heap")
        self.kill("alice")
        self.gc()
        self.assertEqual({"bob": "reachable", "carol": "reachable"}, self.who(kref))
        self.assertEqual("orphan", self.yard.ok("inspect", kref, "--json").json[0]["state"])
        self.call("bob", "giveAs", "thing", "carol", "again")
        self.assertIs(True, self.call("carol", "sameNames", "thing", "again"))
        refused = self.yard.ctl("call", "@carol", "content", "s:thing")
        self.assertExit(8, refused)
        self.assertIn(TERMINATED, refused.out + refused.err)
        self.call("bob", "drop", "thing", "heap")
        self.call("carol", "drop", "thing", "heap")
        self.gc()
        self.assertEqual({"carol": "reachable"}, self.who(kref))
        self.call("carol", "drop", "again", "heap")
        self.gc()
        self.assertIsNone(self.who(kref))
        self.assertSound()

    def test_an_orphan_that_is_only_recognized(self):
        kref = self.given(keep=True)
        self.call("bob", "recognize", "thing", "weak map store", "thing")
        self.call("bob", "recognize", "thing", "weak set", "thing")
        self.call("carol", "see")
        self.kill("alice")
        self.assertIs(True, self.call("bob", "recognizesHeld", "thing", "weak set"))
        self.call("bob", "drop", "thing", "heap")
        self.call("bob", "forgetAll", "weak map store")
        self.told()
        self.assertEqual([("bob", "retireImports")], self.reaped())
        self.assertIsNone(self.who(kref))
        self.assertSound()

    def test_the_importer_ends(self):
        key = self.given(keep=True)
        self.call("alice", "give", "thing", "carol", "heap")
        self.kill("bob")
        self.gc()
        self.assertEqual({"alice": "reachable", "carol": "reachable"}, self.who(key))
        self.kill("carol")
        self.assertEqual(DROPPED, [row for row in self.last_told() if row[0] == "alice"])
        self.assertIsNone(self.who(key))
        self.assertSound()

    def last_told(self):
        """As told(), when the vat that is asked is dead."""
        self.gc()
        self.assertTrue(wait_for(lambda: ("alice", "retireExports", None) in self.traffic.rows[self.traffic.at:], 5))
        return [row[:2] for row in self.traffic.rows[self.traffic.at:] if row[1] in TOLD]

    def test_a_worker_that_starts_again_knows_what_it_held(self):
        kref = self.given("durable", "baggage")
        self.yard.ok("restart", "bob", "alice")
        self.assertEqual([], self.reaped())
        self.assertEqual({"alice": "reachable", "bob": "reachable"}, self.who(kref))
        self.assertEqual(f"<{kref}> (Alleged: durable)", self.call("bob", "showBaggage", "thing"))
        self.gc()
        self.call("bob", "drop", "thing", "baggage")
        self.yard.ok("restart", "bob")
        self.assertEqual(DROPPED, self.reaped())
        self.assertIsNone(self.who(kref))
        self.clean()


class WindowedDrop(Drop):
    window = 16


class WindowedWeak(Weak):
    window = 16


class WindowedPassage(Passage):
    window = 16


class Interval(Gc):
    """Nobody asks for a reap: it comes by itself, after so many deliveries."""

    reap = 5

    def test_by_deliveries(self):
        self.call("alice", "make", "thing", "heap")
        self.call("alice", "give", "thing", "bob", "heap")
        self.call("alice", "drop", "thing", "heap")
        self.call("bob", "drop", "thing", "heap")
        kref = self.thing()
        for _ in range(4):
            self.call("bob", "see")
        self.assertTrue(wait_for(lambda: self.who(kref) is None, 5), self.who(kref))
        self.assertIn(("bob", "bringOutYourDead"), [row[:2] for row in self.traffic.rows])
        self.assertSound()


if __name__ == "__main__":
    main()
