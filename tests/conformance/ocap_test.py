#!/usr/bin/env python3
"""ocap-kernel's scenarios (kernel-test): vats/ocap.js, exos.js, breaks.js, in its dialect (moduleFormat iife)."""

import json
import os
import re
import subprocess

from conform import BIN, VATS, bundle, main, shows
from ocap import Ocap, said
from yard import wait_for


class Lifecycle(Ocap):
    @shows("vat-lifecycle", "should clean up manually terminated vats")
    def test_terminate(self):
        self.up()
        self.launch(main={"role": "plain"})
        self.yard.ok("kill", "main", "--yes")
        self.assertEqual({}, self.ps())
        self.yard.ok("gc", "--all", "--release")
        self.assertIn("ko1.0", self.fails(6, "inspect", "ko1.0"))
        self.assertSound()

    @shows("vat-lifecycle", "should handle messages to terminated vat objects gracefully", verdict="same, but",
           why="the code is `[KERNEL:VAT_TERMINATED]`; when nobody holds the object any more it has no name, which vatctl says (E4101). There it "
               "is `OBJECT_DELETED`")
    def test_message_to_the_dead(self):
        self.up()
        self.assertEqual("Counter initialized with count: 1", self.launch(main={"role": "counter"}, target={"role": "counter"}))
        for vat in ("target", "main"):
            self.assertEqual("Counter incremented to: 2", self.call(f"@{vat}", "resume"))
        self.yard.ok("kill", "target", "--yes")
        self.assertEqual(["main"], list(self.ps()))
        self.refused("[KERNEL:VAT_TERMINATED]", "call", "ko2.0", "resume")
        self.assertEqual("Counter incremented to: 3", self.call("@main", "resume"))
        self.yard.ok("gc", "--all", "--release")
        self.assertIn("E4101", self.fails(6, "call", "ko2.0", "resume"))
        self.assertSound()

    @shows("rejection", "throwing from remotable method rejects result")
    def test_rejection(self):
        result = self.yard.ok("run", self.cluster(main={"role": "asker"}, refuser={"role": "refuser"}))
        self.assertEqual(["bar", "err", "bar"], said(result.lines("main")))
        self.assertEqual(["resolve", "reject", "resolve"], said(result.lines("refuser")))


class Persistence(Ocap):
    def restart(self):
        self.yard.ok("down")
        self.assertNothingRuns()
        self.yard.ok("up")

    @shows("persistence", "maintains state across kernel restarts")
    def test_counter(self):
        self.up()
        self.assertEqual("Counter initialized with count: 1", self.launch(counter={"role": "counter"}))
        self.assertEqual("Counter incremented to: 2", self.call("@counter", "resume"))
        self.restart()
        self.assertEqual("Counter incremented to: 3", self.call("@counter", "resume"))

    @shows("persistence", "handles multiple vats with persistent state")
    def test_workers(self):
        self.up()
        self.assertEqual("Coordinator initialized with 2 workers", self.launch(
            coordinator={"role": "coordinator"}, worker1={"role": "worker", "id": 1}, worker2={"role": "worker", "id": 2}))
        self.assertEqual("Work completed: Worker1(1), Worker2(1)", self.call("@coordinator", "resume"))
        self.restart()
        self.assertEqual("Work completed: Worker1(2), Worker2(2)", self.call("@coordinator", "resume"))

    @shows("persistence", "respects resetStorage flag when set to true", verdict="differs",
           why="no flag throws state away: `vatctl cluster rm` does, and a new launch begins anew")
    def test_reset(self):
        self.up()
        self.launch(counter={"role": "counter"})
        self.assertEqual("Counter incremented to: 2", self.call("@counter", "resume"))
        self.restart()
        self.yard.ok("cluster", "rm", "test", "--yes")
        self.assertEqual("Counter initialized with count: 1", self.launch(counter={"role": "counter"}))

    @shows("persistence", "handles vat restarts within persistent kernel")
    def test_restart_vat(self):
        self.up()
        self.launch(counter={"role": "counter"})
        self.assertEqual("Counter incremented to: 2", self.call("@counter", "resume"))
        self.yard.ok("restart", "counter")
        self.assertEqual("Counter incremented to: 3", self.call("@counter", "resume"))

    @shows("persistence", "handles messages in queue after kernel restart")
    def test_queue(self):
        """The message is queued while no host is there to run it, and the broker is killed."""
        self.up()
        self.launch(counter={"role": "counter"})
        self.assertEqual("Counter incremented to: 2", self.call("@counter", "resume"))
        self.yard.kill(self.yard.processes("vathost"))
        self.assertTrue(wait_for(lambda: not self.yard.workers()))
        promise = self.yard.ok("send", "@counter", "resume").out.split()[0]
        self.yard.kill(self.yard.processes("vatbroker"))
        self.assertNothingRuns()
        self.yard.ok("up")
        self.assertEqual("Counter incremented to: 3", self.yard.ok("await", promise, "--json").json["value"])
        self.assertEqual("Counter incremented to: 4", self.call("@counter", "resume"))


