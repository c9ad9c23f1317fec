"""How processes are ended, and how long it takes until something is delivered again."""

import signal
import statistics
import time

from damage import checkpoints, damage, newest_of

WEIGHTS = (("worker", 40), ("label", 25), ("host", 10), ("broker", 13), ("zygote", 4), ("agent", 2), ("several", 15), ("all", 1))
# What to do so that a label is passed; every process passes the labels of its work by itself.
STARTS = {
    "broker": ("broker_locked", "broker_loaded", "broker_recovered", "broker_open", "broker_stepped_hello",
               "broker_sends_welcome", "broker_stepped_attach", "broker_sends_attached", "broker_sends_vat_new",
               "vathost_took_vat_new", "vathost_took_attached", "vathost_said_hello", "vathost_welcomed",
               "vathost_session_new", "vathost_session_saved", "worker_said_again"),
    "host": ("worker_ends", "vathost_locked", "vathost_crew", "zygote_golden", "vathost_starts_worker"),
    "absence": ("broker_stepped_gone",),
    "zygote": ("vathost_crew_gone",),
    "agent": ("agent_began", "broker_agent_started"),
    "large": ("broker_sent_part", "vathost_sent_part", "worker_said_part"),
    "guest": ("broker_stepped_launch", "broker_stepped_restart", "broker_stepped_upgrade", "broker_stepped_remove",
              "broker_sends_launched", "broker_sends_vat_end", "broker_sends_done", "broker_sends_agent",
              "broker_bundle_piece", "broker_bundle_stored", "broker_stepped_told", "agent_took", "agent_tells",
              "vathost_took_vat_end", "vathost_took_restart", "vathost_bundle_whole", "vathost_bundle_written",
              "vathost_bundle_named", "vathost_deletes", "zygote_took_kill", "worker_crank_undone",
              "worker_wants_bundle", "worker_got_bundle", "worker_upgraded"),
    "mortal": ("vathost_tells_lost", "broker_stepped_lost"),
    "move": ("broker_stepped_move", "broker_sends_part", "vathost_pulled_part", "vathost_pulled_whole", "vathost_pulled_synced",
             "vathost_pulled_named"),
    "copy": ("broker_stepped_ready", "broker_stepped_mirrored", "broker_sends_ask", "broker_sends_get",
             "vathost_took_copy", "vathost_tells_ready", "vathost_copy_fetched"),
    "drain": ("broker_stepped_change",),
    "orderly": ("vathost_asked_last",),
    "backup": ("broker_backup_begun", "broker_backup_copied", "broker_backup_whole", "broker_backup_named"),
    "older": ("worker_heap_older", "worker_went_back"),
    "young": ("worker_emptied",),
    "audit": ("broker_stepped_names", "worker_said_names"),
}
OF_LABEL = {label: kind for kind, labels in STARTS.items() for label in labels}
ABSENCE = 9.0  # longer than a link may be silent


