"""The verdict of `vatctl cluster validate --schema-only` is that of the schema: on every file of the
corpus, and on mutations of them made from a fixed seed (a key dropped, renamed or doubled, a value
changed for one of another type or form). usage: schema_verdict.py VATCTL SCHEMA CORPUS [MUTATIONS]"""
import copy, json, pathlib, random, subprocess, sys, tempfile
import jsonschema

vatctl, schema_path, corpus = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
mutations = int(sys.argv[4]) if len(sys.argv) > 4 else 300
schema = json.load(open(schema_path))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)


def no_duplicates(pairs):
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def refuse(name):
    raise ValueError(name)


def by_schema(text):
    try:
        value = json.loads(text, object_pairs_hook=no_duplicates, parse_constant=refuse)
    except ValueError:
        return False
    return validator.is_valid(value)


def by_vatctl(path):
    done = subprocess.run([vatctl, "cluster", "validate", "--schema-only", "--json", path],
                          capture_output=True, text=True)
    if done.returncode == 0:
        return True, ""
    error = json.loads(done.stderr)["error"]
    assert done.returncode == 3 and done.stdout == "", (done.returncode, done.stdout)
    assert error["exit"] == 3 and error["try"] and error["where"]["line"] >= 1, error
    return False, done.stderr


VALUES = [None, True, False, 0, 1, -1, 1.5, 3.0, 1e6, "", "x", "64Mi", "1m30s", "5", "-1s", "never",
          "Never", "a b", [], [1], ["a", "a"], ["a"], {}, {"a": 1}, "b1-" + "0" * 128, "native",
          "spread", "durable", "file", "1.5k", "1Ki5"]
KEYS = ["name", "bootstrap", "vats", "parameters", "paramaters", "deploy", "count", "io", "type",
        "bundleSpec", "sourceSpec", "bundleName", "nativeSpec", "min", "heap", "", "a b", "9", "$schema"]


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, path + (key,))


def donors(seeds):
    """Values by key, from files that are valid: putting one under the same key is often valid."""
    found = {}
    for seed in seeds:
        for path in places(seed):
            if path and isinstance(path[-1], str):
                value = seed
                for key in path:
                    value = value[key]
                found.setdefault(path[-1], []).append(value)
    return found


def mutate(value, rng, given):
    value = copy.deepcopy(value)
    path = rng.choice([p for p in places(value) if p])
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if path[-1] in given and rng.randrange(3) < 2:
        holder[path[-1]] = copy.deepcopy(rng.choice(given[path[-1]]))
        return value
    what = rng.randrange(4)
    if what == 0:
        del holder[path[-1]]
    elif what == 1 and isinstance(holder, dict):
        holder[rng.choice(KEYS)] = holder.pop(path[-1])
    elif what == 2 and isinstance(holder, dict):
        holder[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    else:
        holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    return value


def main():
    rng = random.Random(7610)
    wrong, verdicts = [], {True: 0, False: 0}
    seeds = []

    def compare(name, path, text):
        want = by_schema(text)
        got, said = by_vatctl(path)
        verdicts[want] += 1
        if want != got:
            wrong.append(f"{name}: schema says {want}, vatctl {got}\n{text}\n{said}")
        return want

    for folder, want in (("valid", True), ("invalid", False)):
        for path in sorted((corpus / folder).glob("*.json")):
            text = path.read_text()
            if compare(path.name, str(path), text) != want:
                wrong.append(f"{path.name} stands in the wrong folder")
            try:
                seeds.append(json.loads(text))
            except ValueError:
                pass
    seeds = [s for s in seeds if isinstance(s, dict)]
    given = donors([s for s in seeds if validator.is_valid(s)])
    seeds += [s for s in seeds if validator.is_valid(s)] * 3
    with tempfile.TemporaryDirectory() as folder:
        for i in range(mutations):
            value = mutate(rng.choice(seeds), rng, given)
            for _ in range(rng.randrange(2)):
                if value:
                    value = mutate(value, rng, given)
            path = pathlib.Path(folder) / "mutation.json"
            text = json.dumps(value, indent=1)
            path.write_text(text)
            compare(f"mutation {i}", str(path), text)
    print(f"{verdicts[True]} valid, {verdicts[False]} invalid, {len(wrong)} disagreements")
    print("\n".join(wrong[:5]))
    assert verdicts[True] > 20 and verdicts[False] > 50, "the mutations are all of one kind"
    sys.exit(bool(wrong))


main()
