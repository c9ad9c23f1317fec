#!/usr/bin/env python3
"""Looks at Dockerfile and compose.yaml, without an engine: rules that they must keep, and what docker-compose says.

   docker/lint.py              one line for each finding, exit code 1 when there is one
   docker/lint.py --self-test  each rule finds what is planted for it
"""

import copy
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EXEC_FORM = ("CMD", "ENTRYPOINT")
KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL",
         "USER", "WORKDIR"}


# ---- the Dockerfile ----

def instructions(text):
    """(line number, word, rest) of each; continued lines are one."""
    rows, begun = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and begun is None):
            continue
        begun = [number, line.strip()] if begun is None else [begun[0], f"{begun[1]} {line.strip()}"]
        if begun[1].endswith("\\"):
            begun[1] = begun[1][:-1].rstrip()
            continue
        word, _, rest = begun[1].partition(" ")
        rows.append((begun[0], word, rest.strip()))
        begun = None
    return rows


def is_words(text):
    try:
        words = json.loads(text)
    except ValueError:
        return False
    return isinstance(words, list) and words and all(isinstance(word, str) for word in words)


def lint_run(rest):
    if re.search(r"\bapt-get( -\S+)* install\b", rest):
        if "--no-install-recommends" not in rest:
            yield "apt-get install without --no-install-recommends"
        if not re.search(r"apt-get( -\S+)* update", rest):
            yield "apt-get install in a layer of its own uses lists of another day"
    if re.search(r"apt-get( -\S+)* update", rest) and "rm -rf /var/lib/apt/lists/*" not in rest:
        yield "apt's lists stay in the layer"
    if re.search(r"\bsudo\b|\bapt\s+install\b|apt-get\b.*\bupgrade\b", rest):
        yield "sudo, apt or upgrade"
    if re.search(r"\b(curl|wget)\b.*\|", rest):
        yield "runs what it downloads"


def lint_row(word, rest):
    if word not in KNOWN:
        yield f"{word}: not an instruction that this file uses"
    if word in EXEC_FORM and not is_words(rest):
        yield f"{word} needs the form of a list: nobody has a shell there"
    if word == "HEALTHCHECK":
        command = re.sub(r"^(--\S+ )*CMD ", "", rest)
        if not is_words(command):
            yield "HEALTHCHECK needs CMD and a list"
    if word == "WORKDIR" and not rest.startswith("/"):
        yield "WORKDIR is not absolute"
    if word in ("ARG", "ENV") and re.search(r"(PASSWORD|TOKEN|SECRET)\b", rest):
        yield "a secret in the image's history"
    if word == "RUN":
        yield from lint_run(rest)


def lint_stage(name, stage):
    users = [rest for _, word, rest in stage if word == "USER"]
    if name == "build":
        return
    if users and not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]):
        yield stage[-1][0], f"stage {name} ends as {users[-1]}: Kubernetes can prove that a number is not root's"
    if name == "runtime":
        for wanted in ("USER", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "LABEL"):
            if wanted not in {word for _, word, _ in stage}:
                yield stage[0][0], f"stage {name} has no {wanted}"


def lint_dockerfile(text):
    """(line, finding) of each."""
    rows = instructions(text)
    stages, args = {}, {}
    for number, word, rest in rows:
        for finding in lint_row(word, rest):
            yield number, finding
        if word == "ARG" and not stages:
            name, _, value = rest.partition("=")
            args[f"${{{name}}}"] = value
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            image = args.get(image, image)
            if not name:
                yield number, "a stage without a name"
            if image not in stages and (":" not in image or image.endswith(":latest")):
                yield number, f"{image}: the image has no version"
            if "/" in image.split(":")[0] and "." in image.split("/")[0]:
                yield number, f"{image}: the host of a registry"
            stages[name] = []
        if stages:
            stages[list(stages)[-1]].append((number, word, rest))
    for name, stage in stages.items():
        yield from lint_stage(name, stage)
    for match in re.finditer(r"https?://[^\s\"]+", text):
        yield text[:match.start()].count("\n") + 1, f"{match.group()}: an address in the file"
    if text.startswith("# syntax"):
        yield 1, "a syntax line needs a registry"


# ---- compose.yaml ----

def lint_service(name, service):
    if not service.get("read_only"):
        yield f"{name}: its root can be written"
    if service.get("cap_drop") != ["ALL"]:
        yield f"{name}: capabilities stay"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{name}: new privileges"
    if service.get("privileged") or service.get("pid") == "host" or service.get("network_mode") == "host":
        yield f"{name}: is not contained"
    if name != "keys" and not re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(service.get("user"))):
        yield f"{name}: runs as {service.get('user')}"
    if "healthcheck" not in service:
        yield f"{name}: no healthcheck"
    options = service.get("logging", {}).get("options", {})
    if not ("max-size" in options and "max-file" in options):
        yield f"{name}: its log grows for ever"
    if "container_name" in service:
        yield f"{name}: a name of its own cannot be scaled"
    for variable, value in (service.get("environment") or {}).items():
        if re.search(r"PASSWORD|TOKEN|SECRET", variable) and not variable.endswith("_FILE"):
            yield f"{name}: {variable} is a secret that everybody can see"
    if any("docker.sock" in str(volume) for volume in service.get("volumes", [])):
        yield f"{name}: has the engine"


