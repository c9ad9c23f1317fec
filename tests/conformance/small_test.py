#!/usr/bin/env python3
"""Smaller tests of both peers: exomessages, vat-env, reap intervals (kernel), reap-all, upgrade-replay, terminate-replay, change-parameters of SwingSet;
garbage-collection, logger, async-generator of ocap-kernel. vats/small.js, mortals.js, upgrader.js."""

import json
import os
import re

from conform import VATS, YardTest, bundle, main, shows
from yard import wait_for

SMALL = os.path.join(VATS, "small.js")
TEXT = "a big hello to all intelligent lifeforms everywhere"


class Small(YardTest):
    def cluster(self, *, options=None, more=None, **vats):
        """VATS: {name: parameters}; OPTIONS: {name: creationOptions}."""
        return self.yard.cluster({name: {"source": SMALL, "parameters": parameters, "creationOptions": (options or {}).get(name, {})}
                                  for name, parameters in vats.items()}, **(more or {"defaultReapInterval": "never"}))

    def up(self):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")

    def launch(self, **vats):
        self.up()
        self.yard.ok("cluster", "launch", self.cluster(**vats), "--wait")

    def call(self, ref, method, *words):
        return self.yard.ok("call", ref, method, *words, "--json").json["value"]


class Messages(Small):
    """exomessages: what clients get."""

    def boot(self, mode):
        return self.yard.ctl("run", self.cluster(boot={"role": "answers"}), "--json", "--", mode)

    @shows("exomessages", "bootstrap returns data")
    def test_data(self):
        self.assertEqual(TEXT, self.boot("data").json["value"])

    @shows("exomessages", "bootstrap returns presence")
    def test_presence(self):
        self.assertRegex(self.boot("presence").json["value"], r"<ko1\.1> \(Alleged: other\)")

    @shows("exomessages", "bootstrap returns void")
    def test_void(self):
        self.assertEqual("[undefined]", self.boot("void").json["value"])

    @shows("exomessages", "bootstrap failure", verdict="differs", why="there the kernel stops; here the run ends with exit code 8 and the reason, and `cluster launch` "
           "leaves other clusters alone")
    def test_reject(self):
        result = self.boot("reject")
        self.assertExit(8, result)
        self.assertIn("gratuitous error", result.out + result.err)

    @shows("exomessages", "extra message returns data", "extra message returns presence", "extra message returns void", "extra message rejects")
    def test_extra(self):
        self.launch(boot={"role": "answers", "argv": ["data"]})
        self.assertEqual(TEXT, self.call("@boot", "extra", "s:data"))
        self.assertRegex(self.call("@boot", "extra", "s:presence"), r"<ko1\.1> \(Alleged: other\)")
        self.assertEqual("[undefined]", self.call("@boot", "extra", "s:void"))
        result = self.yard.ctl("call", "@boot", "extra", "s:reject")
        self.assertExit(8, result)
        self.assertIn("gratuitous error", result.out + result.err)


