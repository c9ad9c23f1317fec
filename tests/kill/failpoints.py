"""The labels of wire/base/failpoint.def, and the board on which they are armed and counted."""

import mmap
import os
import re
import struct

SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TABLE = os.path.join(SOURCE, "wire", "base", "failpoint.def")
ROW = re.compile(r'^LABEL\((\w+), (\w+), "((?:[^"\\]|\\.)*)"\)$', re.M)
HEAD = struct.Struct("<7sBII")
CELL = struct.Struct("<iIIi")


def rows():
    """[(label, process, doc)] in the order of the table."""
    with open(TABLE, encoding="utf-8") as file:
        return ROW.findall(file.read())


def places():
    """{label: [where it stands in the sources]}"""
    found = {}
    for folder in ("wire", "broker", "vathost"):
        for root, _, names in os.walk(os.path.join(SOURCE, folder)):
            for name in names:
                if not name.endswith((".c", ".h")) or name == "failpoint.h":
                    continue
                path = os.path.join(root, name)
                with open(path, encoding="utf-8") as file:
                    for number, line in enumerate(file, 1):
                        for label in re.findall(r"\bFAILPOINT\((\w+)\)", line):
                            found.setdefault(label, []).append(f"{os.path.relpath(path, SOURCE)}:{number}")
    return found


class Board:
    """A file that every process started with its path in VATYARD_FAILPOINT_BOARD shares with us."""

    def __init__(self, path):
        self.path = path
        self.rows = rows()
        self.seen = {}
        self.index = {name: number for number, (name, _, _) in enumerate(self.rows)}
        size = HEAD.size + len(self.rows) * CELL.size
        with open(path, "wb") as file:
            file.write(HEAD.pack(b"VYBOARD", 1, len(self.rows), CELL.size))
            file.truncate(size)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), size)

    def close(self):
        self.map.close()

    def _at(self, label):
        return HEAD.size + self.index[label] * CELL.size

    def arm(self, label, nth=1):
        """The nth pass from now on kills who passes. 0 takes that back."""
        struct.pack_into("<i", self.map, self._at(label), nth)

    def cell(self, label):
        """(passes left, passed, died, pid of the last that died)"""
        return CELL.unpack_from(self.map, self._at(label))

    def passed(self, label):
        return self.cell(label)[1]

    def died(self, label):
        return self.cell(label)[2]

    def new_deaths(self):
        """[(label, process)] for each death since this was asked last."""
        found = []
        for name, process, _ in self.rows:
            died = self.died(name)
            found += [(name, process)] * (died - self.seen.get(name, 0))
            self.seen[name] = died
        return found
