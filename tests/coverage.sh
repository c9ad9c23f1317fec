#!/bin/sh
# Line and branch coverage of the pure parts (broker/kernel, vathost/supervisor) by the tests that run
# in one process. Needs gcovr. Arguments go to gcovr: tests/coverage.sh --html-details out.html
#
# Left out: the failing side of must(), which ends the process, and the loops of table macros.
set -eu
cd "$(dirname "$0")/.."
cmake --preset coverage >/dev/null
cmake --build --preset coverage >/dev/null
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -L 'unit|story|sim|fuzz' -j2 --no-label-summary >/dev/null || {
    echo 'some tests fail under coverage: ctest --test-dir build/coverage' >&2
    exit 1
}
gcovr --root . --object-directory build/coverage --filter broker/kernel/ --filter vathost/supervisor/ \
    --exclude-branches-by-pattern '.*(must\(|AUTO\(|PLANTED\().*' --exclude-throw-branches --branches "$@"
