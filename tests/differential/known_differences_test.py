#!/usr/bin/env python3
"""What ours does on purpose and the published worker does not; README.md has the list."""

import unittest

from pair import START, Ours, Published, golden


class KnownDifferences(unittest.TestCase):
    """What ours does on purpose and the published worker does not. When one of these fails, a difference is gone."""

    def message(self, worker, body, slots=()):
        outcome, asked, _ = worker.deliver(
            ["message", "o+0", {"methargs": {"body": f"#{body}", "slots": list(slots)}, "result": "p-60"}])
        self.assertIsNone(outcome)
        return asked

    def test_send_only(self):
        """The published liveslots loses E.sendOnly(): it only spends a number for a promise."""
        both = []
        for worker in (Published("bench", golden()), Ours("bench")):
            worker.deliver(START)
            self.message(worker, '["hold",["t","$0.Alleged: t"]]', ["o-50"])
            both.append([it[0] for it in self.message(worker, '["sendOnly",["t","note",[]]]')])
            worker.close()
        self.assertEqual(both, [["resolve", "vatstoreSet"], ["send", "resolve"]])

    def test_long_lists_go_in_pieces(self):
        """The published worker drops any number of references at once; ours at most 10,000 (SLOTS_MAX)."""
        ours = Ours("bench")
        ours.deliver(START)
        for start in range(50, 10_052, 1667):
            slots = [f"o-{start + i}" for i in range(1667)]
            body = ",".join(f'"${i}.Alleged: t"' for i in range(1667))
            self.message(ours, f'["hold",["x{start}",[{body}]]]', slots)
        cells = ",".join(f'"x{start}"' for start in range(50, 10_052, 1667))
        self.message(ours, f'["drop",[{cells}]]')
        _, asked, _ = ours.deliver(["bringOutYourDead"])
        ours.close()
        gone = [it for it in asked if it[0] in ("dropImports", "retireImports")]
        self.assertEqual([(it[0], len(it[1])) for it in gone],
                         [("dropImports", 10_000), ("dropImports", 2), ("retireImports", 10_000), ("retireImports", 2)])
        self.assertEqual(len({ref for _, refs in gone for ref in refs}), 10_002)


if __name__ == "__main__":
    unittest.main()
