#!/usr/bin/env python3
"""A vat that exceeds a limit or crashes its worker ends, with a reason anyone can read, and nobody else
notices more than a rejected message. Vats run in parallel."""

import os

from yard import VATS, YardTest, main

# attack -> what the reason must say
COMPUTE, WALL, HEAP, STACK = "Compute meter exceeded", "wall clock limit exceeded", "Allocate meter exceeded", "Stack meter exceeded"
ATTACKS = {
    "loop": COMPUTE,
    "promiseLoop": COMPUTE,
    "regexp": COMPUTE,
    "nativeLoop": WALL,
    "arrays": HEAP,
    "slots": HEAP,
    "strings": HEAP,
    "recurse": STACK,
    "deepJson": STACK,
}


class Limits(YardTest):
    def attack(self, method, limits, calls=0, timeout=90):
        file = self.yard.cluster({
            "front": {"source": os.path.join(VATS, "front.js"), "parameters": {"method": method, "calls": calls}},
            "victim": os.path.join(VATS, "evil.js"),
            "other": os.path.join(VATS, "counter.js"),
        }, deploy={"vats": {"victim": {"limits": limits}}})
        return self.yard.ctl("run", file, "--json", timeout=timeout)

    def check(self, method, reason):
        # Only where the clock is to speak it comes first, also on a busy machine.
        result = self.attack(method, {"wallPerDelivery": "3s" if reason == WALL else "20s"})
        self.assertExit(0, result)
        state, text, waiting, after, other = result.json["value"]
        self.assertEqual("rejected", state)
        self.assertIn("vat terminated", text)
        # What waited behind the attack, and what comes after it, is answered as well.
        self.assertEqual("rejected", waiting[0])
        self.assertIn("vat terminated", waiting[1])
        self.assertEqual("rejected", after[0])
        self.assertEqual(["fulfilled", 1], other)
        self.assertIn(reason, result.err)
        self.assertRegex(result.err, r"victim.*" + reason)
        self.assertLess(result.seconds, 30)
        self.assertNothingRuns()

    def test_exit(self):
        result = self.attack("exit", {})
        self.assertExit(0, result)
        self.assertEqual("rejected", result.json["value"][2][0])

    def test_exit_with_failure(self):
        result = self.attack("exitWithFailure", {})
        self.assertExit(0, result)
        self.assertEqual("rejected", result.json["value"][0])

    def test_others_run_meanwhile(self):
        result = self.attack("nativeLoop", {"wallPerDelivery": "12s"}, calls=1000)
        self.assertExit(0, result)
        self.assertEqual(["counted 1000", "nativeLoop rejected"], result.lines("front"))
        self.assertEqual(["fulfilled", 1001], result.json["value"][4])

    def test_limits_of_the_file_count(self):
        few = self.attack("loop", {"computronsPerDelivery": 1000000})
        self.assertExit(0, few)
        self.assertIn(COMPUTE, few.err)
        self.assertLess(few.seconds, 5)


for attack, why in ATTACKS.items():
    setattr(Limits, f"test_{attack}", lambda self, attack=attack, why=why: self.check(attack, why))


class Start(YardTest):
    """A vat that loops while it starts fails the launch."""

    def test_loop_at_start(self):
        source = self.yard.file("vats/loop.js", "for (;;);\nexport const buildRootObject = () => {};\n")
        file = self.yard.file("cluster.json", {
            "bootstrap": "a", "vats": {"a": {"sourceSpec": source}},
            "deploy": {"limits": {"wallPerDelivery": "20s"}}})
        result = self.yard.ctl("run", file)
        self.assertExit(3, result)
        self.assertEqual("", result.out)
        self.assertIn(COMPUTE, result.err)
        self.assertNothingRuns()


if __name__ == "__main__":
    main()
