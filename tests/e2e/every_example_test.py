"""Every example that help and manual pages show is run, as it stands there, against a real instance.

A new row of cli/commands.def needs a line in SCENES: where in the story it is told, its exit code, and
something that it prints. Without one this test fails."""

import os
import re
import unittest

import world
import yard

# (example, what it must print on stdout, more: code= exit code, interrupt= Ctrl-C once that was printed,
#  meanwhile= a line that is run a second later,
#  before= a call of the world for what must have happened, after= a line that shows the effect, and how)
SCENES = [
    # -- nothing runs yet
    ("vatctl version", r"^vatctl \d"),
    ("vatctl help run", r"vatctl run FILE"),
    ("vatctl help cluster", r"(?s)cluster launch.*cluster validate"),
    ("vatctl help look", r"(?m)^Look$"),
    ("vatctl explain E2104", r"NO_BUILD_ROOT"),
    ("vatctl explain E3", r"E3001 .*\n(.*\n)*E3106 "),
    ("vatctl explain NO_BROKER", r"E3001 NO_BROKER"),
    ("vatctl explain exit", r"(?m)^8 .*rejected"),
    ("vatctl completion bash", r"complete -F _vatctl vatctl"),
    ("vatctl completion zsh", r"^#compdef vatctl"),
    ("vatctl completion fish", r"complete -c vatctl"),
    ("vatctl key init keys", r"", {"after": ("ls keys", r"broker\.key\nbroker\.pub\n")}),
    ("vatctl cluster validate cluster.json", r"", {"after": ("vatctl cluster validate cluster.json --json", r"\{")}),
    ("vatctl bundle make vats/alice.js -o alice.bundle.json", r"", {"after": ("cat alice.bundle.json", r"moduleFormat")}),
    ("vatctl demo hello", r"."),
    ("vatctl run cluster.json --hosts 3", r'^"hello Alice"\n$'),
    ("vatctl bench ping --hosts 2 --rate 100 --duration 3s", r"P99 .*\n +response +\d"),
    # -- an instance
    ("vatctl up --hosts 2", r"", {"after": ("vatctl host ls", r"(?m)^h2 .* connected")}),
    ("vatctl where", r"(?m)^home +yes "),
    ('cd "$(vatctl where home)"', r""),
    ("vatctl status", r"(?m)^h2 "),
    ("vatctl health --ready", r"", {"after": ("vatctl health --ready --json", r"\{")}),
    ('vatctl health --vathost "$(vatctl where home)/host-1"', r"(?m)^session +ok +connected as h\d"),
    ("vatctl host ls", r"(?m)^h1 .*\nh2 "),
    ("vatctl cluster launch cluster.json", r"", {"after": ("vatctl cluster ls", r"(?m)^s1 +hello +running")}),
    ("vatctl cluster ls", r"(?m)^s1 +hello +running"),
    ("vatctl cluster export hello", r'"bootstrap"'),
    ("vatctl call @hello/alice greet s:Bob 42n", r'^"hello Bob"\n$'),
    ("vatctl send @hello/alice greet s:Bob", r"^kp0\.\d+\n$"),
    ("vatctl await kp0.3", r'^"hello Bob"\n$'),
    ("vatctl shell -c 'bob.take(alice.make(42n))'", r"^42n\n$"),
    ("vatctl ps -a", r"(?m)^v1 +alice +hello"),
    ("vatctl logs -f alice", r"alice \| I was here", {"interrupt": "I was here", "meanwhile": "vatctl call @alice log 's:I was here'"}),
    ("vatctl events -f --type vat-exit --type host-down", r"vat-exit .* alice ",
     {"interrupt": "alice", "meanwhile": "vatctl cluster launch cluster.json --name other -q; vatctl cluster rm other --yes -q"}),
    ("vatctl logs --traffic -n 20", r"(?m)^[\d:.]+ +alice +\| done "),
    ("vatctl logs --from cli --method greet --since 10m", r'\| -> ko1\.0\.greet\("Bob"'),
    ("vatctl trace kp0.1", r"bootstrap"),
    ("vatctl trace kp0.1 --chrome trace.json", r"", {"after": ("cat trace.json", r'"traceEvents"')}),
    ("vatctl call @hello/alice greet s:Bob --trace", r'^"hello Bob"\n$'),
    ("vatctl stats --interval 5s", r"\d", {"interrupt": "\n"}),
    ("vatctl metrics", r"(?m)^# TYPE vatyard_"),
    ("vatctl top --once --sort queue", r"(?m)^v1 +alice +hello "),
    ("vatctl inspect v1", r"^v1 +vat +alice"),
    ("vatctl queue alice", r"^IN +NAME +KIND"),
    ("vatctl objects --owner bank --limit 20", r"(?m)^ko3\.0 "),
    ("vatctl promises --unresolved --older 5s", r"^PROMISE"),
    ("vatctl checkpoint bank --ship", r"", {"after": ("ls ../home/broker/checkpoints", r".")}),
    ("vatctl replay bank --to 41", r"\b41\b", {"before": ("deliveries", "bank", 42)}),
    ("vatctl restart v1", r"", {"after": ("vatctl call @alice greet s:again", r"hello again")}),
    ("vatctl upgrade counter vats/counter-2.js --params '{}'", r"",
     {"before": ("sh", "vatctl call @counter count"), "after": ("vatctl call @counter count", r"^\[2, 2n\]\n$")}),
    ("vatctl gc alice", r"objects"),
    ("vatctl pin ko3.7", r"",
     {"before": ("sh", "vatctl call @bank makeMint s:EUR"), "after": ("vatctl inspect ko3.7", r"pins +1")}),
    ("vatctl unpin ko3.7", r"", {"after": ("vatctl inspect ko3.7 --json", r'"pins":0')}),
    ("vatctl revoke ko3.7 --yes", r"", {"after": ("vatctl call ko3.7 getName; true", r"OBJECT_REVOKED")}),
    ("vatctl db audit", r"^clean\n$"),
    ("vatctl db backup monday", r"", {"after": ("ls monday", r"kernel\.db")}),
    ("vatctl db restore monday --home other", r"", {"after": ("ls other/broker", r"kernel\.db")}),
    ("vatctl support -o support.tar.gz", r"support\.tar\.gz\n$"),
    # -- hosts come and go
    ("vatctl move bank h2", r"", {"before": ("moved", "bank", "h1"), "after": ("vatctl ps", r"(?m)^v3 +bank +hello +h2 ")}),
    ("vatctl host drain h2", r"", {"after": ("vatctl ps", r"(?m)^v3 +bank +hello +h1 ")}),
    ("vatctl host undrain h2", r"", {"after": ("vatctl host ls", r"(?m)^h2 .* connected")}),
    ("vatctl host readmit h2", r"", {"before": ("clone", "h2")}),
    ("vatctl host disavow h2 --yes", r"", {"after": ("vatctl host ls", r"(?m)^h2 .* disavowed")}),
    # -- and the end
    ('vatctl kill v1 --reason "no longer needed"', r"", {"after": ("vatctl ps -a", r"(?m)^v1 +alice .*no longer needed")}),
    ("vatctl cluster reload hello --yes", r"", {"after": ("vatctl ps", r"(?m)^v\d+ +alice +hello")}),
    ("vatctl cluster rm hello --yes", r"", {"after": ("vatctl cluster ls", r"^CLUSTER[^\n]*\n$")}),
    ("vatctl down", r"", {"after": ("vatctl ps 2>&1; true", r"E3001")}),
]


