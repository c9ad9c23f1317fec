#!/usr/bin/env python3
"""The same vats under SwingSet and here, in turn: ping, flood and churn, medians and ratios.

    VATYARD_BIN=build/release/bin tests/bench/swingset.py [--rounds 5] [--messages 200] [--times 4] [--hosts 1] [--null]

SwingSet is @agoric/swingset-vat from npm with its xs-workers, installed by this script into a cache folder outside of the
tree (--cache), which is kept: the first run compiles SQLite's binding and XS and takes some minutes. It needs Node 20 or
22, npm, make, a C++ compiler, and the headers that came with Node (nodejs, or libnode-dev: /usr/include/node).

SwingSet runs as a chain runs it: vats in xs-workers, a transcript, heap snapshots every 200 deliveries, a reap every 1000,
SQLite with synchronous=FULL, one commit for 100 deliveries. Vatyard runs as it always does: a broker and vathosts as
processes of their own with CURVE between them, every delivery durable before it is sent (synchronous=FULL); checkpoints every 200,
too. Both have the sources in tests/bench/swingset. A round is SwingSet's turn and then Vatyard's; both stay up, and who has no turn
waits. Vatyard's turns have --times as many messages, its time is that of the command less that of one that does nothing.
The last line is what both vats counted: nothing was lost.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from yard import Yard  # noqa: E402

SOURCES = os.path.join(HERE, "swingset")

# What npm installs. The packages leave open which endo they get: it is the one that they were released with, and one
# SES for all, or the realm is locked down by another than those use who live in it.
PACKAGES = {"@agoric/swingset-vat": "0.33.0", "@agoric/swing-store": "0.10.0", "@agoric/xsnap": "0.15.0",
            "@endo/far": "1.1.14", "@endo/init": "1.1.12"}
OVERRIDES = {"ses": "1.14.0", "better-sqlite3": "10.1.0", **{f"@endo/{name}": version for name, version in {
    "base64": "1.0.12", "bundle-source": "4.1.2", "cache-map": "1.1.0", "captp": "4.4.8", "check-bundle": "1.0.17",
    "cjs-module-analyzer": "1.0.11", "common": "1.2.13", "compartment-mapper": "1.6.3", "env-options": "1.1.11",
    "errors": "1.2.13", "evasive-transform": "2.3.1", "eventual-send": "1.3.4", "exo": "1.5.12", "far": "1.1.14",
    "immutable-arraybuffer": "1.1.2", "import-bundle": "1.5.2", "init": "1.1.12", "lockdown": "1.0.18", "marshal": "1.8.0",
    "module-source": "1.5.0", "nat": "5.1.3", "netstring": "1.0.18", "pass-style": "1.6.3", "path-compare": "1.1.0",
    "patterns": "1.7.0", "promise-kit": "1.1.13", "ses-ava": "1.3.2", "stream": "1.2.13", "stream-node": "1.1.13",
    "trampoline": "1.0.5", "where": "1.0.11", "zip": "1.0.11"}.items()}}
SCENARIOS = ("ping", "flood", "churn")


def quiet(*words, cwd, env=None, what):
    """Runs a step of the installation; says what was tried when it fails."""
    print(f"  {what}: {' '.join(words)}", flush=True)
    done = subprocess.run(words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout[-3000:]}\n{what} failed in {cwd}; nothing was measured")


def node_gyp():
    """npm's own, wherever npm is."""
    root = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=True).stdout.strip()
    for path in (f"{root}/npm/node_modules/node-gyp/bin/node-gyp.js", "/usr/share/nodejs/node-gyp/bin/node-gyp.js",
                 "/usr/share/npm/node_modules/node-gyp/bin/node-gyp.js"):
        if os.path.exists(path):
            return path
    sys.exit("node-gyp is not there: it comes with npm")


def node_headers():
    """The folder above include/node, of the Node that runs: no download."""
    node = os.path.realpath(shutil.which("node") or sys.exit("node is not there"))
    for root in (os.path.dirname(os.path.dirname(node)), "/usr"):
        if os.path.exists(f"{root}/include/node/node_version.h"):
            return root
    sys.exit("Node's headers (include/node) are not there: package libnode-dev, or a nodejs that has them")