HEAP = ("a restart is not a new incarnation: the heap goes on where it was, so buildRootObject does not run again (`start count: 2` and `saved name is` "
        "are never printed) and all objects keep their identity; else the lines are the same")


class Resume(Ocap):
    def play(self, restart):
        begun = {"alice": ["saving name", "start count: 1", "bootstrap()", "Bob answers greeting: 'Bob returns your greeting 'hello from Alice''",
                           "Carol answers greeting: 'Carol returns your greeting 'hello from Alice''", "end bootstrap"]}
        for vat in ("bob", "carol"):
            begun[vat] = ["saving name", "start count: 1", "intro()", "greet('hello from Alice')"]
        self.up()
        self.assertEqual("bootstrap Alice", self.launch(**{name: {"role": "friend", "name": name.title()} for name in begun}))
        for vat, lines in begun.items():
            self.assertPrinted(lines, vat)
        restart()
        for vat in begun:
            self.assertEqual(f"resume {vat.title()}", self.call(f"@{vat}", "resume"))
        begun["alice"] += ["resume()", "resumed vat is bootstrap"] + [
            f"{name} answers greeting: '{name} returns your greeting 'hello again from Alice''" for name in ("Bob", "Carol")] + [
            "end resume", "greet('hello boot vat from Bob')", "greet('hello boot vat from Carol')"]
        for vat in ("bob", "carol"):
            begun[vat] += ["greet('hello again from Alice')", "resume()", "resumed vat is not bootstrap",
                           f"boot vat returns greeting with 'Alice returns your greeting 'hello boot vat from {vat.title()}''", "end resume"]
        for vat, lines in begun.items():
            self.assertPrinted(lines, vat)

    @shows("resume", "exercise restart vats individually", verdict="differs", why=HEAP)
    def test_vats(self):
        self.play(lambda: [self.yard.ok("restart", vat) for vat in ("alice", "bob", "carol")])

    @shows("resume", "exercise restart kernel", verdict="differs", why=HEAP)
    def test_kernel(self):
        def restart():
            self.yard.ok("down")
            self.assertNothingRuns()
            self.yard.ok("up")
        self.play(restart)

    @shows("orphaned-ephemeral-exo", "rejects when provider vat restarts", "rejects when provider vat restarts (kernel-node-runtime/test/e2e)",
           verdict="differs", why="the heap survives a restart, and so does an object that lives nowhere else: 999 again")
    def test_ephemeral(self):
        self.up()
        self.launch(consumer={"role": "consumer"}, provider={"role": "provider"})
        self.assertEqual(999, self.call("@consumer", "useEphemeral"))
        self.yard.ok("restart", "provider")
        self.assertEqual(999, self.call("@consumer", "useEphemeral"))
        self.yard.ok("down")
        self.yard.ok("up")
        self.assertEqual(999, self.call("@consumer", "useEphemeral"))


class Subclusters(Ocap):
    def two(self, name):
        return self.launch(name, **{f"{vat}{name[-1]}": {"role": "plain"} for vat in ("alice", "bob")})

    def clusters(self):
        return [row["cluster"] for row in self.yard.ok("cluster", "ls", "--json").json]

    @shows("subclusters", "can create and manage multiple subclusters", "can check if a vat belongs to a subcluster")
    def test_two(self):
        self.up()
        self.assertEqual("bootstrap complete", self.two("subcluster1"))
        self.assertEqual("bootstrap complete", self.two("subcluster2"))
        self.assertEqual(["s1", "s2"], self.clusters())
        self.assertEqual({"v1": "subcluster1", "v2": "subcluster1", "v3": "subcluster2", "v4": "subcluster2"},
                         {row["vat"]: row["cluster"] for row in self.ps().values()})

    @shows("subclusters", "can terminate a subcluster")
    def test_terminate(self):
        self.up()
        self.two("subcluster1")
        self.yard.ok("cluster", "rm", "subcluster1", "--yes")
        self.assertEqual([], self.clusters())
        self.assertEqual({}, self.ps())
        self.assertSound()

    @shows("subclusters", "can handle subcluster operations with non-existent subclusters", verdict="same, but",
           why="the text is vatctl's own, exit code 6")
    def test_none(self):
        self.up()
        self.assertIn("nonexistent", self.fails(6, "cluster", "rm", "nonexistent", "--yes"))

    @shows("subclusters", "can handle subcluster operations with terminated vats")
    def test_dead(self):
        self.up()
        self.two("subcluster1")
        self.yard.ok("kill", "bob1", "--yes")
        self.yard.ok("gc")
        self.assertEqual(["alice1"], list(self.ps()))
        self.assertEqual(["s1"], self.clusters())


