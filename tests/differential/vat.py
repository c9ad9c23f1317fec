"""A vat as a kernel sees it. Plays the kernel for one Pair: numbers imports and promises, knows what the vat may
reach and recognize, refuses to send what a kernel never would, and fails when the vat breaks the rules itself."""

import collections
import json

from pair import Pair


class Ref(str):
    """A reference: o-50, o+v13/1:0, p-60."""


class Raw(str):
    """Text for a body, as it is."""


UNDEFINED = Raw('"#undefined"')


def big(number):
    return Raw(json.dumps(f"{number:+d}"))


def tagged(tag, payload):
    return {"#tag": tag, "payload": payload}


def encode(value, slots):
    """VALUE in smallcaps, as JSON text; appends to SLOTS."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Ref):
        if value not in slots:
            slots.append(str(value))
        kind = "&" if value[0] == "p" else "$"
        iface = ".Alleged: thing" if kind == "$" else ""
        return json.dumps(f"{kind}{slots.index(value)}{iface}")
    if isinstance(value, str):
        return json.dumps(f"!{value}" if value and "!" <= value[0] <= "-" else value)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(encode(it, slots) for it in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{encode(it, slots)}" for key, it in value.items()) + "}"
    return json.dumps(value)


def capdata(value):
    slots = []
    body = "#" + encode(value, slots)
    return {"body": body, "slots": slots}


class Answer:
    """What became of a message: pending, or settled with (rejected, data)."""

    def __init__(self, vpid):
        self.vpid, self.settled, self.rejected, self.body, self.slots = vpid, False, None, None, []

    @property
    def value(self):
        """The body as JSON; the caller knows what to expect."""
        assert self.settled, f"{self.vpid} is not settled"
        return json.loads(self.body[1:])

    @property
    def ref(self):
        assert self.settled and not self.rejected and len(self.slots) == 1, (self.rejected, self.body, self.slots)
        return Ref(self.slots[0])


GC = ("dropImports", "retireImports", "retireExports")


class Vat:
    def __init__(self, name="bench", parameters=None):
        self.name, self.incarnation = name, 0
        self.pair = Pair(name, fresh=parameters is not None)
        self.objects = {"o+0": "reachable"}  # or "recognizable"; exports and imports alike
        self.promises = {}  # vpid: "vat" or "kernel", who decides it
        self.subscribed = set()
        self.notified = set()
        self.answers = {}  # vpid: Answer
        self.resolved = {}  # vpid: (rejected, body, slots), of all that the vat resolved
        self.sent = []  # (target, method, result), newest last
        self.ended = None
        self.next_object, self.next_promise = 50, 60
        self.asked = []  # in the last delivery
        self.counts = collections.Counter()  # of deliveries, calls, and the references that GC calls name
        self.baseline = None
        self.deliver("startVat", capdata(parameters or {}))
        self.baseline = dict(self.store)

    def __enter__(self):
        self.pair.__enter__()
        return self

    def __exit__(self, *failure):
        self.pair.__exit__(*failure)

    @property
    def store(self):
        return self.pair.store

    def calls(self, *names):
        """What was asked in the last delivery, of these kinds."""
        return [it for it in self.asked if it[0] in names]

    def gc(self):
        """The references of the last delivery's GC calls: {name: [vref...]}."""
        return {name: refs for name, refs in self.calls(*GC)}

    # ---- deliveries ----

    def new_import(self):
        ref = Ref(f"o-{self.next_object}")
        self.next_object += 1
        return ref

    def new_promise(self):
        ref = Ref(f"p-{self.next_promise}")
        self.next_promise += 1
        return ref

    def deliver(self, *delivery, fails=False):
        assert self.ended is None, "the vat has ended"
        outcome, self.asked = self.pair.deliver(*delivery)
        self.counts[f"deliver {delivery[0]}"] += 1
        for it in self.asked:
            self.counts[it[0]] += len(it[1]) if it[0] in GC else 1
        assert (outcome is not None) == fails, f"{delivery}: {outcome}"
        if fails:
            self.ended = outcome
            return
        for name, *rest in self.asked:
            handler = getattr(self, f"on_{name}", None)
            if handler:
                handler(*rest)

    def message(self, target, method, *args, result=True, fails=False):
        """Returns the Answer, or None when RESULT is false. RESULT may be a promise that the vat knows already."""
        assert self.objects[target] == "reachable" and target[1] == "+"
        data = capdata([method, list(args)])
        self.give(data["slots"])
        answer = None
        if result:
            answer = Answer(result if isinstance(result, str) else self.new_promise())
            self.promises[answer.vpid] = "vat"
            self.answers[answer.vpid] = answer
        self.deliver("message", target, {"methargs": data, "result": answer and answer.vpid}, fails=fails)
        return answer

    def step(self, method, *args):
        """One step of the bench, which must not reject. Returns the Answer."""
        answer = self.message("o+0", method, *args)
        assert not answer.rejected, answer.body
        return answer

    def steps(self, *steps):
        return self.step("all", list(steps))

    def notify(self, *resolutions):
        """Each (vpid, rejected, value)."""
        batch = []
        for vpid, _, _ in resolutions:
            assert self.promises[vpid] == "kernel" and vpid in self.subscribed, vpid
        for vpid, rejected, value in resolutions:
            data = capdata(value)
            self.give(data["slots"])
            batch.append([vpid, rejected, data])
        for vpid, _, _ in resolutions:
            del self.promises[vpid]
            self.notified.add(vpid)
            self.subscribed.discard(vpid)
        self.deliver("notify", batch)

    def give(self, slots):
        for ref in slots:
            if ref[0] == "p":
                self.promises.setdefault(ref, "kernel")
            elif ref[1] == "+":
                assert self.objects[ref] == "reachable", f"{ref} cannot be sent: nobody reaches it"
            else:
                self.objects[ref] = "reachable"

    def drop_exports(self, *refs):
        for ref in refs:
            assert ref[1] == "+" and self.objects[ref] == "reachable"
            self.objects[ref] = "recognizable"
        self.deliver("dropExports", list(refs))

    def retire_exports(self, *refs):
        for ref in refs:
            assert ref[1] == "+" and self.objects.pop(ref) == "recognizable"
        self.deliver("retireExports", list(refs))

    def retire_imports(self, *refs):
        for ref in refs:
            assert ref[1] == "-" and self.objects.pop(ref) == "recognizable"
        self.deliver("retireImports", list(refs))

    def reap(self):
        """bringOutYourDead; returns its GC calls."""
        self.deliver("bringOutYourDead")
        return self.gc()

    def upgrade(self, name=None, parameters=None, fails=False):
        """The next incarnation, in SwingSet's order: a last reap; all that the vat decides is rejected, and what it does not
        wait for itself is forgotten; exports that are not durable are given up; a start on the same store; the news
        of what it waits for."""
        self.reap()
        told = []
        for vpid in sorted(vpid for vpid, decider in self.promises.items() if decider == "vat"):
            if vpid in self.subscribed:
                self.promises[vpid] = "kernel"
                told.append(vpid)
            else:
                del self.promises[vpid]
            self.answers.pop(vpid, None)
        for ref in list(self.objects):
            if ref[1] == "+" and ref != "o+0" and ref[2] != "d":
                del self.objects[ref]
        self.pair.renew(name or self.name)
        self.deliver("startVat", capdata(parameters or {}), fails=fails)
        disconnected = {"incarnationNumber": self.incarnation, "name": "vatUpgraded", "upgradeMessage": "vat upgraded"}
        self.incarnation += 1
        if told and not fails:
            self.notify(*((vpid, True, disconnected) for vpid in told))

    # ---- syscalls: what a kernel would refuse fails here ----

    def take(self, slots):
        for ref in slots:
            if ref[0] == "p":
                if ref not in self.promises:
                    # README.md, "What both do that a kernel refuses"
                    assert ref[1] == "+" or ref in self.notified, f"the vat names {ref}, which it does not hold"
                    self.promises[ref] = "vat"
            elif ref[1] == "+":
                self.objects[ref] = "reachable"
            else:
                assert self.objects.get(ref) == "reachable", f"the vat names {ref}, which it does not reach"

    def on_send(self, target, message):
        if target[0] == "p":
            assert self.promises.get(target) == "kernel", target
        else:
            assert target[1] == "-" and self.objects.get(target) == "reachable", target
        self.take(message["methargs"]["slots"])
        result = message.get("result")
        if result:
            assert result not in self.promises, f"{result} is not new"
            self.promises[result] = "kernel"
        self.sent.append((target, json.loads(message["methargs"]["body"][1:])[0], result and Ref(result)))

    def on_subscribe(self, vpid):
        if vpid not in self.promises:  # liveslots watches a promise of its own
            assert vpid[1] == "+", vpid
            self.promises[vpid] = "vat"
        self.subscribed.add(vpid)

    def on_resolve(self, resolutions):
        for vpid, rejected, data in resolutions:
            assert self.promises.get(vpid) == "vat" or vpid not in self.promises, vpid
            self.take(data["slots"])
        for vpid, rejected, data in resolutions:
            self.promises.pop(vpid, None)
            self.subscribed.discard(vpid)
            self.resolved[vpid] = (rejected, data["body"], data["slots"])
            answer = self.answers.pop(vpid, None)
            if answer:
                answer.settled, answer.rejected = True, rejected
                answer.body, answer.slots = data["body"], data["slots"]

    def on_exit(self, failure, info):
        self.ended = f"exit: {info['body']}"

    def on_dropImports(self, refs):
        for ref in refs:
            assert ref[1] == "-" and self.objects.get(ref) == "reachable", f"dropImports {ref}"
            self.objects[ref] = "recognizable"

    def on_retireImports(self, refs):
        for ref in refs:
            assert ref[1] == "-" and self.objects.pop(ref, None) == "recognizable", f"retireImports {ref}"

    def on_retireExports(self, refs):
        for ref in refs:
            assert ref[1] == "+" and self.objects.pop(ref, None) == "recognizable", f"retireExports {ref}"

    # ---- the end ----

    def left(self):
        """What the store holds beyond what it held after the start, but for counters that never go back."""
        def is_counter(key):
            return key == "idCounters" or key.endswith((".nextID", "|nextOrdinal"))
        return {key: value for key, value in self.store.items()
                if self.baseline.get(key) != value and not is_counter(key)}
