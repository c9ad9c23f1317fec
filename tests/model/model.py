#!/usr/bin/env python3
"""Runs the models with Spin, as runs.txt says: every state, no hashing away.

    model.py                    all runs, two at a time
    model.py flip sleep         those whose mutant or settings contain one of the words
    model.py --trail flip_below_safe     and what happens on the way to its error
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MB = 900  # of one run; two go at a time
SECONDS = 300


class Run:
    def __init__(self, model, mutant, settings):
        self.model, self.mutant = model, mutant
        self.settings = dict(word.split("=") for word in settings.split())

    def __str__(self):
        settings = " ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.model} {self.mutant or ''} [{settings}]"


def read_runs():
    runs = []
    for line in (HERE / "runs.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            runs.append(Run(*(part.strip() for part in line.split("|"))))
    return runs


def mutants(model):
    """Names and numbers, as the model has them."""
    found = re.findall(r"^#define BUG_(\w+) (\d+)", (HERE / f"{model}.pml").read_text(), re.M)
    return {name: int(number) for name, number in found}


class Verifiers:
    """One program for each model, made when first wanted. What to run is in its environment."""

    def __init__(self, folder):
        self.folder, self.made, self.lock = pathlib.Path(folder), {}, threading.Lock()

    def of(self, model):
        with self.lock:
            if model not in self.made:
                self.made[model] = self.make(model)
            return self.made[model]

    def make(self, model):
        folder = self.folder / model
        folder.mkdir()
        source = HERE / f"{model}.pml"
        said = subprocess.run(["spin", "-a", source], cwd=folder, capture_output=True, text=True)
        if said.returncode or "rror" in said.stdout:
            sys.exit(f"spin: {model}.pml\n{said.stdout}{said.stderr}")
        flags = ["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", f"-DMEMLIM={MEMORY_MB}"]
        subprocess.run(["cc", *flags, "-o", "pan", "pan.c"], cwd=folder, check=True)
        return folder / "pan"


class Outcome:
    def __init__(self, run, text):
        self.run, self.text = run, text
        found = re.search(r"errors: (\d+)", text)
        self.errors = int(found.group(1)) if found else -1
        found = re.search(r"(\d+) states, stored", text)
        self.states = int(found.group(1)) if found else 0
        found = re.search(r"elapsed time (\S+)", text)
        self.seconds = float(found.group(1)) if found else 0.0
        found = re.search(r"pan:1: (.*)", text)
        self.why = found.group(1) if found else ""
        self.whole = self.errors >= 0 and not re.search(
            r"not completed|too small|out of memory|memory limit|truncated", text)

    @property
    def good(self):
        violated = self.errors > 0 and "assertion violated" in self.why
        return violated if self.run.mutant else self.errors == 0 and self.whole

    def __str__(self):
        verdict = "ok" if self.good else "WRONG"
        return f"{verdict:5} {self.states:9} states {self.seconds:6.1f} s  {self.run}"


def environment(run):
    settings = dict(run.settings)
    if run.mutant:
        settings["MUTANT"] = str(mutants(run.model)[run.mutant])
    return {"PATH": os.environ["PATH"], **settings}


def go(verifiers, run):
    program = verifiers.of(run.model)
    folder = tempfile.mkdtemp(dir=verifiers.folder)
    hash_bits = "-w18" if run.mutant else "-w23"
    try:
        said = subprocess.run([program, "-n", "-E", "-m10000", hash_bits], cwd=folder, timeout=SECONDS,
                              env=environment(run), capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return Outcome(run, "it took too long")
    outcome = Outcome(run, said.stdout + said.stderr)
    outcome.folder = folder
    return outcome


def go_all(runs, verifiers, told=lambda outcome: None):
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for outcome in pool.map(lambda run: go(verifiers, run), runs):
            told(outcome)
            outcomes.append(outcome)
    return outcomes


def trail(verifiers, outcome):
    """The actions on the way to the error, and what is not 0 then."""
    source = (HERE / f"{outcome.run.model}.pml").read_text().splitlines()
    files = list(pathlib.Path(outcome.folder).glob("*.trail"))
    if not files:
        return "there is none"
    said = subprocess.run([verifiers.of(outcome.run.model), "-r", files[0]], cwd=outcome.folder,
                          env=environment(outcome.run), capture_output=True, text=True).stdout
    steps = [source[int(line) - 1].strip() for line in re.findall(r"\[D_STEP(\d+)\]", said)]
    values = re.findall(r"^\s+(?:byte|bit)\s+(\S+:)\t([1-9]\d*)", said, re.M)
    return "\n".join(steps + [" ".join(name + value for name, value in values)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--trail", action="store_true")
    options = parser.parse_args()
    runs = [run for run in read_runs() if not options.words or any(w in str(run) for w in options.words)]
    with tempfile.TemporaryDirectory(prefix="vatyard-model-") as folder:
        verifiers = Verifiers(folder)

        def told(outcome):
            print(outcome, flush=True)
            if options.trail and outcome.errors > 0:
                print(trail(verifiers, outcome))
                print(outcome.why)

        outcomes = go_all(runs, verifiers, told)
    whole = [outcome for outcome in outcomes if not outcome.run.mutant]
    print(f"{sum(o.states for o in whole)} states in {len(whole)} runs; "
          f"{sum(1 for o in outcomes if o.run.mutant and o.good)} mutants found")
    return 0 if all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
