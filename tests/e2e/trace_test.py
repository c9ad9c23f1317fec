#!/usr/bin/env python3
"""What the broker remembers, and what vatctl makes of it: trees of what one message caused, with all of its time; logs of
messages after the fact; life events; and the jq recipes, on the log of a real run."""

import json
import os
import re
import signal
import subprocess
import time

from yard import SOURCE, VATS, YardTest, command_line, main, wait_for

TRACED = os.path.join(VATS, "traced.js")
RECIPES = os.path.join(SOURCE, "cli", "recipes.sh")
PARTS = ("waited_us", "commit_us", "wire_us", "ran_us")


def cluster(yard):
    return yard.cluster({name: {"source": TRACED, "parameters": {"name": name}} for name in ("alice", "bob")}, "alice")


def broker_again(yard):
    """It is killed, and started again behind the same doors."""
    (broker,) = yard.processes("vatbroker")
    words, host = command_line(broker), command_line(min(yard.processes("vathost")))
    words[words.index("--listen") + 1] = host[host.index("--broker") + 1]  # the port that it got, where hosts look for it
    ready = words.index("--ready-fd")
    del words[ready : ready + 2]
    with open(f"/proc/{broker}/environ", encoding="utf-8") as file:
        env = dict(line.split("=", 1) for line in file.read().split("\0") if line)
    yard.kill([broker])
    yard.start(*words[1:], program="vatbroker", env=env)
    assert wait_for(lambda: yard.ctl("ps").code == 0)


