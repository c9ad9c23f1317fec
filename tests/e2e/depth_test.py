#!/usr/bin/env python3
"""Values as deep as a message may be go there and back; a deeper one ends the vat that sends it, and
nobody else."""

import os

from yard import VATS, YardTest, main

BODY_DEPTH_MAX = 512  # wire/base/limits.h; methargs take two of it


class Depth(YardTest):
    def run_deep(self, depth):
        deep = os.path.join(VATS, "deep.js")
        return self.yard.ctl("run", "--json", self.yard.cluster({
            "alice": {"source": deep, "parameters": {"depth": depth}},
            "bob": deep,
        }))

    def test_as_deep_as_may_be(self):
        result = self.run_deep(BODY_DEPTH_MAX - 2)
        self.assertExit(0, result)
        self.assertEqual([BODY_DEPTH_MAX - 2] * 3, result.json["value"])

    def test_deeper(self):
        result = self.run_deep(BODY_DEPTH_MAX - 1)
        self.assertEqual("rejected", result.json["status"])
        self.assertIn("illegal syscall", result.err)
        self.assertNotRegex(result.err, "bob.* ended")


if __name__ == "__main__":
    main()
