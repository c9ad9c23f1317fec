"""Completions as shells give them: real bash, and zsh and fish where they are installed, are given a
line and a TAB. What is proposed for which line, cli_complete_test knows; here it has to arrive."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import yard

HELLO = os.path.join(yard.EXAMPLES, "hello", "cluster.json")

# Calls the function as Readline does: $2 is the part of the word behind the last of its break characters.
ASK = r"""
source <("$VATCTL" completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
part=${1##*[[:space:]]}
part=${part##*[@=:<>;|&(]}
_vatctl "$VATCTL" "$part" ""
printf '%s\n' "${COMPREPLY[@]}"
"""


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, argv, env, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], argv, dict(env, TERM="dumb", COLUMNS="200", LINES="50"))
        self.text = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, pattern, seconds=15):
        """Reads until PATTERN is there; what was read so far is taken."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no {pattern!r} in {self.text!r}")
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.text += os.read(self.fd, 65536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"the shell ended: {self.text!r}") from error
        self.text = self.text[found.end():]
        return found

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


class CompletionTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.yard = yard.Yard()
        cls.yard.ok("up", "-q")
        cls.yard.ok("cluster", "launch", HELLO, "-q")
        cls.yard.file("files/cluster.json", "{}")
        cls.yard.file("files/cluster two.json", "{}")
        os.makedirs(os.path.join(cls.yard.dir, "files", "clips"))
        cls.files = os.path.join(cls.yard.dir, "files")
        cls.env = dict(cls.yard.env, PATH=f"{yard.BIN}:{os.environ['PATH']}", VATCTL=os.path.join(yard.BIN, "vatctl"),
                       HOME=cls.yard.dir)

    @classmethod
    def tearDownClass(cls):
        cls.yard.close()

    def bash(self, line):
        done = subprocess.run(["bash", "--norc", "-c", ASK, "bash", line], env=self.env, cwd=self.files,
                              capture_output=True, text=True, timeout=20)
        self.assertEqual((0, ""), (done.returncode, done.stderr), line)
        return done.stdout.split("\n")[:-1]

    def test_bash_is_given_commands_flags_values(self):
        self.assertEqual(["status"], self.bash("vatctl statu"))
        self.assertEqual(["rm", "reload"], self.bash("vatctl cluster r"))
        self.assertEqual(["--until"], self.bash("vatctl run --unt"))
        self.assertEqual(["idle", "result", "forever"], self.bash("vatctl run --until "))
        self.assertEqual(["always", "auto"], sorted(self.bash("vatctl ps --color=a")), "Readline keeps --color=")
        self.assertEqual(["bash", "zsh", "fish"], self.bash("vatctl completion "))
        self.assertEqual(["E2104"], self.bash("vatctl explain E2104"))
        self.assertIn("hello", self.bash("vatctl demo "))

    def test_bash_is_given_files_and_folders(self):
        self.assertEqual(["clips", "cluster two.json", "cluster.json"], sorted(self.bash("vatctl run c")))
        self.assertEqual(["clips"], self.bash("vatctl db backup c"))
        self.assertEqual(["cluster.json"], self.bash("vatctl run --log cluster."))
        self.assertEqual(["clips"], self.bash("vatctl db audit --state=c"))

    def test_bash_is_given_what_the_broker_knows(self):
        self.assertEqual(["alice", "bob"], sorted(self.bash("vatctl kill ")))
        self.assertEqual(["hello/alice", "hello/bob"], sorted(self.bash("vatctl kill hell")))
        self.assertEqual(["alice"], self.bash("vatctl call @al"), "Readline keeps the @")
        self.assertEqual(["hello"], self.bash("vatctl cluster rm "))
        self.assertEqual(["h1"], self.bash("vatctl host drain "))
        self.assertEqual(["alice", "bob"], sorted(self.bash(f"vatctl --home {self.yard.home} restart ")))

    def test_without_a_broker_there_is_nothing_and_no_waiting(self):
        begin = time.monotonic()
        self.assertEqual([], [word for word in self.bash("vatctl --home /nonexistent kill ") if word])
        self.assertLess(time.monotonic() - begin, 2)

    def test_tab_in_bash(self):
        shell = Terminal(["bash", "--norc", "-i"], self.env, self.files)
        self.addCleanup(shell.close)
        shell.type("PS1='rea''dy> '; bind 'set enable-bracketed-paste off'; source <(vatctl completion bash)\n")
        shell.wait("ready> $")
        for typed, want in (("vatctl expl\t", "vatctl explain "),
                            ("vatctl ps --color=al\t", "vatctl ps --color=always "),
                            ("vatctl call @al\t", "vatctl call @alice "),
                            ("vatctl run --log cluster.\t", "vatctl run --log cluster.json "),
                            ("vatctl run cluster\\ \t", "vatctl run cluster\\ two.json"),
                            ("vatctl db backup cl\t", "vatctl db backup clips/"),
                            ("vatctl cluster rm hel\t", "vatctl cluster rm hello ")):
            shell.type(typed)
            shell.wait(re.escape(want))
            shell.type("\x15")
            shell.type("echo do''ne\n")
            shell.wait("done\r?\n(.|\n)*ready> $")

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_tab_in_zsh(self):
        shell = Terminal(["zsh", "-f", "-i"], self.env, self.files)
        self.addCleanup(shell.close)
        shell.type("PS1='rea''dy> '; unsetopt ZLE_BRACKETED_PASTE 2>/dev/null; autoload -Uz compinit; compinit -u -D; "
                   "source <(vatctl completion zsh)\n")
        shell.wait("ready> ")
        for typed, want in (("vatctl expl\t", "explain "),
                            ("vatctl ps --color=al\t", "--color=always"),
                            ("vatctl call @al\t", "@alice"),
                            ("vatctl run --log cluster.\t", "cluster.json"),
                            ("vatctl db backup cl\t", "clips"),
                            ("vatctl cluster rm hel\t", "hello ")):
            shell.type(typed.replace("\t", ""))
            shell.wait(re.escape(typed.replace("\t", "")[-2:]))
            shell.type("\t")
            time.sleep(0.5)
            shell.type("\x01echo '\x05'\n")  # the line, as it now is, is printed instead of run
            shell.wait(re.escape(want.rstrip()) + "[^\n]*\r?\n(.|\n)*ready> ")

    @unittest.skipUnless(shutil.which("fish"), "fish is not installed")
    def test_fish(self):
        def fish(line):
            done = subprocess.run(["fish", "--no-config", "-c", "vatctl completion fish | source; complete -C $argv[1]", line],
                                  env=self.env, cwd=self.files, capture_output=True, text=True, timeout=30)
            self.assertEqual((0, ""), (done.returncode, done.stderr), line)
            return [row.split("\t")[0] for row in done.stdout.splitlines()]

        self.assertEqual(["status"], fish("vatctl statu"))
        self.assertEqual(["reload", "rm"], sorted(fish("vatctl cluster r")))
        self.assertEqual(["forever", "idle", "result"], sorted(fish("vatctl run --until ")))
        self.assertEqual(["--color=always", "--color=auto"], sorted(fish("vatctl ps --color=a")))
        self.assertEqual(["@alice"], fish("vatctl call @al"))
        self.assertEqual(["hello"], fish("vatctl cluster rm "))
        self.assertEqual(["cluster.json"], fish("vatctl run cluster.j"))
        self.assertEqual(["clips/"], fish("vatctl db backup cl"))


if __name__ == "__main__":
    yard.main()
