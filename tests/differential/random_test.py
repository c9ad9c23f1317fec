#!/usr/bin/env python3
"""Random lives of many objects at once: steps of the bench and deliveries of a kernel, chosen from a seed, to both
workers. A model of what the vat holds keeps the choices sensible and the kernel honest; at the end everything is
let go, and then the vat store must be as it was after the start.

    random_test.py [--seeds FIRST LAST] [--deliveries N] [--upgrades]

With --upgrades the vat is upgraded now and then; what the heaps of its old incarnations held stays in the store and
with the kernel for ever, so that the end is not looked at.
"""

import argparse
import collections
import random
import sys
import traceback

from vat import Ref, Vat

PLAIN = ("heap", "vbox", "vbox", "dbox", "dbox")
KITS = ("vkit", "dkit", "vmarker")
STORES = ("vmap", "dmap", "vset", "dset", "vweakmap", "dweakmap", "vweakset", "dweakset")
WORDS = ("send", "subscribe", "resolve", "dropImports", "retireImports", "retireExports", "vatstoreGet", "vatstoreSet",
         "vatstoreDelete", "vatstoreGetNextKey", "deliver message", "deliver notify", "deliver dropExports",
         "deliver retireExports", "deliver retireImports", "deliver bringOutYourDead")
CELLS = [f"c{i}" for i in range(12)]
BAGGAGE = ("b0", "b1", "b2")


def base_of(ref):
    return ref.partition(":")[0]


class Thing:
    """What a cell holds. Holders hold only what is older, so that reference counts free them all."""

    def __init__(self, serial, kind, ref=None):
        self.serial, self.kind, self.ref = serial, kind, ref
        self.inside = {}  # prop or serial of the key: Thing

    def is_box(self):
        return self.kind in ("vbox", "dbox", "vkit", "dkit")


