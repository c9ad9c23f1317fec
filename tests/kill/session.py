"""Requests of a client as futures, and coroutines that wait for them: everything runs in one thread."""

import json

from wire import Client, TABLE, kref

LOST = ("", {})  # what a request becomes whose client died


class Future:
    def __init__(self):
        self.done, self.value, self.then, self.what = False, None, None, ""

    def set(self, value):
        if self.done:
            return
        self.done, self.value = True, value
        if self.then:
            self.then(value)


class Tasks:
    """Generators that yield futures and are sent their values."""

    def __init__(self):
        self.open = set()

    def start(self, generator, on_end=None):
        self.open.add(generator)
        self._step(generator, on_end, None)

    def _step(self, generator, on_end, value):
        try:
            future = generator.send(value)
            while future.done:
                future = generator.send(future.value)
        except StopIteration:
            self.open.discard(generator)
            if on_end:
                on_end()
            return
        future.then = lambda got: self._step(generator, on_end, got)


class Session:
    """One client; who dies comes back under another name."""

    def __init__(self, path, name, on_event=None):
        self.base, self.lives = name, 0
        self.futures = {}
        self.client = Client(path, self._answer, on_event)
        self.noted = 0

    @property
    def name(self):
        return f"{self.base}.{self.lives}"

    def ask(self, message, /, request=None, **values):
        future = Future()
        future.what = f"{message} of {self.name}"
        self.futures[self.client.ask(message, request, **values)] = future
        return future

    def _answer(self, request, name, fields):
        self.futures.pop(request).set((name, fields))

    def die(self):
        gone = [self.futures.pop(request) for request in self.client.forget()]
        self.lives += 1
        self.noted = 0
        for future in gone:
            future.set(LOST)


# ---- values: as much of smallcaps as the workload needs


def body(value):
    return b"#" + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def value_of(capdata):
    """The value of a body without slots."""
    return _plain(json.loads(capdata[0][1:]))


def _plain(value):
    if isinstance(value, str):
        if value.startswith("!"):
            return value[1:]
        return None if value == "#undefined" else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if "#error" in value:
            return f"Error: {_plain(value['#error'])}"
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


def frames(name, rows):
    return b"".join(TABLE.encode(name, **row) for row in rows)


def root(vat):
    return kref(vat, 0)
