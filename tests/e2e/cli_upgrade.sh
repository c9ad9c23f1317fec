#!/bin/sh
# vatctl upgrade: from a source, a bundle's file and a hash; what stays and what goes; --dry-run; new code that fails
# leaves the vat as it was; a vat that is busy; wrong use. usage: cli_upgrade.sh VATCTL VATS
set -u
vatctl=$1 vats=$2 failed=0 stopped=
home=$(mktemp -d /tmp/vatyard-upgrade-XXXXXX)
export VATYARD_HOME="$home/home"
trap 'kill -CONT $stopped 2>/dev/null; "$vatctl" down -q >/dev/null 2>&1; rm -rf "$home"' EXIT
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
counts() {
  code 0 call @counter count
  [ "$(cat "$home/out")" = "$1" ] || complain "count says $(cat "$home/out"), wanted $1"
}
incarnation() { "$vatctl" inspect counter --json >"$home/vat" && value 'o["incarnation"]' "$home/vat"; }

"$vatctl" up -q || { complain "up"; exit 1; }
code 0 cluster launch "$vats/upgrade.json" --wait
counts '["first", 1, 1]'
counts '["first", 2, 2]'
"$vatctl" inspect counter --json >"$home/vat"
first=$(value 'o["bundle"]' "$home/vat")

# Nothing is done, and nothing is pushed.
code 0 upgrade counter "$vats/upgrade-2.js" --dry-run --json
same "dry run" '(o["vat"], o["name"], o["done"], o["incarnation"], o["bundle_before"], o["stored_before"])' \
  "('v2', 'counter', 'nothing', 2, '$first', False)"
second=$(value 'o["bundle"]' "$home/out")
code 3 upgrade counter "$second"
grep -q E2106 "$home/err" || complain "a bundle that is not there: $(cat "$home/err")"
code 3 upgrade counter "$second" --dry-run
counts '["first", 3, 3]'

# New code that fails: the vat is as before, variables and all.
"$vatctl" send @counter wait >"$home/kp"
code 1 upgrade counter "$vats/upgrade-2.js" --params '{"refuse": true}'
grep -q '^error E2110: v2 counter was not upgraded; it is as before' "$home/err" || complain "the error: $(cat "$home/err")"
grep -q 'why  *Error: not with me' "$home/err" || complain "the reason is missing: $(cat "$home/err")"
code 1 upgrade counter "$vats/throws.js" --json
[ "$(value '(o["error"]["code"], o["error"]["exit"])' "$home/err")" = "('E2110', 1)" ] || complain "as JSON: $(cat "$home/err")"
[ ! -s "$home/out" ] || complain "an error with --json leaves stdout empty"
[ "$(incarnation)" = 1 ] || complain "after two failures: incarnation $(incarnation)"
counts '["first", 4, 4]'

# From a source; what the old code decided is rejected; the console says what the new code prints.
code 0 upgrade counter "$vats/upgrade-2.js" --params '{"by": 10}' --message 'for a test'
grep -q '^upgraded v2 counter to incarnation 2$' "$home/err" || complain "what was done: $(cat "$home/err")"
grep -q 'which the broker had already' "$home/err" || complain "it was pushed before: $(cat "$home/err")"
[ ! -s "$home/out" ] || complain "stdout has $(cat "$home/out")"
counts '["second", 14, 10]'
code 8 await "$(cat "$home/kp")"
grep -q 'for a test' "$home/out" && grep -q vatUpgraded "$home/out" || complain "the promise of the old code: $(cat "$home/out")"
code 0 restart counter
counts '["second", 24, 20]'

# From a bundle's file, and from a hash; parameters that are left out are {}.
code 0 bundle make "$vats/upgrade-1.js" -o "$home/one.json"
code 0 upgrade @counter "$home/one.json" --params '{"by": 2}' --json
same "from a file" '(o["done"], o["incarnation"], o["bundle"] == "'"$first"'", o["bundle_before"] == "'"$second"'")' "('upgraded', 3, True, True)"
counts '["first", 26, 2]'
code 0 upgrade v2 "$second" --json
same "from a hash" '(o["incarnation"], o["bundle_bytes"], o["stored_before"])' "(4, None, True)"
counts '["second", 26, 0]'
code 0 upgrade v2 "$second"
grep -q 'the same code' "$home/err" || complain "that it is the same code is not told: $(cat "$home/err")"

"$vatctl" logs counter >"$home/out" || complain "logs"
[ "$(grep -c "^vat v2 counter upgraded to $(echo "$second" | cut -c1-19)...$" "$home/out")" -eq 3 ] || complain "logs of upgrades: $(cat "$home/out")"
grep -q '^vat v2 counter: the upgrade failed: .*not with me' "$home/out" || complain "logs of a failure: $(cat "$home/out")"
grep -q '^counter *| second code, by 10$' "$home/out" || complain "what the new code printed: $(cat "$home/out")"

# A vat that is busy: the upgrade waits for its turn, also when nobody waits for it.
"$vatctl" inspect counter >/dev/null
stopped=$(value '[p["pid"] for p in o if p["name"] == "host-1"][0]' "$VATYARD_HOME/pids")
kill -STOP "$stopped"
"$vatctl" send @counter count --no-result -q
code 7 upgrade counter "$first" --params '{"by": 3}' --timeout 1s
grep -q 'stays in the vat' "$home/err" || complain "a time-out: $(cat "$home/err")"
"$vatctl" queue counter --json >"$home/out"
same "the queue" '[r["kind"] for r in o]' "['upgrade']"
kill -CONT "$stopped"
stopped=
counts '["first", 29, 3]'
[ "$(incarnation)" = 6 ] || complain "after a time-out: incarnation $(incarnation)"

# Wrong use, and what is not there.
code 2 upgrade counter
code 2 upgrade counter "$first" --params '{"by": '
grep -q -- '--params is not JSON' "$home/err" || complain "parameters that are no JSON: $(cat "$home/err")"
code 3 upgrade counter nowhere.js
code 3 upgrade counter nowhere.json
code 3 upgrade counter "$vats/upgrade.json"
code 6 upgrade nobody "$first"
code 0 kill counter
code 1 upgrade counter "$first"
"$vatctl" db audit | grep -qx clean || complain "audit"
exit $failed
