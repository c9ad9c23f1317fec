"""The models hold, their mutants are found, and what they speak of is in the code."""

import pathlib
import re
import shutil
import tempfile
import unittest

import model

ROOT = model.HERE.parent.parent


def rules():
    """Rows of README's table: mutant, and [(file, function)]."""
    rows = {}
    for line in (model.HERE / "README.md").read_text().splitlines():
        found = re.match(r"\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", line)
        if found:
            rows[found.group(1)] = re.findall(r"`([^`:]+): (\w+)`", found.group(2))
    return rows


class Kept(unittest.TestCase):
    def test_each_mutant_is_run_and_explained(self):
        planted = [name for path in model.HERE.glob("*.pml") for name in model.mutants(path.stem)]
        run = [run.mutant for run in model.read_runs() if run.mutant]
        self.assertEqual(sorted(planted), sorted(run))
        self.assertEqual(sorted(planted), sorted(rules()))

    def test_each_mutant_has_its_switch(self):
        for path in model.HERE.glob("*.pml"):
            text = path.read_text()
            for name in model.mutants(path.stem):
                self.assertIn(f"BUG({name})", text)

    def test_places_exist(self):
        for mutant, places in rules().items():
            self.assertTrue(places, mutant)
            for name, function in places:
                path = ROOT / name
                self.assertTrue(path.is_file(), f"{mutant}: {name}")
                defined = re.search(rf"^[a-z][\w \*]*\b{function}\([^;]*?\)\n?\s*\{{", path.read_text(), re.M)
                self.assertTrue(defined, f"{mutant}: {name} defines no {function}()")

    def test_what_the_models_name_exists(self):
        """Comments of the models: file.c, function()."""
        files = [path for folder in ("broker", "vathost") for path in ROOT.glob(f"{folder}/**/*.[ch]")]
        for source in model.HERE.glob("*.pml"):
            for name, function in re.findall(r"\b(\w+\.[ch]), (\w+)\(\)", source.read_text()):
                texts = [path.read_text() for path in files if path.name == name]
                found = any(re.search(rf"(?m)^[a-z].*\b{function}\(", text) for text in texts)
                self.assertTrue(found, f"{source.name}: {name}, {function}()")


@unittest.skipUnless(shutil.which("spin"), "spin is not installed: .ci/setup does that")
class Held(unittest.TestCase):
    def test_runs(self):
        with tempfile.TemporaryDirectory(prefix="vatyard-model-") as folder:
            outcomes = model.go_all(model.read_runs(), model.Verifiers(folder))
        self.assertEqual([], [f"{o} {o.why}" for o in outcomes if not o.good])
        self.assertGreater(sum(o.states for o in outcomes if not o.run.mutant), 1e7)


if __name__ == "__main__":
    unittest.main()
