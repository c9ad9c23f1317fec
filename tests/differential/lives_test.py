#!/usr/bin/env python3
"""Scenarios (scenario.py) that a program walks (lifecycle.py): every state of an object, every way between two."""

import unittest

import lifecycle


class Lives(unittest.TestCase):
    """Every state of an object and every way between two states."""

    def tour(self, kind, number, reap_always=True):
        durable = kind in lifecycle.DURABLE and number >= 5
        holder = lifecycle.holders(durable)[number % 5 if not durable else number - 5]
        ways, _, retired = lifecycle.tour(kind, holder, reap_always)
        self.assertEqual((ways, retired), (154, 16) if kind.endswith("kit") else (34, 3))

    def test_heap(self):
        for holder in (0, 2, 4):
            self.tour("heap", holder)

    def test_virtual(self):
        for holder in (1, 2, 3):
            self.tour("vbox", holder)

    def test_virtual_kit(self):
        self.tour("vkit", 0)
        self.tour("vkit", 2, reap_always=False)

    def test_durable(self):
        for holder in (0, 5, 8, 10):
            self.tour("dbox", holder)

    def test_durable_kit(self):
        self.tour("dkit", 10)
        self.tour("dkit", 9, reap_always=False)

    def test_collections(self):
        for number, kind in enumerate(("vmap", "vset", "vweakmap", "vweakset", "dmap", "dset", "dweakmap", "dweakset")):
            self.tour(kind, number % 5 if kind[0] == "v" else 5 + number % 6, reap_always=number % 2 == 0)

    def test_imports(self):
        weaks = ("vweakmap", "vweakset", "dweakmap", "dweakset", "WeakMap")
        for number, weak in enumerate(weaks):
            self.assertEqual(lifecycle.import_tour(lifecycle.holders(number % 2 == 1)[number], weak)[0], 29)


if __name__ == "__main__":
    unittest.main()
