#!/usr/bin/env python3
"""New code for a vat: SwingSet's upgrade/upgrade.test.js and the upgrade of promises.test.js. vats/upgrader.js makes and upgrades vats/versions.js."""

import json
import os
import re

from conform import VATS, YardTest, absent, bundle, main, shows

TERMINATED = ["rejected", "[Error: [KERNEL:VAT_TERMINATED] vat terminated]"]
absent("upgrade", "no vat speaks to the kernel without liveslots", "non-durable exports are abandoned by upgrade of non-liveslots vat")
absent("upgrade", "a failing test there: relaxed rules of durability are no option of liveslots here", "failed upgrade - relaxed durable rules")


def upgraded(message):
    return {"name": "vatUpgraded", "upgradeMessage": message, "incarnationNumber": 0}


class Upgrade(YardTest):
    reap = "never"

    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"boot": os.path.join(VATS, "upgrader.js")}, defaultReapInterval=self.reap,
                                 bundles={"versions": {"bundleSpec": bundle(os.path.join(VATS, "versions.js"))}})
        self.yard.ok("cluster", "launch", file, "--wait")

    def call(self, ref, method, *words):
        return self.yard.ok("call", ref, method, *words, "--json").json["value"]

    def ref(self, value):
        return re.search(r"ko\d+\.\d+", json.dumps(value))[0]

    def create(self, parameters="{version: 'v1'}"):
        """The new vat's root."""
        return self.ref(self.call("@boot", "create", f"{{vatParameters: {parameters}}}"))

    def upgrade(self, parameters="{version: 'v2'}", more=""):
        return self.call("@boot", "upgrade", f"{{vatParameters: {parameters}{more}}}")

    def refused(self, text, ref, method, *words):
        result = self.yard.ctl("call", ref, method, *words)
        self.assertExit(8, result)
        self.assertIn(text, result.out + result.err)

    @shows("upgrade", "null upgrade - local", "null upgrade - xsnap")
    def test_null(self):
        root = self.create()
        self.assertEqual("v1", self.call(root, "getVersion"))
        counter = self.ref(self.call(root, "counter", "s:durable"))
        self.assertEqual(1, self.call(counter, "increment"))
        self.assertEqual({"incarnationNumber": 1}, self.upgrade())
        self.assertEqual("v2", self.call(root, "getVersion"))
        self.assertEqual(2, self.call(counter, "increment"))
        self.assertSound()

    @shows("upgrade", "kernel sends bringOutYourDead for vat upgrade", verdict="same, but",
           why="the old incarnation is reaped within the one delivery that is the upgrade, so no delivery of its own is seen: what it let go is dropped at its owner")
    def test_reap(self):
        marker = self.ref(self.call("@boot", "getMarker"))
        self.create()
        self.assertEqual("v1", self.call("v2", "getVersion", marker))  # it takes no argument: garbage when the crank ends
        self.assertIn("v2", self.yard.ok("inspect", marker).out)
        self.upgrade()
        self.assertEqual("v2", self.call("v2", "getVersion"))
        self.assertNotIn("v2", self.yard.ok("inspect", marker).out)
        self.assertSound()

    def whole(self):
        self.create()
        self.call("@boot", "look")
        self.assertEqual({"incarnationNumber": 1}, self.upgrade(more=", upgradeMessage: 'test upgrade'"))
        seen = self.call("@boot", "lookAgain")
        rejected = ["rejected", upgraded("test upgrade")]
        self.assertEqual({"version": "v2", "data": ["some", "data"], "kept": True, "dur1": {"name": "d1", "new": "new"}, "entries": True,
                          "held": [True] * 4, "isNew": True, "lost": dict.fromkeys(("vir1", "vir3", "virtualMap", "ephemeral"), TERMINATED),
                          "outcomes": [rejected] * 3, "seen": rejected}, seen)
        self.yard.ok("gc", "--all", "--release")
        self.assertSound()

    @shows("upgrade", "vat upgrade - xsnap without automatic GC")
    def test_whole(self):
        self.whole()

    @shows("upgrade", "vat upgrade - omit vatParameters")
    def test_no_parameters(self):
        root = self.ref(self.call("@boot", "create", "undefined"))
        self.assertEqual("[undefined]", self.call(root, "getParameters"))
        self.assertEqual({"incarnationNumber": 1}, self.call("@boot", "upgrade", "undefined"))
        self.assertEqual("[undefined]", self.call(root, "getParameters"))

    @shows("upgrade", "non-durable exports are abandoned by upgrade of liveslots vat")
    def test_abandon(self):
        root = self.create()
        counters = {strength: self.ref(self.call(root, "counter", f"s:{strength}")) for strength in ("ephemeral", "virtual", "durable")}
        for counter in counters.values():
            self.assertEqual(1, self.call(counter, "increment"))
        self.upgrade()
        for strength in "ephemeral", "virtual":
            self.assertIn("orphan", self.yard.ok("inspect", counters[strength]).out)
            self.refused("vat terminated", counters[strength], "increment")
        self.assertNotIn("orphan", self.yard.ok("inspect", counters["durable"]).out)
        self.assertEqual(2, self.call(counters["durable"], "increment"))
        self.assertSound()

    def failed(self, outcome):
        self.assertEqual("rejected", outcome[0])
        self.assertIn("vat-upgrade failure", outcome[1])

    @shows("upgrade", "failed upgrade - lost kind")
    def test_lost_kind(self):
        root = self.create()
        self.call(root, "loseKind")
        self.call("@boot", "pingback")
        self.assertEqual(["ping 1"], self.call("@boot", "getEvents"))
        self.failed(self.call("@boot", "upgradePinging", "{version: 'v2'}"))
        self.call("@boot", "pingback")
        self.assertEqual(["ping 2"], self.call("@boot", "getEvents"))  # no hello from v2; the count goes on
        self.assertSound()

    @shows("upgrade", "failed upgrade - explode")
    def test_explode(self):
        self.call("@boot", "createPinging", "{version: 'v1'}")
        self.call("@boot", "pingback")
        self.assertEqual(["hello from v1", "ping 1"], self.call("@boot", "getEvents"))
        self.failed(self.call("@boot", "upgradePinging", "{version: 'v2', explode: 'kaboom'}"))
        self.call("@boot", "pingback")
        self.assertEqual(["ping 2"], self.call("@boot", "getEvents"))
        self.yard.ok("restart", "v2")
        self.call("@boot", "pingback")
        self.assertEqual(["ping 3"], self.call("@boot", "getEvents"))
        self.assertSound()

    @shows("upgrade", "failed upgrade - lost promise export")
    def test_lost_promise(self):
        self.call("@boot", "createPinging", "{version: 'v1', promise: 'p1'}")
        self.assertEqual(["hello from v1", "p1", "settled v1"], sorted(self.events(3)))
        self.call("@boot", "upgradePinging", "{version: 'v2', promise: 'p2'}")
        self.assertEqual(["hello from v2", "p2", "settled v2"], sorted(self.events(3)))
        self.failed(self.call("@boot", "upgradePinging", "{version: 'v3', promise: 'p3', explode: 'forced failure'}"))
        self.assertEqual("v2", self.call("v2", "getVersion"))
        self.assertEqual([], self.call("@boot", "getEvents"))
        self.assertSound()

    def events(self, count):
        events = []
        for _ in range(20):
            events += self.call("@boot", "getEvents")
            if len(events) >= count:
                break
        return events

    def kinds(self, old, new, fine):
        self.create(f"{{version: 'v1', kinds: '{old}'}}")
        parameters = f"{{version: 'v2', kinds: '{new}'}}"
        if fine:
            self.assertEqual({"incarnationNumber": 1}, self.upgrade(parameters))
        else:
            self.refused("vat-upgrade failure", "@boot", "upgrade", f"{{vatParameters: {parameters}}}")
        self.assertEqual("v2" if fine else "v1", self.call("v2", "getVersion"))
        self.assertSound()

    @shows("upgrade", "failed upgrade - unknown options")
    def test_bad_option(self):
        self.create()
        self.refused('upgrade() received unknown options: "bad"', "@boot", "upgrade", "{vatParameters: {version: 'v2'}, bad: 'unknown option'}")
        self.assertEqual("v1", self.call("v2", "getVersion"))

    @shows("upgrade", "failed vatAdmin upgrade - bad replacement code", verdict="differs",
           why="vatAdmin is no vat: there is nothing to upgrade, and `vatctl upgrade vatAdmin` knows no such vat")
    def test_vat_admin(self):
        junk = self.yard.file("junk.js", "export const nothing = 1;\n")
        self.assertExit(6, self.yard.ctl("upgrade", "vatAdmin", junk))
        self.create()

    @shows("upgrade", "vat upgrade retains vatParameters", verdict="differs",
           why="parameters live in the vat's log, and what they name is held as long as the vat itself holds it: no copy is kept for a later upgrade, "
               "which always brings its own")
    def test_parameters(self):
        marker = self.ref(self.call("@boot", "getMarker"))
        root = self.create(f"{{number: 1, marker: {marker}}}")
        self.assertEqual(1, self.call(root, "getParameters")["number"])
        self.upgrade(f"{{number: 2, marker: {marker}}}")
        seen = self.call(root, "getParameters")
        self.assertEqual((2, marker), (seen["number"], self.ref(seen)))
        self.yard.ok("gc", "--all", "--release")
        self.assertIn("v2", self.yard.ok("inspect", marker).out)
        self.assertSound()

    @shows("promises", "local promises are rejected by vat upgrade")
    def test_promises(self):
        self.create()
        self.call("@boot", "look")
        self.upgrade()
        self.assertEqual(["rejected", upgraded("vat upgraded")], self.call("v2", "getSeen"))


