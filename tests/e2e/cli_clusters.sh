#!/bin/sh
# System clusters (run, cluster launch, up --system: launched, kept, removed), services, channels and globals that a
# cluster asks for, and cluster reload. usage: cli_clusters.sh VATCTL VATS
set -u
vatctl=$1 vats=$2 failed=0
home=$(mktemp -d /tmp/vatyard-clusters-XXXXXX)
export VATYARD_HOME="$home/home"
trap '"$vatctl" down -q >/dev/null 2>&1; rm -rf "$home"' EXIT
complain() { echo "FAILED: $*"; failed=1; }
value() { python3 -c 'import json, sys; o = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$2"; }
same() { [ "$(value "$2" "$home/out")" = "$3" ] || complain "$1: $(value "$2" "$home/out"), wanted $3"; }
code() {
  want=$1
  shift
  "$vatctl" "$@" >"$home/out" 2>"$home/err" </dev/null
  got=$?
  [ $got -eq "$want" ] || complain "$*: exit code $got: $(cat "$home/out" "$home/err")"
}
says() { [ "$(cat "$home/out")" = "$2" ] || complain "$1: $(cat "$home/out"), wanted $2"; }
# file NAME SERVICES: a cluster file of that name, with the key "services" when SERVICES is not -.
file() {
  services="\"services\": $2,"
  [ "$2" = - ] && services=
  echo "{\"name\": \"$1\", \"bootstrap\": \"root\", $services \"vats\": {\"root\": {\"sourceSpec\": \"$vats/facet.js\"}}}" >"$home/$1.json"
}
file plain -
file none '[]'
file one '["timer"]'
file facet '["kernelFacet"]'
file other '["kernelFacet", "timer"]'
file strange '["timer", "oracle"]'

# ---- services ----
code 0 run "$home/plain.json" -q
says "without the key" '["timer", "vatAdmin"]'
code 0 run "$home/none.json" -q
says "with an empty list" '[]'
code 0 run "$home/one.json" -q
says "with one" '["timer"]'
code 3 run "$home/facet.json" --json
[ "$(value '(o["error"]["code"], o["error"]["where"]["pointer"], o["error"]["why"])' "$home/err")" = \
  "('E2111', '/services/0', \"no registered kernel service 'kernelFacet'\")" ] || complain "kernelFacet for all: $(cat "$home/err")"
code 0 run "$home/facet.json" --system -q
says "a system cluster" '["kernelFacet"]'
code 0 cluster validate "$home/strange.json"
grep -q "warning: no registered kernel service 'oracle'" "$home/err" || complain "no warning: $(cat "$home/err")"
code 3 run "$home/strange.json" --system
grep -q '/services/1' "$home/err" || complain "the place of the service: $(cat "$home/err")"

# ---- channels, globals ----
mkdir "$home/elsewhere"
outside='"bootstrap": "root", "io": {"notes": {"type": "file", "path": "elsewhere/notes.txt"}}, "vats": {"root": {"sourceSpec": "'$vats'/outside.js"'
echo "{$outside, \"globals\": [\"fetch\", \"Date\"], \"network\": {\"allowedHosts\": []}}}}" >"$home/outside.json"
echo "{$outside, \"globals\": [\"fetch\"]}}}" >"$home/no-hosts.json"
code 0 run "$home/outside.json" -q
says "a path is seen from the file's folder; no host may be reached" '[["one", "two", null], "Invalid host: 127.0.0.1", "number"]'
[ "$(cat "$home/elsewhere/notes.txt")" = "one
two" ] || complain "the file has $(cat "$home/elsewhere/notes.txt")"
code 3 run "$home/no-hosts.json"
grep -q 'E2109: Vat "root" requested "fetch" but no network.allowedHosts was specified' "$home/err" || complain "fetch without hosts: $(cat "$home/err")"

# A console channel of a run is the run's own stdin and stderr; without input it ends.
echo "{\"bootstrap\": \"root\", \"io\": {\"tty\": {\"type\": \"console\"}}, \"vats\": {\"root\": {\"sourceSpec\": \"$vats/console.js\"}}}" >"$home/console.json"
printf 'ann\nbob\nstop\n' | "$vatctl" run "$home/console.json" >"$home/out" 2>"$home/err" || complain "console: $(cat "$home/err")"
says "what was typed" '[["ann", "bob"], "stop"]'
[ "$(grep -c '^tty *| name [012]?$' "$home/err")" -eq 3 ] || complain "what was asked: $(cat "$home/err")"
code 0 run "$home/console.json" -q
says "nobody types" '[[], null]'

# ---- how a run with timers ends ----
echo "{\"bootstrap\": \"root\", \"vats\": {\"root\": {\"sourceSpec\": \"$vats/sleeps.js\"}}}" >"$home/sleeps.json"
code 0 run "$home/sleeps.json" -q -- delay
says "a timer is waited for" '"slept"'
code 0 run "$home/sleeps.json" -q --timeout 20s -- repeats
says "one that repeats is not" '"repeats"'
code 1 run "$home/sleeps.json" --timeout 20s -- never
grep -q E2302 "$home/err" || complain "after the last timer nothing comes: $(cat "$home/err")"
code 7 run "$home/sleeps.json" --timeout 1s --until forever -- repeats

# ---- up --system ----
code 0 up --system "$home/facet.json" --system "$home/other.json" --json
same "launched" 'o["system"]' "[{'cluster': 'facet', 'done': 'launched'}, {'cluster': 'other', 'done': 'launched'}]"
code 0 cluster ls --json
same "they are" '[(c["name"], c["state"], c["system"]) for c in o]' "[('facet', 'running', True), ('other', 'running', True)]"
code 0 call @facet/root ask
says "asked once" 1
code 0 cluster launch "$home/plain.json" -q
code 0 up --json
same "without a flag nothing changes" 'o["system"]' '[]'
code 0 down -q
code 0 up -q
code 0 call @facet/root ask
says "it was kept over a restart" 2
code 0 up --system "$home/facet.json" --json
same "one is declared no longer" 'o["system"]' "[{'cluster': 'facet', 'done': 'kept'}, {'cluster': 'other', 'done': 'removed'}]"
code 0 cluster launch "$home/other.json" --system -q
code 0 up --system "$home/facet.json" --json
same "one that was never declared stays" 'o["system"]' "[{'cluster': 'facet', 'done': 'kept'}]"
code 0 call @facet/root ask
says "it was kept" 3
code 3 up --system "$home/plain.json"
grep -q 'E2305: cluster "plain" runs and is no system cluster' "$home/err" || complain "a name that is taken: $(cat "$home/err")"
code 3 up --system "$home/facet.json" --system "$home/facet.json"
code 3 up --system "$home/nowhere.json"
code 2 up --system "$home/facet.json" --no-system
code 0 up --no-system --json
same "none is declared" 'o["system"]' "[{'cluster': 'facet', 'done': 'removed'}]"
code 0 cluster ls --json
same "what is left" 'sorted((c["name"], c["system"]) for c in o)' "[('other', True), ('plain', False)]"

# ---- reload ----
code 0 call @plain/root ask
code 0 call @plain/root ask
says "asked twice" 2
code 0 cluster reload plain --wait --json
same "reloaded" '(o["cluster"], o["value"])' "('plain', ['timer', 'vatAdmin'])"
code 0 call @plain/root ask
says "it begins again" 1
code 0 cluster reload other --yes
grep -q "^launched other as s" "$home/err" || complain "reload for people: $(cat "$home/err")"
code 0 cluster ls --json
same "a system cluster stays one" '[c["system"] for c in o if c["name"] == "other"]' '[True]'
code 6 cluster reload nobody
code 0 cluster export other
grep -q -- '--system' "$home/err" || complain "export of a system cluster: $(cat "$home/err")"
"$vatctl" db audit | grep -qx clean || complain "audit"
exit $failed
