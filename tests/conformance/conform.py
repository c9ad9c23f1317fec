"""What all conformance programs share: scenarios with a verdict, and a record of the run.

A scenario is one row of the table in README.md: (suite, scenario, verdict, why). `@shows(...)` ties rows to the test that
proves them; `absent(...)` are rows of what is not there. A run prints its totals and writes a record beside the programs
(build/.../tests/conformance/PROGRAM.json); table.py compares these records with the README.

Verdicts: "same" (the peer's scenario has the peer's outcome here), "same, but" (so in all that a vat or a user sees but what
`why` says), "differs" (on purpose; `why` says what happens instead, and that is what the test proves), "not there".
"""

import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import BIN, YardTest, bundle  # noqa: E402, F401

VATS = os.path.join(HERE, "vats")
RECORDS = os.path.join(os.path.dirname(BIN), "tests", "conformance")
VERDICTS = ("same", "same, but", "differs", "not there")

rows = []


class Row:
    def __init__(self, suite, scenario, verdict, why):
        if verdict not in VERDICTS or (verdict != "same") != bool(why):
            raise ValueError(f"{suite} {scenario}: {verdict} {why!r}")
        self.suite, self.scenario, self.verdict, self.why = suite, scenario, verdict, why
        self.passed = None  # not run
        rows.append(self)


def shows(suite, *scenarios, verdict="same", why=""):
    """The decorated test proves these rows. A test may carry several."""
    def decorate(test):
        test.rows = getattr(test, "rows", []) + [Row(suite, name, verdict, why) for name in scenarios]
        return test
    return decorate


def absent(suite, why, *scenarios):
    for name in scenarios:
        Row(suite, name, "not there", why).passed = True


class Results(unittest.TextTestResult):
    def stopTest(self, test):
        super().stopTest(test)
        bad = [t for t, _ in self.failures + self.errors if test.id() in t.id()]  # a subtest counts for its test
        for row in getattr(getattr(test, test._testMethodName, None), "rows", []):
            row.passed = not bad and row.passed is not False


def record_path():
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    return os.path.join(RECORDS, f"{name}.json")


def begin():
    """What an earlier run showed counts no more."""
    if os.path.exists(record_path()):
        os.remove(record_path())


def record():
    """Prints totals by suite, and writes what the run showed when it was whole."""
    for suite in dict.fromkeys(row.suite for row in rows):
        mine = [row for row in rows if row.suite == suite]
        totals = ", ".join(f"{count} {verdict}" for verdict in VERDICTS
                           if (count := sum(row.verdict == verdict and bool(row.passed) for row in mine)))
        print(f"{suite}: {len(mine)} scenarios: {totals or 'none'}; {sum(row.passed is False for row in mine)} failed, "
              f"{sum(row.passed is None for row in mine)} not run")
    if all(row.passed is not None for row in rows):
        os.makedirs(RECORDS, exist_ok=True)
        with open(record_path(), "w", encoding="utf-8") as file:
            json.dump([vars(row) for row in rows], file, indent=1)


def main():
    begin()
    program = unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]], exit=False,
                            testRunner=unittest.TextTestRunner(resultclass=Results, verbosity=2))
    sys.stdout.flush()
    record()
    sys.exit(not program.result.wasSuccessful())
