#!/bin/bash
# Builds the image and tries compose.yaml with a real engine: 1 broker and 3 hosts, every example across them, 5 hosts and
# back, a bank whose members are killed, cut off and frozen while it works, a backup, a restart. A line for each step;
# what cannot be done here is a line that begins with SKIP and says why. Takes away what it made, also when it fails.
#
#   docker/try.sh [--image NAME] [--cache DIR]
#     --image NAME   do not build, try this one, which the engine has
#     --cache DIR    where an engine of our own keeps its images, for the next time (default: a temporary folder)
#
# Needs docker and docker-compose (or its plug-in). An engine that answers is used; else, as root, one is started here.
# Without a registry it needs mmdebstrap too. VATYARD_TRY_MAX: seconds after which it gives up (3600). VATYARD_TRY_ROUNDS: how
# long a bank works, in rounds of some 0.2 s (60).
# Not beside other programs that change the machine's firewall (tests/net): an engine sets the policy of FORWARD.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
image='' cache='' own='' watchdog='' rounds=${VATYARD_TRY_ROUNDS:-60} ok=0 failed=0 skipped=0 project=vatyard-try-$$ made_base=''
work=$(mktemp -d /tmp/vatyard-try-XXXXXX)
log=$work/log
exec 3>&1 4>&2 # a step's own output goes elsewhere, and so would what is said when it is interrupted
while [ $# -gt 0 ]; do
    case $1 in
    --image) image=$2; shift 2 ;;
    --cache) mkdir -p "$2" && cache=$(cd "$2" && pwd) || exit 2; shift 2 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
    esac
done

# ---- lines ----

now() { date +%s%N; }
said() { printf '%-4s %-54s %s\n' "$1" "$2" "$3"; }
skip() { skipped=$((skipped + 1)); said SKIP "$1" "$2"; }

# step NAME COMMAND...: its last line of stdout is what is said of it; on failure also what it said on stderr.
step() {
    local name=$1 begin detail code
    shift
    begin=$(now)
    "$@" >"$work/said" 2>"$log"
    code=$?
    detail=$(tail -n 1 "$work/said")
    detail="$(printf '%6.1f s' "$((($(now) - begin) / 100000000))e-1")  $detail"
    if [ $code -eq 0 ]; then
        ok=$((ok + 1)); said ok "$name" "$detail"
    else
        failed=$((failed + 1)); said FAIL "$name" "$detail"
        tail -n 15 "$log" | sed 's/^/       /'
    fi
    return $code
}

die() { said FAIL "$1" "$2"; failed=$((failed + 1)); exit 1; }

# until_true SECONDS COMMAND...
until_true() {
    local end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$end" ] || return 1
        sleep 0.5
    done
}

# ---- the engine ----

rules() { iptables -t "$1" -S 2>/dev/null | grep -v -- ' -c ' || true; }

engine_start() {
    local dir=$work/e
    mkdir -p "$dir"
    rules filter >"$work/filter.before"; rules nat >"$work/nat.before"
    cat /proc/sys/net/ipv4/ip_forward >"$work/forward.before"
    nice -n 10 dockerd --host "unix://$dir/docker.sock" --data-root "${cache:-$dir/root}" --exec-root "$dir/exec" \
        --pidfile "$dir/docker.pid" --storage-driver overlay2 >"$work/dockerd.log" 2>&1 3>&- 4>&- &
    own=$!
    export DOCKER_HOST=unix://$dir/docker.sock
    until_true 30 docker version >/dev/null 2>&1 || { tail -n 3 "$work/dockerd.log" >&2; return 1; }
    docker version --format 'dockerd {{.Server.Version}}, our own'
}

