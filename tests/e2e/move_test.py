#!/usr/bin/env python3
"""Vats that move, hosts that are drained or gone for good, backups: what a vat has in its heap goes on, each
message is answered once and in order, and whoever holds an object notices no more than a delay."""

import os
import shutil
import threading
import time

from yard import VATS, YardTest, command_line, main, wait_for

KEEPER = os.path.join(VATS, "keeper.js")


class Caller(threading.Thread):
    """Sends one token after the other to a vat, and keeps the answers. STUBBORN: a call whose answer was lost with
    the broker is made again; the vat says when it has had that one."""

    def __init__(self, yard, root, stubborn=False):
        super().__init__(daemon=True)
        self.yard, self.root, self.stubborn = yard, root, stubborn
        self.answers, self.ended, self.error = [], False, None
        self.start()

    def run(self):
        while not self.ended and not self.error:
            result = self.yard.ctl("call", self.root, "add", f'"t{len(self.answers)}"', "--json")
            if not result.code:
                self.answers.append(result.json["value"])
            elif self.stubborn and "came twice" in result.out + result.err:
                self.answers.append(len(self.answers) + 1)
            elif self.stubborn:
                time.sleep(0.1)
            else:
                self.error = str(result)

    def says(self, more, seconds=60):
        """Waits for so many answers more."""
        wanted = len(self.answers) + more
        return wait_for(lambda: len(self.answers) >= wanted or self.error, seconds) and not self.error


