#!/usr/bin/env python3
"""What a vat has in its heap only outlives its processes: closures, Maps, a generator half-way, a function that waits,
a promise that it owes, objects that others hold. So it does when the newest checkpoint, or both, cannot be read."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

from yard import BIN, VATS, YardTest, main, wait_for


class Memory:
    """What vats/memory.js answers."""

    def __init__(self):
        self.n, self.map, self.weak, self.counter, self.stored, self.said = 0, [], 0, 1, {}, []

    def step(self, by):
        self.map += [f"key {by}", str(self.n)]
        self.weak += by
        self.stored[str(by % 4)] = self.n
        stored = ",".join(f"{key},{value}" for key, value in sorted(self.stored.items()))
        said = ",".join(self.said)
        self.said.append(f"woken {len(self.said)} by {by}")
        self.n += by
        text = " | ".join([str(self.n), ",".join(self.map), ",".join(str(i + self.weak) for i in range(3)),
                           str(self.counter), stored, said])
        self.counter *= 3
        return text


class Checkpoint(YardTest):
    def launch(self, **persistence):
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"boss": os.path.join(VATS, "remembers.js"), "memory": os.path.join(VATS, "memory.js")},
                                 deploy={"persistence": persistence})
        self.yard.ok("cluster", "launch", file, "--wait")
        self.memory, self.by, self.held = Memory(), 0, 2

    def call(self, *args):
        result = self.yard.ok("call", "@boss", *map(str, args), "--json", timeout=60)
        return json.loads(result.out)["value"]

    def inspect(self, vat="memory"):
        return json.loads(self.yard.ok("inspect", vat, "--json").out)

    def steps(self, count):
        for _ in range(count):
            self.by += 1
            self.assertEqual(self.memory.step(self.by), self.call("step", self.by))

    def assertWhole(self):
        """All that was there is, and goes on."""
        self.steps(1)
        self.held += 1
        self.assertEqual(self.held, self.call("more"))
        self.assertEqual([f"{i} of {self.held} at {self.memory.n}" for i in range(self.held)], self.call("ask"))
        self.assertEqual("nothing yet", self.call("paid"))
        self.assertEqual(1, self.call("visits"))

    def assertPays(self):
        self.call("pay", "s:a debt")
        self.assertTrue(wait_for(lambda: self.call("paid") == "a debt"))
        self.assertSound()

    def database(self, vat="memory"):
        number = self.inspect(vat)["vat"][1:]
        found = [path for path in self.yard.vat_databases() if os.path.basename(path) == f"vat-{number}.1.db"]
        self.assertEqual(1, len(found), found)
        return found[0]

    def damage(self, path, where):
        done = subprocess.run([os.path.join(BIN, "pages_sql"), path,
                               f"UPDATE checkpoint SET heap = x'00ff' WHERE {where}"], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        return int(done.stdout)

    def flip(self, path, piece):
        """Flips a bit in the file, where PIECE, or what PIECE() gives, stands. What is in its log is put there first."""
        done = subprocess.run([os.path.join(BIN, "pages_sql"), path, "UPDATE meta SET value = value"], capture_output=True)
        self.assertEqual(0, done.returncode, done.stderr)
        if callable(piece):
            piece = piece()
        with open(path, "r+b") as file:
            at = file.read().find(piece)
            self.assertGreater(at, 0)
            file.seek(at)
            file.write(bytes([piece[0] ^ 1]))

    def logs(self):
        text = ""
        for name in ("log.jsonl", "host-1.log", "host-2.log"):
            with open(os.path.join(self.yard.home, name), encoding="utf-8") as file:
                text += file.read()
        return text

    # -- restarts

    def test_whoever_is_killed(self):
        self.launch(snapshotEvery=5)
        self.steps(12)
        self.assertWhole()
        self.assertGreater(self.inspect()["log_from"], 1, "what is older than two checkpoints cannot be run again")
        for program in ("vatworker", "vatzygote", "vathost", "vatbroker", None) * 2:
            self.yard.kill(self.yard.processes(program))
            self.assertTrue(wait_for(lambda: not self.yard.processes() if program is None else True))
            self.yard.ok("up", "--hosts", "2")
            self.assertWhole()
        self.assertPays()

    def test_an_orderly_end_is_a_checkpoint(self):
        self.launch(snapshotEvery="never", snapshotAfter="1h", snapshotBytes="1000Mi")
        self.steps(3)
        self.assertEqual(0, self.inspect()["checkpoint"])
        for _ in range(2):
            deliveries = self.inspect()["deliveries"]
            self.yard.ok("down")
            self.yard.ok("up", "--hosts", "2")
            self.assertWhole()
            self.assertEqual(deliveries, self.inspect()["checkpoint"])
        self.assertPays()

    def test_checkpoints_when_asked(self):
        self.launch(snapshotEvery="never", snapshotAfter="1h", snapshotBytes="1000Mi")
        self.steps(3)
        self.assertEqual(0, self.inspect()["checkpoint"])
        self.yard.ok("checkpoint", "memory")
        checkpoint = self.inspect()["checkpoint"]
        self.assertEqual(self.inspect()["deliveries"], checkpoint)
        self.yard.kill(self.yard.workers())
        self.assertWhole()
        self.assertEqual(checkpoint, self.inspect()["checkpoint"])
        self.assertPays()

    def test_an_idle_vat_is_saved(self):
        self.launch(snapshotEvery="never", snapshotAfter="200ms")
        self.steps(2)
        self.assertTrue(wait_for(lambda: self.inspect()["checkpoint"] == self.inspect()["deliveries"]))
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        self.yard.ok("up", "--hosts", "2")
        self.assertWhole()
        self.assertPays()

    def test_it_sleeps_and_wakes(self):
        self.launch(snapshotEvery=4, sleepAfter="300ms")
        for _ in range(3):
            self.steps(2)
            self.assertTrue(wait_for(lambda: not self.yard.workers(), 20), "both sleep")
            self.assertWhole()
        self.assertTrue(wait_for(lambda: not self.yard.workers(), 20))
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        self.yard.ok("up", "--hosts", "2")
        self.assertWhole()
        self.assertPays()

    # -- what cannot be read

    def down_and_damage(self, where):
        path = self.database()
        self.yard.ok("down")
        changed = self.damage(path, where)
        self.yard.ok("up", "--hosts", "2")
        return changed

    def test_the_newest_heap_is_damaged(self):
        self.launch(snapshotEvery=5)
        self.steps(12)
        for _ in range(2):
            self.assertEqual(1, self.down_and_damage("d = (SELECT max(d) FROM checkpoint)"))
            self.assertWhole()
        self.assertIn("the newest heap cannot be read", self.logs())
        self.steps(12)
        self.assertPays()

    def test_a_byte_of_the_newest_heap_is_flipped_on_the_disk(self):
        self.launch(snapshotEvery=5)
        self.steps(12)
        path = self.database()
        self.yard.ok("down")

        def piece():
            with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
                (heap,), (older,) = db.execute("SELECT heap FROM checkpoint ORDER BY d DESC").fetchall()
            with open(path, "rb") as file:
                whole = file.read()
            pieces = (heap[at : at + 64] for at in range(9000, len(heap), 64))
            return next(found for found in pieces if whole.count(found) == 1 and found not in older)
        self.flip(path, piece)
        self.yard.ok("up", "--hosts", "2")
        self.assertWhole()
        self.assertIn("the newest heap cannot be read", self.logs())
        self.steps(12)
        self.assertPays()

    def test_a_byte_of_its_store_is_flipped_on_the_disk(self):
        """Nobody goes on from there; what the log has of it is all of it, or not enough."""
        for every, states in ((5, {"quarantined"}), (1000, {"running"})):
            self.launch(snapshotEvery=every)
            self.steps(12)
            path = self.database()
            self.yard.ok("down")
            self.flip(path, b"baggageID")
            self.yard.ok("up", "--hosts", "2")
            if "running" in states:
                self.assertWhole()
            else:
                self.yard.start("call", "@boss", "step", "99")
                self.assertTrue(wait_for(lambda: self.inspect()["state"] in states), self.inspect())
            damaged = os.path.join(os.path.dirname(path), "damaged-" + os.path.basename(path))
            self.assertTrue(os.path.exists(damaged))
            self.yard.ok("kill", self.inspect()["vat"], "--yes")
            self.assertTrue(wait_for(lambda: not os.path.exists(damaged)), "it goes with its vat")
            self.yard.ok("down")
            shutil.rmtree(self.yard.home)

    def test_no_heap_can_be_read_and_the_log_reaches_back(self):
        self.launch(snapshotEvery="never")
        self.steps(5)
        self.assertEqual(1, self.down_and_damage("1"))
        self.assertWhole()
        self.assertPays()

    def test_no_heap_can_be_read_and_the_broker_has_a_copy(self):
        self.launch(snapshotEvery=5, mirror=True)
        self.steps(12)
        self.yard.ok("checkpoint", "memory", "--ship")
        path = self.database()
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        self.assertEqual(2, self.damage(path, "1"))
        self.yard.ok("up", "--hosts", "2")
        self.assertWhole()
        self.assertIn("it goes on from the broker's copy", self.logs())
        self.steps(12)
        self.assertPays()

    def test_no_heap_can_be_read_and_the_copy_is_damaged_too(self):
        self.launch(snapshotEvery=5, mirror=True)
        self.steps(12)
        self.yard.ok("checkpoint", "memory", "--ship")
        path, copies = self.database(), os.path.join(self.yard.home, "broker", "checkpoints")
        (copy,) = [name for name in os.listdir(copies) if name.startswith(f"v{self.inspect()['vat'][1:]}.")]
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        self.assertEqual(2, self.damage(path, "1"))
        with open(os.path.join(copies, copy), "r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 1]))
        self.yard.ok("up", "--hosts", "2")
        self.assertTrue(wait_for(lambda: self.call("visits") == 2))
        self.assertIn("it begins again with its baggage", self.logs())
        self.assertTrue(os.path.exists(os.path.join(copies, f"damaged-{copy}")))

    def test_no_heap_can_be_read_and_what_is_durable_goes_on(self):
        self.launch(snapshotEvery=5)
        self.steps(12)
        self.assertEqual(2, self.down_and_damage("1"))
        self.assertTrue(wait_for(lambda: self.call("visits") == 2))
        self.memory, self.by = Memory(), 0
        self.steps(6)
        self.assertEqual(["Error: [KERNEL:VAT_TERMINATED] vat terminated"] * 2, self.call("ask"))
        self.assertNotEqual("nothing yet", self.call("paid"), "what the old incarnation owed is rejected")
        self.yard.kill(self.yard.workers())
        self.steps(3)
        self.assertSound()


if __name__ == "__main__":
    main()
