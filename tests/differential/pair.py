"""Two workers, one vat: ours (engine_run) and the published one (xsnap_worker with the published lockdown and
supervisor bundles). Each delivery goes to both; whatever they ask of their host, in order, and the vat store
afterwards must be equal. normal.py says in which narrow cases it need not."""

import fcntl
import json
import os
import subprocess

import normal

FILES = os.environ["VATYARD_DIFFERENTIAL"]
SHARE = os.environ["VATYARD_SHARE"]
PUBLISHED = os.path.join(FILES, "npm", "node_modules", "@agoric")
SECONDS = 60  # no delivery takes longer; a worker that hangs is a failure, not a long night


class Differs(AssertionError):
    """The two workers do not agree."""


def bundle(name):
    return os.path.join(FILES, f"{name}.json")


def run(program, *arguments, **options):
    """Our XS keeps what its parser held when a process ends; leaks are the unit tests' matter."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.Popen([os.path.join(FILES, program), *arguments], env=environment, **options)


class Ours:
    def __init__(self, vat):
        self.process = run("engine_run", os.path.join(SHARE, "lean.xss"), bundle(vat),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.computrons = 0

    def deliver(self, delivery):
        """Returns (outcome, what was asked, the store): outcome None, or why the delivery failed."""
        self.begin(delivery)
        return self.end()

    def begin(self, delivery):
        self.process.stdin.write(json.dumps(delivery).encode() + b"\n")
        self.process.stdin.flush()

    def renew(self, vat):
        self.begin(["renew", bundle(vat)])

    def end(self):
        asked = []
        for line in self.process.stdout:
            it = json.loads(line)
            if it[0] == "done":
                _, outcome, reason, self.computrons, store = it
                return (None if outcome == "OK" else f"{outcome}: {reason}"), asked, dict(store)
            asked.append(it)
        raise Differs(f"engine_run ended with {self.process.wait()}")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(SECONDS)


class Published:
    """Speaks with xsnap_worker as SwingSet's xsnap package does: netstrings on descriptors 3 and 4. Lockdown and
    supervisor are evaluated once; later workers read the snapshot made then."""

    def __init__(self, vat, snapshot=None):
        arguments = ["-r", snapshot] if snapshot else []
        near_down, self.down = os.pipe()
        self.up, near_up = os.pipe()
        # xsnap_worker wants 3 and 4 themselves; a shell can put them there without touching our own. It does so one
        # after the other, so that neither may be the other's source.
        down, up = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (near_down, near_up))
        os.close(near_down)
        os.close(near_up)
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{down} 4>&{up}', os.path.join(FILES, "xsnap_worker"), *arguments],
            pass_fds=(down, up), env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        os.close(down)
        os.close(up)
        self.reader = os.fdopen(self.up, "rb")
        self.store = {}
        self.asked = []
        if not snapshot:
            for path in ("xsnap-lockdown/dist/lockdown-debug.bundle", "swingset-xsnap-supervisor/dist/supervisor.bundle"):
                with open(os.path.join(PUBLISHED, path), encoding="utf-8") as file:
                    self.ask("e", f"({json.load(file)['source']}\n)()".encode())
        if vat:
            with open(bundle(vat), encoding="utf-8") as file:
                self.command(["setBundle", "v1", json.load(file), {}])

    def write(self, message):
        data = b"%d:%s," % (len(message), message)
        while data:
            data = data[os.write(self.down, data):]

    def read(self):
        digits = b""
        while (byte := self.reader.read(1)) != b":":
            if not byte:
                raise Differs(f"xsnap_worker ended with {self.process.wait()}")
            digits += byte
        message = self.reader.read(int(digits) + 1)
        return message[:-1]

    def ask(self, kind, data):
        """Sends one command, answers everything that is asked until its answer comes."""
        self.write(kind.encode() + data)
        while True:
            message = self.read()
            if message[:1] == b"?":
                self.write(b"/" + json.dumps(self.answer(json.loads(message[1:]))).encode())
            elif message[:1] == b".":
                return message[1:].partition(b"\x01")[2]
            else:
                raise Differs(f"xsnap_worker said {message[:300]!r}")

    def command(self, command):
        return json.loads(self.ask("?", json.dumps(command).encode()))

    def answer(self, asked):
        if asked[0] == "testLog":
            self.asked.append(["testLog", " ".join(map(str, asked[1:]))])
            return None
        if asked[0] != "syscall":
            return None  # sourcedConsole
        name, *rest = asked[1]
        found = None
        if name == "vatstoreGet":
            found = self.store.get(rest[0])
        elif name == "vatstoreGetNextKey":
            found = min((key for key in self.store if key > rest[0]), default=None)
        elif name == "vatstoreSet":
            self.store[rest[0]] = rest[1]
        elif name == "vatstoreDelete":
            self.store.pop(rest[0], None)
        self.asked.append([name, *rest, found] if name in ("vatstoreGet", "vatstoreGetNextKey") else [name, *rest])
        return ["ok", found]

    def deliver(self, delivery):
        self.asked = []
        before = dict(self.store)
        answer = self.command(["deliver", delivery])
        outcome = None if answer[0] == "ok" else answer[1]
        if outcome is not None:
            self.store = before
        return outcome, self.asked, dict(self.store)

    def snapshot(self, path):
        self.ask("w", path.encode())

    def close(self):
        os.close(self.down)
        self.reader.close()
        return self.process.wait(SECONDS)


START = ["startVat", {"body": "#{}", "slots": []}]


def keep(name, make, *from_files):
    """The file NAME, made by MAKE(path) when one of FROM_FILES is newer; other processes may do the same."""
    path = os.path.join(FILES, name)
    newest = max(os.path.getmtime(os.path.join(FILES, it)) for it in from_files)
    if not os.path.exists(path) or os.path.getmtime(path) <= newest:
        make(f"{path}.{os.getpid()}")
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def golden():
    """The published worker's snapshot after lockdown and supervisor."""
    def make(path):
        worker = Published(None)
        worker.snapshot(path)
        worker.close()
    return keep("published.xss", make, "xsnap_worker", "npm/stamp")