def install(cache):
    """What is installed and compiled is not done again."""
    stamp = os.path.join(cache, "stamp.json")
    wanted = {"packages": PACKAGES, "overrides": OVERRIDES,
              "node": subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()}
    modules = os.path.join(cache, "node_modules")
    try:
        with open(stamp, encoding="utf-8") as file:
            if json.load(file) == wanted:
                return
    except (OSError, ValueError):
        pass
    print(f"installing SwingSet into {cache}", flush=True)
    os.makedirs(cache, exist_ok=True)
    shutil.rmtree(modules, ignore_errors=True)
    with open(os.path.join(cache, "package.json"), "w", encoding="utf-8") as file:
        json.dump({"name": "swingset-bench", "private": True, "type": "module", "dependencies": PACKAGES,
                   "overrides": OVERRIDES}, file)
    # No package's own scripts: they would fetch binaries. What must be compiled is compiled here.
    quiet("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", cwd=cache, what="packages")
    quiet("node", node_gyp(), "rebuild", "--release", f"--nodedir={node_headers()}",
          cwd=os.path.join(modules, "better-sqlite3"), what="SQLite's binding")
    xsnap = os.path.join(modules, "@agoric", "xsnap")
    quiet("make", f"MODDABLE={xsnap}/moddable", "GOAL=release", f"XSNAP_VERSION={PACKAGES['@agoric/xsnap']}",
          'CC=cc "-D__has_builtin(x)=1"', "EXTRA_DEPS=", "-f", "xsnap-worker.mk",
          cwd=os.path.join(xsnap, "xsnap-native", "xsnap", "makefiles", "lin"), what="XS, as xsnap's own build does it")
    with open(stamp, "w", encoding="utf-8") as file:
        json.dump(wanted, file)


def descendants(root):
    """ROOT and every process below it."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                parents[int(pid)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            pass
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_us(pids):
    """Time on a processor so far, that of ended children included."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                ticks += sum(map(int, file.read().rpartition(")")[2].split()[11:15]))
        except OSError:
            pass
    return ticks * 1e6 / os.sysconf("SC_CLK_TCK")


class SwingSet:
    def __init__(self, cache, folder):
        for name in os.listdir(SOURCES):
            shutil.copy(os.path.join(SOURCES, name), cache)
        env = {key: value for key, value in os.environ.items() if key not in ("DEBUG", "NODE_OPTIONS")}
        self.errors = open(os.path.join(folder, "swingset.log"), "w+", encoding="utf-8")
        self.child = subprocess.Popen(["node", os.path.join(cache, "swingset.mjs"), os.path.join(folder, "store")],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=env,
                                      text=True, cwd=folder)
        self.answer()

    def answer(self):
        # Whatever else it prints is not ours.
        for line in self.child.stdout:
            if line.startswith("{"):
                return json.loads(line)
        self.errors.seek(0)
        sys.exit(f"{self.errors.read()[-3000:]}\nSwingSet ended")

    def cpu_us(self):
        return cpu_us(descendants(self.child.pid))

    def turn(self, method, *args):
        self.child.stdin.write(json.dumps({"method": method, "args": args}) + "\n")
        self.child.stdin.flush()
        return self.answer()

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
        self.errors.close()


class Vatyard:
    def __init__(self, yard, hosts, null):
        self.yard = yard
        yard.ok("up", "--hosts", str(hosts))
        files = {name: os.path.join(SOURCES, f"{name}.js") for name in ("front", "back")}
        yard.ok("cluster", "launch", yard.cluster(files, snapshotInterval=200, name="js.json"), "--wait")
        if null:
            native = {name: {"nativeSpec": "null"} for name in ("n1", "n2")}
            yard.ok("cluster", "launch", yard.cluster(native, snapshotInterval=200, name="null.json"), "--wait")

    def call(self, root, method, *args):
        begin = time.monotonic()
        value = self.yard.ok("call", root, method, *map(str, args), "--json", timeout=600).json.get("value")
        return time.monotonic() - begin, value

    def cpu_us(self):
        return cpu_us(self.yard.processes())

    def turn(self, root, idle, method, *args):
        """Seconds, less those that a call that does nothing takes."""
        base = statistics.median(self.call(root, *idle)[0] for _ in range(3))
        return max(self.call(root, method, *args)[0] - base, 1e-6)


def pressure():
    with open("/proc/loadavg", encoding="ascii") as file:
        load = float(file.read().split()[0])
    try:
        with open("/proc/pressure/cpu", encoding="ascii") as file:
            psi = float(file.readline().split("avg10=")[1].split()[0])
    except OSError:
        psi = float("nan")
    return load, psi


# What one turn is: the call, and how many messages it makes.
def js_turn(scenario, n, times):
    return {"ping": ("ping", n * times), "flood": ("flood", n, times), "churn": ("churn", n * times)}[scenario]


