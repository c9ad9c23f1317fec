#!/usr/bin/env python3
"""Scenarios (scenario.py) of starts and upgrades: a second start on the store of the first."""

import unittest

from pair import START, Pair
from scenario import base_of, make
from vat import GC, Ref, Vat, big


class Starts(unittest.TestCase):
    def test_first_start(self):
        """Both workers afresh, without a snapshot after the start."""
        with Pair(fresh=True) as pair:
            outcome, asked = pair.deliver(*START)
            self.assertIsNone(outcome)
            self.assertEqual(asked[:3], [["vatstoreGet", "idCounters", None], ["vatstoreGet", "kindIDID", None],
                                         ["vatstoreSet", "kindIDID", "1"]])
            self.assertEqual(pair.store["baggageID"], "o+d6/1")

    def test_parameters(self):
        with Vat(parameters={"a": [1, big(2)], "ref": Ref("o-50")}) as vat:
            vat.next_object = 51
            vat.objects["o-50"] = "reachable"
            self.assertEqual(vat.step("parameters").slots, ["o-50"])

    def test_starts_that_fail(self):
        for way in ("throw", "never", "no root", "virtual root", "undefined kind"):
            with self.subTest(way), Pair(fresh=True) as pair:
                outcome, _ = pair.deliver("startVat", {"body": f'#{{"start":"{way}"}}', "slots": []})
                self.assertIsNotNone(outcome)

    def test_root_that_comes_later(self):
        with Vat(parameters={"start": "later"}) as vat:
            self.assertEqual(vat.message("o+0", "hello").value, "late")


