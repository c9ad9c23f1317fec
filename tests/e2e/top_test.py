#!/usr/bin/env python3
"""vatctl top: rates of messages that are known, one picture after the other in a pipe, and a screen with keys on a
terminal (a pty), which is left as it was."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from yard import BIN, EXAMPLES, YardTest, main, wait_for


class Terminal:
    """vatctl on a terminal of 24 lines by 70 columns."""

    def __init__(self, yard, *words):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 70, 0, 0))
        self.slave, self.before, self.out = slave, termios.tcgetattr(slave), b""
        self.child = subprocess.Popen([os.path.join(BIN, "vatctl"), *words], stdin=slave, stdout=slave,
                                      stderr=subprocess.DEVNULL, env=dict(yard.env, LANG="C.UTF-8"),
                                      start_new_session=True)

    def read(self, seconds=0.05):
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            self.out += os.read(self.master, 65536)
            if time.monotonic() > end:
                break
        return self.out.decode(errors="replace")

    def sees(self, pattern, seconds=10):
        """Whether PATTERN comes, after what was seen before."""
        def look():
            found = re.search(pattern, self.read(), re.S)
            if found:
                self.out = self.out[len(self.out.decode(errors="replace")[:found.end()].encode()):]
            return found
        return wait_for(look, seconds)

    def key(self, text):
        os.write(self.master, text.encode())

    def end(self):
        try:
            return self.child.wait(10)
        finally:
            self.read()
            self.after = termios.tcgetattr(self.slave)
            os.close(self.master)
            os.close(self.slave)


class Top(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up", "--hosts", "2")
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", os.path.join(EXAMPLES, "hello", "cluster.json"), "--wait")

    def test_rates_in_a_pipe(self):
        top = self.yard.start("top", "--json", "--interval", "300ms", "--sort", "turns")
        calls, end = 0, time.monotonic() + 2
        while time.monotonic() < end:
            self.yard.ok("call", "@hello/bob", "hello", "s:Eve")
            calls += 1
        top.send_signal(signal.SIGINT)
        out, _ = top.communicate(timeout=10)
        ticks = [json.loads(line) for line in out.splitlines()]
        self.assertGreaterEqual(len(ticks), 2)
        bob = [next(vat for vat in tick["vats"] if vat["name"] == "bob") for tick in ticks]
        turns = sum(vat["turns_per_s"] * tick["took_us"] / 1e6 for vat, tick in zip(bob, ticks))
        self.assertTrue(calls / 3 <= turns <= calls + 0.1, f"{turns} of {calls}")
        self.assertAlmostEqual(turns, round(turns), delta=0.1)
        busy = max(range(len(ticks)), key=lambda i: bob[i]["turns_per_s"])
        self.assertEqual("bob", ticks[busy]["vats"][0]["name"], "the one with most turns is the first")
        self.assertGreater(bob[busy]["run_us_per_turn"], 0)
        self.assertEqual(2, len(ticks[busy]["hosts"]))

        once = self.yard.ok("top", "--once", "--interval", "200ms", "--sort", "name", "-n", "1").out
        self.assertRegex(once, r"\nVAT +NAME .*\nv\d+ +alice .*\n$")
        self.assertNotIn("\033", once)
        self.assertExit(2, self.yard.ctl("top", "--sort", "colour"))

    def test_a_screen(self):
        screen = Terminal(self.yard, "top", "--interval", "300ms")
        self.assertTrue(screen.sees(r"\033\[\?1049h"))
        self.assertTrue(screen.sees(r"vatyard +up .* 2 hosts .*\[s\]ort: turns"))
        for line in re.split(r"\r\n", re.sub(r"\033\[[?0-9]*[a-zA-Z]", "", screen.read(0.4))):
            self.assertLessEqual(len(line), 70)
        screen.key("s")
        self.assertTrue(screen.sees(r"\[s\]ort: queue"))
        screen.key("p")
        self.assertTrue(screen.sees(r"\[p\]aused"))
        screen.key("p")

        # A broker that goes away and comes back.
        self.yard.ok("down")
        self.assertTrue(screen.sees(r"no broker|went away|does not answer|lost"), screen.out)
        self.yard.ok("up")
        self.assertTrue(screen.sees(r"vatyard +up .* 2 hosts"))
        screen.key("q")
        self.assertEqual(0, screen.end())
        self.assertIn(b"\033[?1049l", screen.out)
        self.assertEqual(screen.before, screen.after)

    def test_a_screen_that_is_interrupted_is_left_as_it_was(self):
        screen = Terminal(self.yard, "top")
        self.assertTrue(screen.sees(r"\[s\]ort: turns"))
        screen.child.send_signal(signal.SIGINT)
        begin = time.monotonic()
        self.assertEqual(0, screen.end())
        self.assertLess(time.monotonic() - begin, 3)
        self.assertEqual(screen.before, screen.after)
        self.assertIn(b"\033[?25h", screen.out)


if __name__ == "__main__":
    main()
