"""A cluster whose broker and hosts stand in namespaces of their own, and the workload of tests/kill in it."""

import os
import random
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "kill"))

from checker import check  # noqa: E402
from cluster import BIN, Cluster, Process, Yard, wait_for  # noqa: E402
from failpoints import Board  # noqa: E402
from history import History, read  # noqa: E402
from lab import Lab, address  # noqa: E402
from workload import Workload  # noqa: E402

PORT = 7700
BROKER = 0  # its node; host N stands on node N


class NetCluster(Cluster):
    """As tests/kill has it, on a lab's nodes. SPARE: nodes without a process of ours."""

    def __init__(self, hosts, spare=0):
        self.lab = Lab(1 + hosts + spare)
        self.yard = Yard()
        self.surprises, self.hosts = [], []
        home = self.yard.home
        os.makedirs(f"{home}/broker", mode=0o700)
        self.board = Board(os.path.join(self.yard.dir, "board"))
        self.control = f"{home}/control.sock"
        self.env = dict(self.yard.env, VATYARD_LOG_LEVEL="info")
        self.yard.env["VATYARD_ENDPOINT"] = f"ipc://{self.control}"
        self.listen = f"tcp://{address(BROKER)}:{PORT}"
        self.broker = Process(self, "broker", self.lab.command(BROKER, [
            os.path.join(BIN, "vatbroker"), "--state", f"{home}/broker", "--listen", self.listen,
            "--control", f"ipc://{self.control}"]))
        self.hosts = [self._host(n + 1) for n in range(hosts)]
        self.broker.start()
        if not wait_for(lambda: os.path.exists(f"{home}/broker/broker.pub"), 20):
            raise RuntimeError(self.broker.tail())
        with open(f"{home}/broker/broker.pub", encoding="ascii") as file:
            self.server_key = file.read().strip()
        for host in self.hosts:
            host.argv[host.argv.index("--server-key") + 1] = self.server_key
            host.start()

    def _host(self, n):
        host = super()._host(n)
        host.argv = self.lab.command(n, host.argv)
        return host

    def state_of(self, process):
        """The directory that the process keeps everything in."""
        return f"{self.yard.home}/{process.name}"

    def clone(self, host, node):
        """A copy of the host's disk, and a process on NODE that uses it; nobody starts it again."""
        state = f"{self.yard.home}/clone"
        still = [host.pid, *self.zygotes(host), *self.workers(host)]
        for pid in still:
            self.kill(pid, signal.SIGSTOP)
        shutil.copytree(self.state_of(host), state)
        for pid in still:
            self.kill(pid, signal.SIGCONT)
        argv = self.lab.command(node, [state if word == self.state_of(host) else word
                                       for word in host.argv[2:]])
        twin = Process(self, "clone", argv)
        twin.start()
        return twin

    def close(self):
        super().close()
        self.lab.close()


class NetWorkload(Workload):
    """EXPECTED: types of events that are no finding; they are kept in `seen` instead."""

    expected = ()

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = []
        self.states = []  # (when, type, host) of hosts that come and go

    def _event(self, event):
        if event["type"] in ("host-up", "host-down"):
            self.states.append((time.monotonic(), event["type"], event["host"]))
        if event["type"] in self.expected:
            self.seen.append(event)
        else:
            super()._event(event)


class Weather:
    """A cluster at work."""

    def __init__(self, hosts=2, spare=0, pace=0.05):
        seed = random.SystemRandom().randrange(1 << 30)
        self.cluster = NetCluster(hosts, spare)
        self.lab = self.cluster.lab
        self.history = History(os.path.join(self.cluster.yard.dir, "history.jsonl"))
        self.work = NetWorkload(self.cluster.control, self.history, random.Random(seed), pace)
        self.work.without = ("drain", "mortal")
        self.resting = set()  # processes that are not started again

    def each(self):
        for process in self.cluster.processes:
            if process not in self.resting:
                process.tend()
        self.work.feed()

    def begin(self):
        if not self.work.until(self.work.begin(len(self.cluster.hosts)), 60, self.cluster.tend):
            raise RuntimeError("the cluster did not come up")
        self.go_on(1.0)

    def until(self, what, seconds):
        return self.work.until(what, seconds, self.each)

    def go_on(self, seconds):
        self.until(lambda: False, seconds)

    def answered(self, seconds, vats=None):
        """Seconds until each of VATS, all when None, answered a ping that is sent now; None: they did not."""
        begin = time.monotonic()
        open_ = {vat: True for vat in (vats if vats is not None else self.work.names)}
        for vat in list(open_):
            self.work.ping(vat, lambda vat=vat: open_.pop(vat))
        return time.monotonic() - begin if self.until(lambda: not open_, seconds) else None

    def vats_on(self, host):
        return [vat for vat in self.cluster.workers(host).values() if vat in self.work.names]

    def kill(self, process):
        """SIGKILL, and it stays away until it is let start()."""
        self.resting.add(process)
        self.cluster.kill(process.pid)
        process.child.wait()
        process.child = None

    def start(self, process):
        self.resting.discard(process)
        process.tend()

    def rest(self):
        """Nothing new; all that was begun ends, and is on disk at the hosts."""
        self.work.stopping = True
        if not self.until(lambda: not self.work.tasks.open, 60):
            raise RuntimeError(f"still under way: {self.work.unanswered()}")
        answers = [self.work.operator.ask("checkpoint_make", vat=vat, ship=0) for vat in self.work.names]
        if not self.until(lambda: all(answer.done for answer in answers), 30):
            raise RuntimeError("not all of it was put on disk")
        wrong = [answer.value for answer in answers if answer.value[0] != "done"]
        if wrong:
            raise RuntimeError(f"no checkpoint: {wrong}")

    def work_again(self):
        self.work.stopping = False

    def judge(self):
        """Waits for all that was begun; what is wrong with the history."""
        self.work.stopping = True
        if self.work.drain(90, self.each):
            self.work.reference(60, self.each)
        for text in self.cluster.surprises:
            self.work.finding(text)
        self.history.write("end")
        self.history.close()
        violations, _ = check(read(self.history.path))
        return violations

    def close(self):
        for session in (self.work.operator, *self.work.clients):
            session.client.close()
        self.history.close()
        self.cluster.close()
