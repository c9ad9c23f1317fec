#!/usr/bin/env python3
"""The checker finds what is planted: each history here is a right one with one thing made wrong."""

import copy
import unittest

from checker import check

ACCOUNTS, START = 2, 100


def good():
    """A right history, with an operation of each kind and of each way to end."""
    rows = [{"e": "begin", "banks": ["bank0", "bank1"], "accounts": ACCOUNTS, "start": START}]

    def op(name, kind, args, how="answer", value=None):
        rows.append({"e": "op", "op": name, "kind": kind, "args": args, "client": "client0.0"})
        if how != "forgot":
            rows.append({"e": "sent", "op": name})
        if how == "answer":
            rows.append({"e": "answer", "op": name, "value": value})
        elif how == "reject":
            rows.append({"e": "reject", "op": name, "why": "vat terminated"})
        elif how != "sent":
            rows.append({"e": how, "op": name})

    op("t1", "transfer", [0, "a0", 1, "a1", 30], "answer", "moved")
    op("t2", "transfer", [0, "a0", 0, "a1", 80], "answer", "refused")
    op("t3", "transfer", [1, "a0", 1, "a1", 10], "unread")
    op("t4", "transfer", [1, "a0", 0, "a1", 5], "forgot")
    op("t5", "transfer", [1, "a1", 0, "a0", 5], "forgot")
    for n in (1, 2, 3):
        op(f"k{n}", "token", [], "answer", n)
    op("k4", "token", [], "forgot")
    op("c1", "chain", [2, 1], "answer", {"order": [0, 1, 2], "times": [1, 1, 1]})
    op("u1", "churn", [3, ""], "answer", [3, 3, 0])
    op("u2", "churn", [2, "u1"], "answer", [2, 1, 3])
    op("u3", "churn", [2, ""], "forgot")
    for n in (1, 2, 3):
        op(f"n{n}", "note", ["client0.0", n], "answer", n)
    op("n4", "note", ["client1.0", 1], "sent")
    rows.append({"e": "answer", "op": "n4", "value": 1})
    op("n5", "note", ["client1.0", 2], "forgot")
    op("n6", "note", ["client1.0", 3], "forgot")
    for n in (1, 2):
        op(f"h{n}", "heap", [n], "answer", 1000 + n)
    op("h3", "heap", [3], "unread")
    op("g1", "guest", [1, 1, 1], "answer", [1, 1, 1])
    op("w1", "weigh", [100], "answer", [100, 108])
    op("x1", "hang", [], "reject")
    rows.append({"e": "journal", "vat": "bank0", "from": 0, "entries": [
        ["t1", "changed", "a0", -30], ["t2", "refused", "a0", -80]]})
    rows.append({"e": "journal", "vat": "bank0", "from": 2, "entries": [["t5", "changed", "a0", 5]]})
    rows.append({"e": "journal", "vat": "bank1", "from": 0, "entries": [
        ["t1", "changed", "a1", 30], ["t3", "changed", "a0", -10], ["t3", "changed", "a1", 10],
        ["t5", "changed", "a1", -5]]})
    rows.append({"e": "journal", "vat": "sink", "from": 0, "entries": [["k1", 1], ["k2", 2], ["k3", 3]]})
    rows.append({"e": "journal", "vat": "mint", "from": 0, "entries": [["k1", 1], ["k2", 2], ["k3", 3]]})
    rows.append({"e": "journal", "vat": "desk", "from": 0, "entries": [
        ["client0.0", 1], ["client1.0", 1], ["client0.0", 2], ["client1.0", 2], ["client0.0", 3]]})
    for vat, state in (("bank0", {"balances": [["a0", 75], ["a1", 100]], "stored": [["a0", 75], ["a1", 100]]}),
                       ("bank1", {"balances": [["a0", 90], ["a1", 135]], "stored": [["a0", 90], ["a1", 135]]}),
                       ("mint", {"made": 3, "out": 0}), ("desk", {"noted": 5}), ("churn1", {"held": 2}),
                       ("link0", {"waiting": []}), ("link1", {"waiting": []}), ("link2", {"waiting": []})):
        rows.append({"e": "state", "vat": vat, "state": state})
    rows.append({"e": "reference", "digests": [1001, 1002, 1003]})
    rows.append({"e": "end"})
    return rows


