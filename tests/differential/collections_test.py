#!/usr/bin/env python3
"""Scenarios (scenario.py) of what is stored: collections, exo classes, long texts."""

import unittest

from scenario import make
from vat import UNDEFINED, Raw, Ref, Vat, big, tagged


class Collections(unittest.TestCase):
    KEYS = (None, True, False, 0, -1, 1.5, Raw("1e300"), Raw('"#NaN"'), Raw('"#Infinity"'), Raw('"#-Infinity"'), big(0), big(99),
            big(-99), big(10**30), "", "a", "a b", "key:|{}", "é", "😀", "\uffff", "\u2028\ufeff", "\n\t\"\\",
            Raw('"a\\u0000b"'), Raw('"\\u0000"'), big(2**200), big(-(2**200)), Raw("5e-324"), Raw('"%@@iterator"'),
            Raw('"%name"'), Raw('"%é"'), UNDEFINED)

    def test_keys_of_every_kind(self):
        for kind in ("vmap", "dmap"):
            with self.subTest(kind), Vat() as vat:
                vat.steps(["make", kind, "m"])
                for i, key in enumerate(self.KEYS):
                    vat.step("initData", "m", key, i)
                for i, key in enumerate(reversed(self.KEYS)):
                    self.assertTrue(vat.step("hasData", "m", key).value)
                    vat.step("setData", "m", key, [i])
                    self.assertEqual(vat.step("getData", "m", key).value, [i])
                self.assertEqual(vat.step("size", "m").value, len(self.KEYS))
                vat.step("entries", "m")
                for pattern in ("string", "bigint"):
                    vat.step("keys", "m", tagged(f"match:{pattern}", []))
                vat.step("keys", "m", tagged("match:kind", "number"))
                vat.step("between", "m", "a", "b")
                vat.step("between", "m", big(-100), big(5))
                vat.step("snapshot", "m")
                for key in self.KEYS[::2]:
                    vat.step("removeData", "m", key)
                vat.step("entries", "m", tagged("match:any", UNDEFINED), tagged("match:gte", [1]))
                vat.step("clear", "m", tagged("match:string", []))
                vat.step("clear", "m")
                self.assertEqual(vat.step("size", "m").value, 0)
                vat.step("drop", "m")
                vat.reap()
                self.assertEqual(vat.left(), {})

    def test_errors(self):
        with Vat() as vat:
            vat.steps(["make", "vmap", "m"], ["make", "vset", "s"], ["make", "vweakmap", "wm"], ["make", "vweakset", "ws"],
                      ["make", "vshaped", "sh"], ["make", "data", "d"], ["make", "heap", "h"], ["promise", "p"])
            vat.step("initData", "m", "k", 1)
            for refused in (["initData", "m", "k", 2], ["getData", "m", "none"], ["setData", "m", "none", 1],
                            ["removeData", "m", "none"], ["removeData", "s", "none"], ["initData", "m", ["copy"], 1],
                            ["initData", "m", {"a": 1}, 1], ["addData", "ws", "scalar"], ["initData", "wm", "scalar", 1],
                            ["initData", "sh", 5, 1], ["initData", "sh", "k", "text"], ["init", "m", "p", "d"],
                            ["initData", "m", "x" * 221, 1], ["add", "s", "d"], ["take", "wm", "h", "x"], ["remove", "ws", "h"],
                            ["size", "wm"], ["keys", "ws"], ["initData", "m", "x", vat.new_promise()]):
                vat.message("o+0", *refused)
            self.assertTrue(vat.message("o+0", "getData", "m", "none").rejected)
            vat.step("initData", "m", "x" * 200, 1)
            vat.steps(["addData", "s", "k"], ["addData", "s", "k"], ["initData", "sh", "k", 5])

    def test_changes_under_iteration(self):
        with Vat() as vat:
            vat.steps(["make", "vset", "s"])
            vat.step("addData", "s", *"abcdefg")
            self.assertTrue(vat.message("o+0", "addWhile", "s").rejected)
            vat.step("removeWhile", "s")
            self.assertEqual(vat.step("size", "s").value, 0)

    def test_remotables_keep_their_order(self):
        with Vat() as vat:
            vat.steps(["make", "vset", "s"], ["make", "vmap", "m"], ["make", "data", "d"])
            for i, kind in enumerate(("vbox", "heap", "import", "dkit", "vmap", "import")):
                make(vat, kind, f"x{i}")
                vat.steps(["add", "s", f"x{i}"], ["init", "m", f"x{i}", "d"], ["add", "s", f"x{i}"])
            vat.steps(["remove", "s", "x1"], ["add", "s", "x1"], ["set", "m", "x2", "d"])
            vat.step("keys", "s")
            vat.step("entries", "m")
            vat.step("drop", *(f"x{i}" for i in range(6)))
            self.assertNotIn("dropImports", vat.reap())
            vat.step("pick", "s", "first")
            vat.step("clear", "s")
            vat.step("clear", "m")
            vat.reap()

    def test_clear_and_death_of_many(self):
        for kind in ("vset", "dset", "vmap"):
            with self.subTest(kind), Vat() as vat:
                vat.steps(["make", kind, "c"], ["make", "data", "v"])
                refs = [vat.new_import() for _ in range(40)]
                for ref in refs:
                    vat.step("hold", "x", ref)
                    vat.step(*(["add", "c", "x"] if kind != "vmap" else ["init", "c", "x", "v"]))
                vat.step("drop", "x")
                self.assertEqual(vat.reap(), {})
                vat.step("pick", "c", "x")
                vat.step("remove", "c", "x")
                vat.step("drop", "x")
                self.assertEqual(vat.reap(), {"dropImports": refs[:1], "retireImports": refs[:1]})
                vat.step("drop", "c")
                self.assertEqual(vat.reap(), {"dropImports": sorted(refs[1:]), "retireImports": sorted(refs[1:])})
                self.assertEqual(vat.left(), {})

    def test_add_all(self):
        with Vat() as vat:
            vat.steps(["make", "vset", "s"], ["make", "vmap", "m"])
            vat.step("addAll", "s", ["a", "b", "c"])
            vat.step("addAll", "m", [["a", 1], ["b", [2]]])
            vat.step("entries", "m")

    def test_baggage(self):
        with Vat() as vat:
            refs = {kind: make(vat, kind, kind) for kind in ("dbox", "dkit", "dmap", "import")}
            for kind in refs:
                vat.step("remember", kind, kind)
            vat.step("remember", "dbox", "dkit")
            vat.step("drop", *refs)
            self.assertEqual(vat.reap(), {})
            vat.step("recall", "dkit", "x")
            vat.step("put", "x", "x", "x")
            for kind in refs:
                vat.step("forget", kind)
            self.assertEqual(vat.reap(), {"dropImports": [refs["import"]], "retireImports": [refs["import"]]})


