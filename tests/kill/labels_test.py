#!/usr/bin/env python3
"""Each label of failpoint.def stands at exactly one place of the sources, and none that is not in it does."""

import unittest

from failpoints import places, rows

PROCESSES = {"broker", "agent", "vathost", "zygote", "worker"}


class Labels(unittest.TestCase):
    def setUp(self):
        self.rows = rows()

    def test_the_table_is_read(self):
        self.assertGreaterEqual(len(self.rows), 60)
        names = [name for name, _, _ in self.rows]
        self.assertEqual(len(names), len(set(names)))

    def test_names_carry_the_process(self):
        for name, process, doc in self.rows:
            self.assertIn(process, PROCESSES)
            self.assertTrue(name.startswith(f"{process}_"), name)
            self.assertTrue(doc, name)

    def test_each_has_one_place(self):
        found = places()
        for name, _, _ in self.rows:
            self.assertEqual(1, len(found.get(name, [])), f"{name}: {found.get(name)}")

    def test_each_place_has_a_row(self):
        self.assertEqual(set(), set(places()) - {name for name, _, _ in self.rows})


if __name__ == "__main__":
    unittest.main(verbosity=2)
