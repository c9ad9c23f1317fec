#!/usr/bin/env python3
"""The folders of broker/kernel: who includes whom is what its README's table says, and nothing outside looks inside.

A folder may be included by its own files and by those of folders above it; calls upwards are in hooks.h, and each of
those there is made from below. Only the text is read, so this needs no build."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
KERNEL = ROOT / "broker/kernel"
PUBLIC = {"kernel.h", "row.h", "row.def", "service.def"}
EVERYBODY = PUBLIC | {"hooks.h", "state/records.h"}
LIBRARIES = ("wire/base/", "wire/schema/", "wire/codec/", "wire/smallcaps/")
SYSTEM = {"inttypes.h", "stdarg.h", "stddef.h", "stdio.h", "stdlib.h", "string.h"}  # stdio.h: for snprintf
# Breaks the state behind the kernel's back, to see that the audit finds it.
LOOKS_INSIDE = {"tests/unit/broker/kernel_audit_memory_test.c"}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.M)


def order():
    """Folders as the table has them, the highest first; the top is ''."""
    text = (KERNEL / "README.md").read_text()
    rows = re.findall(r"^\| (?:the top|`(\w+)/`) \|", text, re.M)
    assert rows and rows[0] == "", "README.md has no table of folders"
    return rows


def files(folder, *endings):
    return sorted(path for path in folder.iterdir() if path.suffix in endings)


def may_include(own, other, name, below):
    """May a file of folder OWN include NAME, a header of folder OTHER?"""
    if name in EVERYBODY:
        return True
    return other == own or (other in below and name == f"{other}/{other}.h")


def wrong_includes(rows):
    for at, own in enumerate(rows):
        for path in files(KERNEL / own, ".c", ".h", ".def"):
            for name in INCLUDE.findall(path.read_text()):
                if name.startswith("broker/kernel/"):
                    name = name.removeprefix("broker/kernel/")
                    other = name.rpartition("/")[0]
                    if not may_include(own, other, name, rows[at + 1:]):
                        yield f"{path.relative_to(ROOT)}: may not include {name}"
                elif not name.startswith(LIBRARIES) and name not in SYSTEM:
                    yield f"{path.relative_to(ROOT)}: the kernel is pure, it may not include {name}"


def wrong_hooks(rows):
    """A hook is of the folder that its section names, and is called from below that."""
    owner = None
    for line in (KERNEL / "hooks.h").read_text().splitlines():
        section = re.match(r"/\* ---- (\w+)/(\w+\.c)", line)
        if section:
            owner = section.group(1)
            source = (KERNEL / owner / section.group(2)).read_text()
            lower = rows[rows.index(owner) + 1:]
            below = "".join(path.read_text() for row in lower for path in files(KERNEL / row, ".c"))
            continue
        name = re.match(r"(?!static|typedef)\w[\w ]*[ *](\w+)\(", line)
        if not name or line.startswith(" "):
            continue
        call = re.compile(rf"\b{name.group(1)}\(")
        if not call.search(source):
            yield f"hooks.h: {name.group(1)} is not in its section's file"
        if not call.search(below):
            yield f"hooks.h: nobody below {owner}/ calls {name.group(1)}: it belongs into {owner}/{owner}.h"


def wrong_outside():
    for part in ("broker", "cli", "tests", "vathost", "wire"):
        for path in (ROOT / part).rglob("*.[ch]"):
            where = str(path.relative_to(ROOT))
            if KERNEL in path.parents or where in LOOKS_INSIDE:
                continue
            for name in INCLUDE.findall(path.read_text()):
                if name.startswith("broker/kernel/") and name.removeprefix("broker/kernel/") not in PUBLIC:
                    yield f"{where}: may not include {name}"


def main():
    rows = order()
    there = {path.name for path in KERNEL.iterdir() if path.is_dir()}
    found = [f"README.md: {name}/ is {'not there' if name in rows else 'missing'}"
             for name in sorted(there ^ set(rows[1:]))]
    if not found:
        found = [*wrong_includes(rows), *wrong_hooks(rows), *wrong_outside()]
    print("\n".join(found) or f"{len(there)} folders, in order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
