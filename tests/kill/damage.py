"""Makes the newest heap in a vat's database one that no engine can load, and nothing else: the file is whole, its sums are right."""

import contextlib
import os
import re
import sqlite3
import struct

PAGE, SUM = 4096, 8
ODD_A, ODD_B, MASK = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, (1 << 64) - 1


def turned(n, bits):
    return (n << bits | n >> (64 - bits)) & MASK


def page_sum(page, number):
    """As page_sum() of wire/pages/sum.c."""
    lanes = [ODD_B ^ number, ODD_A ^ PAGE, ODD_B, ODD_A]
    for n, word in enumerate(struct.unpack(f"<{PAGE // 8}Q", page)[:-1]):
        lanes[n % 4] = turned(((lanes[n % 4] ^ word) * ODD_A) & MASK, 29)
    total = sum(turned(lane, bits) for lane, bits in zip(lanes, (7, 19, 31, 47))) & MASK
    total = ((total ^ total >> 31) * ODD_B) & MASK
    return total ^ total >> 29


def seal(path):
    with open(path, "r+b") as file:
        for number in range(1, os.path.getsize(path) // PAGE + 1):
            file.seek((number - 1) * PAGE)
            page = file.read(PAGE)
            file.seek(number * PAGE - SUM)
            file.write(struct.pack("<Q", page_sum(page, number)))


def newest_of(folder, vat):
    """The database of a vat's present placement."""
    found = [(int(m.group(1)), name) for name in os.listdir(folder)
             for m in [re.fullmatch(rf"vat-{vat}\.(\d+)\.db", name)] if m]
    return os.path.join(folder, max(found)[1]) if found else ""


def checkpoints(path):
    """How many of its heaps its vat could start from, where the newest is not to be read: 1 or 2; 0 of a copy that came from another host and
    had no checkpoint here, and of one whose maker died before its first commit. Nobody else may have it open. To close it moves its log into
    it: pages want their sums again."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'checkpoint'").fetchone():
            return 0
        rows = db.execute("SELECT d, oldest FROM checkpoint WHERE length(heap) > 0 ORDER BY d DESC").fetchall()
        (pgen,) = db.execute("SELECT value FROM meta WHERE name = CAST('pgen' AS BLOB)").fetchone()
    seal(path)
    if not rows or f".{struct.unpack('<Q', pgen)[0]}.db" not in path:
        return 0
    return len(rows) if len(rows) == 1 or rows[0][1] == rows[1][0] else 0


def damage(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        (d, heap) = db.execute("SELECT d, heap FROM checkpoint ORDER BY d DESC LIMIT 1").fetchone()
        broken = bytearray(heap)
        for at in range(len(broken) // 2, min(len(broken), len(broken) // 2 + 64)):
            broken[at] ^= 0x55
        db.execute("UPDATE checkpoint SET heap = ? WHERE d = ?", (bytes(broken), d))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seal(path)