class Validation(Ocap):
    """syscall-validation."""

    @shows("syscall-validation", 'should throw "invalid reference context" error for malformed KRef "invalid-kref"',
           'should throw "incrementRefCount called with empty kref" error for malformed KRef ""', verdict="same, but",
           why="the text is vatctl's own (in frames: `../story/peer_story.c`); no such name, well-formed or not, does the kernel any harm")
    def test_malformed(self):
        self.up()
        for word in ("invalid-kref", "", "ko999", "kp999", "ko1.999", "kp0.999", "ko99.0"):
            with self.subTest(word=word):
                self.assertIn(self.yard.ctl("call", word, "testMethod", "s:test").code, (2, 6))
        self.assertEqual("bootstrap complete", self.launch(test={"role": "plain"}))
        self.assertEqual(1, len(self.ps()))
        self.assertSound()

    def revoked(self, *names):
        """Objects that were used, and then revoked."""
        self.up()
        self.launch(exporter={"role": "plain"})
        krefs = [self.ref("@exporter", "createObject", f"s:{name}") for name in names]
        for kref, name in zip(krefs, names):
            self.assertEqual(name, self.call(kref, "getValue"))
        self.yard.ok("revoke", *krefs, "--yes")
        return krefs

    def rejects(self, kref):
        self.refused("[KERNEL:OBJECT_REVOKED]", "call", kref, "getValue")

    def alive(self):
        self.assertEqual("noop", self.call("@exporter", "noop"))
        self.assertEqual(1, len(self.ps()))
        self.assertSound()

    @shows("syscall-validation", "should handle message delivery to revoked objects")
    def test_revoked(self):
        kref, = self.revoked("test-revocation-object")
        self.rejects(kref)
        self.alive()

    @shows("syscall-validation", "should reject promises with appropriate error for revoked objects")
    def test_revoked_again_and_again(self):
        kref, = self.revoked("promise-revocation-test")
        self.rejects(kref)
        self.alive()
        for _ in range(5):
            self.rejects(kref)
        self.alive()

    @shows("syscall-validation", "should handle multiple revoked objects correctly")
    def test_many_revoked(self):
        krefs = self.revoked("obj1", "obj2", "obj3")
        for kref in krefs:
            self.rejects(kref)
        self.assertEqual("other", self.call(self.ref("@exporter", "createObject", "s:other"), "getValue"))
        self.alive()


