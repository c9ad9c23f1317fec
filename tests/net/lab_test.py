"""The lab itself: what it is told to do to frames, it does."""

import os
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import Lab, address, why_not  # noqa: E402

WHY_NOT = why_not()
if WHY_NOT:
    print(f"tests/net is skipped: {WHY_NOT}", file=sys.stderr)

# Node B: a socket that tells what came and when, and node A: one that sends numbers.
LISTEN = """
import socket, sys, time
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7000))
print("here", flush=True)
while True:
    print(s.recv(64).decode(), time.monotonic(), flush=True)
"""
SEND = """
import socket, sys
s = socket.socket(type=socket.SOCK_DGRAM)
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    s.sendto(str(n).encode(), (sys.argv[1], 7000))
"""


@unittest.skipIf(WHY_NOT, WHY_NOT)
class TheLab(unittest.TestCase):
    def setUp(self):
        self.lab = Lab(2)
        self.addCleanup(self.lab.close)
        self.ears = [self.python(node, LISTEN) for node in (0, 1)]
        for ear in self.ears:
            self.assertEqual("here\n", ear.stdout.readline())
            os.set_blocking(ear.stdout.fileno(), False)

    def python(self, node, *words):
        child = subprocess.Popen(self.lab.command(node, [sys.executable, "-c", *map(str, words)]),
                                 stdout=subprocess.PIPE, text=True)

        def end():
            child.kill()
            child.wait()
            child.stdout.close()
        self.addCleanup(end)
        return child

    def send(self, a, b, first, last):
        sender = self.python(a, SEND, address(b), first, last)
        self.assertEqual(0, sender.wait(10))
        return time.monotonic()

    def heard(self, node, seconds=0.4):
        """[(number, when)]"""
        time.sleep(seconds)
        lines = self.ears[node].stdout.readlines()
        return [(int(line.split()[0]), float(line.split()[1])) for line in lines]

    def numbers(self, node, seconds=0.4):
        return [number for number, _ in self.heard(node, seconds)]

    def test_everything_passes_in_order(self):
        self.send(0, 1, 0, 50)
        self.send(1, 0, 0, 50)
        self.assertEqual(list(range(50)), self.numbers(1))
        self.assertEqual(list(range(50)), self.numbers(0))

    def test_one_way_is_cut(self):
        self.lab.cut(0, 1)
        self.send(0, 1, 0, 5)
        self.send(1, 0, 0, 5)
        self.assertEqual([], self.numbers(1))
        self.assertEqual(list(range(5)), self.numbers(0, 0))
        self.lab.heal()
        self.send(0, 1, 5, 7)
        self.assertEqual([5, 6], self.numbers(1))

    def test_some_are_lost_and_some_repeated(self):
        self.lab.both(0, 1, lose=0.3, twice=0.3)
        self.send(0, 1, 0, 200)
        heard = self.numbers(1)
        self.assertTrue(100 < len(set(heard)) < 190, heard)
        self.assertTrue(10 < len(heard) - len(set(heard)) < 120, heard)

    def test_they_are_late_and_overtake_each_other(self):
        self.lab.way(0, 1, delay_ms=300, jitter_ms=100)
        sent = self.send(0, 1, 0, 30)
        heard = self.heard(1, 1)
        self.assertEqual(list(range(30)), sorted(number for number, _ in heard))
        self.assertNotEqual(list(range(30)), [number for number, _ in heard])
        self.assertGreater(min(when for _, when in heard), sent - 0.3 + 0.15)

    def test_what_is_kept_comes_when_it_is_let_go(self):
        self.lab.keep(0, 1)
        self.send(0, 1, 0, 3)
        self.assertEqual([], self.numbers(1))
        self.lab.pass_on(0, 1)
        self.send(0, 1, 3, 5)
        self.assertEqual([3, 4], self.numbers(1))
        self.assertEqual(3, self.lab.let_go(0, 1))
        self.assertEqual([0, 1, 2], self.numbers(1))

    def test_nothing_of_it_stays(self):
        pids = [holder.pid for holder in self.lab.holders] + [self.lab.cable.pid]
        self.lab.close()
        self.assertFalse([pid for pid in pids if os.path.exists(f"/proc/{pid}")])

    def test_nodes_are_by_themselves(self):
        with socket.socket(type=socket.SOCK_DGRAM) as outside:
            outside.settimeout(0.1)
            with self.assertRaises(OSError):
                outside.sendto(b"1", (address(1), 7000))
                outside.recv(1)
        self.assertEqual([], self.numbers(1))


if __name__ == "__main__":
    unittest.main()
