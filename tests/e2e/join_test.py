#!/usr/bin/env python3
"""Hosts that come by a join key: nobody copies their keys into hosts.allow."""

import json
import os
import unittest

from yard import VATS, YardTest, main, wait_for


class Join(YardTest):
    def setUp(self):
        super().setUp()
        self.keys = os.path.join(self.yard.dir, "keys")
        self.yard.ok("key", "init", self.keys)
        self.state = os.path.join(self.yard.dir, "broker")
        self.allow = os.path.join(self.state, "hosts.allow")

    def key(self, name):
        return os.path.join(self.keys, name)

    def ready(self, child):
        line = child.stdout.readline()
        self.assertTrue(line.startswith("ready "), f"{line}{child.stderr.read() if not line else ''}")
        return json.loads(line[6:])

    def broker(self, *more):
        child = self.yard.start("--state", self.state, "--key", self.key("broker.key"), *more,
                                program="vatbroker")
        says = self.ready(child)
        self.hosts, control = says["hosts"], says["control"]
        self.yard.env["VATYARD_ENDPOINT"] = control
        with open(self.key("broker.pub"), encoding="utf-8") as file:
            self.assertEqual(says["key"], file.read().strip())
        return child

    def host(self, name, *more):
        return self.yard.start("--state", os.path.join(self.yard.dir, name), "--name", name,
                               "--broker", self.hosts, "--server-key-file", self.key("broker.pub"),
                               *more, program="vathost")

    def listed(self):
        with open(self.allow, encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line and not line.startswith("# ")]

    def refused(self, child):
        """The child says that it is not wanted, and goes on trying."""
        for line in child.stderr:
            if "E6002" in line:
                self.assertIsNone(child.poll())
                return
        self.fail("it ended and said nothing of that")

    def test_hosts_join_once_and_run_vats(self):
        self.broker("--join", self.key("join.pub"))
        hosts = [self.host(name, "--join", self.key("join.key")) for name in ("one", "two")]
        for child in hosts:
            self.ready(child)
        listed = self.listed()
        self.assertEqual(2, len(set(listed)), listed)
        with open(self.allow, encoding="utf-8") as file:
            self.assertRegex(file.read(), r"# joined 20\S+Z as one\n")
        counter = os.path.join(VATS, "counter.js")
        file = self.yard.cluster({"a": {"source": counter}, "b": {"source": counter}})
        self.yard.ok("cluster", "launch", file)
        for vat in ("@a", "@b"):
            self.assertEqual(1, self.yard.ok("call", vat, "count", "--json").json["value"])
        rows = self.yard.ok("host", "ls", "--json").json
        self.assertEqual({"one", "two"}, {row["name"] for row in rows}, rows)

        hosts[0].terminate()
        hosts[0].wait(20)
        self.ready(self.host("one", "--join", self.key("join.key")))
        self.assertEqual(listed, self.listed())

    def test_who_is_gone_for_good_leaves_the_list(self):
        self.broker("--join", self.key("join.pub"))
        children = {name: self.host(name, "--join", self.key("join.key")) for name in ("one", "two")}
        for child in children.values():
            self.ready(child)
        self.assertEqual(2, len(self.listed()))
        children["one"].kill()
        children["one"].wait(20)
        self.yard.ok("host", "disavow", "one", "--yes")
        self.assertTrue(wait_for(lambda: len(self.listed()) == 1, 10), self.listed())
        with open(self.allow, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(" as two", text)
        self.assertNotIn(" as one", text)
        again = self.host("one", "--join", self.key("join.key"))
        _, err = again.communicate(timeout=30)
        self.assertEqual(1, again.returncode, err)
        self.assertIn("E3013", err)
        self.assertEqual(1, len(self.listed()))

        self.yard.ok("host", "readmit", "one")
        self.ready(self.host("one", "--join", self.key("join.key")))
        self.assertEqual(2, len(self.listed()))

    def test_who_is_away_for_too_long_leaves_the_list(self):
        self.broker("--join", self.key("join.pub"), "--host-loss-after", "1")
        child = self.host("one", "--join", self.key("join.key"))
        self.ready(child)
        file = self.yard.cluster({"a": {"source": os.path.join(VATS, "counter.js")}})
        self.yard.ok("cluster", "launch", file)
        self.assertEqual(1, len(self.listed()))
        child.kill()
        child.wait(20)
        self.assertTrue(wait_for(lambda: not self.listed(), 20), self.listed())

    def test_without_the_right_key_nobody_joins(self):
        self.broker("--join", self.key("join.pub"))
        self.refused(self.host("stranger"))
        other = os.path.join(self.yard.dir, "other")
        self.yard.ok("key", "init", other)
        self.refused(self.host("thief", "--join", os.path.join(other, "join.key")))
        self.assertFalse(os.path.exists(self.allow))

    def test_a_broker_that_was_not_told_of_join_keys_lets_nobody_join(self):
        self.broker()
        self.refused(self.host("one", "--join", self.key("join.key")))
        self.assertFalse(os.path.exists(self.allow))

    def test_a_door_is_closed_while_the_broker_runs(self):
        self.broker("--join", self.key("join.pub"))
        one = self.host("one", "--join", self.key("join.key"))
        self.ready(one)
        with open(self.key("join.pub"), "w", encoding="utf-8"):
            pass
        self.refused(self.host("two", "--join", self.key("join.key")))
        self.assertIsNone(one.poll())
        with open(self.allow, "w", encoding="utf-8"):
            pass
        self.refused(one)

    def test_the_sign_of_life_says_whether_the_host_has_a_session(self):
        broker = self.broker("--join", self.key("join.pub"))
        self.ready(self.host("one", "--join", self.key("join.key")))
        folder = os.path.join(self.yard.dir, "one")

        def says(code, text):
            result = self.yard.ctl("health", "--vathost", folder)
            return result.code == code and text in result.out

        self.assertTrue(wait_for(lambda: says(0, "connected as h1"), 20))
        broker.terminate()
        broker.wait(20)
        self.assertTrue(wait_for(lambda: says(9, "broker"), 20))

    def test_a_list_of_join_keys_that_is_not_there_is_told(self):
        broker = self.broker("--join", self.key("jion.pub"))
        self.refused(self.host("one", "--join", self.key("join.key")))
        broker.terminate()
        self.assertRegex(broker.communicate(timeout=20)[1], r"join_list.*jion\.pub.*No such file")

    def test_a_broker_keeps_the_key_that_it_was_given(self):
        self.broker().terminate()
        self.yard.children[-1].wait(20)
        other = os.path.join(self.yard.dir, "other")
        self.yard.ok("key", "init", other)
        child = self.yard.start("--state", self.state, "--key", os.path.join(other, "broker.key"),
                                program="vatbroker")
        out, err = child.communicate(timeout=20)
        self.assertEqual(5, child.returncode, out + err)
        self.assertIn("E6001", err)


class Keys(YardTest):
    def test_key_init_keeps_what_is_there(self):
        keys = os.path.join(self.yard.dir, "keys")
        first = self.yard.ok("key", "init", keys, "--json").json
        self.assertEqual(first, self.yard.ok("key", "init", keys, "--json").json)
        self.assertEqual({"broker.key", "broker.pub", "join.key", "join.pub"}, set(os.listdir(keys)))
        for name, mode in ("broker.key", 0o600), ("join.key", 0o600), ("broker.pub", 0o644), ("join.pub", 0o644):
            self.assertEqual(mode, os.stat(os.path.join(keys, name)).st_mode & 0o777, name)
        os.chmod(os.path.join(keys, "join.key"), 0o644)
        self.assertExit(5, self.yard.ctl("key", "init", keys))

    @unittest.skipIf(os.geteuid(), "only root gives files away")
    def test_key_init_gives_them_to_the_containers_user(self):
        keys = os.path.join(self.yard.dir, "keys")
        for _ in range(2):
            self.yard.ok("key", "init", keys, "--owner", "10001:10002")
            for name in os.listdir(keys):
                st = os.stat(os.path.join(keys, name))
                self.assertEqual((10001, 10002), (st.st_uid, st.st_gid), name)
        self.assertExit(2, self.yard.ctl("key", "init", keys, "--owner", "somebody"))


if __name__ == "__main__":
    main()
