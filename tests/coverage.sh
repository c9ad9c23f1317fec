#!/bin/sh
# Line and branch coverage of the pure parts (broker/kernel, vathost/supervisor) by the tests of them that
# run in one process. Needs gcovr. Arguments go to gcovr: tests/coverage.sh --html-details out.html
#
# Left out of the branches: lines with must(), whose failing side ends the process; nothing else.
set -eu
cd "$(dirname "$0")/.."
jobs=${JOBS:-$(nproc)}
build=build/coverage
pure='^(broker_kernel_|supervisor_|clist_test|story_|fuzz_kernel)'
seeds=300

# Says what COMMAND said only when it fails.
quietly() {
    log=$build.log
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        echo "coverage: failed: $*" >&2
        exit 1
    fi
}

mkdir -p build
quietly cmake --preset coverage
# A test is named after its program.
programs=$(ctest --test-dir "$build" -N -R "$pure" | sed -n 's/^ *Test *#[0-9]*: //p')
quietly cmake --build --preset coverage -j "$jobs" --target $programs sim
find "$build" -name '*.gcda' -delete
quietly ctest --test-dir "$build" -R "$pure" -j "$jobs" --no-label-summary --output-on-failure
quietly "$build/bin/sim" --seeds "$seeds" --jobs "$jobs"
gcovr --root . --object-directory "$build" --filter broker/kernel/ --filter vathost/supervisor/ \
    --exclude-directories '.*planted.*' --exclude-branches-by-pattern '.*must\(.*' --branches "$@"