class Move(YardTest):
    def up(self, hosts=2, flags=(), **persistence):
        self.yard.ok("up", "--hosts", str(hosts), *flags)
        file = self.yard.cluster({"keeper": KEEPER}, name="keep.json",
                                 deploy={"persistence": {"snapshotEvery": 5, **persistence}})
        self.yard.ok("cluster", "launch", file)
        self.root = "ko1.0"

    def call(self, method, *args):
        return self.yard.ok("call", self.root, method, *args, "--json").json["value"]

    def row(self):
        return self.yard.ok("ps", "--json").json[0]

    def other(self):
        """A host on which the vat does not stand."""
        names = {row["name"] for row in self.yard.ok("host", "ls", "--json").json}
        return min(names - {self.row()["host_name"]})

    def finish(self, caller):
        """All it was told came once and in order, and is in its heap."""
        caller.ended = True
        caller.join(60)
        self.assertIsNone(caller.error)
        self.assertEqual(list(range(1, len(caller.answers) + 1)), caller.answers)
        count, size, rounds = self.call("told")
        self.assertEqual([len(caller.answers)] * 2, [count, size])
        self.assertEqual("running", self.row()["state"])
        self.assertSound()
        return rounds

    def test_a_vat_moves_to_and_fro_under_traffic(self):
        self.up()
        caller = Caller(self.yard, self.root)
        self.assertTrue(caller.says(4), caller.error)
        words, turns = [], 5
        for turn in range(turns):
            to = self.other() if turn % 2 else ""
            before = self.row()["host_name"]
            self.call("say", f'"w{turn}"')
            self.yard.ok("move", "v1", *([to] if to else []))
            self.assertNotEqual(before, self.row()["host_name"])
            words.append(f"{turn + 1}:w{turn}")
            self.assertTrue(caller.says(3), caller.error)
        self.assertEqual(words, self.finish(caller))
        # The copies are gone from where the vat stood.
        self.assertTrue(wait_for(lambda: len(self.yard.vat_databases()) <= 3), self.yard.vat_databases())

    def test_moves_and_kills(self):
        self.up()
        caller = Caller(self.yard, self.root, stubborn=True)
        for victims in ("vatworker", "vatbroker", "vathost", "vatbroker", None):
            self.assertTrue(caller.says(3), caller.error)
            mover = self.yard.start("move", "v1", self.other())
            victims = set(self.yard.processes(victims)) - {mover.pid}
            self.yard.kill(victims)
            wait_for(lambda: not victims & set(self.yard.processes()))
            self.yard.ok("up", "--hosts", "2")
            mover.wait(60)
            if not wait_for(lambda: not self.inspect("moving"), 60):
                self.fail(self.inspect())
        self.assertTrue(caller.says(3), caller.error)
        self.finish(caller)

    def test_a_host_is_drained(self):
        self.up()
        caller = Caller(self.yard, self.root)
        self.assertTrue(caller.says(3), caller.error)
        here = self.row()["host_name"]
        self.yard.ok("host", "drain", here)
        states = {row["name"]: (row["state"], row["vats"]) for row in self.yard.ok("host", "ls", "--json").json}
        self.assertEqual(("drained", 0), states[here])
        self.assertNotEqual(here, self.row()["host_name"])
        self.assertTrue(caller.says(3), caller.error)
        self.assertEqual(6, self.yard.ctl("move", "v1", "h9").code)
        self.assertNotEqual(0, self.yard.ctl("move", "v1", here).code)
        self.yard.ok("host", "undrain", here)
        self.yard.ok("move", "v1", here)
        self.finish(caller)

    def test_a_drain_that_cannot_end_says_why(self):
        self.up()
        for n in range(12):
            self.call("add", f'"t{n}"')
        self.assertTrue(wait_for(lambda: self.inspect("log_from") > 1), self.inspect())
        here, there = self.row()["host_name"], self.other()
        self.yard.ok("host", "drain", there)
        late = self.yard.ctl("host", "drain", here, "--timeout", "3s")
        self.assertExit(7, late)
        self.assertIn("no other host takes vats", late.err)
        self.assertRegex(late.err, rf"1 vat is still on h\d {here}: .*\n(.|\n)*E3004")
        self.yard.ok("host", "undrain", there)
        self.assertTrue(wait_for(lambda: self.row()["host_name"] == there))
        self.yard.ok("host", "undrain", here)

        # Its host is away: it waits for that one, since nobody else has what it needs, not even the copy that it came with.
        for n in range(12, 24):
            self.call("add", f'"t{n}"')
        self.assertTrue(wait_for(lambda: not self.inspect("mirrored")), self.inspect())
        self.kill_host(there)
        self.assertTrue(wait_for(lambda: self.row()["state"] == "waiting"), self.row())
        waiting = self.yard.start("host", "drain", there)
        self.assertIn(f"{there}, which is away, and there is no copy", waiting.stderr.readline())
        self.assertRegex(self.yard.ok("host", "ls").out, rf"{there} +draining, away +1\n")
        self.assertEqual("waiting", self.row()["state"])
        self.yard.ok("up", "--hosts", "2")
        self.assertEqual(0, waiting.wait(60))
        self.assertEqual([24, 24, []], self.call("told"))

    def test_a_vat_that_sleeps(self):
        """It wakes to move, and to be backed up, and falls asleep again."""
        self.up(sleepAfter=0.3)

        def asleep():
            return wait_for(lambda: not self.yard.workers())

        for n in range(1, 13):
            self.assertEqual(n, int(self.call("add", f'"t{n}"')))
        self.assertTrue(asleep())
        for _ in range(3):
            before = self.row()["host_name"]
            self.yard.ok("move", "v1")
            self.assertNotEqual(before, self.row()["host_name"])
            self.assertTrue(asleep())
        self.yard.ok("host", "drain", self.row()["host_name"])
        self.assertTrue(asleep())
        backup = os.path.join(self.yard.dir, "backup")
        self.yard.ok("db", "backup", backup)
        self.assertTrue(asleep())
        self.assertEqual([12, 12, []], self.call("told"))
        self.assertSound()

    def kill_host(self, name):
        state = os.path.join(self.yard.home, name)
        self.yard.kill([pid for pid in self.yard.processes() if state in command_line(pid)])
        return state

    def lose(self):
        """The vat's host burns, with its disk."""
        name = self.row()["host_name"]
        state = self.kill_host(name)
        shutil.rmtree(state, ignore_errors=True)
        return name

    def test_a_host_is_gone_for_good(self):
        self.up(mirror=True)
        caller = Caller(self.yard, self.root)
        self.call("say", '"once"')
        self.assertTrue(caller.says(25), caller.error)
        self.assertTrue(wait_for(lambda: self.inspect("mirrored") and self.inspect("log_from") > 1), self.inspect())
        gone = self.lose()
        self.yard.ok("host", "disavow", gone, "--yes")
        self.assertNotEqual(gone, self.row()["host_name"])
        self.assertTrue(caller.says(5), caller.error)
        self.assertEqual(["1:once"], self.finish(caller))

    def test_a_vat_without_a_copy_ends_with_its_host(self):
        self.up()
        caller = Caller(self.yard, self.root)
        self.assertTrue(caller.says(25), caller.error)
        self.assertTrue(wait_for(lambda: self.inspect("log_from") > 1), self.inspect())
        caller.ended = True
        caller.join(60)
        gone = self.lose()
        self.yard.ok("host", "disavow", gone, "--yes")
        self.assertIn("no copy of the vat is elsewhere", self.yard.ok("ps", "-a", "--json").out)

    def test_a_host_that_is_away_for_too_long(self):
        """A standing disavow: the operator told the broker how long a host may be away."""
        self.up(flags=("--host-loss-after", "2500ms"), mirror=True)
        refused = self.yard.ctl("up", "--host-loss-after", "1m")
        self.assertExit(2, refused)
        self.assertIn("the broker runs already", refused.err)
        caller = Caller(self.yard, self.root, stubborn=True)
        self.assertTrue(caller.says(25), caller.error)
        self.assertTrue(wait_for(lambda: self.inspect("mirrored") and self.inspect("log_from") > 1), self.inspect())
        before = time.monotonic()
        gone = self.lose()
        moved = wait_for(lambda: self.row()["host_name"] != gone)
        self.assertTrue(moved, self.inspect())
        self.assertGreater(time.monotonic() - before, 2.5)
        states = {row["name"]: row["state"] for row in self.yard.ok("host", "ls", "--json").json}
        self.assertEqual("disavowed", states[gone])
        self.assertTrue(caller.says(5), caller.error)
        self.finish(caller)

    def inspect(self, key=None):
        row = self.yard.ok("inspect", "v1", "--json").json
        return row[key] if key else row

    def test_a_backup_of_a_live_system(self):
        self.up()
        caller = Caller(self.yard, self.root)
        self.call("say", '"before"')
        self.assertTrue(caller.says(20), caller.error)
        self.assertTrue(wait_for(lambda: self.inspect("log_from") > 1), self.inspect())
        least = len(caller.answers)
        backup = os.path.join(self.yard.dir, "backup")
        self.yard.ok("db", "backup", backup)
        self.assertNotEqual(0, self.yard.ctl("db", "backup", backup).code)
        most = len(caller.answers) + 1
        self.assertTrue(caller.says(12), caller.error)
        self.call("say", '"after"')
        self.assertEqual(["1:before", "2:after"], self.finish(caller))
        self.yard.ok("down")
        self.assertNothingRuns()

        # A broker does not simply go on from it; a restore makes it a state, and the hosts' newer one is void.
        self.assertNotEqual(0, self.yard.start("--state", backup, program="vatbroker").wait(30))
        os.rename(os.path.join(self.yard.home, "broker"), os.path.join(self.yard.dir, "newer"))
        self.yard.ok("db", "restore", backup)
        self.yard.ok("up", "--hosts", "2")
        count, size, rounds = self.call("told")
        self.assertEqual((count, ["1:before"]), (size, rounds))
        self.assertTrue(least <= int(count) <= most, (least, count, most))
        self.assertEqual(int(count) + 1, int(self.call("add", '"anew"')))
        self.yard.ok("move", "v1")
        self.yard.ok("restart", "v1")
        self.assertEqual(int(count) + 2, int(self.call("add", '"more"')))
        self.assertSound()

    def test_a_copy_that_was_damaged_at_the_broker(self):
        """The vat that is to begin with it is shown as what it is, and not waited for."""
        self.up(mirror=True)
        for n in range(12):
            self.call("add", f'"t{n}"')
        self.assertTrue(wait_for(lambda: self.inspect("mirrored") == self.inspect("deliveries")
                                 and self.inspect("log_from") > 1), self.inspect())
        gone = self.lose()
        folder = os.path.join(self.yard.home, "broker", "checkpoints")
        (name,) = os.listdir(folder)
        with open(os.path.join(folder, name), "r+b") as file:
            file.seek(9000)
            byte = file.read(1)[0]
            file.seek(9000)
            file.write(bytes([byte ^ 1]))
        self.yard.ok("host", "disavow", gone, "--yes")
        self.yard.start("call", self.root, "told")
        self.assertTrue(wait_for(lambda: self.row()["state"] == "quarantined"), self.row())
        self.assertIn("the copy that it was to go on from is damaged", self.inspect("reason"))
        self.assertEqual(["damaged-" + name], os.listdir(folder))
        self.assertSound()

    def restored(self, backup, change, *args):
        """What `db restore` says of a copy of BACKUP in which CHANGE was made."""
        damaged, home = os.path.join(self.yard.dir, "damaged"), os.path.join(self.yard.dir, "other")
        for path in (damaged, home):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(backup, damaged)
        change(damaged)
        result = self.yard.ctl("db", "restore", damaged, "--home", home, *args)
        self.assertEqual(result.code in (0, 10), os.path.exists(os.path.join(home, "broker", "kernel.db")), result)
        self.assertNotIn("restore.part", result.out + result.err)
        return result

    def test_a_backup_that_is_damaged(self):
        """It is read as a whole before anything goes on from it."""
        self.up()
        for n in range(12):
            self.call("add", f'"t{n}"')
        self.assertTrue(wait_for(lambda: self.inspect("log_from") > 1), self.inspect())
        backup = os.path.join(self.yard.dir, "backup")
        self.yard.ok("db", "backup", backup)
        self.yard.ok("down")

        def flip(name, at):
            def change(folder):
                path = os.path.join(folder, name)
                if os.path.isdir(path):
                    path = os.path.join(path, os.listdir(path)[0])
                with open(path, "r+b") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(at % size)
                    byte = file.read(1)[0]
                    file.seek(at % size)
                    file.write(bytes([byte ^ 1]))
            return change

        self.assertExit(0, self.restored(backup, lambda folder: None))
        last = self.restored(backup, flip("kernel.db", -3000))
        self.assertExit(9, last)
        self.assertRegex(last.err, r"E5005[^$]* page \d+ of \S+/damaged/kernel.db is not what was written")
        empty = self.restored(backup, lambda folder: os.truncate(os.path.join(folder, "kernel.db"), 0))
        self.assertExit(9, empty)
        self.assertIn("is not the one that this backup was made with", empty.err)
        key = self.restored(backup, lambda folder: os.unlink(os.path.join(folder, "broker.key")))
        self.assertExit(3, key)
        self.assertIn("broker.key", key.err)
        for change in (flip("checkpoints", -100), lambda folder: shutil.rmtree(os.path.join(folder, "checkpoints"))):
            copy = self.restored(backup, change, "--json")
            self.assertExit(10, copy)
            self.assertEqual("v1", copy.json["lost"])


if __name__ == "__main__":
    main()
