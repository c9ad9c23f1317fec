#!/usr/bin/env python3
"""Vats without JavaScript, on the null engine: they are vats like all others. Nothing they send is lost or doubled while
workers, hosts and broker are killed; they are checkpointed, asleep, moved, replayed, exported, launched again, upgraded."""

import os

from yard import VATS, YardTest, main, wait_for

NULL = {"nativeSpec": "null"}


class Native(YardTest):
    def up(self, **persistence):
        self.yard.ok("up", "--hosts", "2")
        file = self.yard.cluster({"a": NULL, "b": NULL}, name="pair.json",
                                 deploy={"persistence": {"snapshotEvery": 50, **persistence}})
        self.yard.ok("cluster", "launch", file, "--wait")
        rows = {row["name"]: row for row in self.yard.ok("ps", "--json").json}
        self.assertNotEqual(rows["a"]["host"], rows["b"]["host"])

    def call(self, *words):
        return self.yard.ok("call", *words, "--json").json["value"]

    def row(self, vat):
        return next(row for row in self.yard.ok("ps", "--json").json if row["name"] == vat)

    def test_nothing_is_lost_or_doubled_while_they_are_killed(self):
        self.up()
        self.assertEqual({"answered": 40, "rejected": 0, "sent": 40}, self.call("@a", "round", "@b", "40"))
        total = 0
        for victims in ("vatworker", "vathost", "vatbroker"):
            begun = self.call("@b", "count")
            self.assertEqual(total, begun)
            answers = [self.yard.ok("send", "@a", "drive", "@b", "s:hit", "[]", "400", "8", "--json").json["promise"],
                       self.yard.ok("send", "@a", "flood", "@b", "4000", "--json").json["promise"]]
            wait_for(lambda: self.call("@b", "count") > begun)
            killed = self.yard.processes(victims)
            self.yard.kill(killed)
            wait_for(lambda: not set(killed) & set(self.yard.processes()))
            self.yard.ok("up", "--hosts", "2")
            for promise, n in zip(answers, (400, 4000)):
                self.assertEqual({"answered": n, "rejected": 0, "sent": n},
                                 self.yard.ok("await", promise, "--json").json["value"])
            total += 4400
        self.assertEqual(total, self.call("@b", "count"))
        self.yard.ok("gc")
        self.assertSound()
        self.assertEqual(1, self.row("a")["incarnation"])

    def test_checkpoints_moves_sleep_and_replay(self):
        self.up(sleepAfter="0.3s")
        drive = self.yard.ok("send", "@a", "drive", "@b", "s:ping", "[]", "400", "4", "--json").json["promise"]
        was = self.row("a")["host_name"]
        self.yard.ok("move", "a")
        self.assertNotEqual(was, self.row("a")["host_name"])
        self.yard.ok("move", "b", was)
        self.assertEqual({"answered": 400, "rejected": 0, "sent": 400},
                         self.yard.ok("await", drive, "--json").json["value"])
        self.call("@b", "hit")
        self.yard.ok("checkpoint", "b", "--ship")
        self.call("@b", "hit")
        cranks = self.yard.ok("replay", "b", "--json").json
        self.assertTrue(cranks and all(crank["same"] for crank in cranks))
        self.assertEqual("hit", cranks[-1]["delivery"]["method"])
        self.assertTrue(wait_for(lambda: not self.yard.workers()), "both are asleep")
        self.assertEqual(2, self.call("@b", "count"))
        self.yard.ok("restart", "b")
        self.assertEqual(2, self.call("@b", "count"))
        self.assertSound()

    def test_everyday_commands(self):
        self.up()
        self.assertIn("target has no method", self.yard.ctl("call", "@a", "nope").out)
        row = self.yard.ok("inspect", "a", "--json").json
        self.assertRegex(row["bundle"], "^b1-")
        exported = self.yard.ok("cluster", "export", "pair").json
        self.assertEqual(["null", "null"], [vat["nativeSpec"] for vat in exported["vats"].values()])
        self.call("@b", "hit")
        self.yard.ok("cluster", "reload", "pair", "--yes")
        self.assertEqual(0, self.call("@b", "count"))
        self.call("@b", "hit")
        # Another null engine begins again; JavaScript is refused, and the vat is as before.
        spaced = self.yard.file("spaced.json", '{"moduleFormat": "native", "engine": "null"}')
        self.yard.ok("upgrade", "b", spaced)
        self.assertEqual((2, 0), (self.row("b")["incarnation"], self.call("@b", "count")))
        self.call("@b", "hit")
        refused = self.yard.ctl("upgrade", "b", os.path.join(VATS, "keeper.js"))
        self.assertExit(1, refused)
        self.assertIn("E2110", refused.err)
        self.assertIn("a native vat goes on with a native bundle only", refused.err)
        self.assertEqual(1, self.call("@b", "count"))
        warp = self.yard.file("warp.json", {"bootstrap": "a", "vats": {"a": {"bundleSpec": self.yard.file(
            "warp.bundle.json", {"moduleFormat": "native", "engine": "warp"})}}})
        unknown = self.yard.ctl("cluster", "launch", warp)
        self.assertExit(3, unknown)
        self.assertIn('no native engine "warp"', unknown.err)
        self.yard.ok("cluster", "launch", self.yard.file("copy.json", exported), "--name", "copy")
        self.yard.ok("cluster", "rm", "pair", "--yes")
        self.assertEqual(7, self.call("@a", "ping", "7"))
        self.assertSound()

    def test_javascript_and_null_vats_talk(self):
        self.yard.ok("up")
        source = self.yard.file("echo.js", """import { Far } from '@endo/far';
import { E } from '@endo/eventual-send';
export const buildRootObject = () => Far('root', {
  bootstrap: async (vats, devices) => {
    const thing = await E(vats.n).make();
    const back = await E(vats.n).ping(harden({ thing, big: 5n }));
    const last = await E(E(E(vats.n).next()).next()).ping('end');
    const no = await E(vats.n).foo().catch(e => `${e.name}: ${e.message}`);
    const admin = await E(vats.vatAdmin).createVatAdminService(devices.vatAdmin);
    const made = await E(admin).createVat(await E(admin).getNamedBundleCap('null'), { name: 'made' });
    const far = await E(made.root).ping('made');
    return harden([far, back.thing === thing, back.big, last, no.slice(0, 33), await E(vats.n).drive(vats.js, 'add', [2], 3, 2)]);
  },
  add: n => n + 1,
});
""")
        file = self.yard.cluster({"js": source, "n": NULL}, name="mixed.json", services=["vatAdmin"], bundles={"null": NULL})
        result = self.yard.ok("cluster", "launch", file, "--wait", "--json").json
        self.assertEqual(["made", True, "5n", "end", 'TypeError: target has no method "', {"answered": 3, "rejected": 0, "sent": 3}],
                         result["value"])
        self.assertSound()


if __name__ == "__main__":
    main()