class Reaps(Small):
    """When vats are reaped by themselves."""

    def deliveries(self, vat, file, *flags):
        log = os.path.join(self.yard.dir, "log.jsonl")
        self.yard.ok("run", file, "--log", log, *flags)
        with open(log, encoding="utf-8") as lines:
            return [row["kind"] for row in map(json.loads, lines) if row["type"] == "deliver" and row["name"] == vat]

    def interval(self, interval):
        file = self.cluster(boot={"role": "sender", "count": 100}, sink={"role": "sink"}, options={"sink": {"reapInterval": interval}})
        expected = ["start"]
        for n in range(1, 102):  # the start counts as well
            if interval != "never" and n % interval == 0:
                expected.append("bringOutYourDead")
            if n <= 100:
                expected.append("message")
        self.assertEqual(expected, self.deliveries("sink", file, "--window", "1"))

    @shows("kernel", "reap interval 1", "reap interval 2", "reap interval 5", "reap interval 17", "reap interval never", "reap interval override never",
           verdict="same, but", why="the start of a vat counts as a delivery here")
    def test_intervals(self):
        for interval in 1, 2, 5, 17, "never":
            with self.subTest(interval=interval):
                self.interval(interval)

    def krefs(self, limit):
        options = {"maker": {"reapInterval": "never", "reapGCKrefs": limit}, "holder": {"reapInterval": 1}}
        file = self.cluster(boot={"role": "director", "count": 30}, maker={"role": "maker"}, holder={"role": "holder"}, options=options)
        told, reaps = 0, 0
        for kind in self.deliveries("maker", file, "--window", "1"):
            if kind in ("dropExports", "retireExports"):
                told += 1
            elif kind == "bringOutYourDead":
                self.assertGreaterEqual(told, limit)
                self.assertLess(told, limit + 2)
                told, reaps = 0, reaps + 1
        self.assertGreater(told + reaps, 0)
        return reaps

    @shows("kernel", "reap gc-krefs 10", "reap gc-krefs 12", "reap gc-krefs overrideNever")
    def test_krefs(self):
        self.assertGreaterEqual(self.krefs(10), 4)
        self.assertGreaterEqual(self.krefs(12), 3)
        self.assertEqual(0, self.krefs(10**6))

    @shows("reap-all", "reap all vats")
    def test_all(self):
        self.launch(boot={"role": "sender", "count": 3}, sink={"role": "sink"}, other={"role": "sink"})
        before = {row["name"]: row["deliveries"] for row in self.yard.ok("ps", "--json").json}
        self.yard.ok("gc", "--all")
        after = {row["name"]: row["deliveries"] for row in self.yard.ok("ps", "--json").json}
        self.assertTrue(all(after[name] > before[name] for name in before), (before, after))


class Replays(YardTest):
    def up(self):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")

    def again(self):
        self.yard.ok("down")
        self.assertNothingRuns()
        self.yard.ok("up")

    def call(self, ref, method, *words):
        return self.yard.ok("call", ref, method, *words, "--json").json["value"]

    @shows("upgrade-replay", "replay after upgrade")
    def test_upgrade(self):
        self.up()
        code = bundle(os.path.join(VATS, "watcher.js"))
        file = self.yard.cluster({"boot": os.path.join(VATS, "overseer.js")}, bundles={"watcher": {"bundleSpec": code}})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.call("@boot", "create")
        self.assertEqual(1, self.call("@boot", "count", "1"))
        self.call("@boot", "upgrade")
        self.assertEqual(20, self.call("@boot", "count", "20"))  # the heap was lost, so it is not 21
        self.again()
        self.assertEqual(320, self.call("@boot", "count", "300"))
        self.assertExit(0, self.yard.ctl("db", "audit"))

    @shows("terminate-replay", "replay does not resurrect dead vat")
    def test_dead(self):
        self.up()
        code = bundle(os.path.join(VATS, "mortals.js"))
        file = self.yard.cluster({"boot": {"bundleSpec": code, "parameters": {"role": "boot"}}}, bundles={"dude": {"bundleSpec": code}})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.call("@boot", "holding")
        self.call("@boot", "endHolding")
        for _ in range(2):
            self.assertEqual(["boot"], [row["name"] for row in self.yard.ok("ps", "--json").json])
            self.again()
        self.assertExit(0, self.yard.ctl("db", "audit"))

    @shows("change-parameters", "change vat options", verdict="same, but", why="options of a vat; those of the whole kernel are the cluster file's "
           "(`defaultReapInterval`), and are not changed while it runs")
    def test_options(self):
        self.up()
        code = bundle(os.path.join(VATS, "versions.js"))
        file = self.yard.cluster({"boot": os.path.join(VATS, "upgrader.js")}, bundles={"versions": {"bundleSpec": code}})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.call("@boot", "create", "{vatParameters: {version: 'v1'}}")
        self.assertEqual('invalid option "foo"', self.call("@boot", "change", "{foo: 47}"))
        self.assertEqual("invalid reapInterval value", self.call("@boot", "change", "{reapInterval: 'maybe'}"))
        self.assertEqual("ok", self.call("@boot", "change", "{reapInterval: 20}"))


