#!/usr/bin/env python3
"""Scenarios (scenario.py) of messages, promises and those who watch them."""

import unittest

from scenario import base_of, make
from vat import UNDEFINED, Raw, Vat, big, tagged


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


if __name__ == "__main__":
    unittest.main()