class Exos(unittest.TestCase):
    def test_counters(self):
        with Vat("exos") as vat:
            for durable in (False, True):
                counter = vat.message("o+0", "counter", durable).ref
                vat.message(counter, "incr")
                vat.message(counter, "incr", 5)
                self.assertEqual(vat.message(counter, "read").value, 1009 if durable else 6)
                for refused in (("incr", "text"), ("incr", 1, 2), ("read", 1), ("nothing",)):
                    self.assertTrue(vat.message(counter, *refused).rejected)
                vat.message(counter, "wait", vat.new_import())
                promise = vat.new_promise()
                answer = vat.message(counter, "wait", promise)
                vat.notify((promise, False, ["value"]))
                self.assertEqual(answer.value, ["waited", ["value"]])
                vat.drop_exports(counter)
                self.assertEqual(vat.reap()["retireExports"], [counter])
            self.assertTrue(vat.message(vat.message("o+0", "heap").ref, "read").rejected)
            self.assertEqual(vat.message(vat.message("o+0", "single").ref, "read").value, 7)
            vat.message("o+0", "total")

    def test_kits(self):
        with Vat("exos") as vat:
            for durable in (False, True):
                note = vat.new_import()
                kit = vat.message("o+0", "kit", durable, [note, "note"])
                refs = {json_key: Ref(slot) for json_key, slot in zip(sorted(kit.value), kit.slots)}
                vat.message(refs["purse"], "deposit", big(10))
                self.assertEqual(vat.message(refs["view"], "balance").value, "+10")
                self.assertEqual(vat.message(refs["view"], "history").slots, [note])
                self.assertTrue(vat.message(refs["view"], "deposit", big(1)).rejected)
                vat.message("o+0", "keep", refs["view"])
                vat.message("o+0", "callKept", "balance")
                vat.message("o+0", "sendKept", "balance")
                vat.drop_exports(*refs.values())
                self.assertEqual(vat.reap(), {})
                vat.message("o+0", "lose")
                self.assertEqual(vat.reap(), {"dropImports": [note], "retireImports": [note],
                                              "retireExports": sorted(refs.values())})


class Large(unittest.TestCase):
    def test_long_texts(self):
        with Vat() as vat:
            for text in ("x" * 300_000, "é😀" * 50_000):
                vat.step("hold", "x", text)
                vat.steps(["make", "vbox", "b"], ["put", "b", "x", "x"])
                vat.step("give", "x")


if __name__ == "__main__":
    unittest.main()
