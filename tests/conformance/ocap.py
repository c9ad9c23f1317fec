"""What tests of ocap-kernel's scenarios share: clusters in its dialect (bundles with moduleFormat iife), and calls."""

import json
import os
import re

from conform import VATS, YardTest
from yard import LINE, wait_for

SOURCES = {}


def iife(yard, source):
    """The bundle in ocap-kernel's own format, made once."""
    key = (source, os.path.getmtime(source))
    if key not in SOURCES:
        target = os.path.join(yard.dir, os.path.basename(source) + ".bundle.json")
        yard.ok("bundle", "make", source, "--format", "iife", "-o", target)
        with open(target, encoding="utf-8") as file:
            SOURCES[key] = file.read()
    return yard.file(os.path.basename(source) + ".bundle.json", SOURCES[key])


def said(lines):
    """What the vat itself printed: marshal and the engine speak of errors as well."""
    return [line for line in lines if not re.match("Logging sent error stack|Unhandled promise rejection", line)]


class Ocap(YardTest):
    source = os.path.join(VATS, "ocap.js")

    def cluster(self, name="test", **vats):
        """VATS: {name: parameters}; the first one is the bootstrap vat."""
        spec = iife(self.yard, self.source)
        return self.yard.file(f"{name}.json", {"bootstrap": next(iter(vats)), "forceReset": True, "vats": {
            vat: {"bundleSpec": spec, "parameters": parameters} for vat, parameters in vats.items()}})

    def up(self, *flags):
        self.yard.ok("up", *flags)
        self.addCleanup(self.yard.ctl, "down")

    def launch(self, name="test", **vats):
        """Returns bootstrap's result."""
        return self.yard.ok("cluster", "launch", self.cluster(name, **vats), "--name", name, "--wait", "--json").json["value"]

    def call(self, ref, method, *words):
        return self.yard.ok("call", ref, method, *words, "--json").json["value"]

    def fails(self, code, *args):
        """What vatctl says when it ends with CODE."""
        result = self.yard.ctl(*args)
        self.assertExit(code, result)
        return result.out + result.err

    def refused(self, text, *args):
        """A call that is rejected, with TEXT in the reason."""
        self.assertIn(text, self.fails(8, *args))

    def lines(self, vat):
        found = (LINE.match(line) for line in self.yard.ok("logs", vat).out.splitlines())
        return [m[2] for m in found if m and m[1] == vat]

    def assertPrinted(self, expected, vat, since=0):
        """All that the vat itself printed, after so many lines; they are recorded a little later than calls are answered."""
        wait_for(lambda: len(said(self.lines(vat))) >= since + len(expected), 5)
        self.assertEqual(expected, said(self.lines(vat))[since:])

    def ps(self):
        return {row["name"]: row for row in self.yard.ok("ps", "--json").json}

    def ref(self, vat, method, *words):
        """The kref of the object that the method answers with."""
        return re.search(r"<(ko\d+\.\d+)>", self.call(vat, method, *words))[1]