def find(rows, **fields):
    return next(row for row in rows if all(row.get(key) == value for key, value in fields.items()))


def journal(rows, vat, n=0):
    return [row for row in rows if row["e"] == "journal" and row["vat"] == vat][n]["entries"]


def answer(rows, op):
    return find(rows, e="answer", op=op)


def state(rows, vat):
    return find(rows, e="state", vat=vat)["state"]


# (name, what must be found, the change)
PLANTED = (
    ("a transfer taken and not put", "lost", lambda r: journal(r, "bank1").pop(0)),
    ("a transfer put and not taken", "wrong", lambda r: journal(r, "bank0").pop(0)),
    ("a transfer that left no trace", "lost", lambda r: (journal(r, "bank0").pop(0), journal(r, "bank1").pop(0))),
    ("a transfer taken twice", "doubled", lambda r: journal(r, "bank0").insert(1, ["t1", "changed", "a0", -30])),
    ("a transfer put twice", "doubled", lambda r: journal(r, "bank1").append(["t1", "changed", "a1", 30])),
    ("put before taken", "reordered", lambda r: journal(r, "bank1").insert(1, journal(r, "bank1").pop(2))),
    ("a refusal twice", "doubled", lambda r: journal(r, "bank0").append(["t2", "refused", "a0", -80])),
    ("refused, and answered as moved", "wrong", lambda r: answer(r, "t2").update(value="moved")),
    ("moved, and answered as refused", "wrong", lambda r: answer(r, "t1").update(value="refused")),
    ("an unread transfer did not happen", "lost",
     lambda r: (journal(r, "bank1").pop(1), journal(r, "bank1").pop(1))),
    ("a forgotten transfer happened by half", "lost", lambda r: journal(r, "bank0", 1).pop(0)),
    ("a forgotten transfer happened twice", "doubled",
     lambda r: journal(r, "bank1").append(["t5", "changed", "a1", -5])),
    ("money that nobody moved", "wrong", lambda r: journal(r, "bank1").append(["t9", "changed", "a1", 1])),
    ("a balance that the journal does not explain", "wrong", lambda r: state(r, "bank0").update(balances=[["a0", 75]])),
    ("the store behind the heap", "wrong", lambda r: state(r, "bank1")["stored"][0].__setitem__(1, 100)),
    ("heap and store differ once", "wrong", lambda r: journal(r, "bank0").append(["t1", "torn", "a0", 0])),
    ("a page of the journal is lost", "lost", lambda r: r.remove(find(r, e="journal", vat="bank0"))),
    ("a page of the journal comes again", "doubled", lambda r: r.insert(-1, find(r, e="journal", vat="sink"))),
    ("a token never arrived", "lost", lambda r: journal(r, "sink").pop(1)),
    ("a token never came home", "lost", lambda r: journal(r, "mint").pop()),
    ("a token arrived twice", "doubled", lambda r: journal(r, "sink").append(["k3", 3])),
    ("a token came home twice", "doubled", lambda r: journal(r, "mint").append(["k3", 0])),
    ("tokens in another order", "reordered", lambda r: journal(r, "sink").reverse()),
    ("two tokens under one number", "doubled", lambda r: journal(r, "sink")[1].__setitem__(1, 1)),
    ("a token of nobody", "wrong", lambda r: journal(r, "mint").append(["k9", 4])),
    ("a token is still out", "lost", lambda r: state(r, "mint").update(out=1)),
    ("a token answered under another number", "wrong", lambda r: answer(r, "k2").update(value=3)),
    ("chain: a message lost", "lost", lambda r: answer(r, "c1")["value"].update(order=[0, 2])),
    ("chain: a message twice", "doubled", lambda r: answer(r, "c1")["value"].update(order=[0, 1, 1, 2])),
    ("chain: another order", "reordered", lambda r: answer(r, "c1")["value"].update(order=[0, 2, 1])),
    ("chain: settled twice", "doubled", lambda r: answer(r, "c1")["value"].update(times=[1, 2, 1])),
    ("chain: one never heard", "lost", lambda r: answer(r, "c1")["value"].update(times=[1, 1, 0])),
    ("chain: a promise is still open", "lost", lambda r: state(r, "link2").update(waiting=["c1"])),
    ("churn: a poke lost", "lost", lambda r: answer(r, "u1").update(value=[2, 3, 0])),
    ("churn: a poke twice", "doubled", lambda r: answer(r, "u1").update(value=[4, 3, 0])),
    ("churn: what is held is not there", "wrong", lambda r: answer(r, "u2").update(value=[2, 1, 0])),
    ("churn: too much is held", "wrong", lambda r: state(r, "churn1").update(held=3)),
    ("churn: too little is held", "wrong", lambda r: state(r, "churn1").update(held=0)),
    ("a note lost in the middle", "lost", lambda r: journal(r, "desk").pop(2)),
    ("the last note lost, which was durable", "lost", lambda r: journal(r, "desk").pop()),
    ("a note that nobody waited for lost", "lost",
     lambda r: (journal(r, "desk").pop(1), journal(r, "desk").pop(2))),
    ("a note twice", "doubled", lambda r: journal(r, "desk").append(["client0.0", 3])),
    ("notes of one client in another order", "reordered",
     lambda r: journal(r, "desk").insert(0, journal(r, "desk").pop(2))),
    ("a forgotten note with a gap before it", "lost", lambda r: journal(r, "desk").append(["client1.0", 4])
     or find(r, op="n6", e="op")["args"].__setitem__(1, 4)),
    ("a note that was never asked for", "wrong", lambda r: journal(r, "desk").append(["client0.0", 4])),
    ("the heap remembers wrongly", "wrong", lambda r: answer(r, "h2").update(value=1)),
    ("the heap fell back by a step", "wrong", lambda r: answer(r, "h2").update(value=1001)),
    ("the reference is shorter", "wrong", lambda r: find(r, e="reference").update(digests=[1001])),
    ("no reference", "wrong", lambda r: r.remove(find(r, e="reference"))),
    ("a guest counted twice", "wrong", lambda r: answer(r, "g1").update(value=[1, 2, 1])),
    ("a large value came shorter", "wrong", lambda r: answer(r, "w1").update(value=[100, 99])),
    ("a vat that hangs answered", "wrong", lambda r: find(r, e="reject", op="x1").update(e="answer", value=-1)),
    ("an answer never came", "lost", lambda r: (r.remove(answer(r, "n4")), r.remove(find(r, e="sent", op="n4")))),
    ("two answers", "doubled", lambda r: r.insert(-1, answer(r, "t1"))),
    ("an answer to nothing", "wrong", lambda r: r.insert(-1, {"e": "answer", "op": "z1", "value": 1})),
    ("an operation was rejected", "wrong",
     lambda r: answer(r, "c1").update(e="reject", why="Error: [KERNEL:VAT_TERMINATED]")),
    ("one name for two operations", "wrong", lambda r: r.insert(2, copy.deepcopy(find(r, e="op", op="t1")))),
    ("the driver found something", "wrong", lambda r: r.insert(-1, {"e": "finding", "text": "the broker ended by itself"})),
    ("no end", "wrong", lambda r: r.pop()),
    ("no beginning", "wrong", lambda r: r.pop(0)),
)


class Planted(unittest.TestCase):
    def test_a_right_history_is_right(self):
        self.assertEqual([], check(good())[0])

    def test_what_a_client_forgot_may_have_happened_or_not(self):
        rows = good()
        journal(rows, "bank0", 1).clear()
        journal(rows, "bank1").pop()
        state(rows, "bank0").update(balances=[["a0", 70], ["a1", 100]], stored=[["a0", 70], ["a1", 100]])
        state(rows, "bank1").update(balances=[["a0", 90], ["a1", 140]], stored=[["a0", 90], ["a1", 140]])
        journal(rows, "desk").remove(["client1.0", 2])
        state(rows, "desk").update(noted=4)
        state(rows, "churn1").update(held=1)
        self.assertEqual([], check(rows)[0])

    def test_each_planted_one_is_found(self):
        for name, kind, change in PLANTED:
            with self.subTest(name):
                rows = copy.deepcopy(good())
                change(rows)
                self.assertIn(kind, [found for found, _ in check(rows)[0]], name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
