"""What the pages of this project tell people to type is typed here.

Before each fenced block of README.md, cli/ and docker/ stands how it is run:

    <!-- example: commands -->       each line is a command, what follows two blanks is about it
    <!-- example: session -->        `$ command` and what it prints; `$ cat FILE` makes the file
    <!-- example: shell -->          lines of vatctl shell behind `> `, and what it answers
    <!-- example: not run, WHY -->   then its vatctl commands are at least commands that exist

and behind it, with commas: `up` or `up as NAME` (a broker, and the cluster of the world under that name), `exit 8`,
`first line` (what follows is as the day brings it), `X is Y` (what is typed instead of X). A block without such a line
fails. In blocks of other pages, which are for who works on the sources, the programs and files named must be there,
and so must every command that is named in `a sentence`."""

import glob
import os
import re
import shlex
import shutil
import subprocess
import unittest

import world
import yard
from cli_shell_test import Terminal

MARKED = ("README.md", "cli/", "docker/")
KINDS = ("commands", "session", "shell", "not run")


class Block:
    def __init__(self, page, line, mark, lines):
        self.page, self.line, self.lines = page, line, lines
        self.name = f"{page}:{line}"
        words = [word.strip() for word in mark.split(",")] if mark else [""]
        self.kind, self.options = words[0], words[1:]

    def option(self, pattern):
        for option in self.options:
            if found := re.fullmatch(pattern, option):
                return found
        return None

    def typed(self, line):
        for option in self.options:
            if " is " in option:
                line = line.replace(*option.split(" is ", 1))
        return line


def sources(end):
    for root, folders, names in os.walk(yard.SOURCE):
        folders[:] = sorted(name for name in folders if name not in ("build", "node_modules", ".git"))
        for name in sorted(names):
            if name.endswith(end):
                yield os.path.relpath(os.path.join(root, name), yard.SOURCE)


def pages():
    return sources(".md")


def text_of(page):
    with open(os.path.join(yard.SOURCE, page), encoding="utf-8") as file:
        return file.read()


def blocks(page):
    inside, mark, before = None, None, ""
    for number, line in enumerate(text_of(page).split("\n"), 1):
        if line.lstrip().startswith("```"):
            if inside is None:
                found = re.fullmatch(r"<!-- example: (.*) -->", before)
                inside, mark, start = [], found.group(1) if found else None, number
            else:
                yield Block(page, start, mark, inside)
                inside = None
        elif inside is not None:
            inside.append(line)
        if line.strip():
            before = line.strip()


