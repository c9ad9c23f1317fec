#!/usr/bin/env python3
"""vatctl health: exit code 0 when it is met, 9 when it is not, 4 when there is no broker to ask; of brokers and of
vathosts that work, hang, are cut off, or are not there."""

import os
import signal

from yard import YardTest, main, wait_for


class Health(YardTest):
    def health(self, *words):
        return self.yard.ctl("health", *words)

    def vathost(self, *words):
        return self.health("--vathost", os.path.join(self.yard.home, "host-1"), *words)

    def met(self, result):
        return {row["check"]: row["ok"] for row in result.json["checks"]}

    def test_nobody_is_there(self):
        self.assertExit(4, self.health())
        result = self.health("--vathost", self.yard.dir, "--json")
        self.assertExit(9, result)
        self.assertEqual({"vathost": False}, self.met(result))

    def test_what_works_and_what_hangs(self):
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        for words in ["--live"], ["--ready", "--hosts", "2"], ["--deep"], []:
            self.assertExit(0, self.health(*words))
        self.assertExit(9, self.health("--hosts", "3"))
        result = self.health("--deep", "--json")
        self.assertEqual({"broker": True, "disk": True, "vats": True, "hosts": True, "audit": True}, self.met(result))
        self.assertTrue(result.json["healthy"])
        self.assertExit(0, self.vathost())
        self.assertEqual("", self.vathost("-q").out)
        # A vathost is not asked what only the broker knows; that it would be so is not said.
        for words in ["--deep"], ["--hosts", "3"]:
            refused = self.vathost(*words)
            self.assertExit(2, refused)
            self.assertEqual("", refused.out)

        # The broker hangs: the vathost lives, but cannot work.
        broker, = self.yard.processes("vatbroker")
        os.kill(broker, signal.SIGSTOP)
        try:
            self.assertExit(4, self.health("--live", "--timeout", "1s"))
            self.assertIn("within 5000 ms", self.health("--live").err, "as help says, and as an engine's healthcheck needs")
            self.assertTrue(wait_for(lambda: self.vathost().code == 9, 10))
            self.assertExit(0, self.vathost("--live"))
            self.assertEqual({"vathost": True, "session": False}, self.met(self.vathost("--json")))
        finally:
            os.kill(broker, signal.SIGCONT)
        self.assertTrue(wait_for(lambda: self.vathost().code == 0, 10))
        self.assertTrue(wait_for(lambda: self.health("--deep").code == 0, 10))

    def test_a_vathost_that_hangs_or_is_gone(self):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        host, = self.yard.processes("vathost")
        self.assertExit(0, self.vathost("--live"))
        os.kill(host, signal.SIGSTOP)
        try:
            self.assertTrue(wait_for(lambda: self.vathost("--live").code == 9, 8))
        finally:
            os.kill(host, signal.SIGCONT)
        self.assertTrue(wait_for(lambda: self.vathost("--live").code == 0, 5))
        os.kill(host, signal.SIGTERM)
        self.assertTrue(wait_for(lambda: self.vathost("--live").code == 9, 4), "an orderly end is known at once")
        self.assertTrue(wait_for(lambda: self.health("--deep").code == 9, 10), "a host is away")
        self.assertExit(0, self.health("--ready"))
        self.yard.ok("host", "drain", "h1", "--timeout", "5s")
        self.assertExit(0, self.health("--deep"))  # nobody misses it any more
        self.assertExit(9, self.health("--hosts", "1"))


if __name__ == "__main__":
    main()
