#!/usr/bin/env python3
"""A vat gets new code while others hold what it gave out: what is durable goes on, the rest is gone; code that does
not work changes nothing; and all of it is the same again after any restart."""

import json
import os
import shutil

from yard import VATS, YardTest, bundle, main, wait_for

GONE = "Error: [KERNEL:VAT_TERMINATED] vat terminated"
FAILED = "Error: vat-upgrade failure"
BUNDLES = ("1", "2", "throws", "loops", "hangs", "forgets")


def literal(value):
    return f"s:{value}" if isinstance(value, str) else json.dumps(value)


class Upgrade(YardTest):
    def setUp(self):
        super().setUp()
        source = {name: {"bundleSpec": bundle(os.path.join(VATS, f"upgraded-{name}.js"))} for name in BUNDLES}
        file = self.yard.cluster({"boss": os.path.join(VATS, "upgrader.js")}, defaultManagerType="xs-worker",
                                 bundles=source)
        self.yard.ok("up")
        self.assertEqual([1, 1], self.value(self.yard.ok("cluster", "launch", file, "--wait", "--json")))

    def value(self, result):
        return json.loads(result.out)["value"]

    def ask(self, method, *args):
        return self.value(self.yard.ok("call", "@boss", method, *map(literal, args), "--json"))

    def restart_workers(self):
        workers = self.yard.workers()
        self.yard.kill(workers)
        self.assertTrue(wait_for(lambda: len(self.yard.workers()) == len(workers)
                                 and not set(workers) & set(self.yard.workers())))

    def restart_all(self):
        self.yard.ok("down")
        self.yard.ok("up")

    def test_new_code_goes_on_with_what_is_durable(self):
        self.assertEqual([[1, 2], 1, True, 1], self.ask("use"))
        self.assertEqual({"incarnationNumber": 1}, self.ask("upgrade", "2", {"a": 1}))
        self.assertEqual([[2, 3], GONE, True, 2], self.ask("use"))
        self.assertEqual([{"name": "vatUpgraded", "upgradeMessage": "to 2", "incarnationNumber": 0}], self.ask("lost"))
        self.assertEqual(1, self.ask("note", "the heap is new"))
        self.assertSound()

        # And again with the same code: the heap is new once more.
        self.assertEqual(2, self.ask("note", "the heap grows"))
        self.assertEqual({"incarnationNumber": 2}, self.ask("upgrade", "2"))
        self.assertEqual(1, self.ask("note", "the heap is new"))
        self.assertEqual([[2, 4], GONE, True, 2], self.ask("use"))
        self.assertSound()

    def test_code_that_does_not_work_changes_nothing(self):
        self.ask("note", "one")
        for number, name in enumerate(("throws", "forgets", "loops"), 2):
            self.assertEqual(FAILED, self.ask("upgrade", name))
            self.assertEqual(number, self.ask("note", name), "the heap is as it was")
        self.assertEqual([[1, 2], 1, True, 1], self.ask("use"))
        self.assertEqual([], self.ask("lost"))
        self.assertSound()
        self.assertEqual({"incarnationNumber": 1}, self.ask("upgrade", "2"))
        self.assertEqual([[2, 3], GONE, True, 2], self.ask("use"))
        logs = self.yard.ok("logs", "--json").out
        for why in ("this code is broken", "defineDurableKind not called for tags: .Counter.", "Compute meter exceeded"):
            self.assertRegex(logs, f"the upgrade failed: .*{why}")

    def test_code_that_hangs_the_engine_changes_nothing(self):
        self.assertEqual(FAILED, self.ask("upgrade", "hangs"))
        self.assertEqual([[1, 2], 1, True, 1], self.ask("use"))
        self.assertSound()

    def test_restarts_run_the_upgrades_again(self):
        self.ask("upgrade", "throws")
        self.ask("upgrade", "2", {"a": 1})
        self.ask("upgrade", "loops")
        self.ask("renew")
        expected = 1
        for restart in (self.restart_workers, self.restart_all, self.forget_bundles, self.restart_workers):
            restart()
            expected += 1
            self.assertEqual([[2, expected], 2, True, 2], self.ask("use"))
        self.assertEqual(1, self.ask("note", "after all"))
        self.assertSound()

    def forget_bundles(self):
        """The hosts have to fetch each bundle again, of the upgrades too."""
        self.yard.ok("down")
        for folder, names, _ in os.walk(self.yard.home):
            for name in names:
                if name == "bundles" and "host" in folder:
                    shutil.rmtree(os.path.join(folder, name))
        self.yard.ok("up")

    def test_parameters_that_the_upgrade_takes_away(self):
        self.assertEqual([{"incarnationNumber": 1}, True, GONE], self.ask("upgradeWithItsOwn", "2"))
        self.assertSound()
        self.restart_workers()
        self.assertEqual([[2, 2], GONE, True, 2], self.ask("use"))
        self.assertSound()

    def test_workers_die_while_it_goes_on(self):
        for _ in range(5):
            child = self.yard.start("call", "@boss", "upgrade", "s:2", "--json")
            self.yard.kill(self.yard.workers())
            out, _ = child.communicate(timeout=60)
            self.assertIn("incarnationNumber", json.loads(out)["value"])
        self.assertEqual([[2, 2], GONE, True, 2], self.ask("use"))
        self.assertSound()


if __name__ == "__main__":
    main()
