#!/usr/bin/env python3
"""`vatctl replay` runs a copy of a vat's log in a worker of its own and says what it did: from the vat's birth, from
the copy of a checkpoint, up to where one likes; the vat that lives notices nothing."""

import json
import os
import subprocess

from yard import BIN, VATS, YardTest, main, wait_for

KEEPER = os.path.join(VATS, "keeper.js")


class Replay(YardTest):
    def launch(self, vat=KEEPER, **persistence):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"keeper": vat}, name="keep.json", deploy={"persistence": persistence})
        self.yard.ok("cluster", "launch", file, "--wait")

    def add(self, *tokens):
        for token in tokens:
            self.yard.ok("call", "@keeper", "add", f"s:{token}")

    def told(self):
        return self.yard.ok("call", "@keeper", "told", "--json").json["value"]

    def replay(self, *args, code=0):
        result = self.yard.ctl("replay", "keeper", *args, "--json")
        self.assertEqual(code, result.code, str(result))
        return json.loads(result.out) if not code else json.loads(result.err)["error"]

    def test_from_its_birth(self):
        self.launch(snapshotEvery=1000)
        self.add("a", "b", "c")
        cranks = self.replay()
        self.assertEqual(list(range(1, len(cranks) + 1)), [crank["d"] for crank in cranks])
        self.assertTrue(all(crank["same"] and crank["outcome"] == "ok" for crank in cranks))
        self.assertEqual("start", cranks[0]["delivery"]["kind"])
        messages = [crank for crank in cranks if crank["delivery"].get("method") == "add"]
        self.assertEqual([["a"], ["b"], ["c"]], [crank["delivery"]["args"] for crank in messages])
        answers = [crank["syscalls"][0]["resolutions"][0]["value"] for crank in messages]
        self.assertEqual([1, 2, 3], answers)

        some = self.replay("--from", "3", "--to", str(messages[1]["d"]))
        self.assertEqual(list(range(3, messages[1]["d"] + 1)), [crank["d"] for crank in some])
        self.assertEqual([3, 3, []], self.told(), "it is the copy that ran")
        text = self.yard.ok("replay", "keeper", "--from", str(messages[1]["d"]))
        self.assertIn(f'v1/{messages[1]["d"]}  ko1.0.add("b") -> ', text.out)
        self.assertIn(" 2\n", text.out)
        self.assertSound()

    def test_from_a_copy_of_a_checkpoint(self):
        self.launch(snapshotEvery=3)
        self.add(*"abcdefgh")
        error = self.replay(code=2)
        self.assertEqual("E1004", error["code"])
        self.assertIn("its log begins behind delivery", error["why"])
        self.yard.ok("checkpoint", "keeper", "--ship")
        self.add("i", "j")
        cranks = self.replay()
        self.assertEqual([["i"], ["j"]], [crank["delivery"]["args"] for crank in cranks])
        self.assertEqual([9, 10], [crank["syscalls"][0]["resolutions"][0]["value"] for crank in cranks])
        self.assertTrue(all(crank["same"] for crank in cranks))
        self.assertEqual([10, 10, []], self.told())

    def test_across_an_upgrade(self):
        self.launch(snapshotEvery=1000)
        self.add("a")
        self.yard.ok("upgrade", "keeper", KEEPER)
        self.add("b")
        cranks = self.replay()
        self.assertIn("upgrade", [crank["delivery"]["kind"] for crank in cranks])
        self.assertTrue(all(crank["same"] for crank in cranks))

    def test_another_result_than_the_one_applied(self):
        """The database says that a delivery gave 7, and a replay gives 2: the vat goes no further, and both are shown."""
        self.launch(snapshotEvery="never", snapshotAfter="1h")
        self.add("a", "b", "c")
        at = next(crank["d"] for crank in self.replay() if crank["delivery"].get("args") == ["b"])
        self.yard.kill(self.yard.processes())
        sql = ("UPDATE log SET result_hash = zeroblob(32), "
               "calls = CAST(replace(calls, CAST('#2' AS BLOB), CAST('#7' AS BLOB)) AS BLOB) "
               f"WHERE vat = 1 AND d = {at}")
        done = subprocess.run([os.path.join(BIN, "pages_sql"), os.path.join(self.yard.home, "broker", "kernel.db"), sql],
                              capture_output=True, text=True)
        self.assertEqual("1\n", done.stdout, done.stderr)
        self.yard.ok("up")
        self.yard.start("call", "@keeper", "told")

        def inspect(*flags):
            return self.yard.ok("inspect", "keeper", *flags)
        self.assertTrue(wait_for(lambda: inspect("--json").json["state"] == "quarantined"), inspect())
        (both,) = inspect("--json").json["divergence"]
        self.assertEqual((at, "add", ["b"]), (both["d"], both["delivery"]["method"], both["delivery"]["args"]))
        answers = [both[when][0]["resolutions"][0]["value"] for when in ("then", "now")]
        self.assertEqual([7, 2], answers)
        self.assertRegex(inspect().out, rf'diverged +at delivery {at}: ko1.0.add\("b"\)(.|\n)* 7\n +now\n.* 2\n')
        result = self.yard.ctl("replay", "keeper")
        self.assertExit(10, result)
        self.assertIn(f"v1/{at} gave another result than it did then", result.err)
        self.assertIn("E2207", self.yard.ctl("checkpoint", "keeper").err)

    def test_what_cannot_be_asked_for(self):
        self.launch(snapshotEvery=1000)
        self.assertEqual("E1004", self.replay("--to", "4000", code=2)["code"])
        self.assertEqual("E1004", self.replay("--from", "3", "--to", "2", code=2)["code"])
        nowhere = self.yard.ctl("replay", "keeper", env=dict(self.yard.env, TMPDIR="/no/such/folder"))
        self.assertIn("no folder can be made in /no/such/folder", nowhere.err)
        self.assertNotEqual(0, nowhere.code)
        self.yard.ok("kill", "keeper", "--yes")
        result = self.yard.ctl("replay", "keeper")
        self.assertNotEqual(0, result.code)
        self.assertIn("E2201", result.err)


if __name__ == "__main__":
    main()
