#!/usr/bin/env python3
"""Judges a run by its history alone: what was asked, what was answered, what the vats wrote down, and where they stood at the end.

usage: checker.py HISTORY

An operation that is *owed* (the broker said it is durable, or it was answered) must have happened exactly once; one of a client that died
before it heard so, at most once. What happened otherwise is
  lost       owed, and some of it did not happen
  doubled    something happened twice
  reordered  all of it happened, in another order than it was sent
  wrong      anything else: a sum, an answer, a state, what the driver itself found"""

import collections
import json
import sys

from history import read

KINDS = ("lost", "doubled", "reordered", "wrong")


class Op:
    def __init__(self, row):
        self.kind, self.args, self.client = row["kind"], row["args"], row.get("client", "")
        self.sent = self.answered = self.rejected = self.forgot = False
        self.answers = 0
        self.value = None

    @property
    def owed(self):
        return self.sent or self.answered


class Checker:
    def __init__(self):
        self.violations = []
        self.ops = collections.OrderedDict()
        self.journals = collections.defaultdict(list)
        self.states = {}
        self.begin, self.digests, self.ended = None, None, False

    def blame(self, kind, text):
        assert kind in KINDS
        self.violations.append((kind, text))

    # -- reading

    def take(self, row):
        getattr(self, f"_take_{row['e']}", lambda _: None)(row)

    def _take_begin(self, row):
        self.begin = row

    def _take_op(self, row):
        if row["op"] in self.ops:
            self.blame("wrong", f"{row['op']} was asked for twice: the history is not one")
        self.ops[row["op"]] = Op(row)

    def _op(self, row):
        op = self.ops.get(row["op"])
        if not op:
            self.blame("wrong", f"{row['e']} of {row['op']}, which nobody asked for")
        return op

    def _take_sent(self, row):
        op = self._op(row)
        if op:
            op.sent = True

    def _answered(self, row):
        op = self._op(row)
        if not op:
            return
        op.answers += 1
        if op.answers > 1:
            self.blame("doubled", f"{row['op']} was answered {op.answers} times")
        op.answered, op.value = True, row.get("value")

    def _take_answer(self, row):
        self._answered(row)

    def _take_reject(self, row):
        self._answered(row)
        op = self.ops.get(row["op"])
        if op:
            op.rejected = True
            if op.kind != "hang":
                self.blame("wrong", f"{row['op']} ({op.kind}) was rejected: {row['why']}")

    def _take_unread(self, row):
        op = self._op(row)
        if op and not op.sent:
            self.blame("wrong", f"{row['op']} is unread, and never was durable")

    def _take_forgot(self, row):
        op = self._op(row)
        if op:
            op.forgot = True

    def _take_journal(self, row):
        have = len(self.journals[row["vat"]])
        if row["from"] > have:
            self.blame("lost", f"the journal of {row['vat']} goes from {have} to {row['from']}")
        if row["from"] < have:
            self.blame("doubled", f"the journal of {row['vat']} goes from {have} back to {row['from']}")
        self.journals[row["vat"]] += [tuple(entry) for entry in row["entries"]]

    def _take_state(self, row):
        self.states[row["vat"]] = row["state"]

    def _take_reference(self, row):
        self.digests = row["digests"]

    def _take_finding(self, row):
        self.blame("wrong", row["text"])

    def _take_end(self, _):
        self.ended = True

    # -- judging

    def of(self, kind):
        return [(name, op) for name, op in self.ops.items() if op.kind == kind]

    def judge(self):
        if not self.begin or not self.ended:
            self.blame("wrong", "the history has no beginning or no end")
            return self.violations
        for name, op in self.ops.items():
            if not op.owed and not op.forgot:
                self.blame("lost", f"{name} ({op.kind}) was never answered")
        self.money()
        self.tokens()
        self.chains()
        self.churns()
        self.notes()
        self.heap()
        self.guests()
        for name, op in self.of("weigh"):
            if op.answered and not op.rejected and op.value != [op.args[0], op.args[0] + 8]:
                self.blame("wrong", f"{name} weighed {op.value}")
        return self.violations

    def times(self, name, op, count, what):
        """COUNT of 1 is right; of 0 only where nothing is owed. Returns whether it happened."""
        if count > 1:
            self.blame("doubled", f"{name}: {what} {count} times")
        elif count == 0 and op.owed:
            self.blame("lost", f"{name}: {what} not once")
        return count > 0

    def money(self):
        banks = self.begin["banks"]
        found = collections.defaultdict(list)
        sums = {bank: {f"a{n}": self.begin["start"] for n in range(self.begin["accounts"])} for bank in banks}
        for bank in banks:
            for entry in self.journals[bank]:
                op, what, account, amount = entry
                found[op].append((bank, what, account, amount))
                if what == "changed":
                    sums[bank][account] = sums[bank].get(account, 0) + amount
                elif what != "refused":
                    self.blame("wrong", f"{op}: {bank} found its heap and its store different at {account}")
        for name, op in self.of("transfer"):
            self.transfer(name, op, found.pop(name, []))
        for name in found:
            self.blame("wrong", f"{name}: nobody asked for {found[name]}")
        for bank in banks:
            state = self.states.get(bank, {})
            for part in ("balances", "stored"):
                if dict(map(tuple, state.get(part, []))) != sums[bank]:
                    self.blame("wrong", f"{bank}: the {part} are not what its journal adds up to")
        total = sum(sum(accounts.values()) for accounts in sums.values())
        if total != len(banks) * self.begin["accounts"] * self.begin["start"]:
            self.blame("wrong", f"{total} of money is there")

    def transfer(self, name, op, found):
        from_, from_account, to, to_account, amount = op.args
        taken = (self.begin["banks"][from_], "changed", from_account, -amount)
        put = (self.begin["banks"][to], "changed", to_account, amount)
        refused = (taken[0], "refused", from_account, -amount)
        counts = collections.Counter(found)
        if counts[refused]:
            self.times(name, op, counts[refused], "refused")
            if counts[taken] or counts[put]:
                self.blame("wrong", f"{name}: refused, and done")
            outcome = "refused"
        else:
            happened = self.times(name, op, counts[taken], "taken")
            if happened and not counts[put]:
                self.blame("lost", f"{name}: {amount} were taken and never put")
            if counts[put] > 1:
                self.blame("doubled", f"{name}: put {counts[put]} times")
            if counts[put] and not happened:
                self.blame("wrong", f"{name}: put and not taken")
            if happened and counts[put] and found.index(taken) > found.index(put) and taken[0] == put[0]:
                self.blame("reordered", f"{name}: put before taken")
            outcome = "moved"
        if set(counts) - {taken, put, refused}:
            self.blame("wrong", f"{name}: {found}")
        if op.answered and not op.rejected and op.value != outcome:
            self.blame("wrong", f"{name}: answered {op.value}, was {outcome}")

    def tokens(self):
        asked = dict(self.of("token"))
        made = self.states.get("mint", {}).get("made", 0)
        if self.states.get("mint", {}).get("out") != 0:
            self.blame("lost", f"{self.states.get('mint', {}).get('out')} tokens never came home")
        for vat, what in (("sink", "arrived"), ("mint", "came home")):
            entries = self.journals[vat]
            numbers = [number for _, number in entries]
            self.sequence(numbers, range(1, made + 1), f"tokens that {what}")
            counts = collections.Counter(op for op, _ in entries)
            for name, op in asked.items():
                self.times(name, op, counts.pop(name, 0), f"its token {what}")
            for name in counts:
                self.blame("wrong", f"{name}: a token {what} that nobody asked for")
            by_op = dict(entries)
            for name, op in asked.items():
                if op.answered and not op.rejected and name in by_op and by_op[name] != op.value:
                    self.blame("wrong", f"{name}: token {op.value} {what} as {by_op[name]}")

    def sequence(self, found, wanted, what):
        """Blames the difference between two lists of numbers."""
        found, wanted = list(found), list(wanted)
        if found == wanted:
            return
        counts = collections.Counter(found)
        doubled = sorted(n for n, count in counts.items() if count > 1)
        lost = sorted(set(wanted) - set(found))
        more = sorted(set(found) - set(wanted))
        if doubled:
            self.blame("doubled", f"{what}: {doubled[:10]}")
        if lost:
            self.blame("lost", f"{what}: {lost[:10]}")
        if more:
            self.blame("wrong", f"{what}: {more[:10]} should not be")
        if not doubled and not lost and not more:
            at = next(n for n, (a, b) in enumerate(zip(found, wanted)) if a != b)
            self.blame("reordered", f"{what}: {found[at:at + 5]} where {wanted[at:at + 5]} belongs")

    def chains(self):
        for name, op in self.of("chain"):
            if not op.answered or op.rejected:
                continue
            early, late = op.args
            self.sequence(op.value["order"], range(early + late), f"{name}: messages")
            if max(op.value["times"]) > 1:
                self.blame("doubled", f"{name}: settled {op.value['times']} times")
            if min(op.value["times"]) < 1 or len(op.value["times"]) != 3:
                self.blame("lost", f"{name}: settled {op.value['times']} times")
        for vat in ("link0", "link1", "link2"):
            state = self.states.get(vat, {})
            if state.get("waiting") != []:
                self.blame("lost", f"{vat} still waits: {state.get('waiting')}")

    def churns(self):
        asked = dict(self.of("churn"))
        for name, op in asked.items():
            if not op.answered or op.rejected:
                continue
            n, before = op.args
            wanted = [n, n * (n - 1) // 2, asked[before].args[0] if before else 0]
            if op.value != wanted:
                kind = "doubled" if op.value[0] > n else "lost" if op.value[0] < n else "wrong"
                self.blame(kind, f"{name}: {op.value} where {wanted} belongs")
        # Each holds its objects until a later one lets go of them.
        least = most = 0
        for op in asked.values():
            more = 0 if op.args[1] else 1
            most += more
            least += more if op.owed else 0
        held = self.states.get("churn1", {}).get("held", -1)
        if not least <= held <= most:
            self.blame("wrong", f"churn1 holds {held} parcels, not {least} to {most}")

    def notes(self):
        """Of each client one row without a gap; what it was told to be durable is in it."""
        noted = collections.defaultdict(list)
        for client, n in self.journals["desk"]:
            noted[client].append(n)
        owed, asked = collections.Counter(), collections.Counter()
        for name, op in self.of("note"):
            client, n = op.args
            asked[client] = max(asked[client], n)
            if op.owed:
                owed[client] = max(owed[client], n)
            if op.answered and not op.rejected and op.value != n:
                self.blame("wrong", f"{name}: {op.value}")
        for client in set(asked) | set(noted):
            found = noted[client]
            end = max(owed[client], min(max(found, default=0), asked[client]))
            self.sequence(found, range(1, end + 1), f"notes of {client}")
        if self.states.get("desk", {}).get("noted") != len(self.journals["desk"]):
            self.blame("wrong", "the desk counted other notes than it kept")

    def heap(self):
        steps = self.of("heap")
        if self.digests is None or len(self.digests) != len(steps):
            self.blame("wrong", f"{len(steps)} steps, {len(self.digests or [])} of the reference")
            return
        for (name, op), digest in zip(steps, self.digests):
            if op.answered and not op.rejected and op.value != digest:
                self.blame("wrong", f"{name}: step {op.args[0]} of the heap gave {op.value}, not {digest}")
                return  # all later ones follow

    def guests(self):
        for name, op in self.of("guest"):
            if op.answered and not op.rejected and op.value != op.args:
                self.blame("wrong", f"{name}: {op.value} where {op.args} belongs")
        for name, op in self.of("hang"):
            if op.answered and not op.rejected:
                self.blame("wrong", f"{name}: a vat that hangs answered {op.value}")


def check(rows):
    """(violations, checker)"""
    checker = Checker()
    for row in rows:
        checker.take(row)
    return checker.judge(), checker


def summary(violations):
    counts = collections.Counter(kind for kind, _ in violations)
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)


def main():
    violations, checker = check(read(sys.argv[1]))
    for kind, text in violations[:50]:
        print(f"{kind}: {text}")
    kinds = collections.Counter(op.kind for op in checker.ops.values())
    print(json.dumps({"operations": len(checker.ops), **kinds}))
    print(summary(violations))
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
