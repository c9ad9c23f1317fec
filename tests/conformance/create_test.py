#!/usr/bin/env python3
"""Vats that make vats: SwingSet's vat-admin/create-vat.test.js. vats/admin.js makes them, most are vats/thirteen.js."""

import os
import re

from conform import VATS, YardTest, bundle, main, shows

BROKEN = {  # what is wrong with a vat's source
    "module": "missing({});\nexport const buildRootObject = () => ({});\n",
    "root": "export const buildRootObject = () => missing({});\n",
    "hang": "export const buildRootObject = () => new Promise(() => {});\n",
    "durable": "import { defineDurableKind, makeKindHandle } from '@agoric/vat-data';\n"
               "export const buildRootObject = () => defineDurableKind(makeKindHandle('root'), () => ({}), {})();\n",
}


class Create(YardTest):
    def setUp(self):
        super().setUp()
        codes = {"thirteen": os.path.join(VATS, "thirteen.js")}
        if self.id().endswith("broken"):
            codes.update({name: self.yard.file(f"{name}/{name}.js", text) for name, text in BROKEN.items()})
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"bootstrap": os.path.join(VATS, "admin.js"), "exporter": os.path.join(VATS, "exporter.js")},
                                 defaultReapInterval="never", bundles={name: {"bundleSpec": bundle(path)} for name, path in codes.items()})
        self.yard.ok("cluster", "launch", file, "--wait")

    def call(self, method, *words, ref="@bootstrap"):
        return self.yard.ok("call", ref, method, *words, "--json").json["value"]

    def rejected(self, method, *words):
        result = self.yard.ctl("call", "@bootstrap", method, *words)
        self.assertExit(8, result)
        return result.out + result.err

    @shows("create-vat", "createVatByName")
    def test_by_name(self):
        self.assertEqual(13, self.call("byName", "s:thirteen"))

    @shows("create-vat", "createVat by named bundlecap")
    def test_by_cap(self):
        self.assertEqual(13, self.call("byAwaitedCap", "s:thirteen"))

    @shows("create-vat", "createVat by ID")
    def test_by_id(self):
        self.assertEqual(13, self.call("byId", "s:thirteen"))

    @shows("create-vat", "createVatByBundle", verdict="differs",
           why="a vat names code by name, hash or bundlecap; a bundle's source in a message is refused as anything else is that is no bundlecap")
    def test_by_bundle(self):
        self.assertIn("Vat Creation Error: createVat() requires a bundlecap", self.rejected("byBundle", '{moduleFormat: "endoScript", endoScript: "x"}'))

    @shows("create-vat", "createVatByBundle with VA upgrade", "createVatByName with VA upgrade", "createVat by named bundlecap with VA upgrade",
           "createVat by ID with VA upgrade", verdict="differs",
           why="vatAdmin is no vat that could be upgraded but part of the kernel: it works again after the broker was killed")
    def test_after_restart(self):
        self.assertEqual(13, self.call("byName", "s:thirteen"))
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        for method in ("byName", "byAwaitedCap", "byId"):
            self.assertEqual(13, self.call(method, "s:thirteen"))
        self.assertSound()

    @shows("create-vat", "counter test")
    def test_counters(self):
        self.assertEqual([4, 9, 2, 8], self.call("counters", "s:thirteen"))

    @shows("create-vat", "broken vat creation fails (bad module)", "broken vat creation fails (bad buildRootObject)",
           "broken vat creation fails (durable root object)")
    @shows("create-vat", "broken vat creation fails (buildRootObject hangs)", verdict="same, but",
           why="the text is `buildRootObject did not settle within the crank`")
    def test_broken(self):
        for name, text in {"module": "no function", "root": "no function", "hang": "did not settle within the crank",
                           "durable": "must return ephemeral, not virtual"}.items():
            with self.subTest(name=name):
                said = self.rejected("plain", f"s:{name}")
                self.assertIn("Vat Creation Error", said)
                self.assertIn(text, said)
        self.assertEqual(["bootstrap", "exporter"], [row["name"] for row in self.yard.ok("ps", "--json").json])
        self.assertSound()

    @shows("create-vat", "error creating vat from non-bundle")
    def test_nothing(self):
        self.assertIn("Vat Creation Error: createVat() requires a bundlecap", self.rejected("nothing"))

    @shows("create-vat", "create vat with good-sized name")
    def test_long_name(self):
        self.assertEqual("ok", self.call("named", "s:" + "n" * 199))

    @shows("create-vat", "error creating vat with oversized name")
    def test_too_long_name(self):
        self.assertIn(f'CreateVatOptions: oversized vat name "{"n" * 200}"', self.rejected("named", "s:" + "n" * 200))

    @shows("create-vat", "error creating vat with bad characters in name")
    def test_bad_name(self):
        self.assertIn('CreateVatOptions: bad vat name "no spaces"', self.rejected("named", "s:no spaces"))

    @shows("create-vat", "error creating vat with unknown options")
    def test_bad_option(self):
        self.assertIn('CreateVatOptions: unknown options "bogus"', self.rejected("bogus"))

    @shows("create-vat", "createVat holds refcount", verdict="same, but",
           why="judged by who holds the object and that it lives on: neither vat-admin nor a device is on its way, so the counts differ; the parameters are not kept for a later upgrade, which brings its own")
    def test_parameters_hold(self):
        held = re.search(r"ko\d+\.\d+", self.call("getHeld"))[0]
        self.assertEqual(0, self.call("giveHeld", "s:thirteen"))
        self.call("forgetHeld")
        self.yard.ok("gc", "--all", "--release")
        seen = self.yard.ok("inspect", held, "--json").out
        self.assertIn("v3", seen)
        self.assertNotIn('"v1"', seen)
        self.yard.ok("kill", "v3", "--yes")
        self.yard.ok("gc", "--all", "--release")
        self.assertExit(6, self.yard.ctl("inspect", held))
        self.assertSound()

    def reaps(self, *options):
        """After how many deliveries a new vat is reaped by itself, in a cluster where none is."""
        root = re.search(r"ko\d+\.0", self.call("with", "s:thirteen", *options))[0]
        before = self.deliveries("v3")
        for _ in range(12):
            self.call("getANumber", ref=root)
        return self.deliveries("v3") - before - 12

    def deliveries(self, vat):
        return next(row["deliveries"] for row in self.yard.ok("ps", "--json").json if row["vat"] == vat)

    @shows("create-vat", "createVat without options", verdict="same, but", why="judged by the reaps that come, not by a record")
    def test_options(self):
        self.assertEqual(0, self.reaps("{}"))

    @shows("create-vat", "createVat with options", verdict="same, but", why="judged by the reaps that come, not by a record")
    def test_reap_interval(self):
        self.assertEqual(3, self.reaps("{reapInterval: 4}"))


if __name__ == "__main__":
    main()
