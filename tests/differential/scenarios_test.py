#!/usr/bin/env python3
"""Scenarios told to both workers: README.md says how they are compared. Each also says what must happen, so that
two equal mistakes are not taken for the truth."""

import sys
import unittest

import lifecycle
from pair import START, Ours, Pair, Published, golden
from vat import GC, UNDEFINED, Raw, Ref, Vat, big, tagged

KINDS = ("heap", "vbox", "vkit", "dbox", "dkit", "vmap", "dweakset")


def base_of(ref):
    return ref.partition(":")[0]


def make(vat, kind, cell):
    """Something of KIND in CELL; "import" too. Returns the reference of an import."""
    if kind == "import":
        ref = vat.new_import()
        vat.step("hold", cell, ref)
        return ref
    vat.steps(["makeKit", kind, cell, None] if kind.endswith("kit") else ["make", kind, cell])
    return None


class Lives(unittest.TestCase):
    """Every state of an object and every way between two states."""

    def tour(self, kind, number, reap_always=True):
        durable = kind in lifecycle.DURABLE and number >= 5
        holder = lifecycle.holders(durable)[number % 5 if not durable else number - 5]
        ways, _, retired = lifecycle.tour(kind, holder, reap_always)
        self.assertEqual((ways, retired), (154, 16) if kind.endswith("kit") else (34, 3))

    def test_heap(self):
        for holder in (0, 2, 4):
            self.tour("heap", holder)

    def test_virtual(self):
        for holder in (1, 2, 3):
            self.tour("vbox", holder)

    def test_virtual_kit(self):
        self.tour("vkit", 0)
        self.tour("vkit", 2, reap_always=False)

    def test_durable(self):
        for holder in (0, 5, 8, 10):
            self.tour("dbox", holder)

    def test_durable_kit(self):
        self.tour("dkit", 10)
        self.tour("dkit", 9, reap_always=False)

    def test_collections(self):
        for number, kind in enumerate(("vmap", "vset", "vweakmap", "vweakset", "dmap", "dset", "dweakmap", "dweakset")):
            self.tour(kind, number % 5 if kind[0] == "v" else 5 + number % 6, reap_always=number % 2 == 0)

    def test_imports(self):
        weaks = ("vweakmap", "vweakset", "dweakmap", "dweakset", "WeakMap")
        for number, weak in enumerate(weaks):
            self.assertEqual(lifecycle.import_tour(lifecycle.holders(number % 2 == 1)[number], weak)[0], 29)


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


