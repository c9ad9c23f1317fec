"""A broker and its hosts as processes of ours, started again whenever they end.

Only processes started here are ever ended, each by its id."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from failpoints import Board  # noqa: E402
from yard import BIN, Yard, wait_for  # noqa: E402


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def children(pid):
    """pids of a process's children, whichever of its threads started them."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            stat = file.read()
    except OSError:
        return ""
    if stat[stat.rindex(")") + 2] in "ZX":
        return ""
    return stat[stat.index("(") + 1 : stat.rindex(")")]


def files_of(pid):
    """Paths of what a process has open."""
    try:
        return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def vat_of(pid):
    """The vat that a worker runs, by the database it has open; 0 while it has none."""
    for path in files_of(pid):
        found = re.search(r"/vat-(\d+)[.\d]*\.db", path)
        if found:
            return int(found.group(1))
    return 0


class Process:
    """One program under supervision."""

    def __init__(self, cluster, name, argv):
        self.cluster, self.name, self.argv = cluster, name, argv
        self.child, self.starts, self.absent_until = None, 0, 0.0
        self.asked = False  # to end in order
        self.began = 0.0
        self.state = ""
        self.log = os.path.join(cluster.yard.dir, f"{name}.log")

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.argv, env=self.cluster.env, cwd=self.cluster.yard.dir,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.starts += 1
        self.began = time.monotonic()

    @property
    def pid(self):
        return self.child.pid if self.child else 0

    def tend(self):
        """Starts it again when it ended. Whatever is not the SIGKILL of ours is told."""
        if self.child is None:
            if time.monotonic() >= self.absent_until:
                self.start()
            return
        code = self.child.poll()
        if code is None:
            return
        if code != -signal.SIGKILL and not (self.asked and code == 0):
            self.cluster.surprises.append(f"{self.name} ended by itself: {code}\n{self.tail()}")
            if len(self.cluster.surprises) > 5:
                raise RuntimeError("too much ends by itself")
        self.child, self.asked = None, False
        self.tend()

    def tail(self, lines=6):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])


class Cluster:
    def __init__(self, hosts=3, extra=()):
        self.yard = Yard()
        self.surprises = []
        home = self.yard.home
        os.makedirs(home, exist_ok=True)
        self.board = Board(os.path.join(self.yard.dir, "board"))
        self.control = f"{home}/control.sock"
        self.env = dict(self.yard.env, VATYARD_FAILPOINT_BOARD=self.board.path, VATYARD_LOG_LEVEL="info")
        self.yard.env["VATYARD_ENDPOINT"] = f"ipc://{self.control}"
        self.listen = f"tcp://127.0.0.1:{free_port()}"
        self.broker = Process(self, "broker", [
            os.path.join(BIN, "vatbroker"), "--state", f"{home}/broker", "--listen", self.listen,
            "--control", f"ipc://{self.control}", *extra])
        self.broker_state = f"{home}/broker"
        os.makedirs(self.broker_state, mode=0o700)
        self.hosts = [self._host(n + 1) for n in range(hosts)]
        self.broker.start()
        if not wait_for(lambda: os.path.exists(f"{home}/broker/broker.pub"), 20):
            raise RuntimeError(self.broker.tail())
        for host in self.hosts:
            with open(f"{home}/broker/broker.pub", encoding="ascii") as file:
                host.argv[host.argv.index("--server-key") + 1] = file.read().strip()
            host.start()

    def _host(self, n):
        state = f"{self.yard.home}/host-{n}"
        program = os.path.join(BIN, "vathost")
        os.makedirs(state, mode=0o700)
        key = subprocess.run([program, "--state", state, "--print-key"], env=self.yard.env, check=True,
                             capture_output=True, text=True, timeout=20).stdout.strip()
        with open(f"{self.yard.home}/broker/hosts.allow", "a", encoding="ascii") as file:
            file.write(f"{key} host-{n}\n")
        host = Process(self, f"host-{n}", [program, "--state", state, "--name", f"host-{n}", "--broker", self.listen,
                                           "--server-key", ""])
        host.state = state
        return host

    def end_of(self, host, seconds=10):
        """Waits until nobody has a database of HOST open any more: its zygote and workers end with it, a moment later."""
        return wait_for(lambda: not any(path.startswith(host.state) for pid in self.yard.processes("vatworker")
                                        for path in files_of(pid)), seconds)

    @property
    def processes(self):
        return [self.broker, *self.hosts]

    def tend(self):
        for process in self.processes:
            process.tend()

    def close(self):
        self.yard.close()
        self.reap()
        self.board.close()

    def reap(self):
        for process in self.processes:
            if process.child:
                process.child.wait()

    # -- who is there

    def zygotes(self, host=None):
        return [pid for each in ([host] if host else self.hosts) for pid in children(each.pid)
                if name_of(pid) == "vatzygote"]

    def workers(self, host=None):
        """{pid: vat}; vat 0: it has not opened its database."""
        return {pid: vat_of(pid) for zygote in self.zygotes(host) for pid in children(zygote)
                if name_of(pid) == "vatworker"}

    def agents(self):
        return [pid for pid in children(self.broker.pid) if name_of(pid) == "vatagent"]

    def kill_all(self):
        """Everything, at once; nothing is started again before the next tend()."""
        for process in self.processes:
            self.kill(process.pid)
        for process in self.processes:
            if process.child:
                process.child.wait()
                process.child = None
        if not wait_for(lambda: not self.yard.processes(), 20):
            raise RuntimeError(f"still there: {self.yard.processes()}")

    def stop(self, process):
        """An orderly end, and a new start; not of one that has just begun, and may not listen to signals yet."""
        if time.monotonic() - process.began < 1.0:
            return
        process.asked = True
        self.kill(process.pid, signal.SIGTERM)

    def kill(self, pid, sig=signal.SIGKILL):
        """When it happened, or None when there was nobody any more."""
        if pid <= 0:
            return None
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return None
        return time.monotonic()
