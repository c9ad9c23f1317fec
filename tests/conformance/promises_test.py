#!/usr/bin/env python3
"""SwingSet's promises.test.js: where messages go, in which order; and what a queued message holds. vats/flows.js."""

import os

from conform import VATS, YardTest, main, shows

SOURCE = os.path.join(VATS, "flows.js")
PARTS = ("boot", "left", "right")


class Flows(YardTest):
    def cluster(self, flow):
        return self.yard.cluster({part: {"source": SOURCE, "parameters": {"part": part, "flow": flow},
                                         "creationOptions": {"reapInterval": "never"}} for part in PARTS})

    def play(self, flow, *lines):
        """All lines of all vats in SwingSet's order with --serial; those of each vat in a window of 16 on two hosts."""
        file = self.cluster(flow)
        result = self.yard.ctl("run", file, "--serial")
        self.assertExit(0, result)
        self.assertEqual(list(lines), [line.split(" | ")[1] for line in result.err.splitlines() if " | " in line])
        ordered = {part: result.lines(part) for part in PARTS}
        result = self.yard.ctl("run", file, "--window", "16", "--hosts", "2")
        self.assertExit(0, result)
        self.assertEqual(ordered, {part: result.lines(part) for part in PARTS})

    @shows("promises", "flush")
    def test_flush(self):
        self.play("flush", "then1", "then2")

    @shows("promises", "E() resolve")
    def test_answer(self):
        self.play("answer", "left.callRight 1", "right 2", "b.resolved 3", "left.then 4")

    @shows("promises", "E(E(x).foo()).bar()")
    def test_chain(self):
        self.play("chain", "b.call2", "left.call2 1", "left.call3 2", "b.resolved 3")

    @shows("promises", "E(Promise.resolve(presence)).foo()")
    def test_chain_to_promise(self):
        self.play("chainToPromise", "b.call2", "left.call2 1", "left.call3 2", "b.resolved 3")

    @shows("promises", "E(local).foo()")
    def test_own(self):
        self.play("own", "b.local1.finish", "local.foo 1", "b.resolved 2")

    @shows("promises", "resolve-to-local")
    def test_own_comes_back(self):
        self.play("ownComesBack", "b.local2.finish", "left.returnArg", "local.foo 2", "b.resolved 3")

    @shows("promises", "send-promise-resolve-to-local")
    def test_own_is_promised(self):
        self.play("ownIsPromised", "b.send-promise1.finish", "left.takePromise", "left.takePromise.then", "local.foo 1", "b.resolved 4")

    @shows("promises", "send-harden-promise-1")
    def test_frozen(self):
        self.play("frozen", "p2 frozen true", "p3 frozen true", "o1 frozen true", "o1 frozen true", "b.harden-promise-1.finish")

    def launch(self, flow):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", self.cluster(flow), "--wait")

    def call(self, vat, method):
        return self.yard.ok("call", f"@{vat}", method, "--json").json["value"]

    @shows("promises", "circular promise resolution data", verdict="differs",
           why="SwingSet keeps the two promises for ever, as each holds the other; here promises that only hold each other are found and forgotten")
    def test_circle(self):
        self.launch("circle")
        left = self.yard.ok("gc", "--all", "--release", "--json").json["after"]
        self.assertEqual(1, left["promises"])  # the one of bootstrap's result
        self.assertExit(0, self.yard.ctl("db", "audit"))

    @shows("promises", "refcount while queued")
    def test_queued(self):
        self.launch("queued")
        self.call("boot", "settle")
        self.yard.ok("gc", "--all")
        self.assertEqual([True, 3], self.call("right", "pay"))
        self.assertExit(0, self.yard.ctl("db", "audit"))


if __name__ == "__main__":
    main()
