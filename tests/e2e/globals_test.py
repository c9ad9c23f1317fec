#!/usr/bin/env python3
"""Globals that a vat asks for, with real processes: time and chance come from the deliveries, so they are the same when a
log is run again; timers fire once, in order, whatever dies meanwhile; an upgraded vat starts with none of them."""

import os
import time

from yard import VATS, YardTest, main, wait_for

ASKS = os.path.join(VATS, "asks.js")
TIMERS = ["setTimeout", "clearTimeout", "setInterval", "clearInterval"]
CHANCE = "[Date.now(), Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(4)).join()]"


class Globals(YardTest):
    def up(self, *globals_):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        file = self.yard.cluster({"asks": {"source": ASKS, "globals": list(globals_)}}, name="asking.json")
        self.yard.ok("cluster", "launch", file, "--wait")

    def do(self, source):
        """The value of SOURCE in the vat."""
        return self.yard.ok("call", "@asks", "do", f"s:{source}", "--json", timeout=40).json["value"]

    def steps(self, source):
        self.do(f"(() => {{ {source} }})()")

    def seen(self, count, seconds=30):
        """What the vat wrote down under `seen`, when it is at least so much."""
        source = "kept.get('seen') ?? []"
        wait_for(lambda: len(self.do(source)) >= count, seconds, step=0.05)
        return self.do(source)

    def note(self, value):
        return f"kept.set('seen', [...(kept.get('seen') ?? []), {value}]);"

    def everything_dies(self):
        self.yard.kill(self.yard.processes())
        self.assertNothingRuns()
        self.yard.ok("up")

    def test_nothing_unless_asked_for(self):
        self.up()
        self.assertEqual([], self.do("['setTimeout', 'fetch', 'crypto', 'URL', 'atob', 'AbortSignal', 'hostStamp']"
                                     ".filter(name => name in globalThis)"))
        for source in ("Date.now()", "new Date()", "Math.random()"):
            self.assertIn("secure mode", self.do(f"(async () => {source})().catch(e => e.message)"))

    def test_time_and_chance(self):
        self.up("Date", "Math", "crypto")
        before = time.time() * 1000
        now = self.do("[Date.now(), +new Date()]")
        self.assertEqual(now[0], now[1])
        self.assertLessEqual(before - 1, now[0])
        self.assertLessEqual(now[0], time.time() * 1000 + 1)
        drawn = [self.do(CHANCE) for _ in range(4)]
        self.assertEqual(4, len({one[1] for one in drawn}))
        self.assertEqual(4, len({one[2] for one in drawn}))
        self.assertEqual(sorted(one[0] for one in drawn), [one[0] for one in drawn])

    def test_a_log_that_is_run_again(self):
        self.up("Date", "Math", "crypto", "URL", "URLSearchParams")
        for _ in range(5):
            self.steps(self.note(CHANCE))
        self.steps(self.note("new URL(`../x?y=${Math.random()}`, `http://\u00fc.test/a/b/`)"))
        source = "[JSON.stringify(kept.get('seen')), kept.get('seen').at(-1) instanceof URL]"
        before = self.do(source)
        self.assertTrue(before[1])
        self.yard.ok("restart", "asks")
        self.assertEqual(before, self.do(source))
        self.yard.kill(self.yard.workers())
        self.assertEqual(before, self.do(source))
        self.everything_dies()
        self.assertEqual(before, self.do(source))
        self.assertSound()

    def test_timers(self):
        self.up(*TIMERS, "Date")
        # In the order of their times, and of their setting where those are the same; each at its time, none after it was cleared.
        self.steps("const begin = Date.now();"
                   "const at = (name, ms) => setTimeout(() => {" + self.note("[name, Date.now() - begin >= ms]") + "}, ms);"
                   "at('c', 150); at('a', 50); at('b1', 100); at('b2', 100); at('b3', 100); clearTimeout(at('never', 70));")
        self.assertEqual([["a", True], ["b1", True], ["b2", True], ["b3", True], ["c", True]], self.seen(5))
        self.steps("let n = 0;"
                   "const it = setInterval(step => { n += step;" + self.note("n") + "if (n === 6) clearInterval(it); }, 20, 2);")
        self.assertEqual([2, 4, 6], self.seen(8)[5:])
        time.sleep(0.2)
        self.assertEqual(8, len(self.do("kept.get('seen')")))
        self.assertSound()

    def test_what_a_callback_throws(self):
        self.up(*TIMERS)
        self.steps("setTimeout(() => { throw RangeError('mine'); }, 20); setTimeout(() => {" + self.note("1") + "}, 20);")
        self.assertEqual([1], self.seen(1))
        self.assertIn("Uncaught RangeError: mine", self.yard.ok("logs", "asks").out)

    def test_timers_and_accidents(self):
        self.up(*TIMERS)
        self.steps("for (let i = 0; i < 40; i += 1) setTimeout(() => {" + self.note("i") + "}, 300 + i * 60);")
        for accident in (lambda: self.yard.ok("restart", "asks"), lambda: self.yard.kill(self.yard.workers()),
                         self.everything_dies, lambda: self.yard.ok("restart", "asks")):
            accident()
            time.sleep(0.3)
        self.assertEqual(list(range(40)), self.seen(40, 60))
        self.assertSound()

    def test_upgrade(self):
        self.up(*TIMERS)
        again = os.path.join(self.yard.dir, "again.json")
        self.yard.ok("bundle", "make", ASKS, "-o", again)
        self.steps("setTimeout(() => console.log('of the old one'), 1500); setInterval(() => {}, 50);")
        self.yard.ok("upgrade", "asks", again, timeout=40)
        self.steps("setTimeout(() => {" + self.note("'new'") + "}, 2000);")
        self.assertEqual(["new"], self.seen(1))
        self.assertNotIn("of the old one", self.yard.ok("logs", "asks").out)
        self.yard.ok("restart", "asks")
        self.assertEqual(["new"], self.seen(1))
        self.assertSound()


if __name__ == "__main__":
    main()
