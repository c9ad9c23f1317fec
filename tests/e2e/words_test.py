"""What holds for every command: wrong words are helped, stdout has the result alone, pipes and colours."""

import json
import os
import subprocess
import time

import yard

HELLO = os.path.join(yard.EXAMPLES, "hello", "cluster.json")
VATCTL = os.path.join(yard.BIN, "vatctl")


class WordsTest(yard.YardTest):
    def line(self, line, **env):
        """Runs LINE in bash; gives the exit codes of its parts, and what was printed."""
        done = subprocess.run(["bash", "-c", f"{line}; echo \"${{PIPESTATUS[*]}}\" >&2"], capture_output=True, text=True,
                              timeout=30, env=dict(self.yard.env, V=VATCTL, **env))
        *err, codes = done.stderr.rstrip("\n").split("\n")
        return [int(code) for code in codes.split()], done.stdout, "\n".join(err)

    def test_names_that_are_almost_right(self):
        self.yard.ok("up", "-q")
        self.yard.ok("cluster", "launch", HELLO, "-q")
        for args, code, want in ((("kill", "alcie", "--yes"), 6, 'did you mean "alice"?'),
                                 (("call", "@allice", "x"), 6, 'did you mean "alice"?'),
                                 (("call", "@helo/alice", "x"), 6, 'no vat "helo/alice"; did you mean "hello/alice"?'),
                                 (("logs", "bbob"), 6, 'did you mean "bob"?'),
                                 (("logs", "-n", "5", "bbob"), 6, 'did you mean "bob"?'),
                                 (("host", "drain", "hots-1"), 6, 'did you mean "host-1"?'),
                                 (("cluster", "rm", "helo", "--yes"), 6, 'did you mean "hello"?'),
                                 (("objects", "--cluster", "hallo"), 6, 'did you mean "hello"?'),
                                 (("demo", "helo"), 3, 'did you mean "hello"?'),
                                 (("lanch", "x"), 2, 'did you mean "cluster launch"?'),
                                 (("ps", "--al"), 2, "did you mean --all?"),
                                 (("run", "x", "--until", "ilde"), 2, 'did you mean "idle"?'),
                                 (("help", "clster"), 2, 'did you mean "cluster"?'),
                                 (("explain", "NO_BROKR"), 2, "did you mean NO_BROKER?"),
                                 (("where", "hme"), 2, 'did you mean "home"?')):
            result = self.yard.ctl(*args)
            self.assertExit(code, result)
            self.assertIn(want, result.err, args)
            self.assertEqual("", result.out, "with an error stdout stays empty")
            result = self.yard.ctl(*args, "--json")
            self.assertExit(code, result)
            self.assertEqual("", result.out)
            error = json.loads(result.err)["error"]
            self.assertIn(want, error["message"])
            self.assertEqual(code, error["exit"])
            self.assertTrue(error["try"], args)
        result = self.yard.ctl("kill", "nobody-like-it", "--yes")
        self.assertNotIn("did you mean", result.err)

    def test_a_reader_that_goes_away_ends_it(self):
        self.yard.ok("up", "-q")
        self.yard.ok("cluster", "launch", HELLO, "-q", "--wait")
        codes, out, err = self.line("yes | head -20000 | tail -1; $V help --json | head -c 1; true")
        self.assertEqual("", err)
        codes, out, err = self.line("for i in 1 2 3; do $V help --json --color never; done | head -c 1")
        self.assertEqual(("{", ""), (out, err), "a full pipe is no error to tell of")
        begin = time.monotonic()
        # alice speaks once the reader has gone: only then there is something to write.
        child = subprocess.Popen(["bash", "-c", f"{VATCTL} logs -f --traffic | head -1; echo ended"], env=self.yard.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while child.poll() is None and time.monotonic() - begin < 20:
            self.yard.ctl("call", "@bob", "__getMethodNames__")
        out, err = child.communicate(timeout=5)
        self.assertIn("ended", out)
        self.assertEqual("", err)

    def test_colours_are_for_terminals(self):
        def coloured(*args, **env):
            result = self.yard.ctl("ps", *args, env={**{key: value for key, value in self.yard.env.items() if key != "NO_COLOR"}, **env})
            self.assertExit(4, result)
            return "\033" in result.err

        self.assertFalse(coloured(), "stderr is no terminal")
        self.assertTrue(coloured("--color", "always"))
        self.assertTrue(coloured(CLICOLOR_FORCE="1"))
        self.assertFalse(coloured(CLICOLOR_FORCE="0"))
        self.assertFalse(coloured(CLICOLOR_FORCE="1", NO_COLOR="1"))
        self.assertTrue(coloured("--color=always", NO_COLOR="1"), "a flag goes before a variable")
        self.assertFalse(coloured("--color=never", CLICOLOR_FORCE="1"))

    def test_the_version(self):
        for args in (["--version"], ["version"], ["run", "--version"], ["--version", "--json"]):
            result = self.yard.ok(*args)
            self.assertRegex(result.out, r"\d+\.\d+\.\d+")
            self.assertEqual("", result.err)
        json.loads(result.out)

    def test_help_is_there_at_once(self):
        times = []
        for _ in range(10):
            begin = time.monotonic()
            self.yard.ok("--help")
            times.append(time.monotonic() - begin)
        self.assertLess(min(times), 0.05)


if __name__ == "__main__":
    yard.main()
