"""What is going on while processes are killed: money, tokens, chains of promises, objects that come and go, notes in an order, a heap
that remembers, and clusters that come, get new code and go. Everything that a client asks or hears goes into the history."""

import hashlib
import json
import os
import shutil
import time

from session import Session, Tasks, body, frames, root, value_of
from wire import TABLE
from yard import bundle

HERE = os.path.dirname(os.path.abspath(__file__))
CODE = os.path.join(HERE, "vats")
ACCOUNTS, START = 6, 100
TIMERS = "setTimeout"

# name: (code, parameters, fields of LAUNCH_VAT that are not the default)
VATS = {
    "boss": ("boss", {}, {"sleep_ms": 1000}),
    "bank0": ("bank", {"accounts": ACCOUNTS, "start": START}, {"every_rows": 7}),
    "bank1": ("bank", {"accounts": ACCOUNTS, "start": START}, {"every_rows": 12, "mirror": 1}),
    "teller": ("teller", {}, {"every_rows": 10, "window": 4}),
    "mint": ("mint", {}, {"every_rows": 9}),
    "sink": ("sink", {}, {"every_rows": 8, "window": 8}),
    "link0": ("link", {}, {"every_rows": 20, "window": 4}),
    "link1": ("link", {}, {"every_rows": 5, "mirror": 1}),
    "link2": ("link", {}, {"every_bytes": 4000, "window": 2}),
    "churn0": ("churn", {}, {"every_rows": 15, "reap_deliveries": 20}),
    "churn1": ("churn", {}, {"every_rows": 6, "reap_deliveries": 10, "sleep_ms": 150}),
    "desk": ("desk", {}, {"every_rows": 25, "window": 8}),
    "heap": ("heap", {}, {"every_rows": 10, "idle_ms": 300, "globals": TIMERS}),
}
JOURNALS = ("bank0", "bank1", "mint", "sink", "desk")
STATES = tuple(name for name in VATS if name not in ("boss", "heap"))
KINDS = (("transfer", 6), ("token", 4), ("chain", 3), ("churn", 2), ("note", 5), ("weigh", 0.1))
# What goes on beside, and how many seconds apart at least.
BESIDE = {"step": 0.03, "journal": 0.2, "guest": 2.0, "mortal": 20.0, "audit": 1.5, "move": 1.0, "copy": 0.7, "drain": 10.0,
          "backup": 12.0}
ERR_NO_HOST, ERR_REF_UNKNOWN = 3002, 4101
LIST_VATS, LIST_HOSTS = 0, 2
DRAIN, UNDRAIN = 1, 2
LARGE = 1_500_000  # more than one part of a frame
PART = 1 << 19  # BUNDLE_PART_BYTES_MAX


