#!/usr/bin/env python3
"""Runs the scenarios of scenarios.json and compares, for every vat, all that it printed, and the result.

    VATYARD_BIN=build/release/bin tests/conformance/run.py [NAME...]
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from conform import Row, begin, record  # noqa: E402
from yard import Yard  # noqa: E402


def play(scenario, hosts):
    """Returns what differs, as text; empty when all is equal."""
    source = os.path.join(HERE, "vats", "promises.js")
    parameters = {"scenario": scenario["scenario"], **scenario["parameters"]}
    with Yard() as yard:
        names = ("alice", "bob", "carol")
        file = yard.cluster({name: {"source": source, "parameters": parameters} for name in names})
        result = yard.ctl("run", file, "--json", "--hosts", hosts, timeout=60)
        if result.code:
            return str(result)
        differ = []
        if result.json["value"] != scenario["result"]:
            differ.append(f"result {result.json['value']!r}, not {scenario['result']!r}")
        for name in names:
            if result.lines(name) != scenario["logs"][name]:
                differ.append(f"{name} printed\n    " + "\n    ".join(result.lines(name)) +
                              "\n  not\n    " + "\n    ".join(scenario["logs"][name]))
        if not yard.gone():
            differ.append(f"still running: {yard.processes()}")
        return "\n  ".join(differ)


def main():
    with open(os.path.join(HERE, "scenarios.json"), encoding="utf-8") as file:
        scenarios = json.load(file)
    if sys.argv[1:]:
        scenarios = [s for s in scenarios if s["name"] in sys.argv[1:]]
    rows = {name: Row("liveslots", name, "same", "") for name in dict.fromkeys(s["scenario"] for s in scenarios)}
    begin()
    failed = 0
    for number, scenario in enumerate(scenarios):
        hosts = 3 if number % 3 == 2 else 1  # where vats stand must make no difference
        differ = play(scenario, hosts)
        print(f"{'FAILED' if differ else 'passed'}  {scenario['name']}  on {hosts} host(s)")
        row = rows[scenario["scenario"]]
        row.passed = not differ and row.passed is not False
        if differ:
            print(f"  {differ}", flush=True)
            failed += 1
    print(f"{len(scenarios) - failed} of {len(scenarios)} scenarios passed")
    if not sys.argv[1:]:
        record()
    sys.exit(1 if failed or not scenarios else 0)


main()