class Up(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.yard.ok("cluster", "launch", cluster(self.yard), "--wait", "--name", "traced")

    def trace(self, ref, *flags):
        return self.yard.ok("trace", ref, "--json", *flags).json

    def test_all_that_a_call_caused_is_in_its_tree(self):
        answer = self.yard.ok("call", "@alice", "ask", "@bob", "1", "--json", "--trace").json
        self.assertEqual(3, answer["value"])
        tree = answer["trace"]
        self.assertEqual((2, 3, 0, 0), tuple(tree[key] for key in ("messages", "deliveries", "rejected", "open")))
        self.assertEqual(tree["elapsed_us"], sum(tree["path"][part] for part in PARTS), "all of the time went somewhere")
        spans = tree["spans"]
        self.assertEqual(["cli", "v1"], [span["from"] for span in spans if span["kind"] == "message"])
        think = next(span for span in spans if span["kind"] == "delivery" and span["name"] == "bob")
        self.assertEqual("think", spans[think["parent"]]["method"])
        self.assertGreater(think["ran_us"], 3000)
        self.assertTrue(think["on_path"])
        self.assertIn({"kind": "line", "body": "alice asks"}, [{key: span[key] for key in ("kind", "body")}
                                                             for span in spans if span["kind"] == "line"])
        times = [span["at_us"] for span in spans]
        self.assertTrue(all(span["parent"] is None or times[span["parent"]] <= span["at_us"] for span in spans))
        # The same by every name that it has, and a part of it by that part's.
        again = self.trace(answer["promise"])
        self.assertEqual(tree, again)
        self.assertEqual(spans, self.trace(spans[0]["msg"])["spans"])
        self.assertEqual(spans, self.trace(tree["trace_id"])["spans"])
        part = self.trace(f"{think['vat']}/{think['delivery']}")
        self.assertEqual(2, part["deliveries"], "bob's, and what alice was told")

    def test_people_see_a_rejection_and_where_it_comes_from(self):
        call = self.yard.ctl("call", "@alice", "pass", "@bob", "--trace")
        self.assertExit(8, call)
        self.assertIn("bob says no", call.out)
        self.assertNotIn("trace", call.out, "the answer stays alone on stdout")
        lines = call.err.splitlines()
        self.assertRegex(lines[0], r"^trace [0-9a-f]{32}  2 messages, 3 deliveries, 2 rejected$")
        order = [".pass(", "v1 alice", ".refuse()", "v2 bob", "rejects", "notify", "rejects kp0."]
        at = 0
        for word in order:
            at = next((i for i in range(at, len(lines)) if word in lines[i]), None)
            self.assertIsNotNone(at, f"{word} in {call.err}")
        self.assertEqual(1, call.err.count("<=="))
        self.assertRegex(lines[-1], r"ms: waited .*, commit .*, wire .*, ran ")

    def test_arrows_for_perfetto_begin_and_end_in_slices(self):
        promise = self.yard.ok("call", "@alice", "ask", "@bob", "1", "--json").json["promise"]
        path = os.path.join(self.yard.dir, "chrome.json")
        self.yard.ok("trace", promise, "--chrome", path)
        unwritable = self.yard.ctl("trace", promise, "--chrome", os.path.join(path, "no"))
        self.assertExit(3, unwritable)
        self.assertNotIn("read", unwritable.err, "it was to be written")
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        slices = [event for event in events if event["ph"] == "X"]
        self.assertEqual(4, len(slices), "the call, and three deliveries")
        names = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
        self.assertEqual({"cli", "v1 alice", "v2 bob"}, set(names.values()))
        self.assertEqual({0, 1, 2}, {event["pid"] for event in slices}, "two hosts, and who called")
        ends = {}
        for event in events:
            if event["ph"] in "sf":
                around = [s for s in slices if (s["pid"], s["tid"]) == (event["pid"], event["tid"])
                          and s["ts"] <= event["ts"] < s["ts"] + s["dur"]]
                self.assertEqual(1, len(around), event)
                ends.setdefault(event["id"], {})[event["ph"]] = event["ts"]
        self.assertEqual(3, len(ends))
        self.assertTrue(all(end["s"] <= end["f"] for end in ends.values()), ends)
        diagram = self.yard.ok("trace", promise, "--mermaid").out
        self.assertIn("\n  v1->>v2: think(1)\n", diagram)

    def test_messages_are_there_after_the_fact(self):
        self.yard.ok("call", "@alice", "ask", "@bob", "1")
        self.yard.ok("call", "@bob", "think", "s:" + "x" * 300)

        def rows(*flags):
            return [json.loads(line) for line in self.yard.ok("logs", "--json", *flags).out.splitlines()]

        sent = [row for row in rows("--traffic") if row["type"] == "send"]
        self.assertIn(("cli", "think"), [(row["from"], row["method"]) for row in sent])
        think = rows("--method", "think", "--from", "alice")
        self.assertEqual(["send", "deliver", "resolve", "done", "deliver", "done"] * 2, [row["type"] for row in think],
                         "twice, of bootstrap and of the call")
        self.assertEqual({"v1"}, {row["from"] for row in think if row["type"] == "send"})
        self.assertEqual(think[-6:], [dict(row, seq=row["seq"] + 6) for row in rows("--promise", think[6]["result"])])
        self.assertEqual({"refuse"}, {row["method"] for row in rows("--to", "bob", "--method", "refuse") if "method" in row})
        self.assertEqual([], rows("--to", "alice", "--method", "think"))
        self.assertEqual([], rows("--traffic", "--since", "1ms"))
        last = rows("--from", "cli", "--method", "think", "--args", "full")[0]
        self.assertIn("x" * 300, last["args"])
        self.assertEqual(200, len(rows("--from", "cli", "--method", "think", "--args", "short")[0]["args"]))
        self.assertNotIn("args", rows("--from", "cli", "--method", "think", "--args", "none")[0])
        shown = self.yard.ok("logs", "--from", "cli", "--method", "think", "-n", "4").out
        self.assertEqual(4, len(shown.splitlines()), shown)
        self.assertNotIn("x" * 201, shown)
        self.assertIn("(...)", self.yard.ok("logs", "--from", "cli", "--method", "think", "--args", "none").out)
        self.assertExit(6, self.yard.ctl("logs", "--from", "nobody"))
        self.assertExit(2, self.yard.ctl("logs", "--promise", "ko1.0"))

    def test_what_follows_goes_on_where_the_past_ended(self):
        self.yard.ok("call", "@bob", "think", "1")
        child = self.yard.start("logs", "-f", "--json", "--method", "think", "--from", "cli", "-n", "3")
        first = [json.loads(child.stdout.readline()) for _ in range(3)]
        self.assertEqual(["deliver", "resolve", "done"], [row["type"] for row in first])
        self.yard.ok("call", "@bob", "think", "2")
        more = [json.loads(child.stdout.readline()) for _ in range(4)]
        child.terminate()
        self.assertEqual(["send", "deliver", "resolve", "done"], [row["type"] for row in more])
        self.assertEqual("[2]", more[0]["args"])
        self.assertEqual(list(range(1, 8)), [row["seq"] for row in first + more])

    def test_who_follows_waits_for_a_silent_broker_and_not_for_a_dead_one(self):
        child = self.yard.start("logs", "-f", "--json", "-n", "1", "--timeout", "1s")
        first = json.loads(child.stdout.readline())
        broker = self.yard.processes("vatbroker")
        self.yard.kill(broker, signal.SIGSTOP)
        time.sleep(5)  # longer than it may take to greet, after the two seconds of silence that are noticed
        self.yard.kill(broker, signal.SIGCONT)
        self.yard.ok("call", "@alice", "ask", "@bob", "1")
        line = json.loads(child.stdout.readline() or "null")
        self.assertEqual(("alice", "alice asks"), (line["name"], line["body"]), first)
        self.yard.kill(broker)
        self.assertTrue(wait_for(lambda: child.poll() is not None, 30))
        self.assertEqual(4, child.returncode)
        self.assertIn("no broker at", child.stderr.read())

    def test_the_record_goes_on_with_a_broker_that_was_killed_and_is_back(self):
        lines = lambda: self.yard.ok("logs", "alice").out.count("alice asks")
        before, recorder = lines(), self.yard.processes("vatctl")
        broker_again(self.yard)
        self.yard.ok("call", "@alice", "ask", "@bob", "1")
        self.assertTrue(wait_for(lambda: lines() > before), "also what happened before the recorder noticed who is back")
        self.yard.ok("call", "@alice", "ask", "@bob", "1")
        self.assertTrue(wait_for(lambda: lines() > before + 1))
        self.assertEqual(before + 2, lines(), "nothing twice")
        self.assertEqual(recorder, self.yard.processes("vatctl"), "it is the same one")

    def test_a_record_is_written_though_nobody_waits_for_it_any_more(self):
        path = os.path.join(self.yard.dir, "record.jsonl")
        child = self.yard.start("logs", "-f", "--record", path)
        child.stdout.close()  # as when `up`, to which it says that it records, has ended

        def told():
            self.yard.ok("call", "@alice", "ask", "@bob", "1")
            self.assertIsNone(child.poll(), "it has ended")
            with open(path, encoding="utf-8") as file:
                return file.read().count('"alice asks"') > 1
        self.assertTrue(wait_for(lambda: os.path.exists(path)))
        self.assertTrue(wait_for(told))
        child.terminate()

    def test_life_is_told_from_the_record_and_by_the_broker(self):
        child = self.yard.start("events", "-f", "-n", "1", "--json")
        self.assertEqual("vat-start", json.loads(child.stdout.readline())["type"], "it watches from now on")
        self.yard.ok("kill", "bob", "--yes", "--reason", "no longer needed")
        exits = lambda: self.yard.ok("events", "--type", "vat-exit").out
        line = wait_for(exits)
        self.assertRegex(line, r"^\d\d:\d\d:\d\d\.\d{6}  vat-exit +v2 bob on h\d+  .*no longer needed\n$")
        types = [json.loads(row)["type"] for row in self.yard.ok("events", "--json").out.splitlines()]
        self.assertEqual({"launch", "vat-start", "vat-exit"}, set(types) - {"checkpoint", "host-up"})
        # Without the record there is what the broker remembers, which began before the record did.
        os.unlink(os.path.join(self.yard.home, "log.jsonl"))
        told = [json.loads(row)["type"] for row in self.yard.ok("events", "--json").out.splitlines()]
        self.assertEqual(2, told.count("host-up"))
        self.assertIn("vat-exit", told)
        self.assertExit(2, self.yard.ctl("events", "--type", "vat-exits"))
        self.assertEqual("vat-exit", json.loads(child.stdout.readline())["type"])
        child.terminate()

    def test_the_last_lines_are_those_that_are_shown(self):
        self.yard.ok("call", "@alice", "ask", "@bob", "1")
        self.yard.ok("checkpoint", "alice", "bob")
        types = lambda: [json.loads(row)["type"] for row in self.yard.ok("logs", "--json").out.splitlines()]
        self.assertTrue(wait_for(lambda: types()[-2:] == ["checkpoint", "checkpoint"]), "people are not shown these")
        for where in (), ("-e", f"ipc://{self.yard.home}/control.sock"):
            self.assertRegex(self.yard.ok("logs", "-n", "1", *where).out, r"^alice +\| alice asks\n$", where)
            self.assertIn('"checkpoint"', self.yard.ok("logs", "-n", "1", "--json", *where).out, where)

    def test_what_is_not_remembered_is_an_error(self):
        promise = self.yard.ok("call", "@bob", "think", "1", "--json").json["promise"]
        self.yard.ok("trace", promise)
        self.yard.ok("down")
        for share in ("2", "-1", "nan", "0.5x"):
            refused = self.yard.ctl("up", "--trace", share)
            self.assertExit(2, refused)
            self.assertIn(f'--trace cannot be "{share}"', refused.err)
        self.yard.ok("up", "--trace", "0")
        for ref in (promise, "v1/1", "v1/99999", "v0/1#0", "0" * 31 + "1"):
            gone = self.yard.ctl("trace", ref)
            self.assertExit(6, gone)
            self.assertIn("E4106", gone.err)
            self.assertIn("--trace 0", gone.err)
        call = self.yard.ok("call", "@bob", "think", "1", "--trace")
        self.assertEqual("2\n", call.out, "the answer is there all the same")
        self.assertIn("no trace", call.err)
        self.assertExit(2, self.yard.ctl("trace", "alice"))


class WithoutTraces(YardTest):
    def test_the_record_goes_on_without_what_nobody_remembers(self):
        self.yard.ok("up", "--hosts", "2", "--trace", "0")
        self.yard.ok("cluster", "launch", cluster(self.yard), "--wait", "--name", "traced")
        recorder = self.yard.processes("vatctl")
        broker_again(self.yard)
        lines = lambda: self.yard.ok("logs", "alice").out.count("alice asks")
        before = lines()
        self.assertTrue(wait_for(lambda: self.yard.ok("call", "@alice", "ask", "@bob", "1") and lines() > before))
        self.assertEqual(recorder, self.yard.processes("vatctl"))


class Recipes(YardTest):
    def recipe(self, name, *which):
        done = subprocess.run(["sh", RECIPES, name, self.log, *which], capture_output=True, text=True, timeout=20)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.splitlines()

    def test_each_of_them_on_a_log_of_a_run(self):
        self.log = os.path.join(self.yard.dir, "log.jsonl")
        self.assertEqual('"42, bob says no"\n', self.yard.ok("run", cluster(self.yard), "--log", self.log).out)
        with open(self.log, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        trace = next(row["trace_id"] for row in rows if row.get("method") == "bootstrap")
        names = [line.split()[0] for line in subprocess.run(["sh", RECIPES], capture_output=True, text=True).stdout.splitlines()]
        used = set()

        def recipe(name, *which):
            used.add(name)
            return self.recipe(name, *which)

        sends = recipe("sends")
        self.assertEqual(["cli->v1", "v1->v2", "v1->v2", "v1->v2"], [line.split()[1] for line in sends])
        self.assertRegex(sends[2], r"ko2\.0\.refuse\[\] =>kp1\.\d+$")
        answers = [line.split("\t") for line in recipe("answers")]
        self.assertEqual(7, len(answers), "four messages, three of them answered")
        self.assertEqual(1, sum(row[5] == "REJECTED" for row in answers))
        of_bob = [json.loads(line) for line in recipe("vat", "v2")]
        self.assertEqual(3, sum(row["type"] == "send" and row["to"] == "v2" for row in of_bob))
        self.assertTrue(all("v2" in (row.get("vat"), row.get("to"), row.get("from")) for row in of_bob))
        slowest = [json.loads(line) for line in recipe("slowest")]
        run = sorted((row["run_us"] for row in rows if row["type"] == "done"), reverse=True)
        self.assertEqual(run[:3], [row["run_us"] for row in slowest])
        times = {line.split("\t")[0]: line.split("\t")[1:] for line in recipe("runtimes")}
        self.assertEqual({"v1", "v2"}, set(times))
        self.assertEqual(str(sum(row["type"] == "done" and row["vat"] == "v2" for row in rows)), times["v2"][1])
        self.assertLessEqual(int(times["v2"][2]), int(times["v2"][3]))
        waits = [line.split("\t") for line in recipe("waits")]
        self.assertEqual(["v1", "v2"], [row[0] for row in waits])
        caused = [json.loads(line) for line in recipe("caused", trace)]
        self.assertEqual([row for row in rows if row.get("trace_id") == trace], caused)
        self.assertEqual(4, sum(row["type"] == "send" for row in caused))
        self.assertEqual(1, len(recipe("rejections")))
        self.assertRegex(recipe("rejections")[0], r"^kp1\.\d+ v2: bob says no$")
        self.assertEqual(1, len(recipe("unanswered")))
        self.assertRegex(recipe("unanswered")[0], r"^v1/\d+#\d+ ko2\.0\.never kp1\.\d+$")
        self.assertEqual([["cli", "v1", "1"], ["v1", "v2", "3"]], [line.split("\t") for line in recipe("edges")])
        self.assertEqual([], recipe("gaps"))
        diagram = recipe("sequence", trace)
        self.assertEqual("sequenceDiagram", diagram[0])
        self.assertEqual(4, sum("->>" in line for line in diagram))
        self.assertTrue(any(re.search(r"Note over v2: kp1\.\d+ rejected", line) for line in diagram), diagram)
        # A line that is lost is seen.
        with open(self.log, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows if row["seq"] != 7)
        self.assertEqual(["gap after 6"], recipe("gaps"))
        self.assertEqual(set(names), used, "each recipe is looked at")


if __name__ == "__main__":
    main()
