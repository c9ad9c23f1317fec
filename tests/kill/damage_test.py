#!/usr/bin/env python3
"""Which databases of vats have a heap that may be damaged."""

import contextlib
import os
import shutil
import sqlite3
import struct
import tempfile
import unittest

from damage import PAGE, SUM, checkpoints, damage, newest_of, page_sum


RESERVED, CONTENT = 20, 105  # places in the first page: bytes kept free at the end of each; where the first cell begins


def empty(path):
    """A database whose pages end in SUM bytes that SQLite leaves alone."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 1")
    with open(path, "r+b") as file:
        file.seek(RESERVED)
        file.write(bytes([SUM]))
        file.seek(CONTENT)
        file.write(struct.pack(">H", PAGE - SUM))


def written(path, heaps, pgen=3):
    """A database with the tables that damage.py reads; HEAPS: (d, oldest, heap)."""
    empty(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE checkpoint (d INTEGER PRIMARY KEY, oldest INTEGER, heap BLOB)")
        db.execute("CREATE TABLE meta (name BLOB PRIMARY KEY, value BLOB)")
        db.execute("INSERT INTO meta VALUES (CAST('pgen' AS BLOB), ?)", (struct.pack("<Q", pgen),))
        db.executemany("INSERT INTO checkpoint VALUES (?, ?, ?)", heaps)


class Damage(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vatyard-damage-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, "vat-7.3.db")

    def heap(self, d):
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT heap FROM checkpoint WHERE d = ?", (d,)).fetchone()[0]

    def test_a_maker_that_died_before_its_first_commit_left_none(self):
        with open(self.path, "wb"):
            pass
        self.assertEqual(0, checkpoints(self.path))

    def test_a_copy_that_came_from_another_host_has_none(self):
        written(self.path, [(10, 5, b"heap")], pgen=2)
        self.assertEqual(0, checkpoints(self.path))

    def test_one_without_a_heap_yet_has_none(self):
        written(self.path, [])
        self.assertEqual(0, checkpoints(self.path))

    def test_two_count_if_the_log_lies_between_them(self):
        written(self.path, [(10, 5, b"older"), (20, 10, b"newer")])
        self.assertEqual(2, checkpoints(self.path))

    def test_the_newest_is_made_unreadable_and_the_older_is_not(self):
        written(self.path, [(10, 5, b"older" * 40), (20, 10, b"newer" * 40)])
        damage(self.path)
        self.assertEqual(b"older" * 40, self.heap(10))
        self.assertNotEqual(b"newer" * 40, self.heap(20))
        self.assertEqual(len(b"newer" * 40), len(self.heap(20)))

    def test_each_page_has_its_sum_again(self):
        written(self.path, [(10, 5, b"heap")])
        checkpoints(self.path)
        with open(self.path, "rb") as file:
            for number in range(1, os.path.getsize(self.path) // PAGE + 1):
                page = file.read(PAGE)
                self.assertEqual(page_sum(page, number), struct.unpack("<Q", page[-SUM:])[0])

    def test_the_newest_placement_is_the_one(self):
        for name in ("vat-7.2.db", "vat-7.10.db", "vat-71.11.db"):
            with open(os.path.join(self.folder, name), "wb"):
                pass
        self.assertEqual(os.path.join(self.folder, "vat-7.10.db"), newest_of(self.folder, 7))
        self.assertEqual("", newest_of(self.folder, 8))


if __name__ == "__main__":
    unittest.main(verbosity=2)