class Life:
    def __init__(self, vat, seed):
        self.vat, self.random, self.serial = vat, random.Random(seed), 0
        self.cells, self.baggage = {}, {}
        self.local = {}  # name of a promise kit: unsettled
        self.promises = 0
        self.given = {}  # base reference: Thing
        self.said = collections.Counter()

    # ---- choices ----

    def pick(self, things):
        things = list(things)
        return self.random.choice(things) if things else None

    def cell(self, *kinds):
        return self.pick(name for name, thing in self.cells.items() if not kinds or thing.kind in kinds)

    def box(self):
        return self.pick(name for name, thing in self.cells.items() if thing.is_box())

    def put_in(self, name, kind, ref=None):
        self.serial += 1
        self.cells[name] = Thing(self.serial, kind, ref)

    def exports(self, status="reachable"):
        return sorted(Ref(ref) for ref, it in self.vat.objects.items() if ref[1] == "+" and ref != "o+0" and it == status)

    def imports(self, status="reachable"):
        return sorted(Ref(ref) for ref, it in self.vat.objects.items() if ref[1] == "-" and it == status)

    def waiting(self):
        """Promises that the kernel may settle now."""
        return sorted(ref for ref in self.vat.subscribed if self.vat.promises.get(ref) == "kernel")

    # ---- steps: each returns (step, what becomes of the model when it does not throw), or None ----

    def step_make(self):
        kind, name = self.pick(PLAIN + STORES + ("data", "dwatcher", "vwatcher")), self.pick(CELLS)
        return ["make", kind, name], lambda: self.put_in(name, kind)

    def step_kit(self):
        kind, (one, two) = self.pick(KITS), self.random.sample(CELLS, 2)

        def then():
            self.put_in(one, kind)
            self.cells[two] = self.cells[one]
        return ["makeKit", kind, one, two], then

    def step_facet(self):
        name, to = self.cell("vkit", "dkit"), self.pick(CELLS)
        return name and (["facet", name, to], lambda: self.cells.__setitem__(to, self.cells[name]))

    def step_copy(self):
        name, to = self.cell(), self.pick(CELLS)
        return name and (["copy", name, to], lambda: self.cells.__setitem__(to, self.cells[name]))

    def step_drop(self):
        names = self.random.sample(CELLS, self.random.randint(1, 4))
        return ["drop", *names], lambda: [self.cells.pop(name, None) for name in names]

    def step_put(self):
        box, prop, name = self.box(), self.pick("xy"), self.cell()
        if not box:
            return None
        holder = self.cells[box]
        if self.random.random() < 0.3 or not name or self.cells[name].serial >= holder.serial:
            return ["put", box, prop, None], lambda: holder.inside.pop(prop, None)
        thing = self.cells[name]
        return ["put", box, prop, name], lambda: holder.inside.__setitem__(prop, thing)

    def step_fetch(self):
        box, prop, to = self.box(), self.pick("xy"), self.pick(CELLS)
        if not box:
            return None
        thing = self.cells[box].inside.get(prop)

        def then():
            if thing:
                self.cells[to] = thing
            else:
                self.put_in(to, "data")
        return ["fetch", box, prop, to], then

    def step_remember(self):
        name, key = self.cell(), self.pick(BAGGAGE)
        return name and (["remember", key, name], lambda: self.baggage.__setitem__(key, self.cells[name]))

    def step_recall(self):
        key, to = self.pick(self.baggage), self.pick(CELLS)
        return key and (["recall", key, to], lambda: self.cells.__setitem__(to, self.baggage[key]))

    def step_forget(self):
        key = self.pick(self.baggage)
        return key and (["forget", key], lambda: self.baggage.pop(key))

    def step_collect(self):
        """One thing into a collection."""
        store, key, value = self.cell(*STORES), self.cell(), self.cell()
        if not store or not key or not value:
            return None
        holder, one, two = self.cells[store], self.cells[key], self.cells[value]
        if max(one.serial, two.serial) >= holder.serial:
            return ["has", store, key], lambda: None

        def then():
            holder.inside[one.serial] = two
        if holder.kind.endswith("set"):
            return ["add", store, key], then
        return [self.pick(("init", "init", "set")), store, key, value], then

    def step_take(self):
        store, key, to = self.cell("vmap", "dmap", "vweakmap", "dweakmap"), self.cell(), self.pick(CELLS)
        if not store or not key:
            return None
        thing = self.cells[store].inside.get(self.cells[key].serial)
        return ["take", store, key, to], lambda: self.cells.__setitem__(to, thing) if thing else None

    def step_uncollect(self):
        store, key = self.cell(*STORES), self.cell()
        return store and key and (["remove", store, key], lambda: None)

    def step_clear(self):
        store = self.cell("vmap", "dmap", "vset", "dset")
        return store and ([self.pick(("clear", "size", "keys")), store], lambda: None)

    def step_weak(self):
        name, other = self.cell(), self.cell()
        if not name:
            return None
        return self.pick([["weak", name], ["weak", name], ["isWeak", name], ["unweak", name], ["newWeak"],
                          ["weakTo", name, other]]), lambda: None

    def step_promise(self):
        name = self.pick(CELLS)
        kit = f"p{self.promises}"
        self.promises += 1

        def then():
            self.local[kit] = True
            self.put_in(name, "promise")
        # the kit has a cell of its own for as long as the promise is not settled
        return [["promise", kit], ["copy", kit, name]], then

    def step_settle(self):
        kit, to = self.pick(self.local), self.cell()
        if not kit or not to or self.cells[to].kind in ("promise", "answer"):
            return None  # promises that wait for each other are never settled
        way = ["settle", kit, to] if self.random.random() < 0.7 else ["reject", kit, "no"]
        return [way, ["drop", kit]], lambda: self.local.pop(kit)

    def step_send(self):
        target = self.cell("import", "promise", "answer", "vbox", "heap")
        if not target:
            return None
        args = [name for name in (self.cell() for _ in range(self.random.randint(0, 3))) if name]
        to = self.pick([None, *CELLS])
        method = self.pick(("get", "other", "take", "noSuchMethod"))
        return ["send", target, method, args, to], lambda: self.put_in(to, "answer") if to else None

    def step_watch(self):
        name, watcher, arg = self.cell("promise", "answer"), self.cell("dwatcher", "vwatcher"), self.cell()
        return name and watcher and arg and (["watch", name, watcher, arg], lambda: None)

    STEPS = ("make", "make", "make", "kit", "facet", "copy", "drop", "drop", "put", "put", "put", "fetch", "fetch", "remember",
             "recall", "forget", "collect", "collect", "collect", "take", "uncollect", "clear", "weak", "weak", "promise",
             "settle", "send", "send", "watch")

    # ---- deliveries ----

    def deliver_steps(self):
        """A few steps in one crank, no two on the same cell; those that throw change nothing in the model."""
        steps, thens, touched = [], [], set()
        for _ in range(self.random.choice((1, 1, 2, 3, 6))):
            choice = getattr(self, f"step_{self.pick(self.STEPS)}")()
            if not choice:
                continue
            these = choice[0] if isinstance(choice[0][0], list) else [choice[0]]
            words = [word for step in these for arg in step[1:] for word in (arg if isinstance(arg, list) else [arg])]
            cells = {word for word in words if word in CELLS or word in BAGGAGE or word in self.local}
            if not cells & touched:
                touched |= cells
                thens.append((len(these), choice[1]))
                steps += these
        said = self.vat.step("each", steps).value
        self.said.update("ok" if it == "ok" else "threw" for it in said)
        for count, then in thens:
            if all(it == "ok" for it in said[:count]):
                then()
            said = said[count:]

    def deliver_hold(self):
        name = self.pick(CELLS)
        ways = [("import", self.vat.new_import)] * 3
        for kind, refs in (("import", self.imports()), ("import", self.imports("recognizable")), ("export", self.exports())):
            if refs:
                ways.append((kind, lambda refs=refs: self.pick(refs)))
        ways.append(("promise", self.vat.new_promise))
        kind, ref = self.pick(ways)
        ref = ref()
        self.vat.step("hold", name, ref)
        if kind == "export":
            self.cells[name] = self.given.get(base_of(ref), Thing(sys.maxsize, kind))  # unknown: put nowhere
        else:
            self.put_in(name, kind)
            self.cells[name].serial = 0  # older than every holder

    def deliver_give(self):
        name = self.cell()
        if name:
            answer = self.vat.message("o+0", "give", name)
            if answer.settled and answer.slots and answer.slots[0].startswith("o+"):
                self.given[base_of(answer.slots[0])] = self.cells[name]

    def deliver_wait(self):
        name = self.cell("promise", "answer")
        if name:
            self.vat.message("o+0", self.pick(("wait", "give")), name)

    def deliver_to_export(self):
        ref = self.pick(self.exports())
        if ref:
            self.vat.message(ref, self.pick(("get", "other", "getSize", "noSuchMethod")), self.pick("xy"),
                             result=self.random.random() < 0.8)

    def value(self):
        return self.pick([None, 5, "text", self.vat.new_import(), [self.vat.new_import(), "x"], *self.exports()[:2],
                          *self.imports()[:2]])

    def deliver_notify(self):
        refs = self.waiting()
        if refs:
            refs = self.random.sample(refs, min(len(refs), self.random.randint(1, 3)))
            self.vat.notify(*((ref, self.random.random() < 0.3, self.value()) for ref in refs))

    def deliver_drop_exports(self):
        refs = [ref for ref in self.exports() if self.random.random() < 0.5]
        if refs:
            self.vat.drop_exports(*refs)

    def deliver_retire_exports(self):
        refs = [ref for ref in self.exports("recognizable") if self.random.random() < 0.5]
        if refs:
            self.vat.retire_exports(*refs)

    def deliver_retire_imports(self):
        refs = [ref for ref in self.imports("recognizable") if self.random.random() < 0.5]
        if refs:
            self.vat.retire_imports(*refs)

    def deliver_reap(self):
        self.vat.reap()

    DELIVERIES = (("steps", 40), ("hold", 12), ("give", 12), ("wait", 3), ("to_export", 6), ("notify", 6),
                  ("drop_exports", 6), ("retire_exports", 4), ("retire_imports", 4), ("reap", 8))

    def deliver_upgrade(self):
        self.vat.upgrade()
        self.cells, self.local = {}, {}

    def run(self, deliveries, upgrades):
        names, weights = zip(*self.DELIVERIES, ("upgrade", 1 if upgrades else 0))
        while self.vat.pair.deliveries < deliveries:
            getattr(self, f"deliver_{self.random.choices(names, weights)[0]}")()

    def let_go(self):
        """Everything, until nothing moves any more."""
        vat = self.vat
        vat.step("each", [["reject", kit, "end"] for kit in self.local] +
                 [["drop", *CELLS, *self.local], ["newWeak"], *(["forget", key] for key in BAGGAGE)])
        for _ in range(50):
            before = (dict(vat.store), dict(vat.objects), dict(vat.promises))
            if self.waiting():
                vat.notify(*((ref, False, None) for ref in self.waiting()))
            if self.exports():
                vat.drop_exports(*self.exports())
            vat.step("news")
            vat.reap()
            if self.imports("recognizable"):
                vat.retire_imports(*self.imports("recognizable"))
            if before == (vat.store, vat.objects, vat.promises):
                break
        assert vat.objects == {"o+0": "reachable"}, f"the kernel still holds {vat.objects}"
        assert not vat.left(), f"the store still holds {vat.left()}"


def play(seed, deliveries, upgrades):
    """Returns what happened: {word: how often}."""
    with Vat() as vat:
        life = Life(vat, seed)
        life.run(deliveries, upgrades)
        if not upgrades:
            life.let_go()
        return life.said + vat.counts


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", type=int, nargs=2, default=(1, 5), metavar=("FIRST", "LAST"))
    arguments.add_argument("--deliveries", type=int, default=500)
    arguments.add_argument("--upgrades", action="store_true")
    options = arguments.parse_args()
    total = collections.Counter()
    for seed in range(options.seeds[0], options.seeds[1] + 1):
        try:
            total += play(seed, options.deliveries, options.upgrades)
        except Exception:
            traceback.print_exc()
            print(f"FAILED: {sys.argv[0]} --seeds {seed} {seed} --deliveries {options.deliveries}"
                  f"{' --upgrades' if options.upgrades else ''}")
            sys.exit(1)
    print(f"{options.seeds[1] - options.seeds[0] + 1} seeds, no difference:", dict(sorted(total.items())))
    missing = [word for word in ("ok", "threw", *WORDS) if not total[word]]
    if missing:
        sys.exit(f"these never happened: {missing}")


if __name__ == "__main__":
    main()
