#!/usr/bin/env python3
"""100,000 objects made and dropped across two vats: nothing of them is counted, and nothing of them stays in memory."""

import os
import sys

from yard import YardTest, main

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from leak import measure  # noqa: E402

FIRST, OBJECTS = 20_000, 100_000
# In so short a run SQLite still fills its page cache of 4 MiB; 60 bytes lost with each object would be more.
SLACK_KIB = 4096


class Leak(YardTest):
    def test_nothing_stays(self):
        wrong, before, after = measure(OBJECTS, FIRST, 250, 5)
        self.assertEqual([], wrong)
        for name, size in before.items():
            self.assertLess(after[name], size * 1.05 + SLACK_KIB, f"RSS of {name} in KiB, {size} after {FIRST} objects")


if __name__ == "__main__":
    main()