class Environment(Small):
    """vat-env: what is there without asking, also for code that a vat imports."""

    @shows("vat-env", "kind makers are in the test environment", "store makers are in the test environment", "harden from SES is in the test environment",
           "expected globals are in the local worker vat environment", "expected globals are in the XS worker vat environment")
    def test_globals(self):
        source = os.path.join(VATS, "env.js")
        imported = os.path.join(self.yard.dir, "imported.json")
        self.yard.ok("bundle", "make", source, "--format", "nestedEvaluate", "-o", imported)
        with open(imported, encoding="utf-8") as file:
            code = json.load(file)
        self.up()
        self.yard.ok("cluster", "launch", self.yard.cluster({"env": {"source": source, "parameters": {"bundle": code}}}), "--wait")
        kinds = ["defineKind", "defineKindMulti", "defineDurableKind", "defineDurableKindMulti", "makeKindHandle", "canBeDurable",
                 "providePromiseWatcher", "watchPromise", *(f"makeScalarBig{store}Store" for store in ("Map", "WeakMap", "Set", "WeakSet"))]
        self.assertEqual(["undefined", "function", *(f"{name}: function" for name in kinds)], self.call("@env", "kinds"))
        self.assertIs(True, self.call("@env", "passStyle"))
        self.assertEqual([True, True], self.call("@env", "children"))


class Ocap(Small):
    @shows("logger", "captures logs from vat")
    def test_logger(self):
        self.launch(main={"role": "logs", "name": "Alice"})
        self.call("@main", "foo")
        self.assertTrue(wait_for(lambda: "foo: Alice" in self.yard.ok("logs", "main").out))

    @shows("async-generator", "alice can consume async generator from Bob using for await", verdict="same, but",
           why="the vat has its own few lines for a generator that is passed, where the test uses a library of that project")
    def test_generator(self):
        result = self.yard.ok("run", self.cluster(consumer={"role": "generator", "name": "alice"}, producer={"role": "generator", "name": "bob"}))
        self.assertEqual(["alice is bootstrap", *(f"alice iterating {n}" for n in range(5))], result.lines("consumer"))
        self.assertEqual([f"bob generating {n}" for n in range(5)], result.lines("producer"))

    def counts(self, kref):
        seen = self.yard.ok("inspect", kref, "--json").json[0]
        return seen["reachable"], seen["recognizable"]

    @shows("garbage-collection", "objects are tracked with reference counts", "should trigger GC syscalls through bringOutYourDead", verdict="same, but",
           why="SwingSet's counts, where its own differ: an importer counts once, the exporter not")
    def test_garbage(self):
        self.launch(exporter={"role": "exporter"}, importer={"role": "importer"})
        kref = re.search(r"ko1\.\d+", self.call("@exporter", "createObject", "s:test-object"))[0]
        self.yard.ok("pin", kref)
        self.call("@importer", "storeImport", kref, "s:test-object")
        self.yard.ok("gc", "--release")
        self.assertEqual((2, 2), self.counts(kref))  # the pin and the importer
        self.assertEqual("test-object", self.call("@importer", "useImport", "s:test-object"))
        self.assertEqual(["test-object"], self.call("@importer", "listImportedObjects"))
        self.call("@importer", "makeWeak", "s:test-object")
        self.yard.ok("gc", "importer", "--release")
        self.assertEqual((1, 2), self.counts(kref))
        self.assertEqual("test-object", self.call("@importer", "recognizes", kref))
        self.call("@importer", "forget", kref)
        self.yard.ok("gc", "importer", "--release")
        self.assertEqual((1, 1), self.counts(kref))
        self.assertIs(True, self.call("@exporter", "isObjectPresent", "s:test-object"))
        self.assertIs(True, self.call("@exporter", "forgetObject", "s:test-object"))
        self.yard.ok("unpin", kref)
        self.yard.ok("gc", "--release")
        self.assertExit(6, self.yard.ctl("inspect", kref))
        self.assertIs(False, self.call("@exporter", "isObjectPresent", "s:test-object"))
        self.assertExit(0, self.yard.ctl("db", "audit"))


if __name__ == "__main__":
    main()