class Exos(Ocap):
    source = os.path.join(VATS, "exos.js")

    def setUp(self):
        super().setUp()
        self.up()
        self.assertEqual("exo-test-complete", self.launch(exos={}))

    begun = ["Created counter with initial value: 10", "Incremented counter by 5 to: 15",
             "ERROR: Increment with negative value should have failed", "Alice has 1 friends", "Added 2 entries to map store",
             "Added 2 entries to set store", "Retrieved Alice from map store", "Temperature at 25°C = 77°F",
             "After setting to 68°F, celsius is 20°C", "SimpleCounter initial value: 0", "SimpleCounter after +7: 7",
             "Updated baggage counter to: 7"]

    def assertNews(self, *lines):
        self.assertPrinted([*self.begun, *lines], "exos")

    @shows("exo", "successfully creates and uses exo objects and scalar stores")
    def test_bootstrap(self):
        self.assertNews()

    @shows("exo", "tests scalar store functionality")
    def test_stores(self):
        self.call("@exos", "stores")
        self.assertNews("Map store size: 3", "Map store keys: alice, bob, charlie", "Map has 'charlie': true", "Set store size: 3",
                        "Set has Charlie: true")

    @shows("exo", "can create and use objects through messaging")
    def test_messages(self):
        self.assertEqual(47, self.call(self.ref("@exos", "createCounter", "42"), "increment", "5"))
        dave = self.ref("@exos", "createPerson", "s:Dave", "35")
        self.assertEqual(3, self.call("@exos", "keep", "s:dave", dave))
        self.assertEqual(dave, self.ref("@exos", "find", "s:dave"))
        self.assertEqual(3, self.call("@exos", "keep", "s:dave", dave))
        self.assertNews("Added dave", "Updated dave")

    @shows("exo", "tests exoClass type validation and behavior")
    def test_classes(self):
        self.call("@exos", "classes")
        self.assertNews("Counter: 3 + 5 = 8", "Counter: 8 - 2 = 6",
                        'Successfully caught type error: In "increment" method of (Counter): arg 0: string "foo" - Must be a number')

    @shows("exo", "tests exoClassKit with multiple facets", verdict="same, but",
           why="the engine is XS, not V8, and so is the text of its TypeError")
    def test_kits(self):
        self.call("@exos", "kits")
        self.assertNews("20°C = 68°F", "32°F = 0°C", "Successfully caught cross-facet error: Alleged: root.kits: no function")

    @shows("exo", "tests temperature converter through messaging")
    def test_temperature(self):
        celsius, fahrenheit = re.findall(r"ko\d+\.\d+", json.dumps(self.call("@exos", "createTemperature", "100")))
        self.assertEqual(100, self.call(celsius, "getCelsius"))
        self.assertEqual(212, self.call(fahrenheit, "getFahrenheit"))
        self.assertEqual(32, self.call(fahrenheit, "setFahrenheit", "32"))
        self.assertEqual(0, self.call(celsius, "getCelsius"))


class ClusterLaunch(Ocap):
    def broken(self, when, what):
        with open(os.path.join(VATS, "breaks.js"), encoding="utf-8") as file:
            text = file.read().replace("'never'", f"'{when}'").replace("WHAT = 'throw'", f"WHAT = '{what}'")
        self.source = self.yard.file("breaks.js", text)
        return self.yard.ctl("run", self.cluster(main={}))

    @shows("cluster-launch", "throws if globals scope throws")
    def test_global(self):
        result = self.broken("global scope", "throw")
        self.assertExit(3, result)
        self.assertIn("from global scope", result.err)
        self.assertEqual(["global scope throw"], said(result.lines("main")))

    @shows("cluster-launch", "throws if buildRootObject throws")
    def test_build(self):
        result = self.broken("buildRootObject", "throw")
        self.assertExit(3, result)
        self.assertIn("from buildRootObject", result.err)
        self.assertEqual(["buildRootObject throw", "buildRootObject"], said(result.lines("main")))

    @shows("cluster-launch", "throws if bootstrap throws")
    def test_bootstrap(self):
        result = self.broken("bootstrap", "throw")
        self.assertExit(8, result)
        self.assertIn("from bootstrap", result.out + result.err)
        self.assertEqual(["bootstrap throw", "buildRootObject", "bootstrap"], said(result.lines("main")))

    @shows("cluster-launch", "throws if global scope has an uncaught rejection", "throws if buildRootObject has an uncaught rejection",
           "throws if bootstrap has an uncaught rejection", verdict="differs",
           why="wished for there, not built; here a promise that is rejected and never looked at is told on the console and harms nobody: the cluster is launched")
    def test_uncaught(self):
        for when in ("global scope", "buildRootObject", "bootstrap"):
            with self.subTest(when=when):
                result = self.broken(when, "reject")
                self.assertExit(0, result)
                self.assertEqual('"done"', result.out.strip())
                self.assertIn(f"Unhandled promise rejection: Error: from {when}", result.lines("main"))
                self.assertEqual([f"{when} reject", "buildRootObject", "bootstrap"], said(result.lines("main")))


