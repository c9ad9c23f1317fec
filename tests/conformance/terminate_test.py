#!/usr/bin/env python3
"""How vats end: SwingSet's vat-admin/terminate. vats/mortals.js; all lines of all vats in SwingSet's order, one crank at a time."""

import os
import re

from conform import VATS, YardTest, bundle, main, shows
from yard import LINE, wait_for

SOURCE = os.path.join(VATS, "mortals.js")
TERMINATED = "Error: [KERNEL:VAT_TERMINATED] vat terminated"
DONE = {"happy": "result happy (Error=false)", "exceptionallyHappy": "result Error: exceptionallyHappy (Error=true)",
        "sad": "exception sad (Error=false)", "exceptionallySad": "exception Error: exceptionallySad (Error=true)",
        "happyTalkFirst": "result happyTalkFirst (Error=false)", "sadTalkFirst": "exception Error: sadTalkFirst (Error=true)"}
TOLD = {"happy": "exit happy path simple result", "exceptionallyHappy": "exit happy path complex result", "sad": "exit sad path simple result",
        "exceptionallySad": "exit sad path complex result", "happyTalkFirst": "exit happy path with ante-mortem message",
        "sadTalkFirst": "exit sad path with ante-mortem message"}


class Cluster(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        code = bundle(SOURCE)
        vats = {role: {"bundleSpec": code, "parameters": {"role": role}} for role in ("boot", "medium")}
        vats["staticNonCritical"] = {"bundleSpec": code}
        vats["staticCritical"] = {"bundleSpec": code, "creationOptions": {"critical": True}}
        file = self.yard.cluster(vats, defaultReapInterval="never", bundles={"dude": {"bundleSpec": code}})
        self.yard.ok("cluster", "launch", file, "--serial", "--wait")

    def call(self, method, *words):
        return self.yard.ok("call", "@boot", method, *words, "--json").json["value"]

    def printed(self, *lines):
        wait_for(lambda: self.heard() == list(lines), 3)
        self.assertEqual(list(lines), self.heard())

    def printed_in_any_order(self, *lines):
        wait_for(lambda: sorted(self.heard()) == sorted(lines), 3)
        self.assertEqual(sorted(lines), sorted(self.heard()))

    def heard(self):
        """All console lines of all vats so far, in the order in which they were made."""
        lines = (LINE.match(line) for line in self.yard.ok("logs").out.splitlines())
        return [m[2] for m in lines if m and not re.match("Logging sent error stack|Unhandled promise rejection", m[2])]

    def vats(self):
        return {row["name"] for row in self.yard.ok("ps", "--json").json}


class Ends(Cluster):
    def ended(self, mode, dynamic, talk=(), done=()):
        """A vat ends, and its cluster goes on."""
        self.call("prepare", str(dynamic).lower(), "false")
        self.assertEqual("test done", self.call("end", f"s:{mode}"))
        begun = ["FOO 1", "count1 FOO SAYS 1", "QUERY 2", "GOT QUERY 2", "ANSWER 2", "query2 2"]
        talk = ["QUERY 3", "GOT QUERY 3", *talk]
        rejected = [f"{name}.catch {TERMINATED}" for name in ("foreverP", "query3P", "afterForeverP", "foo4P")]
        if not dynamic:
            self.printed(*begun, "done", *talk, *rejected)
        elif mode == "kill":
            self.printed_in_any_order(*begun, *rejected, *done, "done")
        else:
            self.printed_in_any_order(*begun, *talk, *rejected, *done, "done")
            self.assertEqual([*begun, *talk, *rejected], [line for line in self.heard() if not line.startswith("done")])
            self.assertEqual([*done, "done"], [line for line in self.heard() if line.startswith("done")])
        self.assertEqual({"boot", "medium", "staticCritical"} | ({"staticNonCritical"} if dynamic else set()), self.vats())
        self.assertSound()

    def cluster_ends(self, mode, dynamic):
        self.call("prepare", str(dynamic).lower(), "true")
        self.yard.ctl("call", "@boot", "end", f"s:{mode}")
        self.assertTrue(wait_for(lambda: not self.vats()))
        self.assertEqual([], self.yard.ok("cluster", "ls", "--json").json)
        self.assertSound()


LATER = ("vatAdmin is part of the kernel, so the vat ends with the crank that says so; in SwingSet the word passes through a vat, and what was sent "
         "before it (`QUERY 3`) still arrives. The rejections are the same, in another order")
SOONER = "`done()` is told with the rejections: no vat-admin is on its way, where it is told one crank later"
CLUSTER = "the cluster of a critical vat ends, not the kernel with all others"


def scenarios():
    def add(name, test, *shown):
        for suite, verdict, why in shown:
            test = shows("terminate", suite, verdict=verdict, why=why)(test)
        setattr(Ends, f"test_{name}", test)

    for mode, told in TOLD.items():
        talk = ["GOT QUERY not dead quite yet"] if mode == "happyTalkFirst" else []
        for dynamic, kind in ((True, "dynamic"), (False, "static")):
            add(f"{mode}_{kind}", lambda self, m=mode, d=dynamic, t=talk: self.ended(m, d, t, [f"done {DONE[m]}"]),
                (f"{told} ({kind}, non-critical)", *(("same, but", SOONER) if dynamic else ("same", ""))))
            add(f"{mode}_{kind}_critical", lambda self, m=mode, d=dynamic: self.cluster_ends(m, d),
                (f"{told} ({kind}, critical)", "same, but", CLUSTER))
    add("kill", lambda self: self.ended("kill", True, (), [
        'termP.catch Error: vatAdminService rejecting attempt to perform "terminateWithFailure"() on non-running vat "v5"',
        "done exception kill (Error=false)"]),
        ("terminate (dynamic, non-critical)", "same, but", LATER), ("terminate (dynamic, non-critical) with VA restarts", "same, but", LATER))
    add("kill_critical", lambda self: self.cluster_ends("kill", True),
        ("terminate (dynamic, critical)", "same, but", CLUSTER), ("terminate (dynamic, critical) with VA restarts", "same, but", CLUSTER))


class More(Cluster):
    @shows("terminate", "exit with presence")
    def test_emissary(self):
        self.call("emissary")
        self.printed("preparing dynamic vat", "done message: your ad here", "talkback from beyond?", "done")

    @shows("terminate", "terminate with presence", verdict="same, but", why=SOONER)
    def test_marker(self):
        self.call("marker")
        self.printed_in_any_order("FOO 1", "vat ready FOO SAYS 1", f"foreverP.catch {TERMINATED}", "termP.then undefined", "doneP.catch because true")

    @shows("terminate", "dispatches to the dead do not harm kernel")
    def test_speak(self):
        self.assertEqual("bootstrap done", self.call("speak"))
        begun = ["w: p1 = before", "w: I ate'nt dead", "b: p1b = I so resolve", f"b: p2b fails {TERMINATED}", "done: Error: arbitrary reason"]
        self.printed(*begun)
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        self.call("speakAgain")
        self.printed(*begun, f"m: live 2 failed: {TERMINATED}")
        self.assertSound()

    @shows("terminate", "invalid criticalVatKey causes vat creation to fail")
    def test_bad_key(self):
        result = self.yard.ctl("call", "@boot", "badKey")
        self.assertExit(8, result)
        self.assertIn("invalid criticalVatKey", result.out + result.err)

    @shows("terminate", "dead vat state removed")
    def test_state(self):
        root = re.search(r"ko5\.0", self.call("holding"))[0]
        self.assertIn("v5", {row["vat"] for row in self.yard.ok("ps", "--json").json})
        self.call("endHolding")
        self.assertNotIn("v5", {row["vat"] for row in self.yard.ok("ps", "--json").json})
        self.assertIn("orphan", self.yard.ok("inspect", root).out)
        self.yard.ok("gc", "--all", "--release")
        self.assertSound()


scenarios()

if __name__ == "__main__":
    main()