class Workload:
    def __init__(self, control, history, rng, pace=0.0):
        self.control, self.history, self.rng, self.pace = control, history, rng, pace
        self.tasks = Tasks()
        self.operator = Session(control, "operator", self._event)  # who never dies
        self.clients = [Session(control, f"client{n}") for n in range(2)]
        self.vats, self.names = {}, {}
        self.count = 0
        self.finished = 0
        self.done = {}  # what the operator asked for and how it ended: how often
        self.steps = 0
        self.guests = 0
        self.busy = {}  # kind of background work -> a task of it runs
        self.journals = {name: 0 for name in JOURNALS}
        self.next_at = {}
        self.stopping, self.without = False, ()
        self.width = 6
        self.findings = []
        self.last_churn = ""

    # -- turning

    def turn(self, seconds=0.002):
        sessions = [self.operator, *self.clients]
        for n, session in enumerate(sessions):
            session.client.turn(seconds if n == 0 and not any(s.client.out for s in sessions[1:]) else 0)

    def until(self, what, seconds, each=lambda: None):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            self.turn()
            each()
        return True

    def unanswered(self):
        """What tasks wait for."""
        waits = []
        for session in (self.operator, *self.clients):
            waits += [future.what for future in session.futures.values()]
        return [f"{task.__name__} in {task.gi_yieldfrom.__name__ if task.gi_yieldfrom else 'itself'}"
                for task in self.tasks.open] + waits

    def finding(self, text):
        self.findings.append(text)
        self.history.write("finding", text=text)

    def _event(self, event):
        """What nobody may see who kills processes from outside."""
        if event["type"] in ("vat-quarantine", "host-quarantine", "host-disavowed"):
            self.finding(f"{event['type']} of v{event['vat']} h{event['host']}: {event['text']}")
        if event["type"] in ("vat-poison", "vat-exit") and event["vat"] in self.names:
            self.finding(f"{event['type']} of {self.names[event['vat']]}: {event['text']}")

    # -- launch

    def store(self, path, mark="", size=0):
        """Pushes a bundle, with bytes of its own when MARK is given, and larger by SIZE. Yields; returns its name."""
        with open(path, "rb") as file:
            data = file.read()
        if mark:
            row = json.loads(data)
            row["source"] += f"\n// {mark}{'.' * size}\n"
            data = json.dumps(row).encode()
        name = f"b1-{hashlib.sha512(data).hexdigest()}"
        at = 0
        while at < len(data):
            got, _ = yield self.operator.ask("bundle_put", bundle=name, offset=at, total=len(data),
                                             data=data[at:at + PART])
            at = at + PART if got == "done" else 0  # a broker that was killed has forgotten the pieces
        return name

    def launch(self, name, vats, bootstrap, channels=b""):
        """VATS: [(name, bundle, parameters, fields)]. Yields; returns LAUNCHED's fields, or FAILED's."""
        rows = []
        for vat, code, parameters, fields in vats:
            row = {"computrons": 0, "wall_ms": 0, "heap_bytes": 0, "critical": 0, "window": 0, "reap_deliveries": 0,
                   "reap_krefs": 0, "host": "", "globals": "", "hosts": "", "every_rows": 0, "every_bytes": 0,
                   "idle_ms": 0, "sleep_ms": 0, "mirror": 0, "poison": 0, "dialect": 0}
            row.update(name=vat, bundle=code, parameters=body(parameters))
            row.update(fields)
            rows.append(row)
        while True:
            got, fields = yield self.operator.ask(
                "launch", name=name, bootstrap=bootstrap, serial=0, vats=frames("launch_vat", rows), services="",
                system=0, bundles=b"", channels=channels)
            if got == "launched" or fields.get("error") != ERR_NO_HOST:
                return got, fields

    def listed(self, what):
        """Yields; returns the rows of a LIST."""
        got, rows = yield self.operator.ask("list", what=what, ended=0, kref=0, vat=0, holder=0, cluster=0,
                                            unsettled=0, first=0, limit=0)
        assert got == "rows", rows
        return self.rows(rows)

    def begin(self, hosts):
        """The cluster stands, and its vats know each other."""
        def task():
            while sum(row["state"] == "connected" for row in (yield from self.listed(LIST_HOSTS))) < hosts:
                pass
            stored = {}
            for code, _, _ in VATS.values():
                if code not in stored:
                    stored[code] = yield from self.store(bundle(os.path.join(CODE, f"{code}.js")))
            rows = [(name, stored[code], parameters, fields) for name, (code, parameters, fields) in VATS.items()]
            got, fields = yield from self.launch("work", rows, 0)
            assert got == "launched", fields
            got, settled = yield self.operator.ask("await", promise=fields["result"])
            assert got == "settled" and value_of(settled["value"]) == "met", settled
            self.vats = {row["name"]: row["vat"] for row in (yield from self.listed(LIST_VATS))}
            self.names = {vat: name for name, vat in self.vats.items()}
        self.tasks.start(task())
        self.history.write("begin", banks=["bank0", "bank1"], accounts=ACCOUNTS, start=START)
        return lambda: not self.tasks.open

    @staticmethod
    def rows(answer):
        return [fields for _, fields in TABLE.rows(answer["rows"])]

    # -- one operation

    def call(self, session, kind, args, target, method, values, no_result=False):
        """Yields; returns the value, or None when there is none to know."""
        self.count += 1
        op = f"{kind[:2]}{self.count}"
        values = [op if value is OP else value for value in values]
        self.history.write("op", op=op, kind=kind, args=args, client=session.name)
        got, sent = yield session.ask("call", target=target, methargs=[body([method, values]), b""],
                                      no_result=int(no_result))
        if got != "sent":
            return self._ended(op, got, sent)
        self.history.write("sent", op=op)
        if no_result:
            self.finished += 1
            return op, None
        got, settled = yield session.ask("await", promise=sent["result"])
        if got != "settled":
            return self._ended(op, got, settled)
        self.finished += 1
        value = value_of(settled["value"])
        if kind == "weigh" and isinstance(value, list):
            value = [value[0], len(value[1])]
        if settled["rejected"]:
            self.history.write("reject", op=op, why=value)
            return op, None
        self.history.write("answer", op=op, value=value)
        return op, value

    def _ended(self, op, got, fields):
        self.finished += 1
        if not got:
            self.history.write("forgot", op=op)
        elif got == "failed" and fields["error"] == ERR_REF_UNKNOWN:
            self.history.write("unread", op=op)
        else:
            self.history.write("reject", op=op, why=f"{fields['error']} {fields['what']} {fields['why']}")
        return op, None

    def ping(self, vat, on_end):
        def task():
            got, sent = yield self.operator.ask("call", target=root(vat), methargs=[body(["ping", []]), b""], no_result=0)
            if got == "sent":
                got, settled = yield self.operator.ask("await", promise=sent["result"])
                if got == "settled" and settled["rejected"]:
                    self.finding(f"ping of v{vat} was rejected: {value_of(settled['value'])}")
            else:
                self.finding(f"ping of v{vat}: {sent}")
        self.tasks.start(task(), on_end)

    def one(self, session):
        kind = self.rng.choices([k for k, _ in KINDS], [w for _, w in KINDS])[0]
        return getattr(self, f"_{kind}")(session)

    def _transfer(self, session):
        banks = [self.rng.randrange(2), self.rng.randrange(2)]
        accounts = [f"a{self.rng.randrange(ACCOUNTS)}" for _ in banks]
        amount = self.rng.choice((1, 5, 20, 70))
        args = [banks[0], accounts[0], banks[1], accounts[1], amount]
        yield from self.call(session, "transfer", args, root(self.vats["teller"]), "transfer", [OP, *args])

    def _token(self, session):
        yield from self.call(session, "token", [], root(self.vats["mint"]), "issue", [OP])

    def _chain(self, session):
        args = [self.rng.randrange(1, 5), self.rng.randrange(1, 5)]
        yield from self.call(session, "chain", args, root(self.vats["link0"]), "chain", [OP, *args])

    def _churn(self, session):
        before, self.last_churn = self.last_churn, ""
        n = self.rng.randrange(1, 7)
        op, value = yield from self.call(session, "churn", [n, before], root(self.vats["churn0"]), "swap",
                                         [OP, n, before])
        if value is not None:
            self.last_churn = op

    def _note(self, session):
        session.noted += 1
        args = [session.name, session.noted]
        yield from self.call(session, "note", args, root(self.vats["desk"]), "note", args, self.rng.random() < 0.3)

    def _weigh(self, session):
        size = LARGE + self.rng.randrange(1000)
        yield from self.call(session, "weigh", [size], root(self.vats["churn0"]), "weigh", ["x" * size])

    # -- what goes on beside

    def _step(self):
        op, value = yield from self.call(self.operator, "heap", [self.steps + 1], root(self.vats["heap"]), "step",
                                         [self.steps + 1])
        self.steps += 1

    def _journal(self):
        name = self.rng.choice(JOURNALS)
        yield from self.read_journal(name)

    def read_journal(self, name):
        """Reads one page. Returns whether there is more."""
        got, sent = yield self.operator.ask("call", target=root(self.vats[name]), no_result=0,
                                            methargs=[body(["journal", [self.journals[name]]]), b""])
        if got == "sent":
            got, settled = yield self.operator.ask("await", promise=sent["result"])
        if got != "settled":
            return True  # unread: the same page can be asked for again
        page = value_of(settled["value"])
        if page["from"] != self.journals[name]:
            self.finding(f"the journal of {name} begins at {page['from']}, not {self.journals[name]}")
        self.history.write("journal", vat=name, **{"from": page["from"], "entries": page["entries"]})
        self.journals[name] = page["from"] + len(page["entries"])
        return page["more"]

    def _audit(self):
        got, rows = yield self.operator.ask("audit", names=1)
        self.audited(got, rows)

    def audited(self, got, rows):
        if got != "rows":
            return
        for row in self.rows(rows):
            if "rule" in row:
                self.finding(f"audit: {row}")

    def _guest(self):
        """A cluster of one vat: launch, use, restart, upgrade, an upgrade that fails, use, end."""
        self.guests += 1
        name = f"guest{self.guests}"
        path = bundle(os.path.join(CODE, "guest.js"))
        code = yield from self.store(path, f"{name} 1")
        channel = frames("launch_channel", [{"name": "out", "type": "file", "place": f"{self.control}.{name}",
                                             "direction": 2, "unit": 0}])
        got, fields = yield from self.launch(name, [("guest", code, {"version": 1}, {"every_rows": 3})], 0, channel)
        if got != "launched":
            return self.finding(f"launch of {name}: {fields}")
        cluster, vat, target = fields["cluster"], fields["bootstrap"], fields["root"]
        count = 0
        for version in (1, 2):
            for heap in range(1, 4):
                count += 1
                expected = [version, count, heap]
                yield from self.call(self.operator, "guest", expected, target, "bump", [])
                if heap == 1:
                    yield from self.call(self.operator, "write", [name, count], target, "write", [f"line {count}"])
                if heap == 2 and version == 1:
                    yield self.operator.ask("restart", vat=vat)
            new = yield from self.store(path, f"{name} {version + 1}", LARGE if version == 2 else 0)
            parameters = {"version": 2} if version == 1 else {"version": 3, "throws": True}
            got, fields = yield self.operator.ask("upgrade", vat=vat, bundle=new, parameters=body(parameters), message="")
            if got != ("done" if version == 1 else "failed"):
                self.finding(f"upgrade of {name}: {got} {fields}")
        yield from self.call(self.operator, "guest", [2, 7, 4], target, "bump", [])
        got, fields = yield self.operator.ask("cluster_rm", cluster=cluster)
        if got != "done":
            self.finding(f"end of {name}: {got} {fields}")

    def _mortal(self):
        """A vat that never answers, and what becomes of it."""
        self.guests += 1
        name = f"mortal{self.guests}"
        code = yield from self.store(bundle(os.path.join(CODE, "guest.js")))
        got, fields = yield from self.launch(name, [("mortal", code, {"version": 1}, {"wall_ms": 2000})], 0)
        if got != "launched":
            if "wall clock" not in fields["why"]:  # a machine this busy
                self.finding(f"launch of {name}: {fields}")
            return
        yield from self.call(self.operator, "hang", [], fields["root"], "hang", [])
        got, more = yield self.operator.ask("cluster_rm", cluster=fields["cluster"])
        if got != "done":
            self.finding(f"end of {name}: {got} {more}")

    def _move(self):
        """A vat goes to the other host, or stays where it is when that is away."""
        vat = self.rng.choice(list(self.names))
        self.history.write("do", what=f"move {vat}")
        got, fields = yield self.operator.ask("move", vat=vat, host=0)
        self.tally(f"move {got}", fields)

    def _copy(self):
        vat = self.rng.choice(list(self.names))
        ship = self.rng.randrange(2)
        self.history.write("do", what=f"checkpoint {vat}, ship {ship}")
        got, fields = yield self.operator.ask("checkpoint_make", vat=vat, ship=ship)
        self.tally(f"checkpoint {got}", fields)

    def _drain(self):
        """A host is emptied, and may be used again."""
        host = self.rng.choice([row["host"] for row in (yield from self.listed(LIST_HOSTS))])
        got, fields = yield self.operator.ask("host_change", host=host, what=DRAIN)
        self.tally(f"drain {got}", fields)
        got, fields = yield self.operator.ask("host_change", host=host, what=UNDRAIN)
        self.tally(f"undrain {got}", fields)

    def _backup(self):
        path = f"{self.control}.backup{self.done.get('backup done', 0)}"
        shutil.rmtree(path, ignore_errors=True)
        got, fields = yield self.operator.ask("backup", path=path)
        self.tally(f"backup {got}", fields)
        shutil.rmtree(path, ignore_errors=True)

    def rest_and_backup(self, path):
        yield self.operator.ask("quiet", cluster=0)
        got, fields = yield self.operator.ask("backup", path=path)
        if got != "done":
            self.finding(f"backup of a cluster at rest: {fields}")

    def tally(self, what, fields):
        why = f": {fields['what']} {fields['why']}" if "error" in fields else ""
        self.done[what] = self.done.get(what, 0) + 1
        self.history.write("done", what=what, why=why)

    def hurry(self, kind):
        """The next task of KIND starts at once."""
        self.next_at[kind] = 0

    def large(self):
        self.tasks.start(self._weigh(self.operator))

    def young(self, damage):
        """A vat that has made its first checkpoint: DAMAGE(vat) makes that unreadable; then it is used again."""
        def task():
            self.guests += 1
            name = f"young{self.guests}"
            code = yield from self.store(bundle(os.path.join(CODE, "guest.js")))
            got, fields = yield from self.launch(name, [("young", code, {"version": 1}, {"every_rows": 4, "reap_deliveries": 1000})], 0)
            if got != "launched":
                return self.finding(f"launch of {name}: {fields}")
            for n in range(1, 4):
                yield from self.call(self.operator, "guest", [1, n, n], fields["root"], "bump", [])
            damage(fields["bootstrap"])
            yield from self.call(self.operator, "guest", [1, 4, 4], fields["root"], "bump", [])
            yield self.operator.ask("cluster_rm", cluster=fields["cluster"])
        self.tasks.start(task())

    def beside(self, kind, every):
        """Starts a task of KIND unless one runs, and not more often than that."""
        now = time.monotonic()
        if self.busy.get(kind) or now < self.next_at.get(kind, 0):
            return
        self.busy[kind] = True
        self.next_at[kind] = now + every

        def ended():
            self.busy[kind] = False
        self.tasks.start(getattr(self, f"_{kind}")(), ended)

    def feed(self):
        """Keeps the work going."""
        if self.stopping:
            return
        for kind, every in BESIDE.items():
            if kind not in self.without:
                self.beside(kind, every * max(1.0, self.pace / PACE))
        for session in self.clients:
            while session.client.greeted and len(session.futures) < self.width:
                if self.pace and time.monotonic() < self.next_at.get(session, 0):
                    break
                self.next_at[session] = time.monotonic() + self.rng.random() * 2 * self.pace
                self.tasks.start(self.one(session))

    # -- the end

    def drain(self, seconds, each):
        """Nothing new; waits for all that was begun, reads journals and states."""
        self.stopping = True
        if not self.until(lambda: not self.tasks.open, seconds, each):
            self.finding(f"not answered in {seconds} s: {', '.join(self.unanswered())}")
            return False

        def task():
            got, idle = yield self.operator.ask("quiet", cluster=0)
            for name in JOURNALS:
                while (yield from self.read_journal(name)):
                    pass
            for name in STATES:
                got, sent = yield self.operator.ask("call", target=root(self.vats[name]), no_result=0,
                                                    methargs=[body(["state", []]), b""])
                got, settled = yield self.operator.ask("await", promise=sent["result"])
                self.history.write("state", vat=name, state=value_of(settled["value"]))
            got, rows = yield self.operator.ask("audit", names=1)
            self.audited(got, rows)
            for row in (yield from self.listed(LIST_VATS)):
                if row["state"] != "running":
                    self.finding(f"{row['name']} is {row['state']}: {row['reason']}")
        self.tasks.start(task())
        if not self.until(lambda: not self.tasks.open, 60, each):
            self.finding("journals and states could not be read")
            return False
        return True

    def reference(self, seconds, each):
        """The same steps where nobody is killed."""
        digests = []

        def task():
            code = yield from self.store(bundle(os.path.join(CODE, "heap.js")))
            got, fields = yield from self.launch("reference", [("heap", code, {}, {"globals": TIMERS})], 0)
            assert got == "launched", fields
            for n in range(1, self.steps + 1):
                got, sent = yield self.operator.ask("call", target=fields["root"], methargs=[body(["step", [n]]), b""],
                                                    no_result=0)
                got, settled = yield self.operator.ask("await", promise=sent["result"])
                digests.append(value_of(settled["value"]))
        self.tasks.start(task())
        if not self.until(lambda: not self.tasks.open, seconds, each):
            self.finding("the reference did not come to its end")
        self.history.write("reference", digests=digests)


PACE = 0.05  # seconds between two operations of a client, in the mean
OP = object()  # stands for the operation's own name among its arguments