class EveryExampleTest(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        self.world = world.World()
        self.addCleanup(self.world.close)

    def shown(self):
        return [example for command in self.world.ok("help", "--json").json["commands"] for example in command["examples"]]

    def test_1_every_example_has_its_place(self):
        known = {scene[0] for scene in SCENES}
        self.assertEqual(len(SCENES), len(known), "an example stands there twice")
        missing = [example for example in self.shown() if example not in known]
        self.assertEqual([], missing, "examples of cli/commands.def without a line in SCENES of " + os.path.basename(__file__))
        self.assertEqual(set(), known - set(self.shown()), "lines of SCENES that no row shows any more")

    def test_2_every_example_works(self):
        for line, wanted, *more in SCENES:
            options = dict(more[0]) if more else {}
            call, *arguments = options.pop("before", ("sh", "true"))
            after, effect = options.pop("after", ("true", ""))
            with self.subTest(line):
                getattr(self.world, call)(*arguments)
                out = self.world.sh(line, **options)
                self.assertTrue(re.search(wanted, out), f"{wanted} in {out}")
                shown = self.world.sh(after)
                self.assertTrue(re.search(effect, shown), f"{after}: {effect} in {shown}")
        self.assertTrue(self.world.gone(), f"still running: {self.world.processes()}")


if __name__ == "__main__":
    yard.main()
