"""Manual pages and completions: made from the tables whole, without a warning, and installed where
systems look for them."""

import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yard

BUILD = os.path.dirname(yard.BIN)
PAGES = os.path.join(BUILD, "share", "man")


def rendered(page, width=78):
    done = subprocess.run(["mandoc", "-Tascii", f"-Owidth={width}", page], capture_output=True, text=True, timeout=20)
    return re.sub(r".\x08", "", done.stdout)


class ManTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.yard = yard.Yard()
        cls.help = cls.yard.ok("help", "--json").json
        cls.pages = sorted(glob.glob(os.path.join(PAGES, "man[158]", "*")))

    @classmethod
    def tearDownClass(cls):
        cls.yard.close()

    def test_there_is_a_page_for_every_command_and_no_other(self):
        wanted = {"vatctl.1", "vatbroker.8", "vathost.8", "vatyard-cluster.5"}
        wanted |= {"vatctl-" + command["command"].replace(" ", "-") + ".1" for command in self.help["commands"]}
        self.assertEqual(wanted, {os.path.basename(page) for page in self.pages})

    def test_they_render_without_warnings(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *self.pages], capture_output=True, text=True, timeout=60)
        self.assertEqual("", done.stdout + done.stderr)
        self.assertEqual(0, done.returncode)

    def test_what_man_itself_says(self):
        if not shutil.which("man") or not shutil.which("groff"):
            self.skipTest("man and groff are not installed")
        for page in self.pages:
            done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, timeout=20,
                                  env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8"))
            self.assertEqual((0, ""), (done.returncode, done.stderr), page)
            self.assertIn("NAME", done.stdout)

    def test_a_page_says_all_that_the_help_says(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        for command in self.help["commands"]:
            name = "vatctl-" + command["command"].replace(" ", "-")
            text = rendered(os.path.join(PAGES, "man1", name + ".1"), 200)
            self.assertIn(f"{name} - {command['what']}", text)
            for flag in command["flags"] + self.help["flags"]:
                self.assertIn("--" + flag["flag"], text, name)
            for example in command["examples"]:
                self.assertIn(example, text, "what is copied from a page must work")

    def test_every_key_of_a_cluster_file_is_told(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        with open(os.path.join(yard.SOURCE, "cli", "cluster.schema.json"), encoding="utf-8") as file:
            schema = json.load(file)
        text = rendered(os.path.join(PAGES, "man5", "vatyard-cluster.5"), 200)

        def keys(rule, path):
            for key, entry in rule.get("properties", {}).items():
                if not isinstance(entry, dict):
                    continue
                yield f"{path}{key}"
                yield from keys(entry, f"{path}{key}.")

        for rule in [schema, *schema["$defs"].values()]:
            for key in keys(rule, ""):
                self.assertRegex(text, rf"(?m)^ +{re.escape(key)} ", key)
        self.assertRegex(text, r"(?s)platformConfig .{1,200}Not honoured by this version")

    def test_no_key_is_without_a_word_about_it(self):
        with open(os.path.join(PAGES, "man5", "vatyard-cluster.5"), encoding="utf-8") as file:
            page = file.read()
        self.assertNotRegex(page, r"\.TP\n[^\n]*\n\.(TP|SH)")

    def test_where_they_are_installed(self):
        target = tempfile.mkdtemp(prefix="vatyard-install-")
        self.addCleanup(shutil.rmtree, target, ignore_errors=True)
        done = subprocess.run(["cmake", "--install", os.path.join(BUILD, "cli"), "--prefix", target],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        for path in ("share/man/man1/vatctl.1", "share/man/man1/vatctl-run.1", "share/man/man5/vatyard-cluster.5",
                     "share/man/man8/vatbroker.8", "share/man/man8/vathost.8", "share/fish/vendor_completions.d/vatctl.fish",
                     "share/bash-completion/completions/vatctl", "share/vatyard/cluster.schema.json", "bin/vatctl"):
            self.assertTrue(os.path.getsize(os.path.join(target, path)), path)
        zsh = glob.glob(os.path.join(target, "share", "zsh", "*", "_vatctl"))
        self.assertEqual(1, len(zsh))
        with open(zsh[0], encoding="utf-8") as file:
            self.assertEqual("#compdef vatctl\n", file.readline())
        with open(os.path.join(target, "share/bash-completion/completions/vatctl"), encoding="utf-8") as file:
            self.assertEqual(self.yard.ok("completion", "bash").out, file.read())


if __name__ == "__main__":
    yard.main()
