#!/bin/sh
# vatctl gc: what vats drop is gone everywhere, along chains through several vats too; what they hold
# stays; a ring of two vats stays and is listed. The vats are never reaped but by it (neverReap).
# usage: cli_gc.sh VATCTL VATS
set -u
vatctl=$1 vats=$2 failed=0
home=$(mktemp -d /tmp/vatyard-gc-XXXXXX)
export VATYARD_HOME="$home/home"
trap '"$vatctl" down -q >/dev/null 2>&1; rm -rf "$home"' EXIT
complain() { echo "FAILED: $*"; failed=1; }

# value EXPRESSION FILE: of the JSON value `o` in FILE.
value() { python3 -c 'import json, sys; o = json.load(open(sys.argv[2])); print(eval(sys.argv[1]))' "$1" "$2"; }
# collect NAME [ARG...]: gc, its answer in $home/NAME.
collect() {
  name=$1
  shift
  "$vatctl" gc "$@" --json --timeout 60s >"$home/$name" 2>"$home/err" || complain "gc $*: $(cat "$home/err")"
}
counts() { value '" ".join(str(o["'"$2"'"][k]) for k in ("objects", "promises", "references"))' "$home/$1"; }
same_as_baseline() {
  [ "$(counts "$1" after)" = "$(counts base after)" ] || complain "$2: $(counts "$1" after), at the start $(counts base after)"
}
ask() { "$vatctl" call "$@" >"$home/out" 2>"$home/err" || complain "call $*: $(cat "$home/out" "$home/err")"; }

"$vatctl" up -q --hosts 2 || { complain "up"; exit 1; }
"$vatctl" cluster launch "$vats/garbage.json" --wait -q >"$home/out" 2>"$home/err" || complain "launch: $(cat "$home/err")"
collect base
[ "$(value 'o["vats"]' "$home/base")" = "['v1', 'v2', 'v3']" ] || complain "not all vats were reaped: $(cat "$home/base")"

# What is held stays, whoever is reaped.
ask @front keep 200
collect held --all
[ "$(value 'o["after"]["objects"]' "$home/held")" -eq $(($(value 'o["after"]["objects"]' "$home/base") + 200)) ] ||
  complain "200 objects are held: $(counts held after), at the start $(counts base after)"

# What was dropped stays until the vat that dropped it is reaped.
ask @front drop
collect wrong left right
[ "$(value 'o["after"]["objects"]' "$home/wrong")" -eq "$(value 'o["after"]["objects"]' "$home/held")" ] ||
  complain "a vat was reaped that nobody named: $(counts wrong after)"
collect dropped --cluster garbage
same_as_baseline dropped "after 200 objects were dropped"

# What call showed is there for the next call, until it is let go of.
ask @left make 1
shown=$(grep -o 'ko[0-9.]*' "$home/out")
collect shown
[ "$(value 'o["after"]["objects"]' "$home/shown")" -eq $(($(value 'o["after"]["objects"]' "$home/base") + 1)) ] ||
  complain "$shown was shown: $(counts shown after), at the start $(counts base after)"
ask @right link "$shown"
collect released --release
same_as_baseline released "after what was shown was let go of"

# A link is seen to be free when its vat is reaped after the vat that held it: one round is not enough.
ask @front chain 9
ask @front drop
collect chain
same_as_baseline chain "after a chain was dropped"
[ "$(value 'o["rounds"]' "$home/chain")" -ge 2 ] || complain "a chain of 9 was collected in $(value 'o["rounds"]' "$home/chain") rounds"

[ "$("$vatctl" gc --cycles)" = none ] || complain "there is no ring yet: $("$vatctl" gc --cycles 2>&1)"
ask @front ring
collect ring
[ "$(value 'o["after"]["objects"]' "$home/ring")" -eq $(($(value 'o["after"]["objects"]' "$home/base") + 2)) ] ||
  complain "a ring of two: $(counts ring after), at the start $(counts base after)"
