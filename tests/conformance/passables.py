#!/usr/bin/env python3
"""Every passable goes from alice to bob and back; the body that leaves the system at the end must be
the one that @endo/marshal, run in Node, makes of the same values.

    VATYARD_BIN=build/release/bin tests/conformance/passables.py NODE_MODULES_PARENT
"""

import json
import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import yard  # noqa: E402

MODULES = sys.argv.pop(1)


def by_marshal():
    made = subprocess.run(["node", os.path.join(HERE, "passables.mjs"), MODULES],
                          capture_output=True, text=True, timeout=60)
    if made.returncode:
        raise RuntimeError(made.stderr)
    return json.loads(made.stdout)


def values(body):
    """The record of a smallcaps body; an error's errorId is left out: liveslots adds one, by design."""
    def drop(pairs):
        return {key: value for key, value in pairs if key != "errorId"}
    return json.loads(body[1:], object_pairs_hook=drop)


class Passables(yard.YardTest):
    def test_there_and_back(self):
        vats = {name: os.path.join(HERE, "vats", f"passables-{name}.js") for name in ("alice", "bob")}
        result = self.yard.ctl("run", self.yard.cluster(vats), "--json")
        self.assertExit(0, result)
        expected = by_marshal()
        want, have = values(expected["body"]), values(result.json["result"]["body"])

        # liveslots itself says when an error leaves: that is a log of its own.
        lines = [line for line in result.lines("alice") if not line.startswith("Logging sent error stack")]

        self.assertGreater(len(want), 25)
        self.assertEqual([f"{name} came back" for name in
                          [line.split()[0] for line in lines[:-1]]] +
                         ["at bob: all the same"], lines)
        self.assertEqual(len(want) + 1, len(lines))
        for name, value in want.items():
            with self.subTest(name):
                self.assertEqual(json.dumps(value), json.dumps(have.get(name, "missing")))
        # Byte for byte as well: order of keys, spelling of numbers, escapes.
        self.assertEqual(expected["body"],
                         re.sub(r'"errorId":"[^"]*",', "", result.json["result"]["body"]))

        kinds = ["promise" if slot.startswith("kp") else "object" for slot in result.json["result"]["slots"]]
        self.assertEqual(expected["slots"], kinds)


yard.main()