def null_turn(scenario, n, times):
    return {"ping": ("round", "@n2", n * times), "flood": ("drive", "@n2", "s:ping", "[]", n * times, min(n, 4096)),
            "churn": ("churn", "@n2", n * times)}[scenario]


def measure(options, swingset, vatyard, rounds):
    """For each scenario and contender a list of (messages a second, CPU us a message); how loaded the machine was, round
    by round."""
    rates = {scenario: {} for scenario in SCENARIOS}
    loads = []
    n, times, end = options.messages, options.times, time.monotonic() + options.limit
    for number in range(rounds + 1):
        if time.monotonic() > end and number > 1:
            print(f"stopped after {number - 1} rounds: --limit", flush=True)
            break
        for scenario in SCENARIOS:
            turns = {"SwingSet": (swingset, n, lambda: swingset.turn(*js_turn(scenario, n, 1))["seconds"]),
                     "Vatyard": (vatyard, n * times,
                                 lambda: vatyard.turn("@front", ("ping", 0), *js_turn(scenario, n, times)))}
            if options.null:
                turns["Vatyard, null vats"] = (vatyard, n * times * 4, lambda: vatyard.turn(
                    "@n1", ("ping",), *null_turn(scenario, n, times * 4)))
            for name, (side, messages, run) in turns.items():
                before = side.cpu_us()
                seconds = run()
                if number:  # the first one warms everything up
                    rates[scenario].setdefault(name, []).append(
                        (messages / seconds, (side.cpu_us() - before) / messages))
        loads.append(pressure())
        print(f"round {number}{' (not counted)' if not number else ''}: load {loads[-1][0]:.1f}, CPU pressure "
              f"{loads[-1][1]:.0f} %", flush=True)
    return rates, loads[1:]


def show(rates, loads):
    print(f"\n{'messages/s':30}{'median':>9}{'min':>9}{'max':>9}{'CPU us':>9}   ratio [min-max], of each round")
    for scenario, by_name in rates.items():
        first = [rate for rate, _ in by_name["SwingSet"]]
        for name, pairs in by_name.items():
            list_, cpu = [rate for rate, _ in pairs], statistics.median(cpu for _, cpu in pairs)
            ratios = [mine / theirs for mine, theirs in zip(list_, first)]
            line = "" if name == "SwingSet" else f"x{statistics.median(ratios):.1f} [{min(ratios):.1f}-{max(ratios):.1f}]"
            print(f"{scenario if name == 'SwingSet' else '':8}{name:22}{statistics.median(list_):9.0f}{min(list_):9.0f}"
                  f"{max(list_):9.0f}{cpu:9.0f}   {line}")
    print(f"messages with answers per second, CPU time of all processes per message; load {min(l for l, _ in loads):.1f}-{max(l for l, _ in loads):.1f}, CPU pressure "
          f"{min(p for _, p in loads):.0f}-{max(p for _, p in loads):.0f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200, help="in one turn of SwingSet")
    parser.add_argument("--times", type=int, default=4, help="so many times as many in one of Vatyard")
    parser.add_argument("--hosts", type=int, default=1, help="with 2, front and back are on different ones")
    parser.add_argument("--null", action="store_true", help="vats of the null engine as well")
    parser.add_argument("--limit", type=float, default=600, help="seconds; no round begins after it")
    parser.add_argument("--json", metavar="FILE", help="all that was measured")
    parser.add_argument("--cache", default=os.path.join(
        os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "vatyard-swingset-bench"))
    options = parser.parse_args()

    install(options.cache)
    folder = tempfile.mkdtemp(prefix="vatyard-swingset-")
    swingset = None
    try:
        with Yard() as yard:
            swingset = SwingSet(options.cache, folder)
            vatyard = Vatyard(yard, options.hosts, options.null)
            rates, loads = measure(options, swingset, vatyard, options.rounds)
            show(rates, loads)
            turns = len(loads) + 1
            wanted = turns * options.messages * len(SCENARIOS)
            theirs = int(swingset.turn("seen")["value"][1:])
            ours = vatyard.call("@front", "seen")[1]
            print(f"came      SwingSet {theirs} of {wanted}, Vatyard {ours} of {wanted * options.times}")
            if options.json:
                with open(options.json, "w", encoding="utf-8") as file:
                    json.dump({"rates": rates, "loads": loads, "options": vars(options), "packages": PACKAGES}, file, indent=1)
            yard.ok("down")
            return 0 if theirs == wanted and ours == wanted * options.times else 1
    finally:
        if swingset:
            swingset.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
