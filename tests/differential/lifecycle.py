"""Walks an object through every state of its life and every way between them, and checks each step against the
rules: what keeps it (RAM, the kernel, virtual data), what the store says about it, when it is retired."""

from collections import deque

from vat import Ref, Vat

DURABLE = ("dbox", "dkit", "dmap", "dset", "dweakmap", "dweakset")


class Holder:
    """A place in virtual data for the object: how to put it there, read it back, take it away."""

    def __init__(self, name, setup, put, read, away):
        self.name, self.setup, self.put, self.read, self.away = name, setup, put, read, away


def holders(durable):
    """All places; DURABLE: those that only take what is durable."""
    letter = "d" if durable else "v"
    ret = [
        Holder(f"{letter}box", [["make", f"{letter}box", "h"]],
               ["put", "h", "x", "x"], ["fetch", "h", "x", "x"], ["put", "h", "x", None]),
        Holder(f"{letter}map value", [["make", f"{letter}map", "h"]],
               ["putData", "h", "k", "x"], ["takeData", "h", "k", "x"], ["removeData", "h", "k"]),
        Holder(f"{letter}map key", [["make", f"{letter}map", "h"], ["make", "data", "d"]],
               ["init", "h", "x", "d"], ["pick", "h", "x"], ["clear", "h"]),
        Holder(f"{letter}set", [["make", f"{letter}set", "h"]],
               ["add", "h", "x"], ["pick", "h", "x"], ["clear", "h"]),
        Holder(f"{letter}weakmap value", [["make", f"{letter}weakmap", "h"], ["make", f"{letter}box", "k"]],
               ["init", "h", "k", "x"], ["take", "h", "k", "x"], ["remove", "h", "k"]),
    ]
    if durable:
        ret.append(Holder("baggage", [], ["remember", "k", "x"], ["recall", "k", "x"], ["forget", "k"]))
    return ret


class Tour:
    """Takes every way once, by the shortest paths between them."""

    def next_way(self):
        """The first step of the shortest path to a way that was not taken; None when all were."""
        queue, seen = deque([(self.state, None)]), {self.state}
        while queue:
            state, first = queue.popleft()
            for way, to in self.ways(state).items():
                if (state, way) not in self.done:
                    return first or way
                if to not in seen:
                    seen.add(to)
                    queue.append((to, first or way))
        return None

    def tour(self):
        while way := self.next_way():
            self.take(way)
        return self


class Walk(Tour):
    """States are (RAM, export status of each facet, virtual data), None: it does not exist. A way is a name; ways()
    says where it leads, take() goes there."""

    def __init__(self, vat, kind, holder, reap_always=True):
        self.vat, self.kind, self.holder, self.reap_always = vat, kind, holder, reap_always
        self.is_kit = kind.endswith("kit")
        self.none = "nn" if self.is_kit else "n"
        self.state, self.base, self.done, self.retired = None, None, set(), 0
        if holder.setup:
            vat.steps(*holder.setup)

    def facet(self, i):
        return Ref(f"{self.base}:{i}" if self.is_kit else self.base)

    def ways(self, state):
        if state is None:
            return {"create": (True, self.none, False)}
        ram, es, vdata = state
        ret = {}
        for i, status in enumerate(es):
            def became(letter, i=i):
                return es[:i] + letter + es[i + 1:]
            if ram:
                ret[f"export {i}"] = (ram, became("r"), vdata)
            if status == "r":
                ret[f"dropExports {i}"] = (ram, became("s"), vdata)
                if not ram:
                    ret[f"deliver {i}"] = (True, es, vdata)
            if status == "s":
                ret[f"retireExports {i}"] = (ram, became("n"), vdata)
        if es == "rr":
            ret["dropExports both"] = (ram, "ss", vdata)
        if es == "ss":
            ret["retireExports both"] = (ram, "nn", vdata)
        if ram:
            ret["forget"] = (False, es, vdata)
            if not vdata:
                ret["store"] = (ram, es, True)
        if vdata:
            ret["unstore"] = (ram, es, False)
            if not ram:
                ret["read"] = (True, es, vdata)
        return {way: to if self.is_alive(to) else None for way, to in ret.items()}

    @staticmethod
    def is_alive(state):
        ram, es, vdata = state
        return ram or vdata or "r" in es

    def take(self, way):
        vat, (verb, _, which) = self.vat, way.partition(" ")
        before, after = self.state, self.ways(self.state)[way]
        refs = [self.facet(i) for i in ((0, 1) if which == "both" else (int(which or 0),))] if self.base else None
        if verb == "create":
            vat.steps(["makeKit", self.kind, "x", None] if self.is_kit else ["make", self.kind, "x"])
        elif verb == "export":
            answer = vat.step("giveOther" if which == "1" else "give", "x" if which == "1" else "x")
            if self.base is None:
                self.base = answer.ref.partition(":")[0]
        elif verb == "deliver":
            vat.step("holdOther" if which == "1" else "hold", "x", refs[0])
        elif verb == "dropExports":
            vat.drop_exports(*refs)
        elif verb == "retireExports":
            vat.retire_exports(*refs)
        elif verb == "forget":
            vat.step("drop", "x")
        else:
            vat.step(*{"store": self.holder.put, "read": self.holder.read, "unstore": self.holder.away}[verb])
        self.done.add((before, way))
        self.state = after
        if self.reap_always or after is None:
            gone = vat.reap()
            if after is None:
                self.check_gone(before, verb, refs, gone)
            else:
                assert not gone, gone
        if after is not None and self.base:
            self.check_alive()

    def check_gone(self, before, verb, refs, gone):
        known = [i for i, status in enumerate(before[1]) if status != "n"]
        if verb == "retireExports":
            known = [i for i in known if self.facet(i) not in refs]
        expected = {"retireExports": [self.facet(i) for i in known]} if known else {}
        assert gone == expected, (before, verb, gone, expected)
        if self.base:
            self.retired += len(known)
            stays = [key for key in self.vat.store if key.startswith((f"vom.{self.base}", f"vom.rc.{self.base}",
                                                                      f"vom.es.{self.base}"))]
            number = self.base.partition("/")[2]
            if self.kind.endswith(("map", "set")):
                stays += [key for key in self.vat.store if key.startswith(f"vc.{number}.")]
            assert not stays, stays
        self.base = None

    def check_alive(self):
        ram, es, vdata = self.state
        if self.kind == "heap":
            return
        store, base = self.vat.store, self.base
        assert store.get(f"vom.rc.{base}") == ("1" if vdata else None), (self.state, store.get(f"vom.rc.{base}"))
        assert store.get(f"vom.es.{base}") == (es if es != self.none else None), (self.state, es)
        number = base.partition("/")[2]
        key = f"vc.{number}.|schemata" if self.kind.endswith(("map", "set")) else f"vom.{base}"
        assert key in store, key


