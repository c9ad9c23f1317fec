#!/usr/bin/env python3
"""`vatctl shell` against real vats: scripts on stdin, with -c and -f; a person at a terminal (a pty) with history,
TAB and Ctrl-C; every literal, which must arrive as what `vatctl call` sends; what names hold."""

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import termios
import time

from yard import BIN, VATS, Result, YardTest, main, wait_for

# Rows of the table in cli/README.md: what is typed.
LITERALS = [
    "undefined", "null", "true", "false", "1.5", "-2e9", "NaN", "Infinity", "-Infinity", "-0", "42n", "-7n",
    '"hi"', "'hi'", '"#x"', '"!x"', '"$0"', '"&0"', '"+1"', '"-1"', '"%x"', '""', '"äöü €uro \\ud83d\\ude00 \\u{10}"'.replace("\\u{10}", "\\u0010"),
    '"quotes \\" and \\\\ \\n"', "Symbol.asyncIterator", 'Symbol.for("x")', 'Symbol.for("@@y")', "[1, [2, [3, []]]]",
    '{a: 1, "b c": 2, 10: 3, 9: 4, "#": {}, "$0": "&1"}', 'tagged("copySet", [1, "two", 3n])', 'Error("m")', 'TypeError("no")',
    "@alice", "[@shop/bob, @alice, @shop/bob]", "ko1.0",
]

GREETING = ".help for help"


