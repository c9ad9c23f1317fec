#!/usr/bin/env python3
"""`vatctl run`: what it prints, how it ends, what it leaves, and that two of them do not meet."""

import json
import os
import re

from yard import SOURCE, VATS, YardTest, bundle_as, main, wait_for


def vat(name):
    return os.path.join(VATS, name)


class Run(YardTest):
    def test_result_console_and_exit_code(self):
        result = self.yard.ctl("run", self.yard.cluster({"alice": vat("hello.js")}))
        self.assertExit(0, result)
        self.assertIn("hello", result.out)
        self.assertNotIn("bootstrap runs", result.out)
        self.assertEqual(["bootstrap runs"], result.lines("alice"))
        self.assertNothingRuns()

    def test_json_is_one_value(self):
        result = self.yard.ctl("run", self.yard.cluster({"alice": vat("hello.js")}, name="hello.json"),
                               "--json", "-q")
        self.assertExit(0, result)
        value = result.json
        self.assertEqual({"cluster", "bootstrap", "rootKref", "status", "result", "value", "messages",
                          "cranks", "elapsed_ms"}, set(value))
        self.assertEqual(("v1", "ko1.0", "fulfilled", "hello"),
                         (value["bootstrap"], value["rootKref"], value["status"], value["value"]))
        self.assertEqual({"body": '#"hello"', "slots": []}, value["result"])
        self.assertGreaterEqual(value["cranks"], 2)
        self.assertEqual("", result.err, "-q leaves only errors: no progress, and nothing that vats print")

    def test_words_behind_the_dashes(self):
        source = self.yard.file("vats/argv.js", """import { Far } from '@endo/far';
export const buildRootObject = (_powers, { argv, k }) => Far('root', { bootstrap: () => [argv, k] });
""")
        file = self.yard.cluster({"a": {"sourceSpec": source, "parameters": {"k": 1}}})
        for words, argv in (["--", "a", "--json", "-3"], ["a", "--json", "-3"]), (["--"], []), ([], "[undefined]"):
            result = self.yard.ctl("run", file, "--json", *words)
            self.assertExit(0, result)
            self.assertEqual([argv, 1], result.json["value"])

    def test_nothing_stays_behind(self):
        before = set(os.listdir(self.yard.dir))
        file = self.yard.cluster({"alice": vat("hello.js")})
        self.assertExit(0, self.yard.ctl("run", file))
        self.assertNothingRuns()
        left = set(os.listdir(self.yard.dir)) - before - {"cluster.json", "home"}
        self.assertEqual(set(), left)
        self.assertEqual([], self.yard.vat_databases())

    def test_rejected_bootstrap(self):
        file = self.yard.cluster({"alice": vat("rejects.js")})
        result = self.yard.ctl("run", file, "--json")
        self.assertExit(8, result)
        self.assertEqual("rejected", result.json["status"])
        self.assertIn("bootstrap says no", result.json["result"]["body"])
        self.assertNothingRuns()

    def test_unsettled_bootstrap_names_promise_and_decider(self):
        result = self.yard.ctl("run", self.yard.cluster({"alice": vat("waits.js")}))
        self.assertExit(1, result)
        self.assertEqual("", result.out)
        self.assertIn("E2302", result.err)
        self.assertRegex(result.err, r"kp[0-9]+\.[0-9]+")
        self.assertIn("alice", result.err)
        self.assertNothingRuns()

    def test_where_vats_stand_makes_no_difference(self):
        vats = {"teller": {"source": vat("teller.js"), "parameters": {"coins": 12, "every": 4}},
                "bank": vat("bank.js")}
        file = self.yard.cluster(vats)
        seen = []
        for hosts in (1, 2, 3):
            result = self.yard.ctl("run", file, "--json", "--hosts", hosts)
            self.assertExit(0, result)
            seen.append((result.json["value"], result.json["messages"], result.json["cranks"], result.lines("teller")))
        self.assertEqual(["0n", "12n", "insufficient funds"], seen[0][0])
        self.assertEqual([f"moved {n}" for n in (4, 8, 12)], seen[0][3])
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0], seen[2])

    def test_two_at_once_do_not_meet(self):
        files = [self.yard.cluster({"alice": {"source": vat("hello.js"), "parameters": {"answer": f"run {n}"}}},
                                   name=f"c{n}.json") for n in range(3)]
        children = [self.yard.start("run", file, "--json") for file in files]
        for n, child in enumerate(children):
            out, err = child.communicate(timeout=90)
            self.assertEqual(0, child.returncode, err)
            self.assertEqual(f"run {n}", json.loads(out)["value"])
            self.assertEqual("v1", json.loads(out)["bootstrap"])
        self.assertNothingRuns()

    def test_ready_bundles_need_no_node(self):
        file = self.yard.cluster({"alice": vat("hello.js")})
        empty = os.path.join(self.yard.dir, "empty-path")
        os.mkdir(empty)
        result = self.yard.ctl("run", file, "--json", env=dict(self.yard.env, PATH=empty))
        self.assertExit(0, result)
        self.assertEqual("hello", result.json["value"])

    def test_source_without_node_is_told(self):
        file = self.yard.file("cluster.json", {"bootstrap": "a", "vats": {"a": {"sourceSpec": "a.js"}}})
        self.yard.file("a.js", "export const buildRootObject = () => {};\n// not seen before\n")
        empty = os.path.join(self.yard.dir, "empty-path")
        os.mkdir(empty)
        result = self.yard.ctl("run", file, env=dict(self.yard.env, PATH=empty))
        self.assertExit(3, result)
        self.assertIn("E2107", result.err)

    def test_sources_are_bundled_on_the_spot(self):
        with open(vat("hello.js"), encoding="utf-8") as file:
            self.yard.file("vats/hello.js", file.read())
        file = self.yard.file("cluster.json", {"bootstrap": "a", "vats": {"a": {"sourceSpec": "vats/hello.js"}}})
        for _ in range(2):  # the second time from the cache
            result = self.yard.ctl("run", file, "--json")
            self.assertExit(0, result)
            self.assertEqual("hello", result.json["value"])

    def test_the_first_cluster_of_the_readme(self):
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
            readme = file.read()
        for name, text in re.findall(r"^\$ cat (\S+)\n(.*?)\n\n", readme, re.S | re.M):
            self.yard.file(name, text)
        command, answer = re.search(r"^\$ \S*/vatctl (.*)\n(.*)$", readme, re.M).groups()
        result = self.yard.ctl(*command.split())
        self.assertExit(0, result)
        self.assertEqual(answer, result.out.strip())

    def test_every_bundle_format(self):
        formats = ["endoZipBase64", "nestedEvaluate", "getExport", "endoScript", "endo-endoScript", "iife"]
        for kind in formats:
            with self.subTest(kind):
                path = os.path.join(self.yard.dir, f"hello-{kind}.json")
                bundle_as(kind, vat("hello.js"), path)
                with open(path, encoding="utf-8") as file:
                    self.assertEqual(kind.replace("endo-", ""), json.load(file)["moduleFormat"])
                cluster = self.yard.file(f"{kind}.json", {"bootstrap": "a", "vats": {"a": {"bundleSpec": path}}})
                result = self.yard.ctl("run", cluster, "--json")
                self.assertExit(0, result)
                self.assertEqual("hello", result.json["value"])

    def test_state_is_kept_and_gone_on_with(self):
        file = self.yard.cluster({"alice": vat("hello.js")})
        state = os.path.join(self.yard.dir, "state")
        for _ in range(2):
            result = self.yard.ctl("run", file, "--json", "--state", state)
            self.assertExit(0, result)
            self.assertEqual("hello", result.json["value"])
            self.assertNothingRuns()
        self.assertTrue(os.path.exists(os.path.join(state, "broker", "kernel.db")) or
                        os.path.exists(os.path.join(state, "kernel.db")), os.listdir(state))

    def test_log_tells_every_message(self):
        vats = {"teller": {"source": vat("teller.js"), "parameters": {"coins": 2, "every": 1}},
                "bank": vat("bank.js")}
        log = os.path.join(self.yard.dir, "run.jsonl")
        self.assertExit(0, self.yard.ctl("run", self.yard.cluster(vats), "--log", log))
        with open(log, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        types = {row["type"] for row in rows}
        self.assertLessEqual({"console", "send", "deliver", "done", "resolve"}, types)
        moves = [row for row in rows if row["type"] == "send" and row.get("method") == "move"]
        self.assertEqual(3, len(moves), moves)
        self.assertEqual(1, len({row["trace_id"] for row in moves}), "one root cause")

    def test_what_vats_get(self):
        for dialect, services in (("iife", []), ("endoScript", ["timer", "vatAdmin"])):
            with self.subTest(dialect):
                path = os.path.join(self.yard.dir, f"powers-{dialect}.json")
                bundle_as(dialect, vat("powers.js"), path)
                file = self.yard.cluster({"alice": {"bundleSpec": path, "parameters": {"a": [1, {"b": None}]}}},
                                         name=f"{dialect}.cluster.json")
                result = self.yard.ctl("run", file, "--json")
                self.assertExit(0, result)
                value = result.json["value"]
                self.assertLessEqual({"exitVat", "exitVatWithFailure", "logger"}, set(value["powers"]))
                self.assertEqual({"a": [1, {"b": None}]}, value["parameters"])
                self.assertEqual((["alice", *services], services, 1, "öß😀"), tuple(value[k] for k in ("vats", "services", "baggage", "text")))
                self.assertTrue(value["frozen"])
                self.assertEqual(("function", "undefined", "undefined"),
                                 (value["assert"], value["process"], value["require"]))
                lines = "\n".join(result.lines("alice"))
                for text in ("logger speaks", "sub-logger warns", "console errs"):
                    self.assertIn(text, lines)

    def test_a_settled_promise_in_virtual_data_can_be_sent(self):
        """liveslots 0.11.0 sends it under its old name, which the vat does not hold any more."""
        file = self.yard.cluster({"keeper": vat("boxes.js"), "other": vat("settler.js")})
        result = self.yard.ctl("run", file, "--json")
        self.assertExit(0, result)
        self.assertEqual(["a value"] * 3, result.json["value"])
        self.assertNotIn("keeper ended", result.err)

    def test_send_only_is_sent(self):
        file = self.yard.cluster({"alice": vat("send-only.js"), "other": vat("send-only.js")})
        result = self.yard.ctl("run", file, "--json")
        self.assertExit(0, result)
        self.assertEqual(7, result.json["value"])


class Instance(YardTest):
    """An instance in the background: up, look, talk, down."""

    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")

    def test_life(self):
        self.assertEqual([], self.yard.ok("ps", "--json").json)
        file = self.yard.cluster({"alice": vat("hello.js"), "bob": vat("counter.js")}, name="pair.json")
        self.yard.ok("cluster", "launch", file)
        rows = self.yard.ok("ps", "--json").json
        self.assertEqual(["alice", "bob"], [row["name"] for row in rows])
        self.assertEqual(["running", "running"], [row["state"] for row in rows])
        self.assertEqual("pong", self.yard.ok("call", "@alice", "ping", "--json").json["value"])
        self.assertEqual("10n", self.yard.ok("call", "@alice", "echo", "10n", "--json").json["value"])
        for n in (1, 2, 3):
            self.assertEqual(n, self.yard.ok("call", "@bob", "count", "--json").json["value"])
        self.yard.ok("restart", "bob")
        self.assertEqual(4, self.yard.ok("call", "@bob", "count", "--json").json["value"])
        self.assertSound()
        self.yard.ok("kill", "alice")
        refused = self.yard.ctl("call", "@bob", "nosuchmethod")
        self.assertExit(8, refused)
        self.yard.ok("cluster", "rm", "pair", "--yes")
        self.assertEqual([], self.yard.ok("ps", "--json").json)
        self.assertSound()
        self.yard.ok("down")
        self.assertNothingRuns()
        self.assertEqual([], self.yard.vat_databases())

    def test_inspect_a_cluster(self):
        file = self.yard.cluster({"alice": vat("hello.js")}, name="pair.json")
        self.yard.ok("cluster", "launch", file, "--wait")
        for word in "s1", "pair":
            row = self.yard.ok("inspect", word, "--json").json
            self.assertEqual(("s1", "pair", 1, "v1"), (row["cluster"], row["name"], row["vats"], row["bootstrap"]))
            self.assertIn("s1  cluster  pair", self.yard.ok("inspect", word).out)
        self.assertEqual("v1", self.yard.ok("inspect", "alice", "--json").json["vat"])
        self.assertExit(6, self.yard.ctl("inspect", "s2"))

    def test_a_cluster_whose_vats_are_dead_has_ended(self):
        file = self.yard.cluster({"alice": vat("hello.js"), "bob": vat("counter.js")})
        self.yard.ok("cluster", "launch", file)
        for name, state in ("alice", "running"), ("bob", "ended"):
            self.yard.ok("kill", name)
            self.assertEqual([state], [row["state"] for row in self.yard.ok("cluster", "ls", "--json").json])
            self.assertIn(f" {state} ", self.yard.ok("cluster", "ls").out)

    def test_a_part_of_it_failed(self):
        file = self.yard.cluster({"alice": vat("hello.js"), "bob": vat("counter.js")})
        self.yard.ok("cluster", "launch", file)
        result = self.yard.ctl("restart", "v99", "@alice", "bob", "nobody", "--json")
        self.assertExit(10, result)
        self.assertEqual("", result.err)
        rows = result.json
        self.assertEqual(["v99", "@alice", "bob", "nobody"], [row["word"] for row in rows])
        self.assertEqual([None, "v1", "v2", None], [row.get("vat") for row in rows])
        self.assertEqual([None, "restarted", "restarted", None], [row.get("done") for row in rows])
        self.assertEqual(["E2304", None, None, "E2304"], [row.get("error", {}).get("code") for row in rows])
        result = self.yard.ctl("restart", "\udcff", "bob", "--json")  # a byte that is no text
        self.assertEqual((10, ["?", "bob"]), (result.code, [row["word"] for row in result.json]))
        result = self.yard.ctl("kill", "v99", "v1", "nobody")
        self.assertExit(10, result)
        self.assertEqual((2, ""), (result.err.count("error E2304:"), result.out))
        self.assertEqual([{"word": "bob", "vat": "v2", "done": "killed"}], self.yard.ok("kill", "bob", "--json").json)
        result = self.yard.ctl("kill", "v99", "bob", "--json")
        self.assertExit(1, result)
        self.assertEqual(("", "E2201"), (result.out, json.loads(result.err)["error"]["code"]))
        result = self.yard.ctl("kill", "v99", "nobody")
        self.assertExit(6, result)
        self.assertEqual((2, ""), (result.err.count("error E2304:"), result.out))

    def test_logs_of_a_vat(self):
        file = self.yard.cluster({"alice": vat("hello.js"), "bob": vat("counter.js")})
        self.yard.ok("cluster", "launch", file)
        self.assertTrue(wait_for(lambda: "bootstrap runs" in self.yard.ok("logs", "alice").out))
        for word in "v1", "@alice", "bob":
            self.yard.ok("logs", word)
        for words in ["nobody"], ["alice", "v9"], ["-f", "nobody"], ["alice", "nobody", "--json"]:
            result = self.yard.ctl("logs", *words, timeout=20)
            self.assertExit(6, result)
            self.assertEqual("", result.out)
            self.assertIn("E2304", result.err)
        self.yard.ok("kill", "alice")
        self.yard.ok("logs", "alice")
        self.yard.ok("down")
        self.assertIn("bootstrap runs", self.yard.ok("logs", "alice").out)
        self.assertExit(6, self.yard.ctl("logs", "nobody"))

    def test_vats_that_end_themselves(self):
        """The crank of exitVat counts and its message is answered; the reason is for people."""
        file = self.yard.cluster({"ok": vat("leaves.js"), "bad": vat("leaves.js")})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.assertEqual("gone", self.yard.ok("call", "@ok", "leave", "s:bye", "--json").json["value"])
        result = self.yard.ctl("call", "@bad", "fail", "s:broken")
        self.assertEqual((8, "rejected: Error: [KERNEL:VAT_TERMINATED] vat terminated\n"), (result.code, result.out))
        self.assertEqual({"ok": '"bye"', "bad": "Error: broken"},
                         {row["name"]: row["reason"] for row in self.yard.ok("ps", "-a", "--json").json})
        for name in "v1", "@ok":
            result = self.yard.ctl("call", name, "leave")
            self.assertExit(1, result)
            self.assertIn("error E2201:", result.err)
            self.assertIn('why     "bye"', result.err)

    def test_two_instances_do_not_meet(self):
        other = dict(self.yard.env, VATYARD_HOME=os.path.join(self.yard.dir, "other"))
        self.yard.ok("up", env=other)
        file = self.yard.cluster({"alice": vat("hello.js")})
        self.yard.ok("cluster", "launch", file)
        self.assertEqual([], self.yard.ok("ps", "--json", env=other).json)
        self.assertEqual(1, len(self.yard.ok("ps", "--json").json))
        self.yard.ok("down", env=other)
        self.assertEqual("pong", self.yard.ok("call", "@alice", "ping", "--json").json["value"])

    def test_down_and_up_go_on(self):
        file = self.yard.cluster({"bob": vat("counter.js")}, name="one.json")
        self.yard.ctl("cluster", "launch", file)  # bootstrap is rejected: there is none; the vat stays
        for n in (1, 2, 3):
            self.assertEqual(n, self.yard.ok("call", "@bob", "count", "--json").json["value"])
        self.yard.ok("down")
        self.assertNothingRuns()
        self.yard.ok("up", "--hosts", "2")
        self.assertEqual(4, self.yard.ok("call", "@bob", "count", "--json").json["value"])
        self.assertSound()


if __name__ == "__main__":
    main()
