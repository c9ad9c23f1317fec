#!/usr/bin/env python3
"""Times `vatctl db audit --state` on a kernel.db with OBJECTS objects (a million), a tenth as many
promises and queue entries, and 2.7 times as many authority rows.

    audit_file.py BIN [OBJECTS]     BIN: where vatctl, vatbroker and audit_bench and pages_sql are
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

def make_state(bin_dir, state):
    """An empty state, as a broker makes it."""
    os.makedirs(state)
    broker = subprocess.Popen([os.path.join(bin_dir, "vatbroker"), "--state", state], stdout=subprocess.PIPE)
    assert broker.stdout.readline().startswith(b"ready"), "the broker does not start"
    broker.send_signal(signal.SIGTERM)
    assert broker.wait() == 0


def fill(bin_dir, state, objects):
    rows = subprocess.Popen([os.path.join(bin_dir, "audit_bench"), "--rows", str(objects)], stdout=subprocess.PIPE)
    subprocess.run([os.path.join(bin_dir, "pages_sql"), os.path.join(state, "kernel.db")], stdin=rows.stdout, check=True)
    assert rows.wait() == 0


def main():
    bin_dir, objects = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1000000"
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "broker")
        make_state(bin_dir, state)
        fill(bin_dir, state, objects)
        size = os.path.getsize(os.path.join(state, "kernel.db"))
        begin, before = time.monotonic(), os.times()
        audit = subprocess.run([os.path.join(bin_dir, "vatctl"), "db", "audit", "--state", folder], text=True,
                               capture_output=True, check=False)
        seconds, after = time.monotonic() - begin, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        print(audit.stdout + audit.stderr, end="")
        print(f"kernel.db of {size >> 20} MiB: {seconds:.1f} s, of CPU {cpu:.1f} s, exit {audit.returncode}")
        return audit.returncode


if __name__ == "__main__":
    sys.exit(main())
