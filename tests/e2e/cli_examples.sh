#!/bin/sh
# Every example on 1 and on 3 hosts gives what its expected.json says: the same on both.
# usage: cli_examples.sh VATCTL EXAMPLES
set -u
vatctl=$1 examples=$2 failed=0
home=$(mktemp -d /tmp/vatyard-examples-XXXXXX)
trap 'rm -rf "$home"' EXIT
export VATYARD_HOME="$home"

for expected in "$examples"/*/expected.json; do
  example=$(basename "$(dirname "$expected")")
  for hosts in 1 3; do
    "$vatctl" run "$examples/$example/cluster.json" --json --hosts $hosts --timeout 120s \
      >"$home/out" 2>"$home/err"
    code=$?
    if [ $code -ne 0 ] || ! python3 - "$home/out" "$expected" <<'EOF'
import json, sys
out, expected = (json.load(open(path)) for path in sys.argv[1:])
got = {key: out[key] for key in expected}
if got != expected:
    print("got     ", json.dumps(got, sort_keys=True))
    print("expected", json.dumps(expected, sort_keys=True))
    sys.exit(1)
EOF
    then
      echo "FAILED: $example on $hosts hosts, exit code $code"
      cat "$home/err"
      failed=1
    else
      echo "ok: $example on $hosts hosts"
    fi
  done
  # The result for people is one line; what vats print goes elsewhere.
  lines=$("$vatctl" demo "$example" 2>/dev/null | wc -l)
  [ "$lines" -eq 1 ] || { echo "FAILED: $example prints $lines lines of result"; failed=1; }
done
exit $failed