def lint_compose(config):
    services = config["services"]
    for name, service in services.items():
        yield from lint_service(name, service)
    host = services.get("vathost", {})
    if "broker_key" in str(host.get("secrets")):
        yield "vathost: has the broker's secret key"
    if any(":/var/lib/vatyard" in str(volume) for volume in host.get("volumes", [])):
        yield "vathost: replicas share a state"
    for name in set(services) - {"broker", "cli", "bench"}:
        if any(str(volume).startswith("control:") for volume in services[name].get("volumes", [])):
            yield f"{name}: has the control socket"
    for name in set(services) - {"broker"}:
        if any(str(volume).startswith("read:") and not str(volume).endswith(":ro") for volume in services[name].get("volumes", [])):
            yield f"{name}: could put a socket of its own in the place of the broker's"
    metrics = services.get("metrics", {})
    if "127.0.0.1:7612" not in str(metrics.get("healthcheck")):
        yield "metrics: its healthcheck asks somebody else"
    if services.get("broker", {}).get("ports"):
        yield "broker: a port of the machine"
    for name, service in services.items():
        if any(not str(port).startswith("127.0.0.1:") for port in service.get("ports", [])):
            yield f"{name}: a port for all the world"


def compose_config():
    """What docker-compose makes of the file; SystemExit when it refuses it, None when it is not here."""
    for command in (["docker-compose"], ["docker", "compose"]):
        try:
            run = subprocess.run([*command, "-f", os.path.join(HERE, "compose.yaml"), "--profile", "tools", "--profile",
                                  "bench", "--profile", "metrics", "--profile", "setup", "config"], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        if "is not a docker command" in run.stderr or "unknown flag" in run.stderr or "unknown shorthand" in run.stderr:
            continue
        if run.returncode:
            sys.exit(f"docker/compose.yaml: {run.stderr.strip()}")
        import yaml  # comes with docker-compose
        return yaml.safe_load(run.stdout)
    return None


# ---- the rules themselves ----

PLANTED = [
    ("FROM debian:bookworm-slim AS build", "FROM debian AS build"),
    ("ARG BASE=debian:bookworm-slim", "ARG BASE=registry.example.com/debian:12"),
    ("ARG BASE=debian:bookworm-slim", "ARG BASE=debian:latest"),
    ("--no-install-recommends", ""),
    (" && rm -rf /var/lib/apt/lists/*", ""),
    ("apt-get update -qq \\\n && DEB", "DEB"),
    ("USER 10001:10001", "USER root"),
    ("USER 10001:10001", "USER vatyard"),
    ("HEALTHCHECK", "#"),
    ("STOPSIGNAL SIGTERM", ""),
    ('CMD ["vatctl", "help"]', "CMD vatctl help"),
    ('CMD ["vatctl", "health", "--live", "--quiet"]', "CMD vatctl health"),
    ("COPY . .", "ADD . ."),
    ("ARG NPM_CONFIG_REGISTRY", "ENV NPM_CONFIG_REGISTRY=https://npm.example.com/"),
    ("ARG NPM_CONFIG_REGISTRY", "ARG NPM_TOKEN"),
    ("WORKDIR /src", "WORKDIR src"),
    ("# One image", "# syntax=docker/dockerfile:1\n# One image"),
    ("RUN update-ca-certificates", "RUN wget -qO- example.com/x | sh"),
]

PLANTED_SERVICE = [
    {"read_only": False}, {"cap_drop": ["NET_RAW"]}, {"security_opt": []}, {"privileged": True}, {"network_mode": "host"},
    {"user": "0:0"}, {"user": "vatyard"}, {"logging": {}}, {"container_name": "x"}, {"environment": {"ADMIN_TOKEN": "x"}},
    {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, {"volumes": ["control:/run/vatyard:rw"]},
    {"secrets": [{"source": "broker_key"}]}, {"ports": ["7610:7610"]}, {"volumes": ["shared:/var/lib/vatyard:rw"]},
]


PLANTED_METRICS = [{"volumes": ["control:/run/vatyard:rw"]}, {"volumes": ["read:/run/vatyard-read:rw"]},
                   {"volumes": ["read:/run/vatyard-read"]}, {"healthcheck": {"test": ["CMD", "vatctl", "health"]}}]


def self_test(text, config):
    missed = []
    for right, wrong in PLANTED:
        sources = [text.replace(right, wrong)]
        if right not in text:  # written through ARG BASE
            sources = [text.replace("FROM ${BASE} AS build", wrong)]
        if not any(list(lint_dockerfile(source)) for source in sources):
            missed.append(f"{right!r} made {wrong!r}")
    services = [("vathost", change) for change in PLANTED_SERVICE] + [("metrics", change) for change in PLANTED_METRICS]
    for name, change in services if config else []:
        planted = copy.deepcopy(config)
        planted["services"][name].update(change)
        if not list(lint_compose(planted)):
            missed.append(f"{name} {change}")
    for line in missed:
        print(f"not found: {line}")
    print(f"{len(PLANTED) + (len(services) if config else 0) - len(missed)} planted mistakes found")
    return bool(missed)


def main():
    with open(os.path.join(HERE, "Dockerfile"), encoding="utf-8") as file:
        text = file.read()
    config = compose_config()
    if "--self-test" in sys.argv[1:]:
        return self_test(text, config)
    findings = [f"docker/Dockerfile:{line}: {finding}" for line, finding in lint_dockerfile(text)]
    if config:
        findings += [f"docker/compose.yaml: {finding}" for finding in lint_compose(config)]
    else:
        findings += ["docker/compose.yaml: not looked at, docker-compose is not installed"]
    for finding in findings:
        print(finding)
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
