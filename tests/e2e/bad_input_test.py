#!/usr/bin/env python3
"""Bad input gets a clear error: a code, the place, the reason, what to try; and nothing stays behind: no
vat, no process, no vat database, no finding of the audit."""

import json
import os
import socket
import subprocess
import unittest

from yard import BIN, VATS, Yard, YardTest, bundle, main, wait_for


def vat(name):
    return os.path.join(VATS, name)


def cluster(**code):
    return {"bootstrap": "a", "vats": {"a": code}}


# name -> (content of the cluster file, or None for no file; exit code; error code; words in the text)
FILES = {
    "missing": (None, 3, "E1101", ["absent.json"]),
    "not_json": ('{"bootstrap": "a",\n  "vats": {,}}', 3, "E1102", [":2:"]),
    "empty": ("", 3, "E1102", []),
    "binary": ("\x00\x01\x02", 3, "E1102", []),
    "duplicate_key": ('{"bootstrap": "a", "bootstrap": "b", "vats": {"a": {"bundleSpec": "x"}}}', 3, "E1103", ["bootstrap"]),
    "unknown_key": ({**cluster(bundleSpec="x.json"), "bootstrop": 1}, 3, "E1104", ["bootstrop", "bootstrap"]),
    "unknown_vat_key": (cluster(bundleSpec="x.json", paramaters={}), 3, "E1104", ["paramaters", "parameters"]),
    "no_bootstrap": ({"vats": {"a": {"bundleSpec": "x.json"}}}, 3, "E1105", ["bootstrap"]),
    "bootstrap_is_no_vat": ({"bootstrap": "b", "vats": {"a": {"bundleSpec": "x.json"}}}, 3, "E1109", ["b"]),
    "no_code": (cluster(), 3, "E1107", []),
    "two_codes": (cluster(bundleSpec="x.json", sourceSpec="x.js"), 3, "E1107", []),
    "bad_size": ({**cluster(bundleSpec="x.json"), "deploy": {"limits": {"heap": "much"}}}, 3, "E1106", ["heap"]),
    "not_honoured": (cluster(nativeSpec="libx.so"), 3, "E1108", ["nativeSpec"]),
    "from_the_network": (cluster(bundleSpec="https://example.org/x.json"), 3, "E1110", []),
    "bundle_missing": (cluster(bundleSpec="absent.bundle.json"), 3, "E1101", ["absent.bundle.json"]),
    "bundle_not_json": (cluster(bundleSpec="broken.bundle.json"), 3, "E2102", ["broken.bundle.json"]),
    "bundle_format": (cluster(bundleSpec="format.bundle.json"), 3, "E2101", ["cjsOfTheEighties"]),
    "bundle_empty": (cluster(bundleSpec="hollow.bundle.json"), 3, "E2102", []),
    "bundle_hash_unknown": (cluster(bundleHash="b1-" + "0" * 128), 3, "E2106", []),
    "source_missing": (cluster(sourceSpec="absent.js"), 3, "E1101", ["absent.js"]),
    "source_broken": (cluster(sourceSpec="broken.js"), 3, "E2103", ["broken.js"]),
}

# name -> (vat source, error code, words)
VATS_THAT_DO_NOT_START = {
    "without_buildRootObject": ("no-root.js", "E2104", ["buildRootObject", "makeBank"]),
    "throwing_buildRootObject": ("throws.js", "E2105", ["thrown from buildRootObject"]),
    "throwing_module": ("throws-global.js", "E2105", ["thrown from the module itself"]),
}

FURTHER_FILES = {
    "broken.bundle.json": "{",
    "format.bundle.json": {"moduleFormat": "cjsOfTheEighties", "source": "x"},
    "hollow.bundle.json": {"moduleFormat": "endoZipBase64"},
    "broken.js": "export const buildRootObject = () => {{{;\n",
}


