#!/usr/bin/env python3
"""Scenarios (scenario.py) of who holds an object, and of weak keys."""

import unittest

from scenario import KINDS, base_of, make
from vat import Vat


class Counts(unittest.TestCase):
    """References from virtual data."""

    def check_gone(self, vat, kind, ref, gone):
        if kind == "import":
            self.assertEqual(gone, {"dropImports": [ref], "retireImports": [ref]})
        else:
            self.assertEqual(gone, {})
        self.assertEqual(vat.left(), {})

    def test_three_holders_let_go(self):
        for kind in ("import", *KINDS):
            with self.subTest(kind), Vat() as vat:
                ref = make(vat, kind, "x")
                for i in range(3):
                    vat.steps(["make", "vbox", f"h{i}"], ["put", f"h{i}", "x", "x"], ["put", f"h{i}", "y", "x"])
                vat.step("drop", "x")
                for i in range(3):
                    self.assertEqual(vat.reap(), {})
                    vat.steps(["put", f"h{i}", "x", None], ["put", f"h{i}", "y", None])
                vat.step("drop", "h0", "h1", "h2")
                self.check_gone(vat, kind, ref, vat.reap())

    def test_three_holders_die(self):
        for kind in ("import", *KINDS):
            with self.subTest(kind), Vat() as vat:
                ref = make(vat, kind, "x")
                for i, holder in enumerate(("vbox", "vmap", "vweakmap")):
                    vat.steps(["make", holder, f"h{i}"])
                vat.steps(["put", "h0", "x", "x"], ["putData", "h1", "k", "x"], ["init", "h2", "h0", "x"], ["drop", "x"])
                for cell in ("h1", "h2", "h0"):
                    self.assertEqual(vat.reap(), {})
                    vat.step("drop", cell)
                self.check_gone(vat, kind, ref, vat.reap())

    def test_chain(self):
        for kind in ("import", *KINDS):
            with self.subTest(kind), Vat() as vat:
                ref = make(vat, kind, "x")
                for i in range(4):
                    vat.steps(["make", "vbox", "h"], ["put", "h", "x", "x"], ["copy", "h", "x"])
                vat.step("drop", "h")
                self.assertEqual(vat.reap(), {})
                vat.step("drop", "x")
                self.check_gone(vat, kind, ref, vat.reap())

    def test_one_holder_twice(self):
        with Vat() as vat:
            ref = make(vat, "import", "x")
            vat.steps(["make", "dbox", "h"], ["put", "h", "x", "x"], ["put", "h", "x", "x"], ["put", "h", "y", "x"])
            self.assertEqual(vat.store[f"vom.rc.{ref}"], "2")
            vat.steps(["put", "h", "x", None], ["drop", "x"])
            self.assertEqual((vat.reap(), vat.store[f"vom.rc.{ref}"]), ({}, "1"))
            vat.step("drop", "h")
            self.check_gone(vat, "import", ref, vat.reap())

    def test_both_die_at_once(self):
        """A holds B; both go in one reap, whichever of them is looked at first."""
        for first in ("vbox", "vmap", "dbox", "dmap"):
            for last in ("vbox", "vmap", "dbox", "dmap"):
                for holder, held in (("a", "b"), ("b", "a")):
                    durable = {"a": first, "b": last}
                    if durable[holder][0] == "d" and durable[held][0] == "v":
                        continue
                    with self.subTest(f"{first} {last} {holder}"), Vat() as vat:
                        hold = ["put", holder, "x", held] if durable[holder].endswith("box") else ["putData", holder, "k", held]
                        vat.steps(["make", first, "a"], ["make", last, "b"], hold)
                        vat.step("drop", "a", "b")
                        self.check_gone(vat, "", None, vat.reap())

    def test_markers_have_no_state(self):
        with Vat() as vat:
            vat.steps(["makeKit", "vmarker", "x", "y"])
            ref = vat.step("give", "x").ref
            vat.step("drop", "x", "y")
            self.assertEqual(vat.reap(), {})
            vat.drop_exports(ref)
            self.assertEqual(vat.reap(), {"retireExports": [ref]})
            self.assertEqual(vat.left(), {})

    def test_cycle_is_never_freed(self):
        with Vat() as vat:
            vat.steps(["make", "vbox", "x"], ["put", "x", "x", "x"], ["make", "vfinished", "y"], ["drop", "x", "y"])
            self.assertEqual(vat.reap(), {})
            self.assertEqual(len([key for key in vat.left() if key.startswith("vom.rc.")]), 1)

    def test_facets_keep_each_other(self):
        for kind in ("vkit", "dkit"):
            with self.subTest(kind), Vat() as vat:
                vat.steps(["makeKit", kind, "a", "b"], ["weak", "a"], ["weak", "b"], ["drop", "a"])
                self.assertEqual(vat.reap(), {})
                vat.steps(["facet", "b", "a"])
                self.assertEqual(vat.step("isWeak", "a").value, ["a", True])
                refs = [vat.step("give", cell).ref for cell in "ab"]
                self.assertEqual(base_of(refs[0]), base_of(refs[1]))
                vat.drop_exports(refs[1])
                vat.step("drop", "a", "b")
                self.assertEqual(vat.reap(), {})
                vat.drop_exports(refs[0])
                self.assertEqual(vat.reap(), {"retireExports": refs})

    def test_shapes_hold_what_they_name(self):
        for kind, thing in (("vmap", "vbox"), ("vmap", "dbox"), ("vset", "vbox"), ("dmap", "dbox"), ("dset", "dbox"),
                            ("dmap", "import"), ("vset", "import")):
            with self.subTest(f"{kind} {thing}"), Vat() as vat:
                ref = make(vat, thing, "x")
                vat.steps(["makeOnly", kind, "c", "x"])
                vat.step("drop", "x")
                self.assertEqual(vat.reap(), {})
                self.assertEqual(len([key for key in vat.left() if key.startswith("vom.rc.")]), 1)
                vat.step("drop", "c")
                self.check_gone(vat, thing, ref, vat.reap())

    def test_durable_shape_refuses_the_virtual(self):
        with Vat() as vat:
            vat.steps(["make", "vbox", "x"])
            self.assertTrue(vat.message("o+0", "makeOnly", "dmap", "c", "x").rejected)
            vat.step("drop", "x")
            vat.reap()
            vat.reap()

    def test_state_shape(self):
        with Vat() as vat:
            vat.steps(["make", "dstate", "s"], ["make", "dbox", "x"], ["put", "s", "x", "x"], ["make", "data", "d"])
            self.assertTrue(vat.message("o+0", "put", "s", "x", "d").rejected)
            vat.steps(["drop", "x"])
            self.assertEqual(vat.reap(), {})
            vat.step("drop", "s", "d")
            self.check_gone(vat, "", None, vat.reap())

    def test_what_is_durable(self):
        with Vat() as vat:
            vat.steps(["make", "dbox", "box"])
            for kind in ("heap", "vbox", "vkit", "dbox", "dkit", "vmap", "dmap", "data", "import"):
                make(vat, kind, kind)
            for cell, durable in (("heap", False), ("vbox", False), ("vkit", False), ("dbox", True), ("dkit", True),
                                  ("vmap", False), ("dmap", True), ("data", True), ("import", True)):
                self.assertEqual(vat.step("durable", cell).value, durable, cell)
                for step in (["remember", "k", cell], ["put", "box", "x", cell]):
                    self.assertEqual(vat.message("o+0", *step).rejected, not durable, cell)