# What dockerd leaves behind: chains, rules, a bridge, and policies that it changed.
engine_stop() {
    [ -n "$own" ] || return 0
    kill "$own" 2>/dev/null
    wait "$own" 2>/dev/null
    own=''
    local table rule
    for table in filter nat; do
        rules $table | grep -Fvx -f "$work/$table.before" | grep '^-A' | sed 's/^-A/-D/' | while read -r rule; do
            eval "iptables -t $table $rule" 2>/dev/null
        done
        rules $table | grep -Fvx -f "$work/$table.before" | grep '^-N' | while read -r _ rule; do
            iptables -t $table -F "$rule" 2>/dev/null; iptables -t $table -X "$rule" 2>/dev/null
        done
        grep '^-P' "$work/$table.before" | while read -r _ rule; do eval "iptables -t $table -P $rule" 2>/dev/null; done
    done
    ip link del docker0 2>/dev/null
    cat "$work/forward.before" >/proc/sys/net/ipv4/ip_forward
}

engine() {
    if timeout 10 docker version >/dev/null 2>&1; then
        docker version --format 'found: {{.Server.Version}}' && return 0
    fi
    [ "$(id -u)" -eq 0 ] || { echo 'none answers, and only root can start one'; return 1; }
    command -v dockerd >/dev/null || { echo 'none answers, and dockerd is not installed'; return 1; }
    ! ip link show docker0 >/dev/null 2>&1 || { echo 'docker0 is there: another engine runs that we cannot reach'; return 1; }
    return 2
}

# ---- the end ----

# A volume that went from one container to the next is no anonymous one any more, and `down -v` leaves it.
take_down() {
    local volumes
    volumes=$(docker ps -aq --filter "label=com.docker.compose.project=$project" |
        xargs -r docker inspect -f '{{range .Mounts}}{{println .Name}}{{end}}' | sort -u)
    compose --profile metrics down -v --remove-orphans --timeout 5
    # shellcheck disable=SC2086
    [ -z "$volumes" ] || docker volume rm $volumes
}

