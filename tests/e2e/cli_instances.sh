#!/bin/sh
# Ten `up` at once start one broker; what stdout and stderr have; the help is there at once.
# A run that is told to stop leaves nothing. usage: cli_instances.sh VATCTL
set -u
vatctl=$1 failed=0 left=
home=$(mktemp -d /tmp/vatyard-instances-XXXXXX)
export VATYARD_HOME="$home/a home with blanks, longer than a socket path may be, which is 107 bytes, so it goes elsewhere"
trap '"$vatctl" down -q >/dev/null 2>&1; rm -rf "$home"' EXIT
complain() { echo "FAILED: $*"; failed=1; }

for i in 1 2 3 4 5 6 7 8 9 10; do "$vatctl" up --json >"$home/up.$i" 2>"$home/err.$i" & done
wait
fresh=$(cat "$home"/up.* | grep -c '"already":false')
[ "$fresh" -eq 1 ] || complain "$fresh of ten up started a broker: $(cat "$home"/err.*)"
brokers=$(grep -c . "$VATYARD_HOME/broker.log")
[ "$(grep -c '"type":"start"' "$VATYARD_HOME/broker.log")" -eq 1 ] || complain "more than one broker started ($brokers lines)"

[ "$("$vatctl" ps --json)" = '[]' ] || complain "ps --json of nothing is not []"
[ -z "$("$vatctl" inspect v99 --json 2>/dev/null)" ] || complain "an error with --json leaves stdout empty"
"$vatctl" inspect v99 --json 2>"$home/error"; code=$?
[ $code -eq 6 ] || complain "inspect of no vat gives exit code $code"
python3 -c 'import json, sys; e = json.load(open(sys.argv[1]))["error"]; assert e["code"] == "E2304" and e["exit"] == 6 and e["try"], e' \
  "$home/error" || complain "the error is not one JSON object"
"$vatctl" status >"$home/status" || complain "status"
grep -q 'host-1' "$home/status" || complain "status does not name the host"
"$vatctl" db audit | grep -qx clean || complain "audit"
"$vatctl" down -q || complain "down"
"$vatctl" ps >/dev/null 2>"$home/error"; code=$?
[ $code -eq 4 ] || complain "ps without a broker gives exit code $code"
"$vatctl" db audit --state "$VATYARD_HOME" | grep -qx clean || complain "audit of a state nobody uses"

for words in "help" "help run" "run --help" "help cluster" "help E2104" "version"; do
  "$vatctl" $words --json | python3 -c 'import json, sys; json.load(sys.stdin)' || complain "$words --json is not one JSON value"
done

# A state brings all its hosts back: vats stand on them.
connected() { "$vatctl" status --json | python3 -c 'import json, sys; print(sum(h["state"] == "connected" for h in json.load(sys.stdin)["hosts"]))'; }
"$vatctl" up -q --hosts 3 && "$vatctl" down -q && "$vatctl" up -q || complain "up again"
[ "$(connected)" -eq 3 ] || complain "after --hosts 3, down and up there are $(connected) hosts"
"$vatctl" down -q || complain "down again"

# A run that is stopped, early and late, leaves no folder and no process, and says so in its exit code.
mkdir "$home/tmp"
for wait in 0.05 0.15 2; do
  TMPDIR="$home/tmp" "$vatctl" demo hello >"$home/out" 2>"$home/err" &
  [ $wait = 2 ] || { sleep $wait; kill -TERM $!; }
  wait $!
  code=$?
  [ $code -eq 143 ] || [ $code -eq 0 ] || complain "a run stopped after $wait s gives exit code $code: $(cat "$home/err")"
  [ $code -eq 0 ] || [ ! -s "$home/out" ] || complain "a run that was stopped prints a result"
  [ -z "$(ls "$home/tmp")" ] || complain "a run stopped after $wait s leaves $(ls "$home/tmp")"
done
sleep 1 # workers end when their host has
for pid in $(ls /proc | grep -E '^[0-9]+$'); do
  tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "TMPDIR=$home/tmp" && left="$left $pid"
done 2>/dev/null
[ -z "${left-}" ] || complain "processes are left:$left"
exit $failed
