#!/usr/bin/env python3
"""The conformance table of README.md against what the runs recorded: fails when they disagree, or when a scenario failed.

    VATYARD_BIN=build/release/bin tests/conformance/table.py PROGRAM...            compare
    VATYARD_BIN=build/release/bin tests/conformance/table.py --write PROGRAM...    write the table
"""

import difflib
import json
import os
import sys

from conform import HERE, RECORDS, VERDICTS

README = os.path.join(HERE, "README.md")
BEGIN, END = "<!-- table: written by table.py -->\n", "<!-- end of table -->\n"

# In the table's order: where the scenarios of a suite are from.
SWINGSET = {
    "message-patterns": "message-patterns.js",
    "exomessages": "exomessages.test.js",
    "kernel": "kernel.test.js",
    "syscall-failure": "syscall-failure.test.js",
    "vat-env": "vat-env.test.js",
    "promises": "promises.test.js",
    "vpid-kernel": "vpid-kernel.test.js",
    "gc-kernel": "gc-kernel.test.js",
    "gc-kernel-orphan": "gc-kernel-orphan.test.js",
    "abandon-export": "abandon-export.test.js",
    "create-vat": "vat-admin/create-vat.test.js",
    "terminate": "vat-admin/terminate/terminate.test.js",
    "terminate-replay": "vat-admin/terminate/terminate-replay.test.js",
    "external-termination": "external-termination/external-termination.test.js",
    "replay": "vat-admin/replay.test.js",
    "upgrade": "upgrade/upgrade.test.js",
    "upgrade-replay": "upgrade/upgrade-replay.test.js",
    "change-parameters": "change-parameters/change-parameters.test.js",
    "reap-all": "reap-all/reap-all.test.js",
    "promise-watcher": "promise-watcher/promise-watcher.test.js",
    "timer": "timer/timer.test.js",
    "vat-timer": "vat-timer.test.js",
}
OCAP = {
    **{name: f"kernel-test/src/{name}.test.ts" for name in (
        "liveslots", "vat-lifecycle", "rejection", "syscall-validation", "persistence", "resume", "orphaned-ephemeral-exo", "service",
        "subclusters", "endowments", "endowment-globals", "io", "vatstore", "exo", "cluster-launch", "garbage-collection",
        "async-generator", "logger")},
    "system-subcluster": "kernel-node-runtime/test/e2e/system-subcluster.test.ts",
}
SUITES = {**{suite: f"agoric-sdk, `packages/SwingSet/test/{path}`" for suite, path in SWINGSET.items()},
          **{suite: f"ocap-kernel, `packages/{path}`" for suite, path in OCAP.items()}}


def load(programs):
    rows = []
    for program in programs:
        path = os.path.join(RECORDS, f"{program}.json")
        if not os.path.exists(path):
            sys.exit(f"{program} has not run to its end: there is no {path}")
        with open(path, encoding="utf-8") as file:
            rows += [dict(row, program=program) for row in json.load(file)]
    unknown = {row["suite"] for row in rows} - set(SUITES)
    if unknown:
        sys.exit(f"suites without a source: {sorted(unknown)}")
    return rows


def counts(rows):
    return [sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS]


def totals(rows):
    lines = ["| suite | source | scenarios | " + " | ".join(VERDICTS) + " |", "|---|---|---:" + "|---:" * len(VERDICTS) + "|"]
    for suite, source in SUITES.items():
        mine = [row for row in rows if row["suite"] == suite]
        if mine:
            lines.append(f"| {suite} | {source} | {len(mine)} | " + " | ".join(map(str, counts(mine))) + " |")
    lines.append(f"| **all** | | **{len(rows)}** | " + " | ".join(f"**{n}**" for n in counts(rows)) + " |")
    return lines


def table(rows):
    lines = totals(rows)
    for suite in SUITES:
        mine = [row for row in rows if row["suite"] == suite]
        if not mine:
            continue
        programs = ", ".join(f"`{name}.py`" for name in dict.fromkeys(row["program"] for row in mine))
        lines += ["", f"### {suite}", "", f"From {SUITES[suite]}; here: {programs}.", "",
                  "| scenario | verdict | why, and what happens here |", "|---|---|---|"]
        lines += [f"| {row['scenario']} | {row['verdict']} | {row['why']} |" for row in mine]
    return "\n".join(lines) + "\n"


def main():
    words = sys.argv[1:]
    write = "--write" in words
    rows = load([word for word in words if word != "--write"])
    with open(README, encoding="utf-8") as file:
        page = file.read()
    head, rest = page.split(BEGIN)
    old, tail = rest.split(END)
    new = table(rows)
    if write:
        with open(README, "w", encoding="utf-8") as file:
            file.write(head + BEGIN + new + END + tail)
        old = new
    sys.stdout.writelines(line + "\n" for line in totals(rows))
    failed = [f"{row['suite']} {row['scenario']}" for row in rows if not row["passed"]]
    if failed:
        sys.exit(f"{len(failed)} scenarios failed: {'; '.join(failed)}")
    if old != new:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "README.md", "the run"))
        sys.exit("the table in README.md is not what the run showed: table.py --write PROGRAM...")


if __name__ == "__main__":
    main()
