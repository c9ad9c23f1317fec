"""A small network of our own: namespaces on one cable, and the cable is a program.

Each node is a network namespace, held by a process that ends when we do, so that nothing is ever left behind. Its
only way out is a TAP device; one process, the cable, carries frames between those devices and does to them what it is
told: lose, delay, repeat, or keep them. No netem, no nft, no module of the kernel beside tun.

usage (the cable itself): lab.py PID...     one holder of a namespace each; commands on stdin, an answer to each on stdout"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
CLONE_NEWNET = 0x40000000
DEVICE = "eth0"
FRAME_BYTES_MAX = 1 << 16


def address(node):
    return f"10.77.0.{node + 1}"


def _mac(node):
    return bytes((2, 0, 0, 0, 0, node + 1))


def why_not():
    """What this machine lacks; None when a lab can be made."""
    for program in ("ip", "unshare", "nsenter"):
        if not shutil.which(program):
            return f"there is no {program}"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    try:
        lab = Lab(1)
    except (OSError, RuntimeError) as why:
        return f"no network namespace can be made: {why}"
    lab.close()
    return None


class Lab:
    """COUNT nodes that reach each other, until told otherwise."""

    def __init__(self, count):
        self.holders, self.cable = [], None
        try:
            self._make(count)
        except BaseException:
            self.close()
            raise

    def _make(self, count):
        for _ in range(count):
            holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo here; exec cat"], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.holders.append(holder)
            if holder.stdout.readline() != "here\n":
                raise RuntimeError(holder.stderr.read().strip() or "unshare failed")
        self.cable = subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__),
                                       *(str(holder.pid) for holder in self.holders)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._tell("ready")
        for node in range(count):
            self._ip(node, "link", "set", "lo", "up")
            self._ip(node, "addr", "add", f"{address(node)}/24", "dev", DEVICE)
            self._ip(node, "link", "set", DEVICE, "address", _mac(node).hex(":"), "up")
            for other in range(count):
                if other != node:
                    self._ip(node, "neigh", "replace", address(other), "lladdr", _mac(other).hex(":"),
                             "dev", DEVICE, "nud", "permanent")

    def command(self, node, argv):
        """ARGV, as it is run on NODE."""
        return ["nsenter", f"--net=/proc/{self.holders[node].pid}/ns/net", *argv]

    def _ip(self, node, *args):
        done = subprocess.run(self.command(node, ["ip", *args]), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ip {' '.join(args)}: {done.stderr.strip()}")

    def _tell(self, what, **values):
        try:
            self.cable.stdin.write(json.dumps({"what": what, **values}) + "\n")
            self.cable.stdin.flush()
            answer = self.cable.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RuntimeError(f"the cable is gone: {self.cable.stderr.read()[-400:]}")
        return json.loads(answer)

    # -- what becomes of frames from A to B

    def way(self, a, b, lose=0.0, delay_ms=0, jitter_ms=0, twice=0.0):
        self._tell("way", pair=[a, b], lose=lose, delay=delay_ms / 1000, jitter=jitter_ms / 1000, twice=twice)

    def both(self, a, b, **values):
        self.way(a, b, **values)
        self.way(b, a, **values)

    def cut(self, a, b):
        """From now on A sends to B in vain; not the other way round."""
        self.way(a, b, lose=1.0)

    def keep(self, a, b):
        """Frames from A to B do not arrive, but are kept."""
        self._tell("keep", pair=[a, b])

    def let_go(self, a, b):
        """What was kept of A's frames to B arrives now. Returns how many there were."""
        return self._tell("let_go", pair=[a, b])["frames"]

    def pass_on(self, a, b):
        """New frames from A to B arrive again; those kept stay kept."""
        self._tell("pass_on", pair=[a, b])

    def heal(self):
        """Everything is as at first; frames that are kept stay kept."""
        self._tell("heal")

    def figures(self):
        return self._tell("figures")

    def close(self):
        for child in [self.cable, *self.holders]:
            if not child:
                continue
            child.stdin.close()
            child.wait(10)
            child.stdout.close()
            child.stderr.close()


# ---- the cable


def _tap(libc, pid):
    """A TAP device in the namespace of PID."""
    with open(f"/proc/{pid}/ns/net", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TAP | IFF_NO_PI))
    return fd


class Cable:
    def __init__(self, pids):
        libc = ctypes.CDLL(None, use_errno=True)
        self.taps = [_tap(libc, pid) for pid in pids]
        self.node_of = {_mac(node): node for node in range(len(pids))}
        self.ways, self.keeps, self.kept = {}, set(), {}
        self.due, self.number = [], 0
        self.rng = random.Random(os.getpid())
        self.counts = {"carried": 0, "lost": 0, "repeated": 0, "kept": 0}

    def put(self, node, frame):
        try:
            os.write(self.taps[node], frame)
            self.counts["carried"] += 1
        except OSError:  # its queue is full, or it is down
            self.counts["lost"] += 1

    def take(self, a):
        try:
            frame = os.read(self.taps[a], FRAME_BYTES_MAX)
        except OSError:
            return
        b = self.node_of.get(frame[:6])
        if b is None:
            return  # nobody's: what IPv6 says to all
        if (a, b) in self.keeps:
            self.kept.setdefault((a, b), []).append(frame)
            self.counts["kept"] += 1
            return
        lose, delay, jitter, twice = self.ways.get((a, b), (0, 0, 0, 0))
        if lose and self.rng.random() < lose:
            self.counts["lost"] += 1
            return
        again = twice and self.rng.random() < twice
        for _ in range(2 if again else 1):
            self.number += 1
            wait = delay + jitter * (2 * self.rng.random() - 1)
            heapq.heappush(self.due, (time.monotonic() + max(wait, 0), self.number, b, frame))
        self.counts["repeated"] += bool(again)

    def obey(self, order):
        pair = tuple(order.get("pair", ()))
        answer = {}
        if order["what"] == "way":
            self.ways[pair] = (order["lose"], order["delay"], order["jitter"], order["twice"])
        elif order["what"] == "keep":
            self.keeps.add(pair)
        elif order["what"] == "pass_on":
            self.keeps.discard(pair)
        elif order["what"] == "let_go":
            frames = self.kept.pop(pair, [])
            self.keeps.discard(pair)
            for frame in frames:
                self.put(pair[1], frame)
            answer = {"frames": len(frames)}
        elif order["what"] == "heal":
            self.ways.clear()
            self.keeps.clear()
        elif order["what"] == "figures":
            answer = self.counts
        print(json.dumps(answer), flush=True)

    def run(self):
        orders = b""
        while True:
            wait = max(self.due[0][0] - time.monotonic(), 0) if self.due else None
            ready, _, _ = select.select([0, *self.taps], [], [], wait)
            for node, tap in enumerate(self.taps):
                if tap in ready:
                    self.take(node)
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, node, frame = heapq.heappop(self.due)
                self.put(node, frame)
            if 0 in ready:
                data = os.read(0, 4096)
                if not data:
                    return
                *lines, orders = (orders + data).split(b"\n")
                for line in lines:
                    self.obey(json.loads(line))


if __name__ == "__main__":
    Cable([int(pid) for pid in sys.argv[1:]]).run()
