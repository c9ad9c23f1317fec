"""The world in which the examples of help, manual pages and READMEs are true: a folder with cluster.json
and its sources, vatctl in PATH, and, once it is up, a broker with two hosts and the cluster hello."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

import yard

SOURCES = os.path.join(yard.VATS, "world")
CLUSTER = {
    "name": "hello",
    "bootstrap": "alice",
    "vats": {"alice": {"sourceSpec": "vats/alice.js"}, "bob": {"sourceSpec": "vats/bob.js"},
             "bank": {"sourceSpec": "vats/bank.js"}, "counter": {"sourceSpec": "vats/counter-1.js"}},
}


class World(yard.Yard):
    def __init__(self):
        super().__init__()
        self.folder = os.path.join(self.dir, "world")
        shutil.copytree(SOURCES, os.path.join(self.folder, "vats"))
        self.file("world/cluster.json", CLUSTER)
        self.env["PATH"] = f"{yard.BIN}:{os.environ['PATH']}"

    def launch(self):
        """`up` has been: the cluster runs."""
        self.sh("vatctl cluster launch cluster.json --wait -q")

    def sh(self, line, code=0, interrupt=None, patience=20, meanwhile=None, timeout=30):
        """Runs LINE as a person types it; with INTERRUPT, Ctrl-C follows once that was printed, or after
        PATIENCE seconds; MEANWHILE is a line that is run a second later. Returns stdout."""
        child = subprocess.Popen(["bash", "-c", line], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        seen, other = "", None
        if meanwhile:
            other = subprocess.Popen(["bash", "-c", f"sleep 1; {meanwhile}"], env=self.env, cwd=self.folder,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if interrupt:
            seen = self.seen(child, interrupt, patience)
            os.killpg(child.pid, signal.SIGINT)
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            raise AssertionError(f"{line}: still at it after {timeout} s\n{seen}{out}\n{err}") from None
        if other and other.wait(timeout):
            raise AssertionError(f"{meanwhile}: exit code {other.returncode}")
        if child.returncode != code:
            raise AssertionError(f"{line}: exit code {child.returncode}, wanted {code}\n{seen}{out}\n{err}")
        return seen + out

    @staticmethod
    def seen(child, wanted, timeout):
        """What CHILD prints until WANTED is there, or the time is over."""
        text, end = "", time.monotonic() + timeout
        while wanted not in text and select.select([child.stdout], [], [], max(0, end - time.monotonic()))[0]:
            part = os.read(child.stdout.fileno(), 65536).decode()
            if not part:
                break
            text += part
        return text

    def until(self, line, pattern, seconds=30):
        """Runs LINE until it prints PATTERN."""
        if not yard.wait_for(lambda: re.search(pattern, self.sh(line)), seconds, step=0.2):
            raise AssertionError(f"{line} never prints {pattern}: {self.sh(line)}")

    # -- what some examples need to have happened

    def deliveries(self, vat, count):
        """VAT has run COUNT deliveries and more."""
        lines = " ".join("-c '!alice.log(1n)'" for _ in range(30)).replace("alice", vat)
        while json.loads(self.sh(f"vatctl inspect {vat} --json"))["deliveries"] < count:
            self.sh(f"vatctl shell {lines}")

    def moved(self, vat, host):
        """VAT stands on HOST."""
        if json.loads(self.sh(f"vatctl inspect {vat} --json"))["host"] != host:
            self.sh(f"vatctl move {vat} {host}")

    def clone(self, host):
        """Two processes speak with HOST's key ("h2"), until the broker stops both."""
        host = next(row["name"] for row in json.loads(self.sh("vatctl host ls --json")) if row["host"] == host)
        state = os.path.join(self.home, host)
        pid = next(pid for pid in self.processes("vathost") if f"{state}\0" in self.words(pid))
        words = self.words(pid).split("\0")[1:-1]
        copy = os.path.join(self.dir, f"{host}-clone")
        shutil.copytree(state, copy)
        words[words.index("--state") + 1] = copy
        at = words.index("--ready-fd")
        second = self.start(*words[:at], *words[at + 2:], program="vathost")
        if not yard.wait_for(lambda: second.poll() is not None and pid not in self.processes("vathost"), 40):
            raise AssertionError(f"{host} and its clone run on")
        self.until("vatctl host ls", rf"(?m)^h\d+ +{host} +quarantined")

    @staticmethod
    def words(pid):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return file.read()
