#!/usr/bin/env python3
"""SwingSet's message patterns (vats/patterns.js): 38 of them, each in a cluster of its own, twice. With --serial
all lines of all vats must come in SwingSet's order; with a window of 16 on three hosts the lines of each vat must."""

import json
import os
import unittest

from conform import HERE, VATS, YardTest, main, shows

SOURCE = os.path.join(VATS, "patterns.js")
WAYS = {"serial": ["--serial"], "parallel": ["--window", "16", "--hosts", "3"]}


class Patterns(YardTest):
    def play(self, pattern, lines):
        file = self.yard.cluster({part: {"source": SOURCE, "parameters": {"part": part, "pattern": pattern}}
                                  for part in ("boot", "a", "b", "c")})
        for way, flags in WAYS.items():
            with self.subTest(way=way):
                result = self.yard.ctl("run", file, *flags, timeout=60)
                self.assertExit(0, result)
                if way == "serial":
                    self.assertEqual(lines, [line for line in result.err.splitlines() if " | " in line])
                for vat in "abc":
                    self.assertEqual([line[4:] for line in lines if line[0] == vat], result.lines(vat))
                self.assertEqual([], result.lines("boot"))
        self.assertNothingRuns()


def scenario(pattern, lines):
    @shows("message-patterns", pattern)
    def test(self):
        self.play(pattern, lines)
    return test


with open(os.path.join(HERE, "patterns.json"), encoding="utf-8") as expected:
    for name, log in json.load(expected).items():
        setattr(Patterns, f"test_{name}", scenario(name, log))

if __name__ == "__main__":
    main()