class Messages(unittest.TestCase):
    def test_answers(self):
        with Vat() as vat:
            for value in (None, True, 1, -7, 1.5, Raw("1e300"), Raw('"#NaN"'), Raw('"#Infinity"'), Raw('"#-Infinity"'),
                          big(12345678901234567890), big(-3), "", "text", "#hash", "!bang", "-dash", "ünïcödé 😀 \u2028",
                          Raw('"a\\u0000b"'), Raw('"\\u007f\\n\\t\\""'), Raw('"%@@asyncIterator"'), Raw('"%name"'),
                          UNDEFINED, [], [1, [2, [3]]], {"a": {"b": [None]}, "": 1}, tagged("thing", ["payload"]),
                          Raw('{"#error":"message","name":"TypeError"}'), Raw('{"!#odd":1}')):
                vat.step("hold", "x", value)
                vat.step("give", "x")

    def test_throws(self):
        with Vat() as vat:
            self.assertTrue(vat.message("o+0", "fail", "no").rejected)
            for value in (None, "text", 5, ["a", {"b": 1}], vat.new_import(), UNDEFINED):
                answer = vat.message("o+0", "failData", value)
                self.assertTrue(answer.rejected)
            for method in ("noSuchMethod", "", "constructor", "hasOwnProperty", "__getMethodNames__"):
                vat.message("o+0", method)
            vat.message("o+0", "fail", "nobody hears", result=False)
            self.assertEqual(vat.calls("resolve"), [])
            vat.message("o+0", "unpassable")
            vat.message("o+0", Raw('"%@@asyncIterator"'))
            vat.message("o+0", UNDEFINED, 1, 2)

    def test_malformed(self):
        for body in ("#[", "#5", "#[\"give\"]", "#[\"give\",5]", "not capdata", '#["give",["$7"]]'):
            with self.subTest(body), Vat() as vat:
                outcome, _ = vat.pair.deliver("message", "o+0", {"methargs": {"body": body, "slots": []}, "result": "p-60"})
                if outcome is None:
                    vat.pair.deliver("bringOutYourDead")

    def test_unknown_target_ends(self):
        with Vat() as vat:
            vat.objects["o+99"] = "reachable"
            vat.message("o+99", "hello", fails=True)

    def test_targets(self):
        """Messages to all kinds of exports, also after their representative was collected."""
        with Vat() as vat:
            for kind in ("vbox", "vkit", "dbox", "dkit"):
                make(vat, kind, "x")
                ref = vat.step("give", "x").ref
                vat.message(ref, "put", "x", "text")
                vat.step("drop", "x")
                vat.reap()
                self.assertEqual(vat.message(ref, "get", "x").value, "text")
                if kind.endswith("kit"):
                    self.assertEqual(vat.message(ref, "other").ref, f"{base_of(ref)}:1")
                vat.message(ref, "noSuchMethod")
            for kind in ("vmap", "dset"):
                vat.steps(["make", kind, "x"])
                ref = vat.step("give", "x").ref
                vat.message(ref, "getSize")
                vat.message(ref, "has", "key")

    def test_sends(self):
        with Vat() as vat:
            target, other = vat.new_import(), vat.new_import()
            vat.step("hold", "t", target)
            vat.step("hold", "o", other)
            vat.steps(["make", "heap", "h"], ["make", "vbox", "v"], ["makeKit", "dkit", "ka", "kb"], ["promise", "p"],
                      ["promise", "q"], ["make", "data", "d"])
            vat.step("send", "t", "take", ["o", "h", "v", "ka", "kb", "d"], "r1")
            vat.step("send", "t", "take", ["p", "p", "q"], "r2")
            vat.step("send", "r2", "pipelined", ["p", "r1"], "r3")
            vat.steps(["send", "t", "one", [], "r4"], ["send", "r4", "two", ["r4"], "r5"], ["send", "r5", "three", [], None])
            vat.step("settle", "p", "o")
            self.assertTrue(any(it[0] == "resolve" and len(it[1]) == 1 and it[1][0][2]["slots"] == [other]
                                for it in vat.asked))
            vat.step("send", "t", "take", ["p"], "r6")  # settled already: a new vpid and its resolution
            self.assertEqual([it[0] for it in vat.asked[:3]], ["send", "resolve", "subscribe"])
            vat.step("reject", "q", "no")
            vat.step("send", "q", "lost", [], "r7")
            vat.step("send", "h", "get", [], "r8")
            vat.step("apply", "t", ["d"], "r9")
            vat.step("sendData", "t", Raw('"%@@iterator"'), [1, 2, {"a": big(3)}])
            for _, _, result in vat.sent[:3]:
                vat.notify((result, False, other))
            vat.step("send", "r1", "after", [], "r10")
            self.assertEqual(vat.sent[-1][0], other)
            vat.step("give", "r1", "r2", "r4", "p", "q")
            vat.step("give", "r9")

    def test_notify(self):
        with Vat() as vat:
            p, q, r, s = (vat.new_promise() for _ in range(4))
            for cell, ref in zip("pqrs", (p, q, r, s)):
                vat.step("hold", cell, ref)
            self.assertEqual(vat.subscribed, {p, q, r, s})
            vat.step("send", "p", "early", ["q"], "early")
            vat.step("wait", "p")
            one, two = vat.new_import(), vat.new_import()
            vat.notify((p, False, one), (q, True, [two, p, q]), (r, False, [q, r]))
            vat.step("send", "p", "late", ["q", "r"], None)
            answer = vat.message("o+0", "wait", "s")
            self.assertFalse(answer.settled)
            vat.pair.deliver("notify", [["p-999", False, {"body": "#1", "slots": []}]])  # stale: ignored
            vat.notify((s, True, Raw('{"#error":"gone","name":"Error"}')))
            self.assertTrue(answer.settled and answer.rejected)
            late = vat.step("give", "p", "q", "r", "s")
            self.assertEqual(late.slots[0][0], "p")

    def test_settled_promise_in_virtual_data(self):
        for held in (False, True):
            with self.subTest(held), Vat() as vat:
                promise, target = vat.new_promise(), vat.new_import()
                vat.step("hold", "p", promise)
                vat.step("hold", "t", target)
                vat.steps(["make", "vbox", "b"], *([["put", "b", "x", "p"]] if held else []))
                vat.notify((promise, False, target))
                vat.step("send", "t", "take", ["p"], None)
                self.assertEqual(vat.calls("send")[0][2]["methargs"]["slots"], [promise if held else "p+5"])

    def test_promise_circle(self):
        with Vat() as vat:
            p, q = vat.new_promise(), vat.new_promise()
            vat.step("hold", "p", p)
            vat.step("hold", "q", q)
            vat.notify((p, False, [q]), (q, False, [p]))
            self.assertEqual(vat.step("give", "p", "q").slots[0][0], "p")
            vat.steps(["promise", "a"], ["promise", "b"], ["copy", "a", "x"])
            vat.step("give", "a", "b")
            vat.step("make", "data", "d")
            vat.step("reject", "a", "x")
            vat.step("settle", "b", "a")

    def test_result_is_an_argument(self):
        with Vat() as vat:
            p = vat.new_promise()
            vat.step("hold", "p", p)
            vat.promises[p] = "vat"
            vat.subscribed.discard(p)
            answer = vat.message("o+0", "give", "p", result=p)
            self.assertTrue(answer.rejected)
            q = vat.new_promise()
            answer = vat.message("o+0", "hold", "q", q, result=q)
            vat.step("send", "q", "x", [], None)
            vat.step("give", "q")

    def test_known_promise_becomes_a_result(self):
        """A promise that came as an argument is later the result of a message: the vat decides it then."""
        with Vat() as vat:
            p = vat.new_promise()
            target = vat.new_import()
            vat.step("hold", "p", p)
            vat.step("hold", "t", target)
            vat.step("send", "t", "first", ["p"], "r1")
            vat.step("send", "p", "pipelined", [], "r2")
            vat.step("make", "vbox", "v")
            vat.subscribed.discard(p)
            vat.message("o+0", "give", "v", result=p)
            self.assertTrue(any(it[0] == "resolve" for it in vat.asked))
            vat.step("send", "t", "second", ["p"], "r3")
            vat.step("send", "p", "third", [], "r4")

    def test_settled_to_what_cannot_be_sent(self):
        with Vat() as vat:
            vat.steps(["promise", "p"], ["promise", "q"])
            vat.step("give", "p", "q")
            self.assertTrue(vat.message("o+0", "turns", [["unpassable"]]).rejected)

    def test_waiting_for_an_imported_promise(self):
        with Vat() as vat:
            p, q = vat.new_promise(), vat.new_promise()
            vat.step("hold", "p", p)
            answer = vat.message("o+0", "give", "p")
            self.assertFalse(answer.settled)
            inner = vat.message("o+0", "wait", "p")
            vat.notify((p, True, "no"))
            self.assertTrue(answer.rejected and inner.rejected)
            vat.step("hold", "q", q)
            answer = vat.message("o+0", "give", "q")
            vat.notify((q, False, vat.new_import()))
            self.assertEqual(answer.slots, ["o-50"])

    def test_console_and_exit(self):
        for step, failure in (("exit", False), ("exitWithFailure", True)):
            with self.subTest(step), Vat() as vat:
                vat.step("log", "one", "two")
                self.assertEqual(vat.calls("testLog"), [["testLog", "one two"]])
                vat.message("o+0", step, "bye", result=False)
                self.assertEqual([it[1] for it in vat.calls("exit")], [failure])

    def test_retired_exports_are_not_retired_again(self):
        with Vat() as vat:
            vat.steps(["make", "heap", "x"])
            ref = vat.step("give", "x").ref
            vat.drop_exports(ref)
            vat.reap()
            vat.retire_exports(ref)
            vat.reap()
            vat.step("drop", "x")
            self.assertEqual(vat.reap(), {})

    def test_exported_again_under_a_new_name(self):
        with Vat() as vat:
            vat.steps(["make", "heap", "x"], ["make", "vbox", "y"])
            first = [vat.step("give", cell).ref for cell in "xy"]
            vat.drop_exports(*first)
            vat.retire_exports(*first)
            again = [vat.step("give", cell).ref for cell in "xy"]
            self.assertEqual(again, first)  # valToSlot remembers as long as the object lives
            vat.drop_exports(*again)
            vat.step("drop", "x", "y")
            self.assertEqual(vat.reap(), {"retireExports": sorted(again)})

    def test_pending_promise_keeps_what_waits(self):
        with Vat() as vat:
            p = vat.new_promise()
            ref = make(vat, "import", "x")
            vat.step("hold", "p", p)
            vat.message("o+0", "turns", [["wait", "p"], ["give", "x"]])
            vat.step("drop", "p")
            self.assertEqual(vat.reap(), {})
            vat.notify((p, False, 1))
            vat.step("drop", "x")
            self.assertEqual(vat.reap(), {"dropImports": [ref], "retireImports": [ref]})