def tour(kind, holder, reap_always=True):
    """All ways of KIND with its place in HOLDER. Returns (ways taken, deliveries, objects retired)."""
    with Vat() as vat:
        walk = Walk(vat, kind, holder, reap_always).tour()
        return len(walk.done), vat.pair.deliveries, walk.retired


class ImportWalk(Tour):
    """The life of an import: states are (RAM, virtual data, key of a weak collection, what the kernel thinks the vat
    can do with it), None: the vat does not know it."""

    def __init__(self, vat, holder, weak):
        self.vat, self.holder, self.weak = vat, holder, weak
        self.state, self.ref, self.done = None, None, set()
        self.away = [["newWeak"]]
        self.put, self.out = ["weak", "x"], ["unweak", "x"]
        if weak != "WeakMap":
            self.away = [["make", weak, "w"]]
            self.put = ["add", "w", "x"] if weak.endswith("set") else ["init", "w", "x", "v"]
            self.out = ["remove", "w", "x"]
        vat.steps(["make", "data", "v"], *holder.setup, *self.away)

    def ways(self, state):
        if state is None:
            return {"import": (True, False, False, "reachable")}
        ram, vdata, weak, kernel = state
        ret = {"import": (True, vdata, weak, "reachable")}
        if ram:
            ret["forget"] = (False, vdata, weak, kernel)
            if weak:
                ret["unweaken"] = (ram, vdata, False, kernel)
            else:
                ret["weaken"] = (ram, vdata, True, kernel)
            if not vdata:
                ret["store"] = (ram, True, weak, kernel)
        if vdata:
            ret["unstore"] = (ram, False, weak, kernel)
            if not ram:
                ret["read"] = (True, vdata, weak, kernel)
        if weak:
            ret["lose weak"] = (ram, vdata, False, kernel)
        if kernel == "recognizable":
            ret["retireImports"] = None
        return {way: to and self.reaped(to)[0] for way, to in ret.items()}

    @staticmethod
    def reaped(state):
        """STATE after a reap, and the calls of that reap."""
        ram, vdata, weak, kernel = state
        if ram or vdata:
            return state, ()
        calls = ("dropImports",) if kernel == "reachable" else ()
        return ((ram, vdata, weak, "recognizable"), calls) if weak else (None, calls + ("retireImports",))

    def take(self, way):
        vat, before = self.vat, self.state
        if way == "import":
            self.ref = self.ref or vat.new_import()
            vat.step("hold", "x", self.ref)
        elif way == "retireImports":
            vat.retire_imports(self.ref)
        elif way == "lose weak":
            vat.steps(*self.away)
        else:
            vat.step(*{"forget": ["drop", "x"], "store": self.holder.put, "read": self.holder.read,
                       "unstore": self.holder.away, "weaken": self.put, "unweaken": self.out}[way])
        self.done.add((before, way))
        self.state = self.ways(before)[way]
        gone = vat.reap()
        calls = ()
        if way != "retireImports" and (self.state is None or self.state[3] == "recognizable"):
            was = before and before[3]
            dropped = ("dropImports",) if was != "recognizable" else ()
            calls = dropped + (() if self.state else ("retireImports",))
        assert gone == {name: [self.ref] for name in calls}, (before, way, gone, calls)
        recognizers = [key for key in vat.store if key.startswith(f"vom.ir.{self.ref}|")]
        assert len(recognizers) == (self.weak != "WeakMap" and self.state is not None and self.state[2]), recognizers
        assert vat.store.get(f"vom.rc.{self.ref}") == ("1" if self.state and self.state[1] else None)
        if self.state is None:
            self.ref = None


def import_tour(holder, weak):
    with Vat() as vat:
        walk = ImportWalk(vat, holder, weak).tour()
        return len(walk.done), vat.pair.deliveries