"$vatctl" gc --cycles --json >"$home/cycles" || complain "gc --cycles"
[ "$(value '[(c["ring"], c["owner"], c["name"], c["holders"]) for c in o]' "$home/cycles")" = \
  "[(1, 'v2', 'left', ['v3']), (1, 'v3', 'right', ['v2'])]" ] || complain "the ring is $(cat "$home/cycles")"
"$vatctl" gc --cycles >"$home/out" 2>"$home/err" || complain "gc --cycles for people"
[ "$(grep -c '^1 .*v[23]$' "$home/out")" -eq 2 ] || complain "two rows of the ring: $(cat "$home/out")"
grep -q 'not why' "$home/err" || complain "what a ring means is not told: $(cat "$home/err")"

# An object of the ring: one vat holds it and nothing else does.
cell=$(value 'o[0]["object"]' "$home/cycles")
"$vatctl" inspect "$cell" --json >"$home/cell" || complain "inspect $cell"
[ "$(value '[(r["role"], r["vat"], r["reachable"], r.get("elsewhere")) for r in o]' "$home/cell")" = \
  "[('object', 'v2', 1, 0), ('export', 'v2', 0, None), ('holder', 'v3', 0, None)]" ] || complain "$cell: $(cat "$home/cell")"
"$vatctl" db audit | grep -qx clean || complain "audit"
"$vatctl" db audit --json >"$home/audit" || complain "audit --json"
[ "$(value '(o["findings"], o["checked"]["vats_compared"], o["checked"]["objects"])' "$home/audit")" = "([], 3, 5)" ] ||
  complain "the names of three vats are compared: $(cat "$home/audit")"

# With one of its vats ended the ring falls.
"$vatctl" kill left --yes -q || complain "kill"
collect ended
[ "$("$vatctl" gc --cycles)" = none ] || complain "the ring outlives its vat"
"$vatctl" inspect "$cell" >/dev/null 2>&1 && complain "$cell outlives its ring"
"$vatctl" db audit | grep -qx clean || complain "audit after a vat ended"

# Wrong use, and vats that are not there.
code() { want=$1; shift; "$vatctl" "$@" >"$home/out" 2>"$home/err"; got=$?; [ $got -eq $want ] || complain "$*: exit code $got"; }
code 2 gc front --all
code 2 gc --cycles --cluster garbage
code 6 gc nobody
code 1 gc left
code 6 gc --cluster nobody
code 2 cluster launch "$vats/garbage.json" --name again --window 17
code 0 cluster launch "$vats/garbage.json" --name again --window 16 --wait
code 0 gc again/front

# A state that was damaged: each row is named, and what is wrong with it.
"$vatctl" down -q || complain "down"
"$vatctl" db audit --state "$VATYARD_HOME" --json >"$home/out" || complain "audit of a whole state"
[ "$(value 'o["findings"]' "$home/out")" = '[]' ] || complain "a whole state has findings: $(cat "$home/out")"
"$(dirname "$vatctl")/pages_sql" "$VATYARD_HOME/broker/kernel.db" \
  "UPDATE object SET recognizable = recognizable + 5 WHERE kref = (SELECT min(kref) FROM object)" \
  "UPDATE object SET recognizable = recognizable + 6 WHERE kref = (SELECT kref FROM object ORDER BY kref LIMIT 1 OFFSET 1)" \
  >/dev/null || complain "damage"
code 9 db audit --state "$VATYARD_HOME"
[ "$(grep -c '^K[0-9]*  .*ko[12]\.0: .*recognizable is [0-9]*, should be [0-9]*$' "$home/out")" -eq 2 ] ||
  complain "two rows are wrong: $(cat "$home/out")"
code 9 db audit --state "$VATYARD_HOME" --json
[ "$(value 'sorted(f["row"].split()[-1] for f in o["findings"])' "$home/out")" = "['ko1.0', 'ko2.0']" ] || complain "two rows: $(cat "$home/out")"
exit $failed
