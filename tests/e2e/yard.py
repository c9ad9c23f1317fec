"""What the tests with real processes share: a directory of their own, the programs, and the rule
that nothing stays behind.

Every process started here carries VATYARD_TEST=<random> in its environment and so do all its
children: that is how leftovers are found, and the only processes that are ever ended.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

BIN = os.environ.get("VATYARD_BIN") or os.path.abspath("build/release/bin")
SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
EXAMPLES = os.path.join(SOURCE, "cli", "examples")
VATS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vats")
CACHE = os.path.join(os.path.dirname(BIN), "tests", "bundles")

LINE = re.compile(r"^([A-Za-z_][\w-]*)\s*\| (.*)$")


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def json(self):
        return json.loads(self.out)

    def lines(self, vat):
        """What one vat printed, in order."""
        found = (LINE.match(line) for line in self.err.splitlines())
        return [m.group(2) for m in found if m and m.group(1) == vat]

    def __str__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n-- stdout\n{self.out}\n-- stderr\n{self.err}"


def wait_for(what, seconds=20, step=0.02):
    """Calls WHAT until it returns something true, and returns that; None when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def command_line(pid):
    """What a process was started with, its program first."""
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")[:-1]


def bundle(path):
    """The bundle of a source, made once for each state of the sources beside it."""
    folder = os.path.dirname(os.path.abspath(path))
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if name.endswith(".js"):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(name.encode() + b"\0" + file.read() + b"\0")
    name = f"{os.path.basename(path)[:-3]}-{digest.hexdigest()[:16]}.json"
    target = os.path.join(CACHE, name)
    if not os.path.exists(target):
        os.makedirs(CACHE, exist_ok=True)
        part = f"{target}.{os.getpid()}"
        done = subprocess.run([os.path.join(BIN, "vatctl"), "bundle", "make", path, "-o", part],
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"vatctl bundle make {path}: {done.stdout}{done.stderr}")
        os.rename(part, target)
    return target


def bundle_as(kind, source, target):
    """A bundle in one of the formats of the field, by the bundler that vatctl starts. endo's own
    formats want the source in a package that names what it imports."""
    share = os.path.join(os.path.dirname(BIN), "share", "vatyard", "bundler")
    folder = f"{target}.package"
    shutil.copytree(os.path.dirname(source), folder)
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        json.dump({"name": "vats", "type": "module", "dependencies": {"@endo/far": "*"}}, file)
    os.symlink(os.path.join(share, "node_modules"), os.path.join(folder, "node_modules"))
    done = subprocess.run(["node", os.path.join(share, "bundle.mjs"), os.path.join(folder, os.path.basename(source)),
                           "-o", target, "--format", kind], capture_output=True, text=True, timeout=120)
    shutil.rmtree(folder)
    if done.returncode:
        raise RuntimeError(done.stderr)


class Yard:
    """An instance of its own under a temporary VATYARD_HOME."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="vatyard-test-")
        self.home = os.path.join(self.dir, "home")
        self.mark = f"VATYARD_TEST={uuid.uuid4().hex}"
        self.env = dict(os.environ, VATYARD_HOME=self.home, TMPDIR=self.dir, NO_COLOR="1")
        self.env.update([self.mark.split("=")])
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.end()
        for child in self.children:
            child.wait()
            for stream in (child.stdout, child.stderr):
                try:
                    stream.close()
                except RuntimeError:  # a thread still reads it, and ends with it
                    pass
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- programs

    def start(self, *args, program="vatctl", env=None, **options):
        child = subprocess.Popen([os.path.join(BIN, program), *map(str, args)], env=env or self.env,
                                 cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, **options)
        self.children.append(child)
        return child

    def ctl(self, *args, timeout=90, env=None, **options):
        """Runs vatctl to its end. An end by TIMEOUT is exit code -1."""
        begin = time.monotonic()
        child = self.start(*args, env=env, **options)
        try:
            out, err = child.communicate(timeout=timeout)
            code = child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            code = -1
        return Result(code, out, err, time.monotonic() - begin)

    def ok(self, *args, **options):
        result = self.ctl(*args, **options)
        if result.code:
            raise AssertionError(f"vatctl {' '.join(map(str, args))}: {result}")
        return result

    def file(self, name, content):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content if isinstance(content, str) else json.dumps(content))
        return path

    def cluster(self, vats, bootstrap=None, name="cluster.json", **more):
        """Writes a cluster file. VATS: {name: source file or vat object}."""
        rows = {}
        for vat, code in vats.items():
            row = {"bundleSpec": bundle(code)} if isinstance(code, str) else dict(code)
            if "source" in row:
                row["bundleSpec"] = bundle(row.pop("source"))
            rows[vat] = row
        return self.file(name, {"bootstrap": bootstrap or next(iter(vats)), "vats": rows, **more})

    # -- processes

    def processes(self, program=None):
        """{pid: program} of all that was started here and still runs."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if self.mark.encode() not in file.read().split(b"\0"):
                        continue
                with open(f"/proc/{pid}/stat") as file:
                    stat = file.read()
                if stat[stat.rindex(")") + 2] in "ZX":
                    continue
                name = stat[stat.index("(") + 1 : stat.rindex(")")]
            except (OSError, ValueError):
                continue
            if program is None or name == program:
                found[int(pid)] = name
        return found

    def workers(self):
        """pids of the processes that run a vat."""
        return list(self.processes("vatworker"))

    def zygotes(self):
        """pids of the processes that workers are forked from."""
        return list(self.processes("vatzygote"))

    def kill(self, pids, sig=signal.SIGKILL):
        """What is killed is dead on return: on a busy machine that takes a moment, in which it still looks alive."""
        for pid in pids:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass
        if sig == signal.SIGKILL:
            wait_for(lambda: not any(alive(pid) for pid in pids), 10, 0.002)

    def end(self):
        """Ends all that was started here, by id, until nothing is left."""
        for _ in range(50):
            left = [pid for pid in self.processes() if pid != os.getpid()]
            if not left:
                return
            self.kill(left)
            time.sleep(0.05)

    def gone(self, seconds=10):
        """True when all processes end by themselves in time."""
        return wait_for(lambda: not self.processes(), seconds)

    def vat_databases(self, root=None):
        return [os.path.join(folder, name)
                for folder, _, names in os.walk(root or self.dir) for name in names
                if re.match(r"vat-\d+\.\d+\.db", name)]


class YardTest(unittest.TestCase):
    """A test with a yard. What a test leaves running is a failure of that test."""

    longMessage = True
    maxDiff = 20000

    def setUp(self):
        self.yard = Yard()
        self.addCleanup(self.yard.close)

    def assertExit(self, code, result):
        self.assertEqual(code, result.code, str(result))

    def assertNothingRuns(self, seconds=10):
        self.assertTrue(self.yard.gone(seconds), f"still running: {self.yard.processes()}")

    def assertSound(self):
        """The instance under the yard's home: the audit finds nothing."""
        self.assertExit(0, self.yard.ctl("db", "audit"))


def main():
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