class WeakKeys(unittest.TestCase):
    def test_entries_die_with_their_key(self):
        for kind in ("import", *KINDS):
            for letter in "vd":
                if letter == "d" and kind in ("heap", "vbox", "vkit", "vmap"):
                    continue
                with self.subTest(f"{kind} {letter}"), Vat() as vat:
                    ref = make(vat, kind, "x")
                    value = make(vat, "import", "value")
                    vat.steps(["make", f"{letter}weakmap", "m"], ["make", f"{letter}weakset", "s"], ["weak", "x"],
                              ["init", "m", "x", "value"], ["add", "s", "x"], ["drop", "value"])
                    self.assertEqual(vat.reap(), {})
                    vat.steps(["has", "m", "x"], ["take", "m", "x", "again"], ["drop", "again"], ["drop", "x"])
                    gone = vat.reap()
                    if kind == "import":
                        self.assertEqual(gone, {"dropImports": [ref]})
                        vat.retire_imports(ref)
                        gone = vat.reap()
                    self.assertEqual(gone, {"dropImports": [value], "retireImports": [value]})
                    vat.step("drop", "m", "s")
                    self.assertEqual(vat.reap(), {})
                    self.assertEqual(vat.left(), {})

    def test_a_dying_weak_collection_lets_its_keys_retire(self):
        for kind in ("vweakmap", "dweakset", "WeakMap"):
            with self.subTest(kind), Vat() as vat:
                refs = [vat.new_import() for _ in range(12)]
                vat.step("make", "data", "v")
                if kind != "WeakMap":
                    vat.step("make", kind, "w")
                for i, ref in enumerate(refs):
                    vat.step("hold", f"k{i}", ref)
                    put = {"vweakmap": ["init", "w", f"k{i}", "v"], "dweakset": ["add", "w", f"k{i}"],
                           "WeakMap": ["weak", f"k{i}"]}[kind]
                    vat.step(*put)
                vat.step("drop", *(f"k{i}" for i in range(0, 12, 2)))
                self.assertEqual(vat.reap(), {"dropImports": sorted(refs[::2])})
                vat.step(*(["newWeak"] if kind == "WeakMap" else ["drop", "w"]))
                self.assertEqual(vat.reap(), {"retireImports": sorted(refs[::2])})
                vat.step("drop", *(f"k{i}" for i in range(1, 12, 2)))
                self.assertEqual(vat.reap(), {"dropImports": sorted(refs[1::2]), "retireImports": sorted(refs[1::2])})

    def test_a_key_that_virtual_data_holds_is_not_retired(self):
        """The weak collection goes, baggage still reaches the key: neither drop nor retire."""
        with Vat() as vat:
            ref = make(vat, "import", "x")
            vat.steps(["remember", "k", "x"], ["weak", "x"], ["make", "vweakset", "w"], ["add", "w", "x"], ["drop", "x"])
            self.assertEqual(vat.reap(), {})
            vat.steps(["newWeak"], ["drop", "w"])
            self.assertEqual(vat.reap(), {})
            vat.step("forget", "k")
            self.assertEqual(vat.reap(), {"dropImports": [ref], "retireImports": [ref]})

    def test_dropped_heap_key(self):
        """A heap object that was exported and is the key of a weak set dies in RAM."""
        with Vat() as vat:
            value = make(vat, "import", "value")
            vat.steps(["make", "heap", "x"], ["make", "vweakset", "s"], ["add", "s", "x"],
                      ["make", "vweakmap", "m"], ["init", "m", "x", "value"])
            ref = vat.step("give", "x").ref
            vat.step("drop", "x", "value")
            self.assertEqual(vat.reap(), {})
            vat.drop_exports(ref)
            self.assertEqual(vat.reap(), {"retireExports": [ref], "dropImports": [value], "retireImports": [value]})

    def test_weak_values_keep(self):
        with Vat() as vat:
            ref = make(vat, "import", "value")
            vat.steps(["make", "vbox", "k"], ["weakTo", "k", "value"], ["drop", "value"])
            self.assertEqual(vat.reap(), {})
            vat.step("drop", "k")
            self.assertEqual(vat.reap(), {"dropImports": [ref], "retireImports": [ref]})

    def test_retired_import_leaves_all(self):
        with Vat() as vat:
            ref = make(vat, "import", "x")
            vat.steps(["make", "vweakset", "a"], ["make", "dweakset", "b"], ["add", "a", "x"], ["add", "b", "x"], ["drop", "x"])
            vat.reap()
            vat.step("hold", "x", ref)  # it comes again
            self.assertEqual(vat.reap(), {})
            vat.step("drop", "x")
            self.assertEqual(vat.reap(), {"dropImports": [ref]})
            vat.retire_imports(ref)
            self.assertEqual(vat.reap(), {})


if __name__ == "__main__":
    unittest.main()
