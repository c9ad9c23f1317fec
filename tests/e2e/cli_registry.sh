#!/bin/sh
# objects, promises, queue, inspect, pin, unpin, revoke: what the broker keeps, as tables and as JSON; filters and
# limits; what a pin and a revocation do; wrong use. usage: cli_registry.sh VATCTL VATS
set -u
vatctl=$1 vats=$2 failed=0 stopped=
home=$(mktemp -d /tmp/vatyard-registry-XXXXXX)
export VATYARD_HOME="$home/home"
trap 'kill -CONT $stopped 2>/dev/null; "$vatctl" down -q >/dev/null 2>&1; rm -rf "$home"' EXIT
complain() { echo "FAILED: $*"; failed=1; }

# value EXPRESSION FILE: of the JSON value `o` in FILE.
value() { python3 -c 'import json, sys; o = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$2"; }
# same WHAT EXPRESSION WANTED: of the JSON that the last `list` gave.
same() { [ "$(value "$2" "$home/out")" = "$3" ] || complain "$1: $(value "$2" "$home/out"), wanted $3"; }
list() { "$vatctl" "$@" --json >"$home/out" 2>"$home/err" || complain "$*: $(cat "$home/err")"; }
# code N ARG...: the exit code, and nothing on stdout when it is an error.
code() {
  want=$1
  shift
  "$vatctl" "$@" >"$home/out" 2>"$home/err" </dev/null
  got=$?
  [ $got -eq "$want" ] || complain "$*: exit code $got: $(cat "$home/err")"
}

"$vatctl" up -q || { complain "up"; exit 1; }
"$vatctl" cluster launch "$vats/registry.json" --wait -q >"$home/out" 2>"$home/err" || complain "launch: $(cat "$home/err")"

# ---- objects ----
list objects
same "objects" '[(r["object"], r["owner"], r["state"], r["pins"], r["holders"], r["recognizers"]) for r in o]' \
  "[('ko1.0', 'v1', 'live', 1, [], []), ('ko1.1', 'v1', 'live', 0, ['v2'], []), ('ko2.0', 'v2', 'live', 1, ['v1'], []), ('ko2.1', 'v2', 'live', 0, ['v1'], [])]"
same "keys of an object" 'sorted(o[0])' \
  "['holder_count', 'holders', 'name', 'object', 'owner', 'pins', 'reachable', 'recognizable', 'recognizers', 'service', 'state']"
code 0 gc keeper # it only recognizes what it keeps in a WeakMap
list objects --owner user
same "the user's objects" '[(r["object"], r["holder_count"], r["holders"], r["recognizers"], r["reachable"]) for r in o]' \
  "[('ko1.0', 0, [], [], 1), ('ko1.1', 1, [], ['v2'], 1)]"
list objects --owner v2
same "the keeper's objects" '[r["object"] for r in o]' "['ko2.0', 'ko2.1']"
list objects --holder user
same "what the user holds" '[r["object"] for r in o]' "['ko2.0', 'ko2.1']"
list objects --holder user --owner user
same "what the user holds of its own" 'o' '[]'
list objects --cluster registry --limit 3
same "three of the cluster's" '[r["object"] for r in o]' "['ko1.0', 'ko1.1', 'ko2.0']"
grep -q 'only the first 3' "$home/err" || complain "that there are more is not told: $(cat "$home/err")"
list objects --limit 4
[ ! -s "$home/err" ] || complain "there are four objects: $(cat "$home/err")"
"$vatctl" objects >"$home/out"
[ "$(head -1 "$home/out" | tr -s ' ')" = "OBJECT OWNER NAME STATE REACHABLE RECOGNIZABLE PINS HELD-BY" ] || complain "head: $(head -1 "$home/out")"
[ "$(awk '$1 == "ko2.1" {print $2, $3, $4, $8}' "$home/out")" = "v2 keeper live v1" ] || complain "row: $(cat "$home/out")"
[ "$(awk '$1 == "ko1.1" {print $8}' "$home/out")" = "(v2)" ] || complain "a recognizer is in brackets: $(cat "$home/out")"

# ---- promises, queues ----
list promises --unresolved
same "unresolved" '[(r["state"], r["decider"], r["waiting"], r["subscribers"], r["value"], r["value_bytes"]) for r in o]' \
  "[('unresolved', 'v2', 1, ['v1'], None, 0), ('unresolved', None, 0, ['v1'], None, 0)]"
never=$(value 'o[0]["promise"]' "$home/out")
same "keys of a promise" 'sorted(o[0])' \
  "['decider', 'held', 'made_ms', 'name', 'promise', 'references', 'state', 'subscribers', 'value', 'value_bytes', 'waiting']"
list promises --decider keeper
same "what the keeper decides" '[r["promise"] for r in o]' "['$never']"
list promises --older 1h
same "older than an hour" 'o' '[]'
sleep 0.2
list promises --unresolved --older 100ms --limit 1
same "older than 100 ms" '[r["promise"] for r in o]' "['$never']"
grep -q 'only the first 1' "$home/err" || complain "that there are more promises is not told"
list promises --holder keeper
same "what the keeper has of promises" '[r["promise"] for r in o]' "['$never']"
list promises --cluster registry
same "of the cluster" '[r["promise"] for r in o]' "['$never']"
"$vatctl" send @user has >"$home/kp" || complain "send"
"$vatctl" promises >"$home/out"
[ "$(awk '$1 == "'"$(cat "$home/kp")"'" {print $2}' "$home/out")" = fulfilled ] || complain "a settled promise: $(cat "$home/out")"
grep -q "^$(cat "$home/kp") .*\[true, true\]$" "$home/out" || complain "its value: $(cat "$home/out")"
"$vatctl" await "$(cat "$home/kp")" >"$home/out" || complain "await"

list queue
same "what waits" '[(r["vat"], r["promise"], r["kind"], r["target"], r["method"]) for r in o]' \
  "[(None, '$never', 'message', '$never', 'wave')]"
same "keys of an entry" 'sorted(o[0])' \
  "['kind', 'message', 'method', 'name', 'promise', 'queued_ms', 'result', 'seq', 'target', 'vat', 'waited_ms']"
list queue keeper
same "nothing waits for the keeper" 'o' '[]'

# With its host stopped a vat has one delivery in flight, and a queue.
stopped=$(value '[p["pid"] for p in o if p["name"] == "host-1"][0]' "$VATYARD_HOME/pids")
kill -STOP "$stopped"
for i in 1 2 3; do "$vatctl" send @keeper make --no-result -q; done
list queue keeper --limit 5
same "what waits for the keeper" '[(r["vat"], r["name"], r["promise"], r["target"], r["method"], r["result"]) for r in o]' \
  "[('v2', 'keeper', None, 'ko2.0', 'make', None), ('v2', 'keeper', None, 'ko2.0', 'make', None)]"
list queue --cluster registry
same "what waits for the cluster's vats" 'len(o)' 2
"$vatctl" queue >"$home/out"
[ "$(awk '$2 == "keeper" {print $1, $3, $4, $5, $6}' "$home/out" | uniq -c | tr -s ' ')" = " 2 v2 message ko2.0 make -" ] || complain "table: $(cat "$home/out")"
grep -q "^$never " "$home/out" || complain "the promise's queue is missing: $(cat "$home/out")"
list inspect keeper
same "the keeper's queue" '(o["queue"], o["in_flight"], o["incarnation"], o["bundle"][:3])' "(2, 1, 1, 'b1-')"
kill -CONT "$stopped"
stopped=

# ---- inspect ----
list inspect "$never"
same "inspect of a promise" '[r["role"] for r in o]' "['promise', 'waiting', 'holder', 'message']"
same "what it says" '(o[0]["waiting"], o[0]["held"], o[3]["method"])' "(1, False, 'wave')"
"$vatctl" inspect "$never" | grep -q '^  message  *v1/[0-9]*#[0-9]*  wave  -> kp1' || complain "inspect: $("$vatctl" inspect "$never")"
list inspect ko1.1
same "inspect of an object" '(o[0]["holders"], o[0]["recognizers"], o[0]["pins"], o[0]["service"])' "(1, 1, 0, None)"
"$vatctl" inspect ko1.1 | grep -q 'held by  *1 vat, of which 1 only recognizes it' || complain "inspect: $("$vatctl" inspect ko1.1)"

# ---- pins ----
code 0 pin ko2.1 @keeper
code 0 pin ko2.1 --json
[ "$(value 'o' "$home/out")" = "[{'word': 'ko2.1', 'object': 'ko2.1', 'done': 'pinned'}]" ] || complain "pin --json: $(cat "$home/out")"
code 0 call @user drop
code 0 gc --release
list objects --owner keeper
same "a pinned object stays" '[(r["object"], r["pins"], r["holders"]) for r in o]' "[('ko2.0', 2, []), ('ko2.1', 2, [])]"
code 0 unpin ko2.1 ko2.1 @keeper
code 0 gc
list objects --owner keeper
same "without a pin it goes" '[(r["object"], r["pins"]) for r in o]' "[('ko2.0', 1)]"
code 3 unpin ko2.0 # the kernel's own pin of a root stays
grep -q E4104 "$home/err" || complain "unpin of a root: $(cat "$home/err")"
code 10 pin ko2.0 ko9.9
code 6 pin ko9.9 --json
[ "$(value 'o["error"]["code"]' "$home/err")" = E4101 ] || complain "pin of nothing: $(cat "$home/err")"
code 2 pin keeper
code 0 unpin ko2.0

# ---- revoke ----
code 2 revoke ko1.1
grep -q -- '--yes' "$home/err" || complain "what to do off a terminal is not told: $(cat "$home/err")"
code 3 revoke kp0.1 --yes
code 6 revoke ko9.9 --yes
# On a terminal: no, then yes.
for answer in no yes; do
  python3 - "$vatctl" revoke ko1.1 $answer >"$home/tty" <<'TTY'
import os, pty, sys
vatctl, command, kref, answer = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(vatctl, [vatctl, command, kref])
said = b""
while b"go on: " not in said:
    said += os.read(fd, 4096)
os.write(fd, answer.encode() + b"\n")
try:
    while part := os.read(fd, 4096):
        said += part
except OSError:
    pass
print(said.decode())
print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
TTY
  grep -q 'Revokes ko1.1 of v1 user, held by (v2)' "$home/tty" || complain "the question: $(cat "$home/tty")"
  list inspect ko1.1
  [ $answer = no ] && same "declined" 'o[0]["state"]' live
  [ $answer = no ] && { grep -q '^exit 1' "$home/tty" || complain "declined: $(cat "$home/tty")"; }
  [ $answer = yes ] && same "revoked" 'o[0]["state"]' revoked
done
code 0 revoke @keeper --yes --json
[ "$(value 'o' "$home/out")" = "[{'word': '@keeper', 'object': 'ko2.0', 'done': 'revoked'}]" ] || complain "revoke --json: $(cat "$home/out")"
code 8 call @keeper make
grep -q 'revoked' "$home/out" || complain "a call of what is revoked: $(cat "$home/out")"
list objects --owner keeper
same "the table says so" '[r["state"] for r in o]' "['revoked']"

# ---- export, wrong use ----
"$vatctl" cluster export registry >"$home/export.json" 2>"$home/err" || complain "export: $(cat "$home/err")"
"$vatctl" cluster validate "$home/export.json" -q || complain "what was exported is no cluster file"
[ "$(value '(o["name"], o["bootstrap"], o["services"], sorted(o["vats"]), o["vats"]["user"]["creationOptions"])' "$home/export.json")" = \
  "('registry', 'user', [], ['keeper', 'user'], {'reapInterval': 'never', 'reapGCKrefs': 'never'})" ] || complain "export: $(cat "$home/export.json")"
code 0 cluster launch "$home/export.json" --name again --wait
grep -q ready "$home/out" || complain "the exported cluster says $(cat "$home/out")"
code 6 objects --owner nobody
code 6 objects --cluster nobody
code 6 promises --decider nobody
code 6 queue nobody
code 6 cluster export nobody
code 2 objects --limit 0
code 2 promises --older soon
"$vatctl" db audit | grep -qx clean || complain "audit"
exit $failed
