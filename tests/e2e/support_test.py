"""where and support: every path of the instance, and one file for a report, without a secret in it."""

import contextlib
import json
import os
import signal
import subprocess
import tarfile

import yard

HELLO = os.path.join(yard.EXAMPLES, "hello", "cluster.json")
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def raw_of(key):
    """The 32 bytes that a key of 40 characters stands for."""
    raw = b""
    for at in range(0, 40, 5):
        number = 0
        for char in key[at : at + 5]:
            number = number * 85 + Z85.index(char)
        raw += number.to_bytes(4, "big")
    return raw


@contextlib.contextmanager
def frozen(pid):
    """While it lasts, the process hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class SupportTest(yard.YardTest):
    def secrets(self):
        """{file: what stands in it} of all secret keys under the home."""
        found = {}
        for folder, _, names in os.walk(self.yard.home):
            for name in names:
                if name.endswith(".key"):
                    with open(os.path.join(folder, name), encoding="ascii") as file:
                        found[name] = file.read().strip()
        return found

    def pack(self, *args, **options):
        """The content of what `support` packs, by name."""
        target = os.path.join(self.yard.dir, "support.tar.gz")
        result = self.yard.ok("support", "-o", target, *args, **options)
        self.assertEqual(target, result.out.strip(), "the path is the result")
        self.assertEqual(0o600, os.stat(target).st_mode & 0o777)
        with tarfile.open(target, "r:gz") as tar:
            files = {os.path.basename(member.name): tar.extractfile(member).read()
                     for member in tar.getmembers() if member.isfile()}
            self.assertTrue(all(member.name.startswith("vatyard-support-") for member in tar.getmembers()))
        for name, content in files.items():
            if name.endswith(".json"):
                json.loads(content)
        return files

    def test_nothing_secret_is_packed_and_all_that_helps_is(self):
        self.yard.ok("up", "-q", "--hosts", "2")
        self.yard.ok("cluster", "launch", HELLO, "-q", "--wait")
        self.yard.ok("shell", "-c", "1n")
        secrets = self.secrets()
        self.assertEqual({"broker.key", "host.key"}, set(secrets))
        with open(os.path.join(self.yard.home, "history"), "w", encoding="utf-8") as file:
            file.write("alice.remember('a password')\n")
        # Whoever printed a key into a log shall not give it away.
        with open(os.path.join(self.yard.home, "broker.log"), "a", encoding="utf-8") as file:
            file.write(f"start key={secrets['broker.key']} of {secrets['host.key']}{secrets['broker.key']}\nend\n")
        elsewhere = self.yard.file("elsewhere", secrets["host.key"][::-1])
        with open(os.path.join(self.yard.home, "host-1.log"), "a", encoding="utf-8") as file:
            file.write(f"{secrets['host.key'][::-1]}\n")
        files = self.pack(env=dict(self.yard.env, VATYARD_CURVE_SECRET_FILE=elsewhere, VATYARD_SOME_KEY="tell-nobody"))
        whole = b"\0".join(files.values())
        for name, key in secrets.items():
            self.assertNotIn(key.encode(), whole, name)
            self.assertNotIn(raw_of(key), whole, name)
        self.assertNotIn(secrets["host.key"][::-1].encode(), whole, "a key that a variable names")
        self.assertNotIn(b"tell-nobody", whole)
        self.assertNotIn(b"a password", whole)
        self.assertNotIn(b"SQLite format 3", whole)
        self.assertIn(b"\nend\n", files["broker.log"], "the rest of the log is there")
        for name in ("health.json", "stats.json", "machine.txt", "log.jsonl", "host-1.log", "host-2.log", "hosts.allow", "version.json", "where.json"):
            self.assertIn(name, files)
        self.assertEqual("hello", json.loads(files["status.json"])["clusters"][0]["name"])
        self.assertEqual({"alice", "bob"}, {vat["name"] for vat in json.loads(files["ps.json"])})
        self.assertEqual(2, len(json.loads(files["host-ls.json"])))
        self.assertIn(b"vatctl ", files["machine.txt"])

        self.assertFalse([name for name in self.pack("--no-logs") if "log" in name])
        # No broker, and no instance at all.
        self.yard.ok("down", "-q")
        files = self.pack()
        self.assertEqual("E3001", json.loads(files["status.json"])["error"]["code"])
        self.assertIn(b"\nend\n", files["broker.log"])
        self.assertNotIn(secrets["broker.key"].encode(), b"\0".join(files.values()))
        files = self.pack(env=dict(self.yard.env, VATYARD_HOME=os.path.join(self.yard.dir, "nothing")))
        self.assertIn("machine.txt", files)
        self.assertEqual([], self.leftovers())

    def test_a_broker_that_hangs_is_not_waited_for_again_and_again(self):
        self.yard.ok("up", "-q")
        broker, = self.yard.processes("vatbroker")
        with frozen(broker):
            files = self.pack("--timeout", "300ms")
            for name in ("status", "ps", "host-ls", "cluster-ls", "stats", "health"):
                self.assertIn("within 300 ms", json.loads(files[f"{name}.json"])["error"]["why"], name)
            files = self.pack("--timeout", "1500ms")
            self.assertIn("within 1500 ms", json.loads(files["status.json"])["error"]["why"])
            self.assertIn("within 1000 ms", json.loads(files["health.json"])["error"]["why"])

            target = os.path.join(self.yard.dir, "stopped.tar.gz")
            packing = self.yard.start("support", "-o", target)
            self.assertTrue(yard.wait_for(lambda: self.leftovers()))
            packing.send_signal(signal.SIGTERM)
            _, err = packing.communicate(timeout=30)
            self.assertEqual(143, packing.returncode, err)
        self.assertEqual([], self.leftovers(), "what it had gathered by then")
        self.assertFalse(os.path.exists(target))

    def leftovers(self):
        return [name for name in os.listdir(self.yard.dir) if name.startswith("vatyard-")]

    def test_where_the_file_goes(self):
        result = self.yard.ok("support", "--json").json
        self.assertTrue(result["file"].startswith(os.path.realpath(self.yard.dir) + "/vatyard-support-"))
        self.assertEqual(os.path.getsize(result["file"]), result["bytes"])
        self.assertIn("machine.txt", result["files"])
        result = self.yard.ctl("support", "-o", os.path.join(self.yard.dir, "no", "such", "folder.tar.gz"))
        self.assertExit(1, result)
        self.assertIn("E5001", result.err)
        self.assertEqual("", result.out)

    def test_every_path_that_is_there_is_told(self):
        self.yard.ok("up", "-q", "--hosts", "2")
        rows = {row["name"]: row for row in self.yard.ok("where", "--json").json}
        for name in ("home", "socket", "broker", "database", "allow-list", "broker-key", "host-1", "host-2", "broker-log",
                     "host-1-log", "host-2-log", "record", "pids", "programs", "share"):
            self.assertTrue(rows[name]["exists"], name)
            self.assertTrue(os.path.exists(rows[name]["path"]), name)
        told = {os.path.realpath(row["path"]) for row in rows.values()}
        unknown = [name for name in os.listdir(self.yard.home)
                   if os.path.realpath(os.path.join(self.yard.home, name)) not in told]
        self.assertEqual([], unknown, "files of the instance that `where` does not name")
        self.assertEqual(self.yard.home + "\n", self.yard.ok("where", "home").out)
        self.assertExit(2, self.yard.ctl("where", "databse"))
        shell = subprocess.run(["sh", "-c", f'cd "$({yard.BIN}/vatctl where home)" && pwd'], env=self.yard.env,
                               capture_output=True, text=True, timeout=20)
        self.assertEqual(os.path.realpath(self.yard.home), shell.stdout.strip())


if __name__ == "__main__":
    yard.main()