finish() {
    trap '' INT TERM EXIT
    [ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null
    if [ -n "${DOCKER_HOST-}" ] || timeout 10 docker version >/dev/null 2>&1; then
        [ ! -f "$work/src/docker/compose.yaml" ] || take_down >/dev/null 2>&1
        if [ -z "$own" ]; then
            [ -n "$given" ] || timeout 60 docker rmi "$image" "$image-tools" "$image-build" >/dev/null 2>&1
            [ -z "$made_base" ] || docker rmi debian:bookworm-slim >/dev/null 2>&1
        fi
    fi
    engine_stop
    rm -rf "$work"
    echo "$ok ok, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && [ $((ok + skipped)) -gt 0 ]
    exit $?
}
given=$image
image=${image:-vatyard/vatyard:try}
trap finish EXIT
trap 'exec >&3 2>&4; said FAIL interrupted ""; failed=$((failed + 1)); exit 1' INT TERM
(trap - INT EXIT; trap 'kill "$nap"; exit' TERM; sleep "${VATYARD_TRY_MAX:-3600}" & nap=$!; wait "$nap" && kill -TERM $$) >/dev/null 2>&1 3>&- 4>&- &
watchdog=$!

# ---- building ----

base() {
    if docker image inspect debian:bookworm-slim >/dev/null 2>&1; then echo 'the engine has it'; return 0; fi
    command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is not installed' >&2; return 1; }
    timeout 900 "$here/base.sh" "$work/base.tar" >&2 || return 1
    made_base=yes
    docker import --change 'CMD ["bash"]' "$work/base.tar" debian:bookworm-slim >&2 || return 1
    echo "made of packages, $(du -m "$work/base.tar" | cut -f1) MB"
    rm -f "$work/base.tar"
}

# What git has, with what is not committed yet. Certificates that this machine trusts beside the usual ones are the build's.
context() {
    mkdir -p "$work/src" && cd "$top" || return 1
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -co --exclude-standard -z | tar --null -cf - --ignore-failed-read -T - | tar -xf - -C "$work/src"
    else
        tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$work/src"
    fi
    cp /usr/local/share/ca-certificates/*.crt "$work/src/docker/ca/" 2>/dev/null
    du -sm "$work/src" | cut -f1 | sed 's/$/ MB/'
}

build() { # TARGET TAG
    local revision
    revision=$(git -C "$top" rev-parse --short HEAD 2>/dev/null || echo unknown)
    timeout 2400 docker build -f "$work/src/docker/Dockerfile" --target "$1" --build-arg "REVISION=$revision" \
        ${NPM_CONFIG_REGISTRY:+--build-arg NPM_CONFIG_REGISTRY} -t "$2" "$work/src" >"$work/build.log" 2>&1 && return 0
    tail -n 12 "$work/build.log" >&2
    return 1
}

size() { docker image inspect -f '{{.Size}}' "$1" | awk '{printf "%.0f MB", $1 / 1e6}'; }

build_runtime() { build build "$image-build" && build runtime "$image" && size "$image"; }

inside() { docker run --rm --read-only --network none --tmpfs /tmp --cap-drop ALL "$image" "$@"; }

looks() {
    inside vatctl version && inside vatbroker --version && inside vathost --version || return 1
    [ "$(inside id -u)" = 10001 ] || { echo 'runs as somebody else' >&2; return 1; }
    ! inside touch /x 2>/dev/null || { echo 'the root can be written' >&2; return 1; }
    # Nothing of the build stays: compiler, Node, headers.
    ! inside sh -c 'command -v gcc node npm' >&2 || return 1
    inside vatctl demo hello
}

# The image with Node makes a bundle of a source that is mounted, as whoever the source belongs to.
tools() {
    local folder=$work/src/cli/examples/hello/vats
    build tools "$image-tools" || return 1
    docker run --rm --network none -v "$folder:/src" -w /src -u "$(id -u)" "$image-tools" vatctl bundle make alice.js \
        -o alice.bundle.json >&2 && [ -s "$folder/alice.bundle.json" ] || return 1
    rm "$folder/alice.bundle.json" && size "$image-tools"
}

# ---- compose ----

if docker compose version >/dev/null 2>&1; then composer='docker compose'; else composer=docker-compose; fi
compose() {
    # shellcheck disable=SC2086
    VATYARD_IMAGE=$image COMPOSE_PROJECT_NAME=$project timeout 300 \
        $composer -f "$work/src/docker/compose.yaml" "$@"
}
ids() { compose ps -q "$1" 2>/dev/null; }
state_of() { docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' "$1"; }
healthy() { # SERVICE COUNT
    local id count=0
    for id in $(ids "$1"); do [ "$(state_of "$id")" = healthy ] && count=$((count + 1)); done
    [ "$count" -eq "$2" ]
}
ctl() { timeout 180 docker exec -i "$(ids broker)" vatctl "$@"; }
hosts_up() { ctl host ls --json | python3 -c 'import json, sys; sys.exit(sum(h["state"] == "connected" for h in json.load(sys.stdin)) != int(sys.argv[1]))' "$1"; }
host_named() { docker inspect -f '{{.Config.Hostname}}' "$1"; }

keys() { compose run --rm keys && ls -l "$work/src/docker/keys" >&2 && [ "$(stat -c %u "$work/src/docker/keys/join.key")" = 10001 ] && echo 'broker and join keys, for uid 10001'; }

up() { # HOSTS
    compose up -d --no-build --scale "vathost=$1" >&2 || return 1
    until_true 120 healthy vathost "$1" || { compose ps >&2; compose logs --tail=20 >&2; return 1; }
    until_true 30 hosts_up "$1" && echo "$1 hosts, healthy"
}

locked() { # what the containers may not do
    local id
    for id in $(ids broker) $(ids vathost); do
        docker exec "$id" sh -c '! touch /x 2>/dev/null && grep -q "^CapEff:.*0000000000000000" /proc/1/status &&
            grep -q "^NoNewPrivs:.*1" /proc/1/status && test "$(id -u)" = 10001' || return 1
    done
    # A host has neither the broker's key nor its control socket; no two have the same key.
    for id in $(ids vathost); do
        ! docker exec "$id" sh -c 'ls /run/secrets/broker.key || ls /run/vatyard/control.sock' 2>/dev/null || return 1
        docker exec "$id" cat /var/lib/vatyard/host/host.pub
    done | sort -u | awk 'END {print NR " keys"; exit NR != 3}' || return 1
    echo 'no capabilities, nothing to write, three keys'
}

compare='
import json, sys
out, expected = json.load(sys.stdin), json.load(open(sys.argv[1]))
got = {key: out.get(key) for key in expected}
if got != expected:
    sys.exit(f"got {got}, expected {expected}")'

example() { # NAME
    local where=/usr/local/share/vatyard/examples/$1
    compose run --rm -T cli cluster launch "$where/cluster.json" --wait --json --timeout 120s >"$work/out" || return 1
    python3 -c "$compare" "$top/cli/examples/$1/expected.json" <"$work/out" || return 1
    ctl ps --json | python3 -c '
import json, sys
vats = [vat for vat in json.load(sys.stdin) if vat["cluster"] == sys.argv[1]]
print(len(vats), "vats on", len({vat["host"] for vat in vats}), "hosts")' "$1" >"$work/spread"
    ctl cluster rm "$1" --yes >&2 && cat "$work/spread"
}

# Two hosts of five are taken away as one does it: their vats move, then their containers go, then they are declared gone.
shrink() {
    local gone id names=''
    gone=$(ids vathost | tail -n 2)
    for id in $gone; do names="$names $(host_named "$id")"; done
    # shellcheck disable=SC2086
    ctl host drain $names >&2 || return 1
    ctl ps --json >"$work/ps" || return 1
    # shellcheck disable=SC2086
    docker stop -t 30 $gone >&2 && docker rm -v $gone >&2 || return 1
    compose up -d --no-build --no-recreate --scale vathost=3 >&2 || return 1
    # shellcheck disable=SC2086
    until_true 30 hosts_up 3 && ctl host disavow --yes $names >&2 || return 1
    echo 'drained, removed, disavowed'
}

# ---- the bank ----

bank() { # NAME ROUNDS
    mkdir -p "$work/bank"
    cat >"$work/bank/cluster.json" <<END
{"name": "$1", "bootstrap": "customer", "vats": {
  "bank": {"bundleSpec": "/usr/local/share/vatyard/examples/bank/vats/bank.bundle.json", "parameters": {"currency": "EUR"}},
  "customer": {"bundleSpec": "/usr/local/share/vatyard/examples/bank/vats/customer.bundle.json",
    "parameters": {"payments": 20, "rounds": $2}}}}
END
    compose run --rm -T -v "$work/bank:/clusters:ro" cli cluster launch /clusters/cluster.json >&2 && echo "$2 rounds of 20 payments"
}
works() { # NAME: it is not done
    ctl inspect "$1" --json >"$work/inspect" 2>&1 || return 1
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["result"])' "$work/inspect" >"$work/result.$1" || return 1
    ctl inspect "$(cat "$work/result.$1")" --json | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)[0]["state"] != "unresolved")'
}
money() { # NAME
    ctl await "$(cat "$work/result.$1")" --json --timeout 170s >"$work/out" || return 1
    python3 -c "$compare" "$top/cli/examples/bank/expected.json" <"$work/out" || return 1
    echo 'alice 790, bob 210, total 1000'
}

# The container of the host where a vat stands: a host's name is its container's id.
where() { # CLUSTER VAT
    ctl ps --json | python3 -c '
import json, sys
print(next(v["host_name"] for v in json.load(sys.stdin) if (v["cluster"], v["name"]) == tuple(sys.argv[1:])))' "$@"
}

# fault CLUSTER COMMAND...: a bank begins, COMMAND happens while it works, and the money is right in the end.
fault() {
    local name=$1 happened
    shift
    bank "$name" "$rounds" >&2 && until_true 20 works "$name" && sleep 2 || return 1
    works "$name" || { echo 'the bank was done before that: VATYARD_TRY_ROUNDS must be larger' >&2; return 1; }
    happened=$("$@" "$name") || { echo "$happened" >&2; return 1; }
    until_true 90 hosts_up 3 && money "$name" >&2 || return 1
    echo "$happened, all the money is there"
}
kill_host() {
    local id
    id=$(where "$1" bank) || return 1
    docker kill -s KILL "$id" >&2 && sleep 2 && docker start "$id" >&2 && echo 'SIGKILL, started after 2 s'
}
kill_broker() {
    local id
    id=$(ids broker)
    docker kill -s KILL "$id" >&2 && sleep 1 && docker start "$id" >&2 && until_true 60 healthy broker 1 && echo 'SIGKILL, started after 1 s'
}
cut_off() {
    local id network
    id=$(where "$1" customer) || return 1
    network=$(docker inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' "$id")
    docker network disconnect "$network" "$id" || return 1
    until_true 30 hosts_up 2 || { docker network connect "$network" "$id"; return 1; }
    docker network connect "$network" "$id" && echo 'off the network until it was missed'
}
freeze_host() {
    local id
    id=$(where "$1" bank) || return 1
    docker pause "$id" >&2 && sleep 8 && docker unpause "$id" >&2 && echo 'frozen for 8 s'
}
freeze_broker() {
    docker pause "$(ids broker)" >&2 && sleep 7 && docker unpause "$(ids broker)" >&2 && echo 'frozen for 7 s'
}
kill_all() {
    local all
    all="$(ids vathost) $(ids broker)"
    # shellcheck disable=SC2086
    docker kill -s KILL $all >&2 && docker start $all >&2 && until_true 60 healthy broker 1 && echo 'SIGKILL for all four'
}
audit() { ctl db audit >&2 && ctl health --deep >&2 && echo clean; }

metrics() {
    local id port=${VATYARD_METRICS_PORT:-17612}
    VATYARD_METRICS_PORT=$port compose --profile metrics up -d --no-build --no-deps metrics >&2 || return 1
    until_true 20 scrape "$port" || { compose logs metrics >&2; return 1; }
    id=$(compose --profile metrics ps -q metrics) && until_true 60 is_healthy "$id" || return 1
    # It may look, and no more: whoever gets hold of it has no control socket, and the one it has takes no change.
    ! docker exec "$id" ls /run/vatyard/control.sock 2>/dev/null || { echo 'it has the control socket' >&2; return 1; }
    docker exec "$id" sh -c 'test -S /run/vatyard-read/read.sock && ! touch /run/vatyard-read/x 2>/dev/null' || {
        echo "it can write the folder of the broker's socket" >&2; return 1; }
    docker exec "$id" vatctl host ls >&2 || return 1
    ! docker exec "$id" vatctl host drain h1 2>"$work/refused" && grep -q E6003 "$work/refused" || return 1
    python3 -c 'import sys, urllib.request; print(len(urllib.request.urlopen(sys.argv[1], timeout=5).read().splitlines()), "lines")' "http://127.0.0.1:$port/metrics"
}
is_healthy() { [ "$(state_of "$1")" = healthy ]; }
scrape() { python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "http://127.0.0.1:$1/readyz" 2>/dev/null; }
bench() { compose run --rm -T bench ping --engine null --duration 3s --json >"$work/out" && tail -c 300 "$work/out" >&2 && echo 'ping, null engine, 3 s'; }

# ---- keeping ----

fingerprint() { ctl ps --json | python3 -c 'import json, sys; print(sorted((v["vat"], v["name"]) for v in json.load(sys.stdin)))'; }
# What an upgrade does: containers of another image over the same volumes, those without a name as well.
recreate() {
    local before keys
    before=$(fingerprint)
    keys=$(for id in $(ids vathost); do docker exec "$id" cat /var/lib/vatyard/host/host.pub; done | sort)
    compose up -d --no-build --force-recreate --scale vathost=3 >&2 || return 1
    until_true 120 healthy vathost 3 && until_true 60 hosts_up 3 || return 1
    [ "$before" = "$(fingerprint)" ] || return 1
    [ "$keys" = "$(for id in $(ids vathost); do docker exec "$id" cat /var/lib/vatyard/host/host.pub; done | sort)" ] || {
        echo 'a host has another key' >&2; return 1; }
    ctl call @bank1/bank getCurrency --json | grep -q EUR && echo 'new containers, the same hosts and vats'
}
backup() {
    ctl db backup /var/lib/vatyard/backup-1 >&2 || return 1
    bank after 1 >&2 && until_true 60 done_with after || return 1
    compose stop broker >&2 || return 1
    local run='run --rm --no-deps -T --entrypoint'
    # shellcheck disable=SC2086
    compose $run mv broker /var/lib/vatyard/broker /var/lib/vatyard/broker.old >&2 &&
        compose $run cp broker -a /var/lib/vatyard/backup-1 /var/lib/vatyard/broker >&2 &&
        compose run --rm --no-deps -T broker vatbroker --state /var/lib/vatyard/broker --adopt-backup >&2 || return 1
    compose start broker >&2 && until_true 60 healthy broker 1 && until_true 60 hosts_up 3 || return 1
    ! ctl inspect after >/dev/null 2>&1 || { echo 'it knows what came after the backup' >&2; return 1; }
    ctl call @bank1/bank getCurrency --json | grep -q EUR && ctl db audit >&2 && echo 'taken while it ran, brought back'
}
done_with() { ! works "$1" && [ -s "$work/result.$1" ]; }
stop_all() {
    local id code
    compose stop --timeout 30 >&2 || return 1
    for id in $(compose ps -q 2>/dev/null; compose ps -aq 2>/dev/null); do
        code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
        [ "$code" = 0 ] || { echo "$(docker inspect -f '{{.Name}}' "$id") ended with $code" >&2; return 1; }
    done
    echo 'each with exit code 0'
}

# ---- all of it ----

for tool in docker "${composer%% *}" python3; do
    command -v "$tool" >/dev/null || { skip everything "$tool is not installed"; exit; }
done
what=$(engine)
case $? in
0) said ok engine "$what"; ok=$((ok + 1)) ;;
2) step engine engine_start || exit 1 ;;
*) skip everything "engine: $what"; exit ;;
esac
step 'what is built' context || exit 1
if [ -n "$given" ]; then
    skip 'base image and build' "--image $given"
else
    step 'base image' base || exit 1
    step 'image: built' build_runtime || exit 1
fi
step 'image: no root, no compiler; runs a demo alone' looks || exit 1
[ -n "$given" ] || step 'image: the one with Node makes a bundle' tools
step 'keys' keys || exit 1
step 'up: 1 broker, 3 hosts' up 3 || exit 1
step 'up: what they may not do' locked
for folder in "$top"/cli/examples/*/; do
    name=$(basename "$folder")
    if [ ! -f "$folder/expected.json" ]; then continue; fi
    step "example: $name" example "$name"
done
step 'a bank begins' bank bank1 "$rounds"
until_true 30 works bank1
step 'scale: 5 hosts' up 5
step 'scale: 3 hosts again' shrink
step 'the money' money bank1
step 'a host dies in the middle of the bank' fault bank2 kill_host
step 'the broker dies in the middle of the bank' fault bank3 kill_broker
step 'a host is cut off in the middle of the bank' fault bank4 cut_off
step 'a host is frozen in the middle of the bank' fault bank5 freeze_host
step 'the broker is frozen in the middle of the bank' fault bank6 freeze_broker
step 'all die in the middle of the bank' fault bank7 kill_all
step 'audit' audit
step 'metrics' metrics
step 'bench' bench
step 'new containers (an upgrade)' recreate
step 'backup' backup
step 'stop' stop_all
[ -n "$given" ] || said '' 'size of the image' "$(size "$image"), base $(size debian:bookworm-slim)"