class Reaped(Upgrade):
    """The same in vats that collect their garbage after each delivery."""
    reap = 1

    @shows("upgrade", "vat upgrade - xsnap")
    @shows("upgrade", "vat upgrade - xsnap with VA restarts", verdict="same, but", why="there is no vat-admin that could be restarted")
    def test_whole(self):
        self.whole()


for name, old, new, fine in (
        ("succeed on single-single", "-", "-", True), ("succeed on exact facet match", "foo bar", "foo bar", True),
        ("succeed on facet order mismatch", "foo bar", "bar foo", True), ("succeed on new facet (early1)", "foo bar", "foo bar arf", True),
        ("succeed on new facet (early2)", "foo bar", "arf foo bar", True), ("succeed on new facet (late)", "foo bar", "foo bar baz", True),
        ("fail on missing facets", "foo bar", "foo", False), ("fail on single- to multi-facet redefinition", "-", "foo", False),
        ("fail on multi- to single-facet redefinition", "foo bar", "-", False)):
    test = shows("upgrade", f"facet kind redefinition - {name}")(lambda self, o=old, n=new, f=fine: self.kinds(o, n, f))
    setattr(Upgrade, f"test_kinds_{re.sub('[^a-z0-9]+', '_', name)}", test)
for name in [name for name in vars(Upgrade) if name.startswith("test_") and name != "test_whole"]:
    setattr(Reaped, name, None)

if __name__ == "__main__":
    main()