class Store(Ocap):
    """vatstore: what one vat's deliveries change in its store."""

    # What each delivery sets, and deletes, in ocap-kernel; the values are liveslots'.
    expected = [
        ({"baggageID": "o+d6/1", "idCounters": '{"exportID":10,"collectionID":4,"promiseID":5}', "kindIDID": "1",
          "storeKindIDTable": json.dumps({f"scalar{name}Store": 2 + n for n, name in enumerate(
              ("Map", "WeakMap", "Set", "WeakSet", "DurableMap", "DurableWeakMap", "DurableSet", "DurableWeakSet"))},
              separators=(",", ":")),
          **{f"vc.{n}.|entryCount": "0" for n in (1, 2, 3)}, **{f"vc.{n}.|nextOrdinal": "1" for n in (1, 2, 3)},
          "vc.1.|schemata": r'{"body":"#{\"keyShape\":{\"#tag\":\"match:string\",\"payload\":[]},\"label\":\"baggage\"}","slots":[]}',
          "vc.2.|schemata": r'{"body":"#{\"keyShape\":{\"#tag\":\"match:scalar\",\"payload\":\"#undefined\"},'
                            r'\"label\":\"promiseWatcherByKind\"}","slots":[]}',
          "vc.3.|schemata": r'{"body":"#{\"keyShape\":{\"#tag\":\"match:and\",\"payload\":[{\"#tag\":\"match:scalar\",\"payload\":\"#undefined\"},'
                            r'{\"#tag\":\"match:string\",\"payload\":[]}]},\"label\":\"watchedPromises\"}","slots":[]}',
          **{f"vom.rc.o+d6/{n}": "1" for n in (1, 2, 3)}, "watchedPromiseTableID": "o+d6/3", "watcherTableID": "o+d6/2"}, []),
        ({"idCounters": '{"exportID":10,"collectionID":4,"promiseID":7}', "vc.1.sgoAway": r'{"body":"#\"now you see me\"","slots":[]}',
          "vc.1.sthing": '{"body":"#1","slots":[]}', "vc.1.|entryCount": "2"}, []),
        ({"vc.1.sthing": '{"body":"#2","slots":[]}'}, []),
        ({}, []),
        ({"vc.1.sthing": '{"body":"#3","slots":[]}'}, []),
        ({"idCounters": '{"exportID":10,"collectionID":4,"promiseID":8}', "vc.1.|entryCount": "1"}, ["vc.1.sgoAway"]),
        ({}, []),
    ]

    @staticmethod
    def data(body, *slots):
        return {"body": f"#{json.dumps(body)}", "slots": list(slots)}

    def changes(self, deliveries):
        """(set, deleted) of each delivery, by the engine alone with a store in memory."""
        built = os.path.dirname(BIN)
        engine = subprocess.Popen([os.path.join(built, "tests", "differential", "engine_run"),
                                   os.path.join(built, "share", "vatyard", "lean.xss"), bundle(self.source)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(engine.wait)
        self.addCleanup(engine.stdout.close)
        self.addCleanup(engine.stdin.close)
        store, found = {}, []
        for delivery in deliveries:
            print(json.dumps(delivery), file=engine.stdin, flush=True)
            line = next(line for line in map(json.loads, engine.stdout) if line[0] == "done")
            self.assertEqual("OK", line[1], line[2])
            new = dict(line[4])
            found.append(({key: value for key, value in new.items() if store.get(key) != value}, [key for key in store if key not in new]))
            store = new
        return found

    @shows("vatstore", "exercise vatstore")
    def test_store(self):
        """In a cluster alice gets these deliveries; the engine makes the same changes of them as there."""
        log = os.path.join(self.yard.dir, "log.jsonl")
        self.yard.ok("run", self.cluster(**{vat: {"role": "bumped", "name": vat.title()} for vat in ("alice", "bob", "carol")}), "--log", log)
        with open(log, encoding="utf-8") as file:
            rows = [row for row in map(json.loads, file) if row["type"] == "deliver" and row["name"] == "alice"]
        self.assertEqual(["start", "bootstrap", "bump", "notify", "bump", "notify", "notify"],
                         [row.get("method") or row["kind"] for row in rows])
        undefined, bump = self.data("#undefined"), {"methargs": self.data(["bump", ["x"]]), "result": None}
        vats = self.data(["bootstrap", [{"alice": "$0.Alleged: bumped", "bob": "$1.Alleged: bumped", "carol": "$2.Alleged: bumped"}, {}]],
                         "o+0", "o-50", "o-51")
        self.assertEqual(self.expected, self.changes([
            ["startVat", self.data({"role": "bumped", "name": "Alice"})],
            ["message", "o+0", {"methargs": vats, "result": "p-60"}],
            ["message", "o+0", bump], ["notify", [["p+5", False, self.data("done")]]],
            ["message", "o+0", bump], ["notify", [["p+6", False, self.data("done")]]],
            ["notify", [["p+7", False, undefined]]]]))


if __name__ == "__main__":
    main()