def started(vat):
    """A snapshot of the published worker after the start of VAT, as SwingSet takes one too, and what the start
    asked for."""
    snapshot = os.path.join(FILES, f"{vat}.started.xss")

    def make(path):
        worker = Published(vat, golden())
        told = worker.deliver(START)
        worker.snapshot(f"{path}.xss")
        worker.close()
        os.rename(f"{path}.xss", snapshot)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(told, file)
    with open(keep(f"{vat}.started", make, f"{vat}.json", "xsnap_worker", "npm/stamp"), encoding="utf-8") as file:
        return snapshot, json.load(file)


class Pair:
    """A vat in both workers. deliver() returns what was asked, or raises Differs."""

    def __init__(self, vat="bench", fresh=False):
        """FRESH: no snapshot of a started vat, because it will not be started with START, or to see that start."""
        self.started = None
        if fresh:
            self.published = Published(vat, golden())
        else:
            snapshot, self.started = started(vat)
            self.published = Published(None, snapshot)
            self.published.store = dict(self.started[2])
        self.ours = Ours(vat)
        self.deliveries = 0
        self.history = []
        self.store = {}

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        ended = self.ours.close(), self.published.close()
        if not failure and ended != (0, 0):
            raise Differs(f"engine_run and xsnap_worker ended with {ended}")

    def renew(self, vat):
        """Both workers begin anew with VAT, on the store that is there."""
        self.history.append(["renew", vat])
        self.ours.renew(vat)
        old, self.published = self.published, Published(vat, golden())
        self.published.store = dict(old.store)
        ended = old.close()
        if ended:
            raise Differs(f"xsnap_worker ended with {ended}")

    def deliver(self, *delivery):
        """Returns (outcome, asked): the outcome is None or a text."""
        delivery = list(delivery)
        self.history.append(delivery)
        self.deliveries += 1
        self.ours.begin(delivery)
        theirs = self.started if delivery == START and self.started else self.published.deliver(delivery)
        self.started = None
        ours = self.ours.end()
        difference = normal.difference(theirs, ours)
        if difference:
            past = "\n".join("  " + json.dumps(it) for it in self.history[-30:])
            raise Differs(f"{difference}\nin the last of these {self.deliveries} deliveries:\n{past}")
        self.store = ours[2]
        return ours[0], ours[1]
