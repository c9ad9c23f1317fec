#!/usr/bin/env python3
"""IO channels of a cluster file, through the agent to real sockets and files and back: lines go both ways in order, an
agent, a worker or a broker that dies costs nobody more than a connection, and what a cluster had open goes with it."""

import os
import socket
import stat

from yard import VATS, YardTest, main, wait_for

LINES = os.path.join(VATS, "lines.js")


class Client:
    """One end of a Unix socket that the agent listens at."""

    def __init__(self, path, seconds=20):
        self.file = None

        def connect():
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                return True
            except OSError:
                self.socket.close()
                return False

        if not wait_for(connect, seconds):
            raise AssertionError(f"nobody listens at {path}")
        self.socket.settimeout(20)
        self.file = self.socket.makefile("r", encoding="utf-8", newline="\n")

    def say(self, *lines):
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def hear(self):
        return self.file.readline()

    def close(self):
        self.file.close()
        self.socket.close()


class Io(YardTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.yard.dir, "repl.sock")
        self.text = os.path.join(self.yard.dir, "text")
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")

    def launch(self, **io):
        io = io or {"repl": {"type": "socket", "path": self.path}}
        file = self.yard.cluster({"lines": LINES}, name="io.json", io=io)
        return self.yard.ok("cluster", "launch", file, "--wait", "--json")

    def call(self, method, *args):
        return self.yard.ok("call", "@io/lines", method, *[f"s:{a}" if isinstance(a, str) else a for a in args],
                            "--json").json["value"]

    def client(self):
        client = Client(self.path)
        self.addCleanup(client.close)
        return client

    def agents(self):
        return list(self.yard.processes("vatagent"))

    def seen(self, count):
        """The first COUNT things that were read, when they are there."""
        wait_for(lambda: len(self.call("seen")) >= count)
        return self.call("seen")

    def test_lines_both_ways(self):
        self.assertEqual([], self.agents(), "nobody asked for an agent")
        self.launch()
        client = self.client()
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.path).st_mode))
        self.assertEqual({"read", "write"}, {"read", "write"} & set(self.call("methods", "repl")))
        client.say("hello from outside", "a second line")
        self.assertEqual("hello from outside", self.call("read", "repl"))
        self.assertEqual("a second line", self.call("read", "repl"))
        self.call("write", "repl", "hello from the vat \u00fc")
        self.assertEqual("hello from the vat \u00fc\n", client.hear())
        self.call("ask", "repl", 3)
        client.say("one", "two")
        client.close()
        self.assertEqual(["one", "two", None], self.seen(3))
        self.assertEqual('Error: IO channel "repl" has no connected client', self.call("tries", "repl", "x"))
        self.assertEqual(1, len(self.agents()))
        self.assertSound()

    def test_files(self):
        with open(self.text, "w", encoding="utf-8") as file:
            file.write("first\nlast")
        out = os.path.join(self.yard.dir, "out")
        self.launch(source={"type": "file", "path": self.text, "direction": "in"},
                    target={"type": "file", "path": out, "direction": "out"},
                    raw={"type": "file", "path": self.text, "direction": "in", "unit": "bytes"})
        self.assertEqual("first", self.call("read", "source"))
        self.assertEqual("last", self.call("read", "source"))
        self.assertIsNone(self.call("read", "source"))
        self.assertEqual("Zmlyc3QKbGFzdA==", self.call("read", "raw"))
        self.call("write", "target", "x")
        self.call("write", "target", "y")
        with open(out, encoding="utf-8") as file:
            self.assertEqual("x\ny\n", file.read())
        self.assertEqual(0o600, stat.S_IMODE(os.stat(out).st_mode))
        self.assertRegex(self.call("tries", "source", "x"), r'IO channel ".*source" is read-only')
        self.assertRegex(self.call("triesToRead", "target"), r'IO channel ".*target" is write-only')

    def test_the_agent_dies(self):
        self.launch()
        first = self.client()
        self.call("ask", "repl", 2)
        first.say("before")
        self.assertEqual(["before"], self.seen(1))
        for n in range(3):
            before = self.agents()
            self.yard.kill(before)
            self.assertTrue(wait_for(lambda: set(self.agents()) - set(before)), "another one comes")
        self.assertEqual("", first.hear(), "its connection broke")
        second = self.client()
        second.say("after")
        self.assertEqual(["before", "after"], self.seen(2), "the read was asked again")
        self.call("write", "repl", "still here")
        self.assertEqual("still here\n", second.hear())
        self.assertSound()

    def test_the_worker_dies(self):
        self.launch()
        client = self.client()
        self.call("ask", "repl", 4)
        client.say("one", "two")
        self.assertEqual(["one", "two"], self.seen(2))
        self.yard.kill(self.yard.workers())
        client.say("three")
        self.assertEqual(["one", "two", "three"], self.seen(3), "nothing is read twice by a log that is run again")
        client.say("four")
        self.assertEqual(["one", "two", "three", "four"], self.seen(4))

    def test_the_broker_dies(self):
        self.launch()
        first = self.client()
        self.call("ask", "repl", 3)
        first.say("one")
        self.assertEqual(["one"], self.seen(1))
        agents = self.agents()
        self.yard.kill(self.yard.processes("vatbroker"))
        self.assertTrue(wait_for(lambda: not set(agents) & set(self.agents())), "an agent does not outlive its broker")
        self.yard.ok("up")
        second = self.client()
        second.say("two")
        self.assertEqual(["one", "two"], self.seen(2))
        self.yard.ok("down")
        self.assertFalse(os.path.exists(self.path), "an orderly end takes the socket away")
        self.assertNothingRuns()
        self.yard.ok("up")
        third = self.client()
        third.say("three")
        self.assertEqual(["one", "two", "three"], self.seen(3))
        self.assertSound()

    def test_the_cluster_ends(self):
        self.launch()
        client = self.client()
        self.yard.ok("cluster", "rm", "io", "--yes")
        self.assertEqual("", client.hear())
        self.assertTrue(wait_for(lambda: not os.path.exists(self.path)), "the socket is gone")
        self.assertSound()


if __name__ == "__main__":
    main()