def sentences(page):
    """What stands between backquotes outside of blocks."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", text_of(page))
    return re.findall(r"`([^`\n]+)`", text)


def alike(line):
    """Without what differs from day to day: references, times, width."""
    line = re.sub(r"\b(k[op])\d+\.\d+", r"\1", line)
    line = re.sub(r" +\d+(\.\d+)? m?s$", "", line)
    return re.sub(r" +", " ", line).strip()


class DocsTest(unittest.TestCase):
    maxDiff = 4000

    def new_world(self, block):
        place = world.World()
        self.addCleanup(place.close)
        # A command line of the pages as it is typed in the sources' folder.
        os.makedirs(os.path.join(place.folder, "build", "release"))
        os.symlink(yard.BIN, os.path.join(place.folder, "build", "release", "bin"))
        if block.option("up( as .*)?"):
            name = (block.option("up as (.*)") or [None, "hello"])[1]
            place.sh("vatctl up -q")
            place.sh(f"vatctl cluster launch cluster.json --name {name} --wait -q")
        return place

    # -- the marks

    def test_every_block_says_how_it_is_run(self):
        for page in pages():
            for block in blocks(page):
                if page.startswith(MARKED) or block.kind:
                    self.assertIn(block.kind, KINDS, f"{block.name}: {__doc__}")
                if block.kind == "not run":
                    self.assertTrue(block.options, f"{block.name}: why is it not run?")

    def of_kind(self, kind):
        found = [block for page in pages() for block in blocks(page) if block.kind == kind]
        self.assertTrue(found, f"no page has {kind}")
        return found

    # -- the kinds

    def test_commands(self):
        for block in self.of_kind("commands"):
            with self.subTest(block.name):
                place = self.new_world(block)
                for line in filter(None, map(str.strip, block.lines)):
                    place.sh(block.typed(re.split(r"  +", line)[0]), timeout=90)

    def test_sessions(self):
        for block in self.of_kind("session"):
            with self.subTest(block.name):
                place = self.new_world(block)
                if not block.option("up( as .*)?"):
                    shutil.rmtree(os.path.join(place.folder, "vats"))
                code = int((block.option(r"exit (\d+)") or [0, 0])[1])
                for part in re.split(r"(?m)^\$ ", "\n".join(block.lines))[1:]:
                    command, _, wanted = part.partition("\n")
                    if command.startswith("cat "):
                        place.file(os.path.join("world", command[4:]), wanted.rstrip("\n") + "\n")
                        continue
                    out = place.sh(block.typed(command), code=code)
                    got, wanted = out.strip().split("\n"), wanted.strip().split("\n")
                    if block.option("first line"):
                        got, wanted = got[:1], wanted[:1]
                    self.assertEqual([alike(line) for line in wanted], [alike(line) for line in got], command)

    def test_the_shell(self):
        for block in self.of_kind("shell"):
            with self.subTest(block.name):
                place = self.new_world(block)
                terminal = Terminal(place, "shell")
                self.addCleanup(terminal.close)
                for part in re.split(r"(?m)^> ", "\n".join(block.lines))[1:]:
                    line, *wanted = part.rstrip("\n").split("\n")
                    terminal.prompt()
                    terminal.type(line + "\r")
                    if wanted and wanted[0] == "^C":
                        terminal.expect(re.escape(line[:20]))
                        yard.wait_for(lambda: False, 1)
                        terminal.type("\x03")
                        wanted = wanted[1:]
                    for answer in wanted:
                        words = [re.escape(word) for word in alike(answer).split(" ")]
                        pattern = r"[ \t]+".join(words)
                        pattern = re.sub(r"\b(k[op])\b", r"\1\\d+\\.\\d+", pattern)
                        terminal.expect(pattern)

    def test_what_is_not_run_exists(self):
        for block in self.of_kind("not run"):
            with self.subTest(block.name):
                for line in block.lines:
                    found = re.search(r"\b(?:cli|vatctl) ([a-z][^#]*)", line)
                    if found and not line.startswith(("cli/", "cd ")):
                        self.assert_command(found.group(1).strip(), block.name)

    # -- other pages

    def assert_command(self, words, where):
        try:
            words = shlex.split(re.split(r"  +|[;|]", words)[0])
        except ValueError:
            words = words.split()
        vatctl = os.path.join(yard.BIN, "vatctl")
        done = subprocess.run([vatctl, "--help", *words], capture_output=True, text=True, timeout=20)
        if done.returncode:
            done = subprocess.run([vatctl, "help", words[0]], capture_output=True, text=True, timeout=20)
        self.assertEqual(0, done.returncode, f"{where}: vatctl {words}: {done.stderr}")

    def test_every_command_named_in_a_sentence_exists(self):
        count = 0
        for page in pages():
            for code in sentences(page):
                if code.startswith("vatctl ") and re.match(r"[a-z-]", code[7:]):
                    self.assert_command(code[7:], page)
                    count += 1
        self.assertGreater(count, 20)

    def test_programs_and_files_of_other_blocks_exist(self):
        made = "".join(text_of(path) for path in sources("CMakeLists.txt"))
        for page in pages():
            for block in blocks(page):
                if block.kind:
                    continue
                for word in re.findall(r"(?<![/\w])(?:build|tests|cli|broker|vathost|wire)/[\w./-]*\w", "\n".join(block.lines)):
                    if word.startswith("build/release/bin/"):
                        self.assertRegex(made, rf"\b{os.path.basename(word)}\b", f"{block.name}: nobody makes {word}")
                    elif not word.startswith("build/"):
                        self.assertTrue(glob.glob(os.path.join(yard.SOURCE, word) + "*"), f"{block.name}: {word}")


if __name__ == "__main__":
    yard.main()
