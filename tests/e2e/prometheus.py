"""A reader of Prometheus' text format that takes nothing it should not: what promtool would complain of is an error."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(\{{(.*)\}})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
TYPES = {"counter", "gauge", "histogram"}


class Malformed(Exception):
    pass


def need(condition, why, line):
    if not condition:
        raise Malformed(f"{why}: {line!r}")


def labels_of(text, line):
    labels, at = {}, 0
    while text and at < len(text):
        found = LABEL.match(text, at)
        need(found, "labels", line)
        need(found.group(1) not in labels, "label twice", line)
        labels[found.group(1)] = found.group(2)
        at = found.end()
    return labels


def check_histogram(name, samples):
    """Buckets rise, end in +Inf, and agree with the count."""
    series = {}
    for sample, labels, value in samples:
        key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        row = series.setdefault(key, {"buckets": []})
        if sample == name + "_bucket":
            row["buckets"].append((float(labels["le"]), value))
        else:
            need(sample in (name + "_sum", name + "_count"), "sample of a histogram", sample)
            row[sample[len(name) + 1:]] = value
    for row in series.values():
        bounds, counts = zip(*row["buckets"])
        need(list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), "bounds", name)
        need(list(counts) == sorted(counts) and counts[-1] == row["count"], "counts", name)
        need(row["sum"] >= 0 and (row["count"] > 0 or row["sum"] == 0), "sum", name)


def read(text):
    """{family: (type, [(sample name, {label: value}, number)])}"""
    need(text.endswith("\n"), "the last line has no end", text[-40:])
    families, family, helped = {}, None, set()
    for line in text[:-1].split("\n"):
        need(line and line == line.strip(), "blanks", line)
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            need(name not in families and name not in helped and len(line.split(" ")) > 3, "HELP", line)
            helped.add(name)
            continue
        if line.startswith("#"):
            found = re.match(rf"# TYPE ({NAME}) (\w+)$", line)
            need(found and found.group(2) in TYPES and found.group(1) not in families, "TYPE", line)
            family = found.group(1)
            families[family] = (found.group(2), [])
            continue
        found = SAMPLE.match(line)
        need(found and family and found.group(1).startswith(family), "sample", line)
        need(families[family][0] == "histogram" or found.group(1) == family, "not of this family", line)
        need(families[family][0] != "counter" or family.endswith("_total"), "counter without _total", line)
        sample = (found.group(1), labels_of(found.group(3), line), float(found.group(4)))
        need(sample[:2] not in [s[:2] for s in families[family][1]], "sample twice", line)
        families[family][1].append(sample)
    for name, (kind, samples) in families.items():
        need(samples, "no sample", name)
        if kind == "histogram":
            check_histogram(name, samples)
    return families