class Killer:
    def __init__(self, cluster, work, history, rng):
        self.cluster, self.work, self.history, self.rng = cluster, work, history, rng
        self.kills = 0
        self.by_kind = {}
        self.recovery = {}  # kind -> [seconds]
        self.waiting = {}  # kill -> ...
        self.open_pings = 0
        self.absent = []

    # -- what can be killed

    def _workers(self):
        return list(self.cluster.workers().items())

    def victims(self, kind):
        """[(what it is, its process, a vat that will notice)]"""
        cluster = self.cluster
        mains = list(self.work.names)
        anyone = self.rng.choice(mains)
        if kind == "worker":
            workers = [(pid, vat) for pid, vat in self._workers() if vat]
            if not workers:
                return []
            pid, vat = self.rng.choice(workers)
            return [(f"worker of v{vat}", pid, vat if vat in self.work.names else 0)]
        if kind == "host":
            host = self.rng.choice(cluster.hosts)
            vats = [vat for vat in cluster.workers(host).values() if vat in self.work.names]
            return [(host.name, host.pid, self.rng.choice(vats) if vats else 0)]
        if kind == "broker":
            return [("broker", cluster.broker.pid, anyone)]
        if kind == "zygote":
            host = self.rng.choice(cluster.hosts)
            vats = [vat for vat in cluster.workers(host).values() if vat in self.work.names]
            found = cluster.zygotes(host)
            return [(f"zygote of {host.name}", found[0], self.rng.choice(vats) if vats else 0)] if found else []
        if kind == "agent":
            found = cluster.agents()
            return [("agent", found[0], 0)] if found else []
        if kind == "several":
            kinds = self.rng.choices(("worker", "worker", "worker", "host", "broker", "zygote"), k=self.rng.randrange(2, 6))
            return [victim for each in kinds for victim in self.victims(each)]
        if kind == "all":
            return [(process.name, process.pid, 0) for process in cluster.processes[1:]] + [
                ("broker", cluster.broker.pid, anyone)]
        raise ValueError(kind)

    # -- kills

    def random(self):
        kind = self.rng.choices([k for k, _ in WEIGHTS], [w for _, w in WEIGHTS])[0]
        if kind == "label":
            self.random_label()
        else:
            self.now(kind)

    def now(self, kind, watched=True):
        """SIGKILL at once. Returns how many were killed."""
        done = []
        for what, pid, vat in self.victims(kind):
            if pid in (one[1] for one in done):
                continue
            if self.cluster.kill(pid, signal.SIGKILL) is not None:
                done.append((what, pid, vat))
        if not done:
            return 0
        self.count(kind, len(done), [what for what, _, _ in done])
        vats = [vat for _, _, vat in done if vat]
        if watched and vats:
            self.watch(kind, vats[0], time.monotonic())
        return len(done)

    def count(self, kind, n, what):
        self.kills += n
        self.by_kind[kind] = self.by_kind.get(kind, 0) + n
        self.history.write("kill", n=self.kills, kind=kind, what=what)

    def watch(self, kind, vat, at):
        """Measures until VAT answers."""
        self.open_pings += 1

        def answered():
            self.open_pings -= 1
            seconds = time.monotonic() - at
            self.recovery.setdefault(kind, []).append(seconds)
            self.history.write("recovered", kind=kind, vat=vat, ms=round(seconds * 1000, 1))
        self.work.ping(vat, answered)

    def random_label(self):
        board = self.cluster.board
        passed = [name for name, _, _ in board.rows if board.passed(name) and not board.cell(name)[0]]
        if passed:
            board.arm(self.rng.choice(passed), self.rng.randrange(1, 20))

    def see_labels(self):
        """Counts who died at a label meanwhile."""
        for label, process in self.cluster.board.new_deaths():
            self.count("label", 1, [f"{process} at {label}"])
            self.watch("label", self.rng.choice(list(self.work.names)), time.monotonic())

    def provoke(self, label, again):
        """Has LABEL passed."""
        kind = OF_LABEL.get(label)
        if kind is None:
            process = label.split("_")[0]
            kind = {"broker": "broker", "vathost": "host"}.get(process, process) if again else None
            if kind and again % 3 != 1:
                kind = ("worker", "host", "broker", "zygote")[again % 4]
        if kind == "absence":
            host = self.rng.choice(self.cluster.hosts)
            host.absent_until = time.monotonic() + ABSENCE
            kind = None
            self.cluster.kill(host.pid)
            self.count("host", 1, [f"{host.name}, and not back soon"])
        if kind == "large":
            self.work.large()
        elif kind in ("guest", "mortal", "audit", "move", "copy", "drain", "backup"):
            self.work.hurry(kind)
        elif kind == "older":
            self.damage()
        elif kind == "young":
            self.young()
        elif kind == "orderly":
            self.cluster.stop(self.rng.choice(self.cluster.hosts))
        elif kind:
            self.now(kind, watched=False)

    # -- heaps that cannot be read

    def damage(self, vat=0, wanted=2):
        """A host is killed, and the newest heap of a vat there (VAT, or any with WANTED heaps) is damaged before it is back."""
        there = [(host, list(self.cluster.workers(host).values())) for host in self.cluster.hosts if host.child]
        there = [(host, vats) for host, vats in there if vat in vats or (not vat and vats)]
        if not there:
            return False
        host, vats = self.rng.choice(there)
        host.absent_until = time.monotonic() + 1
        self.cluster.kill(host.pid)
        self.count("host", 1, [f"{host.name}, a heap is damaged"])
        host.child.wait()
        self.cluster.end_of(host)
        for each in self.rng.sample(vats, len(vats)):
            path = newest_of(host.state, each) if each and vat in (0, each) else ""
            if path and checkpoints(path) == wanted:
                damage(path)
                self.history.write("kill", n=self.kills, kind="damage", what=[path])
                return True
        return False

    def young(self):
        """A vat with one checkpoint and all of its log."""
        def damage_it(vat):
            return self.damage(vat, 1)
        self.work.young(damage_it)

    # -- figures

    def figures(self):
        """{kind: (count, median, p99)} in milliseconds."""
        found = {}
        for kind, seconds in sorted(self.recovery.items()):
            seconds = sorted(seconds)
            found[kind] = (len(seconds), statistics.median(seconds) * 1000,
                           seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))] * 1000)
        return found