class Upgrades(unittest.TestCase):
    """A second incarnation starts on the store of the first."""

    def test_empty_vat(self):
        with Vat() as vat:
            for _ in range(3):
                vat.upgrade()
                self.assertEqual(vat.calls("send", "subscribe", "resolve", *GC), [])

    def test_durable_things_go_on(self):
        with Vat() as vat:
            held = vat.new_import()
            vat.step("hold", "i", held)
            vat.steps(["make", "dbox", "b"], ["makeKit", "dkit", "k", "l"], ["make", "dmap", "m"], ["make", "dweakset", "w"],
                      ["put", "b", "x", "i"], ["put", "k", "x", "b"], ["put", "l", "y", "b"], ["init", "m", "i", "k"],
                      ["putData", "m", "text", "b"], ["add", "w", "b"], ["add", "w", "i"])
            box, facet = vat.step("give", "b").ref, vat.step("give", "l").ref
            for name in ("b", "k", "m", "w"):
                vat.step("remember", name, name)
            vat.upgrade()
            self.assertEqual(vat.message(box, "get", "x").ref, held)
            self.assertEqual(vat.message(facet, "get", "y").ref, box)
            for name in ("b", "k", "m", "w"):
                vat.step("recall", name, name)
            vat.step("fetch", "b", "x", "i")
            vat.steps(["take", "m", "i", "z"], ["same", "z", "k"])
            self.assertEqual(vat.step("same", "z", "k").value, True)
            self.assertEqual([vat.step("has", "w", it).value for it in ("b", "i", "k")], [True, True, False])
            self.assertEqual(vat.step("size", "m").value, 2)
            # And what is let go now is freed, as if it had been made in this incarnation.
            for name in ("b", "k", "m", "w"):
                vat.step("forget", name)
            vat.step("drop", *"biklmwz")
            vat.drop_exports(box, facet)
            vat.upgrade()
            self.assertEqual(vat.objects, {"o+0": "reachable"})

    def test_what_is_not_durable_is_gone(self):
        with Vat() as vat:
            refs = []
            for kind in ("heap", "vbox", "vmap", "dbox"):
                vat.step("make", kind, kind)
                refs.append(vat.step("give", kind).ref)
            vat.upgrade()
            self.assertEqual([ref for ref in refs if ref in vat.objects], [ref for ref in refs if ref[2] == "d"])
            vat.step("make", "heap", "heap")
            again = vat.step("give", "heap").ref
            self.assertNotIn(again, refs)  # no name is used twice
            vat.step("make", "vbox", "vbox")
            self.assertNotIn(base_of(vat.step("give", "vbox").ref).partition("/")[0],
                             [ref.partition("/")[0] for ref in refs])  # nor is the name of a kind
            outcome, _ = vat.pair.deliver("message", refs[0], {"methargs": {"body": '#["get",[]]', "slots": []}, "result": None})
            self.assertIsNotNone(outcome)  # which no kernel sends: liveslots cannot know it

    def test_imports_of_the_old_heap(self):
        """Dropped before, they are retired; held to the end, nobody lets them go any more."""
        with Vat() as vat:
            one, two = vat.new_import(), vat.new_import()
            vat.step("hold", "one", one)
            vat.step("hold", "two", two)
            vat.step("drop", "one")
            vat.upgrade()
            self.assertNotIn(one, vat.objects)
            self.assertEqual(vat.objects[two], "reachable")
            self.assertEqual(vat.reap(), {})
            vat.step("hold", "two", two)
            vat.step("drop", "two")
            self.assertEqual(vat.reap(), {"dropImports": [two], "retireImports": [two]})

    def test_watched_promises(self):
        with Vat() as vat:
            imported, other = vat.new_promise(), vat.new_promise()
            vat.steps(["make", "dwatcher", "w"], ["make", "dbox", "d"], ["promise", "q"], ["promise", "unwatched"])
            vat.step("hold", "p", imported)
            vat.step("hold", "o", other)
            vat.steps(["watch", "p", "w", "d"], ["watch", "q", "w"], ["watch", "o", "w"], ["watch", "p", "w", "d", "d"])
            pending = vat.message("o+0", "wait", "q")
            vat.upgrade()
            self.assertEqual([it[0] for it in vat.step("news").value], ["rejected"])  # q, which the old one decided
            self.assertFalse(pending.settled)
            vat.notify((imported, False, "late"))
            self.assertEqual([it[:2] for it in vat.step("news").value], [["fulfilled", "late"]] * 2)
            vat.upgrade()
            vat.notify((other, True, "no"))
            self.assertEqual(vat.step("news").value, [["rejected", "no"]])
            vat.reap()

    def test_answers_that_are_watched(self):
        with Vat() as vat:
            target = vat.new_import()
            vat.step("hold", "t", target)
            vat.steps(["make", "dwatcher", "w"], ["send", "t", "ask", [], "r"], ["watch", "r", "w", "t"])
            answer = vat.sent[-1][2]
            vat.upgrade()
            vat.notify((answer, False, [target]))
            self.assertEqual(vat.step("news").value[0][0], "fulfilled")
            vat.step("hold", "p", vat.new_promise())

    def test_exo_classes(self):
        with Vat("exos") as vat:
            counter = vat.message("o+0", "counter", True).ref
            kit = vat.message("o+0", "kit", True, ["note"])
            refs = {key: Ref(slot) for key, slot in zip(sorted(kit.value), kit.slots)}
            single = vat.message("o+0", "single").ref
            vat.upgrade()
            self.assertEqual(vat.message(counter, "incr").value, 1004)
            vat.message(refs["purse"], "deposit", big(10))
            self.assertEqual(vat.message(refs["view"], "balance").value, "+10")
            self.assertEqual(vat.message(single, "read").value, 7)
            self.assertEqual(vat.message("o+0", "single").ref, single)
            self.assertTrue(vat.message(counter, "incr", "text").rejected)

    def test_starts_that_fail(self):
        for parameters in ({"forget": True}, {"start": "throw"}, {"start": "never"}, {"start": "no root"},
                           {"start": "undefined kind"}):
            with self.subTest(parameters), Vat() as vat:
                vat.steps(["make", "dbox", "b"], ["remember", "b", "b"])
                vat.upgrade(parameters=parameters, fails=True)

    def test_another_vat_without_the_kinds(self):
        with Vat() as vat:
            vat.upgrade("exos", fails=True)

    def test_parameters(self):
        with Vat() as vat:
            ref = vat.new_import()
            vat.objects[ref] = "reachable"
            vat.upgrade(parameters={"a": [1, big(2)], "ref": ref})
            self.assertEqual(vat.step("parameters").slots, [ref])


if __name__ == "__main__":
    unittest.main()