class OnAnInstance(YardTest):
    """One instance takes all the bad input, and is as before after each."""

    @classmethod
    def setUpClass(cls):
        cls.shared = Yard()
        cls.addClassCleanup(cls.shared.close)
        cls.shared.ok("up")
        for name, content in FURTHER_FILES.items():
            cls.shared.file(name, content)

    def setUp(self):
        self.yard = self.shared

    def refused(self, file, exit_code, code, words):
        result = self.yard.ctl("cluster", "launch", file)
        self.assertExit(exit_code, result)
        self.assertEqual("", result.out)
        self.assertShape(result.err, code, words)
        as_json = self.yard.ctl("cluster", "launch", file, "--json")
        self.assertExit(exit_code, as_json)
        self.assertEqual("", as_json.out)
        error = json.loads(as_json.err)["error"]
        self.assertEqual((code, exit_code), (error["code"], error["exit"]), as_json.err)
        self.assertTrue(error["message"] and error["try"], as_json.err)
        self.assertCleanInstance()

    def assertShape(self, text, code, words):
        self.assertRegex(text, rf"(?m)^error {code}: \S")
        self.assertRegex(text, r"(?m)^  try +\S")
        self.assertRegex(text, r"(?m)^  (why|where) +\S")
        for word in words:
            self.assertIn(word, text)

    def assertCleanInstance(self):
        self.assertEqual([], self.yard.ok("ps", "--json").json)
        self.assertEqual([], self.yard.ok("cluster", "ls", "--json").json)
        self.assertSound()
        self.assertTrue(wait_for(lambda: not self.yard.workers(), 5), self.yard.processes())
        self.assertTrue(wait_for(lambda: not self.yard.vat_databases(), 5), self.yard.vat_databases())

    def test_one_bad_vat_among_good_ones(self):
        good = {"bundleSpec": bundle(vat("hello.js"))}
        file = self.yard.file("mixed.json", {"bootstrap": "a", "vats": {
            "a": good, "b": good, "c": {"bundleSpec": bundle(vat("throws.js"))}, "d": good}})
        self.refused(file, 3, "E2105", ["c", "thrown from buildRootObject"])

    def test_unknown_service(self):
        file = self.yard.file("service.json", {**cluster(bundleSpec=bundle(vat("hello.js"))), "services": ["nosuch"]})
        result = self.yard.ctl("cluster", "launch", file)
        self.assertExit(3, result)
        self.assertIn("no registered kernel service 'nosuch'", result.err)
        self.assertCleanInstance()

    def test_wrong_use(self):
        for args, code, exit_code in (
            (["frobnicate"], "E1002", 2),
            (["run", "--frobnicate", "x"], "E1003", 2),
            (["run"], "E1001", 2),
            (["run", "x.json", "--hosts", "many"], "E1004", 2),
            (["call", "ko1.0", "m", "Bob"], "E1007", 2),
            (["call", "ko9999.1", "m"], "E4101", 6),
            (["inspect", "v9999"], "E2304", 6),
            (["cluster", "rm", "nosuch", "--yes"], "E2303", 6),
            (["kill", "v9999"], "E2304", 6),
        ):
            with self.subTest(" ".join(args)):
                result = self.yard.ctl(*args)
                self.assertExit(exit_code, result)
                self.assertRegex(result.err, rf"(?m)^error {code}: \S")
                self.assertRegex(result.err, r"(?m)^  try +\S")


def on_an_instance(content, exit_code, code, words):
    def test(self):
        if content is None:
            file = os.path.join(self.yard.dir, "absent.json")
        else:
            file = self.yard.file("bad.json", content)
        self.refused(file, exit_code, code, words)
    return test


def not_started(source, code, words):
    def test(self):
        file = self.yard.cluster({"a": vat(source)}, name="bad.json")
        self.refused(file, 3, code, words)
    return test


def run_alone(source, code, words):
    def test(self):
        result = self.yard.ctl("run", self.yard.cluster({"a": vat(source), "b": vat("hello.js")}))
        self.assertExit(3, result)
        self.assertEqual("", result.out)
        self.assertIn(code, result.err)
        for word in words:
            self.assertIn(word, result.err)
        self.assertNothingRuns()
        self.assertEqual([], self.yard.vat_databases())
    return test


for name, row in FILES.items():
    setattr(OnAnInstance, f"test_{name}", on_an_instance(*row))
for name, row in VATS_THAT_DO_NOT_START.items():
    setattr(OnAnInstance, f"test_{name}", not_started(*row))


class Run(YardTest):
    """The same through `run`, which must leave nothing at all."""


for name, row in VATS_THAT_DO_NOT_START.items():
    setattr(Run, f"test_{name}", run_alone(*row))