class Terminal:
    """A program at a terminal of its own: what is typed, and what is seen."""

    def __init__(self, yard, *args, size=(24, 80)):
        self.seen, self.at = "", 0
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(yard.dir)
            program = os.path.join(BIN, "vatctl")
            os.execve(program, [program, *args], dict(yard.env, TERM="xterm", LC_ALL="C.UTF-8"))

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def expect(self, pattern, seconds=20):
        """Reads on until PATTERN was seen behind what was expected before; returns the match."""
        end = time.monotonic() + seconds
        while True:
            found = re.compile(pattern).search(self.seen, self.at)
            if found:
                self.at = found.end()
                return found
            left = end - time.monotonic()
            if left < 0 or not self.read(min(left, 0.5)):
                raise AssertionError(f"{pattern!r} was not seen; seen:\n{self.seen}\n-- expected behind {self.at}")

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def prompt(self, seconds=20):
        """Waits until a line can be edited: before, the terminal would take some keys as its own."""
        end = time.monotonic() + seconds
        while not re.search(r"[>.] $", self.seen) or termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > end or not self.read(0.02):
                raise AssertionError(f"no prompt; seen:\n{self.seen}")

    def line(self, text, answer):
        self.prompt()
        self.type(text + "\r")
        return self.expect(answer)

    def end(self, seconds=20):
        """The exit code, when the program ends by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it did not end; seen:\n{self.seen}")

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


class Shell(YardTest):
    def setUp(self):
        super().setUp()
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        source = os.path.join(VATS, "mint.js")
        self.yard.ok("cluster", "launch", self.yard.cluster({"alice": source, "bob": source}), "--name", "shop")

    def run_shell(self, text, *args, **options):
        begin = time.monotonic()
        done = subprocess.run([os.path.join(BIN, "vatctl"), "shell", *args], input=text, env=self.yard.env, text=True,
                              cwd=self.yard.dir, capture_output=True, timeout=60, **options)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def lines(self, text, *args):
        """What a script prints, line by line."""
        result = self.run_shell(text, *args)
        self.assertExit(0, result)
        return result.out.splitlines()

    def terminal(self, *args):
        terminal = Terminal(self.yard, "shell", *args)
        self.addCleanup(terminal.close)
        terminal.expect(re.escape(GREETING))
        return terminal

    # -- scripts

    def test_a_script(self):
        self.assertEqual(
            ['"hello Bob 42"', "100n", "<ko1.1 Alleged: Mint>", "3", '"iterated"', '"odd"', '"hello x 3"', '"two"'],
            self.lines('''alice.greet("Bob", 42n)   // a message
let mint = alice.makeMint("EUR")
mint.makePurse(100n).getBalance()
mint
let add = alice.adder(); add(1, 2)
mint[Symbol.asyncIterator]()
alice["odd name"]()
alice.greet(
  "x", // over several lines
  3
);
!alice.log("nobody waits")
bob.echo(alice.echo("two"))
'''))

    def test_promises_are_targets_and_arguments(self):
        """`later` is unsettled when the chain leaves: nothing in it waits for another."""
        self.assertEqual(["undefined", "7n"], self.lines('''
let purse = alice.makeMint("x").makePurse(7n)
alice.now(purse)
alice.later().getBalance()
'''))

    def test_words_and_files(self):
        self.assertEqual(['"hello a 1"', "<ko2.0>"], self.lines(None, "-c", 'let who = "a"; alice.greet(who, 1)', "-c", "bob"))
        file = self.yard.file("lines", "let x = 5n\nalice.echo([x])\n")
        self.assertEqual(["[5n]"], self.lines(None, "-f", file))
        self.assertExit(2, self.run_shell(None, "-f", file, "-c", "1"))
        self.assertExit(3, self.run_shell(None, "-f", "nowhere"))
        rows = [json.loads(line) for line in self.lines("alice.echo(1n)\n[2]\n", "--json")]
        self.assertEqual(["1n", [2]], [row["value"] for row in rows])
        self.assertEqual({"body": '#"+1"', "slots": []}, rows[0]["result"])
        self.assertRegex(rows[0]["promise"], r"^kp0\.\d+$")
        self.assertIsNone(rows[1]["promise"])

    def test_the_first_failure_ends_it(self):
        result = self.run_shell('alice.echo(1)\nalice.fail("not today")\nalice.echo(2)\n')
        self.assertExit(8, result)
        self.assertEqual("1\nrejected: TypeError: not today\n", result.out)
        self.assertEqual("", result.err)
        result = self.run_shell('alice.echo(1)\n\n  alice.echo(1 2)\nalice.echo(2)\n')
        self.assertExit(2, result)
        self.assertEqual("1\n", result.out)
        self.assertIn("where   stdin:3:16", result.err)
        self.assertIn("alice.echo(1 2)\n                         ^\n", result.err)
        result = self.run_shell("alise.echo()\n", "--json")
        self.assertExit(6, result)
        self.assertEqual("", result.out)
        error = json.loads(result.err)["error"]
        self.assertEqual(("E2304", {"file": "stdin", "line": 1, "column": 1}), (error["code"], error["where"]))
        self.assertExit(2, self.run_shell("alice.echo(1,\n"))
        self.assertExit(2, self.run_shell(".nothing\n"))
        self.assertExit(6, self.run_shell("ko1.99.f()\n"))
        self.assertExit(7, self.run_shell("alice.later()\nalice.echo(1)\n", "--timeout", "200ms"))

    def test_every_literal_arrives_as_by_call(self):
        bodies, values = [], []
        for literal in LITERALS:
            result = self.yard.ok("call", "@alice", "echo", literal, "--json").json
            bodies.append(result["result"])
            values.append(result["value"])
            self.assertEqual(self.yard.ok("call", "@alice", "echo", literal).out,
                             self.run_shell(f"alice.echo({literal})\n").out, literal)
        rows = [json.loads(line) for line in self.lines("".join(f"alice.echo({text})\n" for text in LITERALS), "--json")]
        named = re.compile(r'"errorId":"[^"]*",')  # the sender's own, another each time
        self.assertEqual([named.sub("", body["body"]) for body in bodies],
                         [named.sub("", row["result"]["body"]) for row in rows])
        self.assertEqual([body["slots"] for body in bodies], [row["result"]["slots"] for row in rows])
        self.assertEqual(values, [row["value"] for row in rows])
        # The same once more as parts of one argument, by name, and as what a name was given by a vat.
        text = "".join(f"let x{i} = alice.echo({text})\n" for i, text in enumerate(LITERALS))
        names = ", ".join(f"x{i}" for i in range(len(LITERALS)))
        row = json.loads(self.lines(f"{text}bob.echo([{names}])\n", "--json")[-1])
        named = re.compile(r" \(Alleged: \w+\)")  # once in a body, and as the vat that sends it knows the object
        self.assertEqual(named.sub("", json.dumps(values)), named.sub("", json.dumps(row["value"])))
        refused = self.run_shell('alice.echo(bytes("00ff"))\n')
        self.assertExit(2, refused)
        self.assertIn("E4021", refused.err)

    def test_commands(self):
        out = self.lines('''let mint = alice.makeMint("EUR")
.methods mint
.type mint
.type [1]
.names
.hosts
.ps
.inspect mint
.objects --owner alice
.pin mint
.promises
.queue
.unpin mint
.who
''')
        self.assertEqual(["getName makePurse", "remotable ko1.1 Alleged: Mint, live, of v1 alice", "copyArray",
                          "mint = <ko1.1 Alleged: Mint>"], out[:4])
        self.assertRegex(out[4], r"^HOST +NAME")
        self.assertTrue(any(re.match(r"^v1 +alice", line) for line in out), out)
        self.assertIn("ko1.1  object  live", out)
        self.assertTrue(any(line.startswith("ko1.1 ") and "alice" in line for line in out), out)
        self.assertExit(2, self.run_shell(".methods alice.makeMint()\n"))
        self.assertExit(2, self.run_shell(".run x.json\n"))
        self.assertExit(2, self.run_shell(".json maybe\n"))

    # -- what names hold

    def test_save_and_load(self):
        values = 'let mint = alice.makeMint("EUR")\nlet data = alice.echo({a: [mint, 1n], "b c": Error("m")})\n'
        self.lines(f"{values}.save names\n")
        with open(os.path.join(self.yard.dir, "names"), encoding="utf-8") as file:
            self.assertEqual('let mint = ko1.1\nlet data = {a: [ko1.1, 1n], "b c": Error("m")}\n', file.read())
        self.assertEqual(['"EUR"', "{a: [<ko1.1>, 1n], \"b c\": Error: m}"],
                         self.lines(".load names\nmint.getName()\ndata\n"))
        self.yard.file("itself", ".load itself\n")
        self.assertExit(2, self.run_shell(".load itself\n"))

    def test_a_name_is_not_what_holds(self):
        self.lines('let mint = alice.makeMint("EUR")\n.forget mint\n')
        self.assertEqual(['"EUR"'], self.lines("ko1.1.getName()\n"), "held: it was shown")
        self.yard.ok("gc", "--timeout", "30s")
        self.assertEqual(['"EUR"'], self.lines("ko1.1.getName()\n"))
        self.lines(".release\n.gc --timeout 30s\n")
        result = self.run_shell("ko1.1.getName()\n")
        self.assertExit(6, result)
        self.assertIn("E4101", result.err)

    def test_promises_of_chains_are_let_go(self):
        self.yard.ok("gc", "--timeout", "30s")
        before = self.yard.ok("status", "--json").json["counters"]
        self.lines('let mint = alice.makeMint("EUR")\n' +
                   "bob.greet(mint.getName(), mint.makePurse(5n).getBalance())\n" * 20 + ".release\n.gc --timeout 30s\n")
        after = self.yard.ok("status", "--json").json["counters"]
        self.assertEqual({k: before[k] for k in ("objects", "promises")}, {k: after[k] for k in ("objects", "promises")})
        self.assertSound()

    # -- a person

    def test_editing_and_history(self):
        terminal = self.terminal()
        self.assertIn("alice bob", terminal.seen)
        terminal.line('alice.greet("Bob", 42n)', r'\$1 = "hello Bob 42" +\d+\.\d ms\n')
        terminal.line('let mint = alice.makeMint("EUR")', r"mint = <ko1\.1 Alleged: Mint>")
        terminal.line("[mint, $1]", r'\n\[<ko1\.1 Alleged: Mint>, "hello Bob 42"\]\n')
        terminal.line("alice.echo(1 2)", r"error E1008.*\n(.*\n)* +\^\n")
        terminal.line('alice.fail("no")', r"rejected: TypeError: no +\d+\.\d ms\n")
        terminal.line("!alice.log(1)", r"sent\n")
        terminal.line("alice.count(1,", r"\n\. ")
        terminal.line("  2, 3)", r"\$2 = 3 ")
        terminal.line('"é€"', '\n"é€"\n')
        terminal.prompt()
        terminal.type("\x1b[A\x1b[A\r")  # up twice: the lines that belong together are one
        terminal.expect(r"\$3 = 3 ")
        terminal.prompt()
        terminal.type("alice.echo(2)\x1b[D\x1b[D4\r")  # left, and 4 before the 2
        terminal.expect(r"\$4 = 42 ")
        terminal.line(" alice.echo(5)", r"\$5 = 5 ")
        terminal.prompt()
        terminal.type("\x04")
        self.assertEqual(0, terminal.end())
        history = os.path.join(self.yard.home, "history")
        self.assertEqual(0o600, stat.S_IMODE(os.stat(history).st_mode))
        with open(history, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual("alice.echo(42)", lines[-1], "one that begins with a blank is not kept")
        self.assertIn("alice.count(1,   2, 3)", lines)

        terminal = self.terminal()  # the next one remembers
        terminal.prompt()
        terminal.type("\x1b[A\r")
        terminal.expect(r"\$1 = 42 ")
        terminal.prompt()
        terminal.type("\x12makeM\r")  # Ctrl-R searches
        terminal.expect(r"\$2 = <ko1\.\d Alleged: Mint>|mint = <ko1\.\d Alleged: Mint>")
        terminal.line(".exit", "")
        self.assertEqual(0, terminal.end())

        terminal = self.terminal("--no-history")
        terminal.line('alice.echo("secret")', r'\$1 = "secret"')
        terminal.line(".exit", "")
        self.assertEqual(0, terminal.end())
        with open(history, encoding="utf-8") as file:
            self.assertNotIn("secret", file.read())

    def test_completion(self):
        terminal = self.terminal("--no-history")
        terminal.prompt()
        terminal.type("ali\t.gr\t")
        terminal.type('"x", 1)\r')
        terminal.expect(r'\$1 = "hello x 1"')
        terminal.line('let mint = alice.makeMint("EUR")', "mint = <ko1.1")
        terminal.prompt()
        terminal.type("mint.\t\t")
        terminal.expect(r"getName\( +makePurse\(")
        terminal.type("mak\t7n).getBalance()\r")
        terminal.expect(r"\$2 = 7n")
        terminal.prompt()
        terminal.type("alice.echo(mi\t)\r")
        terminal.expect(r"\$3 = <ko1\.1 Alleged: Mint>")
        terminal.prompt()
        terminal.type("ko1.1.getN\t)\r")
        terminal.expect(r'\$4 = "EUR"')
        terminal.prompt()
        terminal.type("shop/al\t.count()\r")
        terminal.expect(r"\$5 = 0 ")
        terminal.prompt()
        terminal.type(".meth\t mint\r")
        terminal.expect("getName makePurse\n")
        terminal.prompt()
        terminal.type('alice.echo("ali\t")\r')
        terminal.expect(r'\$6 = "ali"')
        terminal.prompt()
        terminal.type("\x04")
        self.assertEqual(0, terminal.end())

    def test_ctrl_c_stops_waiting_not_the_message(self):
        terminal = self.terminal("--no-history")
        terminal.line("alice.later()", "\n")
        self.assertTrue(wait_for(lambda: self.row("alice")["deliveries"] >= 3), "the message is delivered")
        terminal.type("\x03")
        terminal.expect(r"stopped waiting for (kp0\.\d+); the message goes on\n\$1 = <kp0\.\d+ promise>")
        terminal.prompt()
        terminal.type("alice.ec\x03")  # and forgets a line that is edited
        terminal.expect(r"\n> ")
        terminal.line("alice.count($1, 2)", r"\$2 = 2 ")
        self.yard.ok("send", "@alice", "now", "7n")
        terminal.expect(r"\$1 = 7n\n> ")  # told by itself
        terminal.line("alice.echo([$1])", r"\$3 = \[7n\]")
        terminal.line("bob.later()", "\n")
        self.assertTrue(wait_for(lambda: self.row("bob")["deliveries"] >= 2))
        terminal.type("\x03")
        terminal.expect(r"\$4 = <kp0\.\d+ promise>")
        self.yard.ok("send", "@bob", "now", '"late"')
        terminal.line(".await $4", r'\$4 = "late"')
        terminal.line("alice.echo($4)", r'\$5 = "late"')
        terminal.line("let inside = alice.inside()", r"inside = \{promise: <(kp1\.\d+) promise>\}")
        terminal.prompt()
        terminal.type("\x04")
        self.assertEqual(0, terminal.end())

    def test_promises_in_values(self):
        """What was shown can be waited for, even when it was settled in between."""
        shown = self.lines("alice.inside()\nalice.now(8n)\nalice.count()\n")[0]
        promise = re.search(r"kp1\.\d+", shown).group()
        self.assertEqual(["8n", "8n"], self.lines(f".await {promise}\nalice.echo({promise})\n"))

    def test_signals_end_it(self):
        child = self.yard.start("shell", "-c", "alice.later()")
        self.assertTrue(wait_for(lambda: self.row("alice")["deliveries"] >= 3))
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        self.assertEqual((130, ""), (child.returncode, out), err)
        terminal = self.terminal("--no-history")
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(143, terminal.end())

    def test_a_broker_that_comes_back(self):
        terminal = self.terminal("--no-history")
        terminal.line("alice.echo(1)", r"\$1 = 1 ")
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        terminal.line("alice.echo(2)", r"\$2 = 2 ")
        self.yard.ok("down")
        terminal.line("alice.echo(3)", r"error E3001")
        terminal.line("[1]", r"\n\[1\]\n")
        terminal.prompt()
        terminal.type("\x04")
        self.assertEqual(0, terminal.end())
        self.assertExit(4, self.run_shell("1\n"))

    def row(self, name):
        return next(row for row in self.yard.ok("ps", "--json").json if row["name"] == name)


if __name__ == "__main__":
    main()