class Watchers(unittest.TestCase):
    def test_watch(self):
        for watcher in ("vwatcher", "dwatcher"):
            for rejected in (False, True):
                with self.subTest(f"{watcher} {rejected}"), Vat() as vat:
                    vat.steps(["make", watcher, "w"], ["make", "data", "d"])
                    imported, arg = vat.new_promise(), vat.new_import()
                    vat.step("hold", "p", imported)
                    vat.step("hold", "a", arg)
                    vat.steps(["promise", "q"], ["watch", "p", "w", "d"], ["watch", "q", "w"], ["watch", "p", "w", "a", "a"])
                    vat.step("drop", "p", "a", "w")
                    vat.reap()
                    vat.notify((imported, rejected, "value"))
                    vat.step(*(["reject", "q", "value"] if rejected else ["settle", "q", "d"]))
                    vat.step("news")
                    vat.step("drop", "q")
                    vat.reap()
                    vat.reap()

    def test_watch_a_settled_promise(self):
        with Vat() as vat:
            vat.steps(["make", "dwatcher", "w"], ["promise", "p"], ["make", "data", "d"], ["settle", "p", "d"],
                      ["watch", "p", "w"])
            vat.step("news")
            vat.step("watch", "w", "w")
            vat.message("o+0", "watch", "p", "d")
            vat.step("news")

    def test_an_error_that_nobody_handled_holds_nothing(self):
        """SES keeps with an error the values that its message names, until a console has shown the error."""
        with Vat() as vat:
            ref = make(vat, "import", "x")
            vat.steps(["make", "vmap", "m"], ["make", "data", "d"], ["make", "dwatcher", "w"])
            vat.steps(["send", "m", "init", ["x", "d"], "r1"], ["send", "m", "init", ["x", "d"], "r2"])
            vat.steps(["watch", "r2", "w"])
            self.assertEqual(vat.step("news").value[0][0], "rejected")
            vat.steps(["clear", "m"], ["drop", "x"])
            self.assertEqual(vat.reap(), {"dropImports": [ref], "retireImports": [ref]})

    def test_watch_an_answer(self):
        with Vat() as vat:
            target = vat.new_import()
            vat.step("hold", "t", target)
            vat.steps(["make", "dwatcher", "w"], ["send", "t", "ask", [], "r"], ["watch", "r", "w", "t"], ["drop", "r", "t"])
            vat.reap()
            vat.notify((vat.sent[-1][2], False, [target]))
            self.assertEqual(vat.step("news").slots, [target])
            self.assertEqual(vat.reap(), {"dropImports": [target], "retireImports": [target]})


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