class Surroundings(YardTest):
    def broker(self, state, *args, **options):
        return subprocess.run([os.path.join(BIN, "vatbroker"), "--state", state, *args], env=self.yard.env,
                              capture_output=True, text=True, timeout=20, **options)

    def start_broker(self, state):
        broker = self.yard.start("--state", state, program="vatbroker")
        ready = broker.stdout.readline()
        self.assertTrue(ready.startswith("ready {"), ready)
        return broker, json.loads(ready[6:])

    def test_unreachable_broker(self):
        for args in (["ps"], ["call", "ko1.0", "m"], ["status"], ["cluster", "ls"]):
            with self.subTest(" ".join(args)):
                result = self.yard.ctl(*args)
                self.assertExit(4, result)
                self.assertEqual("", result.out)
                self.assertRegex(result.err, r"(?m)^error E3001: \S")
                self.assertRegex(result.err, r"(?m)^  why +\S")
                self.assertRegex(result.err, r"(?m)^  try +vatctl up")
        self.assertNothingRuns()

    def test_stale_socket(self):
        self.yard.ok("up")
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        result = self.yard.ctl("ps")
        self.assertExit(4, result)
        self.yard.ok("up")
        self.assertEqual([], self.yard.ok("ps", "--json").json)
        self.yard.ok("down")

    def test_second_broker_on_the_same_state(self):
        state = os.path.join(self.yard.dir, "state")
        first, _ = self.start_broker(state)
        second = self.broker(state)
        self.assertEqual(1, second.returncode, second.stderr)
        self.assertRegex(second.stderr, r"(?m)^error E5003: \S")
        self.assertIn(state, second.stderr)
        self.assertRegex(second.stderr, r"(?m)^  try +\S")
        self.assertIsNone(first.poll())
        first.terminate()
        self.assertEqual(0, first.wait(10))

    def test_run_on_a_state_in_use(self):
        state = os.path.join(self.yard.dir, "state")
        file = self.yard.cluster({"teller": {"source": vat("teller.js"), "parameters": {"coins": 100000, "every": 10}},
                                  "bank": vat("bank.js")})
        first = self.yard.start("run", file, "--state", state)
        self.assertTrue(wait_for(lambda: first.stderr.readline().startswith("teller | moved 10"), 20))
        second = self.yard.ctl("run", file, "--state", state)
        self.assertExit(1, second)
        self.assertEqual("", second.out)
        self.assertRegex(second.err, r"(?m)^error E5003: \S")
        self.assertIsNone(first.poll())
        first.terminate()
        first.wait(20)
        self.assertNothingRuns()

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            done = self.broker(os.path.join(self.yard.dir, "state"), "--listen", f"tcp://127.0.0.1:{port}")
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^error E3005: \S")
        self.assertIn(str(port), done.stderr)
        self.assertRegex(done.stderr, r"(?m)^  try +\S")

    def test_state_that_cannot_be_written(self):
        file = self.yard.file("a-file", "not a directory")
        done = self.broker(os.path.join(file, "state"))
        self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assertRegex(done.stderr, r"(?m)^error E(5001|1004): \S")
        self.assertIn(file, done.stderr)

    def test_database_that_is_none(self):
        state = os.path.join(self.yard.dir, "state")
        os.makedirs(state, mode=0o700)
        with open(os.path.join(state, "kernel.db"), "wb") as file:
            file.write(b"this is not a database" * 1000)
        done = self.broker(state)
        self.assertIn(done.returncode, (1, 9), done.stderr)
        self.assertRegex(done.stderr, r"(?m)^error E500[145]: \S")

    def test_key_file_that_others_may_read(self):
        state = os.path.join(self.yard.dir, "state")
        first, _ = self.start_broker(state)
        first.terminate()
        first.wait(10)
        os.chmod(os.path.join(state, "broker.key"), 0o644)
        done = self.broker(state)
        self.assertEqual(5, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^error E6001: \S")

    def test_full_disk(self):
        state = os.path.join(self.yard.dir, "small")
        os.mkdir(state, mode=0o700)
        file = self.yard.cluster({"teller": {"source": vat("teller.js"), "parameters": {"coins": 3000, "every": 1000}},
                                  "bank": vat("bank.js")})
        # A file system of 2 MiB in a mount namespace of its own, which ends with the command.
        script = ('mount -t tmpfs -o size=2m small "$1" 2>/dev/null || exit 99; shift; exec "$@"')
        command = ["unshare", "--mount", "sh", "-c", script, "sh", state, os.path.join(BIN, "vatctl"),
                   "run", file, "--state", state, "--timeout", "20s"]
        if os.getuid() != 0:
            command.insert(1, "--map-root-user")
        try:
            done = subprocess.run(command, env=self.yard.env, capture_output=True, text=True, timeout=90)
        except FileNotFoundError:
            self.skipTest("unshare is not installed")
        if done.returncode == 99 or "unshare" in done.stderr:
            self.skipTest("this machine lets nobody mount a small file system")
        self.assertNotEqual(0, done.returncode)
        self.assertEqual("", done.stdout)
        self.assertRegex(done.stderr, r"E5002|disk is full")
        self.assertNothingRuns()


if __name__ == "__main__":
    main()