class Large(unittest.TestCase):
    def test_long_texts(self):
        with Vat() as vat:
            for text in ("x" * 300_000, "é😀" * 50_000):
                vat.step("hold", "x", text)
                vat.steps(["make", "vbox", "b"], ["put", "b", "x", "x"])
                vat.step("give", "x")


class KnownDifferences(unittest.TestCase):
    """What ours does on purpose and the published worker does not. When one of these fails, a difference is gone."""

    def message(self, worker, body, slots=()):
        outcome, asked, _ = worker.deliver(
            ["message", "o+0", {"methargs": {"body": f"#{body}", "slots": list(slots)}, "result": "p-60"}])
        self.assertIsNone(outcome)
        return asked

    def test_send_only(self):
        """The published liveslots loses E.sendOnly(): it only spends a number for a promise."""
        both = []
        for worker in (Published("bench", golden()), Ours("bench")):
            worker.deliver(START)
            self.message(worker, '["hold",["t","$0.Alleged: t"]]', ["o-50"])
            both.append([it[0] for it in self.message(worker, '["sendOnly",["t","note",[]]]')])
            worker.close()
        self.assertEqual(both, [["resolve", "vatstoreSet"], ["send", "resolve"]])

    def test_long_lists_go_in_pieces(self):
        """The published worker drops any number of references at once; ours at most 10,000 (SLOTS_MAX)."""
        ours = Ours("bench")
        ours.deliver(START)
        for start in range(50, 10_052, 1667):
            slots = [f"o-{start + i}" for i in range(1667)]
            body = ",".join(f'"${i}.Alleged: t"' for i in range(1667))
            self.message(ours, f'["hold",["x{start}",[{body}]]]', slots)
        cells = ",".join(f'"x{start}"' for start in range(50, 10_052, 1667))
        self.message(ours, f'["drop",[{cells}]]')
        _, asked, _ = ours.deliver(["bringOutYourDead"])
        ours.close()
        gone = [it for it in asked if it[0] in ("dropImports", "retireImports")]
        self.assertEqual([(it[0], len(it[1])) for it in gone],
                         [("dropImports", 10_000), ("dropImports", 2), ("retireImports", 10_000), ("retireImports", 2)])
        self.assertEqual(len({ref for _, refs in gone for ref in refs}), 10_002)


def main():
    """As unittest's own, and `--without CLASS...`: all others."""
    words = sys.argv[1:]
    if words[:1] == ["--without"]:
        words = [name for name, it in globals().items()
                 if isinstance(it, type) and issubclass(it, unittest.TestCase) and name not in words]
    unittest.main(argv=[sys.argv[0], *words])


if __name__ == "__main__":
    main()
