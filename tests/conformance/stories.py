#!/usr/bin/env python3
"""Scenarios told by C programs: of tests/story, kernel and supervisors with vats that say syscalls one by one, in windows of 1, 4 and
16; of tests/unit, the kernel alone with a clock that the test moves. Each row names the Criterion test that proves it; a row
without such a test fails."""

import os
import re
import subprocess
import sys
import tempfile

from conform import BIN, Row, absent, begin, record

OK = re.compile(r"^(ok|not ok) - (\S+)::(\S+)")
stories = {}  # program -> {test: rows}


def told(program, test, suite, scenario, verdict="same", why=""):
    stories.setdefault(program, {}).setdefault(test, []).append(Row(suite, scenario, verdict, why))


def kernel():
    def row(scenario, test, **verdict):
        told("story_kernel", f"kernel::{test}", "kernel", scenario, **verdict)

    row("map inbound", "names_of_objects")
    row("outbound call", "an_outbound_call")
    row("three-party", "three_parties")
    row("transfer promise", "a_promise_goes_there_and_back")
    row("subscribe to promise", "who_does_not_subscribe_is_not_told")
    row("promise resolveToData", "resolved_to_data")
    row("promise resolveToPresence", "resolved_to_a_presence")
    row("promise fails when resolve to promise", "resolved_to_a_promise")
    row("promise reject", "rejected_with_itself")
    told("story_vpid_kernel", "vpid_kernel::a_result_promise_that_was_sent", "kernel", "result promise in args (non-pipelining)")
    row("non-pipelined promise queueing", "calls_wait_at_their_promises")
    for kind in ("static", "dynamic"):
        told("story_kernel", "kernel::an_unknown_name", "syscall-failure", f"{kind} vat syscall failure")
    absent("kernel", "no vat is asked about messages to promises that it decides", "result promise in args (pipelining)",
           "pipelined promise queueing", "pipelined promise queueing with delay")
    absent("kernel", "inner tables of SwingSet's kernel, and kinds of workers", "build kernel", "addImport", "transcript",
           "xs-worker default manager type", "injectQueuedUpgradeEvents")


def gc_kernel():
    def row(scenario, test, **verdict):
        told("story_gc_kernel", f"gc_kernel::{test}", "gc-kernel", scenario, **verdict)

    for mode in ("13", "14", "23", "24A", "24B"):
        row(f"mode{mode}", f"mode_{mode}")
    row("retire before drop is error", "retire_before_drop_is_illegal")
    row("two importers both drop+retire", "two_importers_drop_and_retire")
    row("two importers both drop but not retire", "two_importers_drop")
    row("two importers: drop+retire, cross-import, drop+retire", "two_importers_and_back_again")
    row("promise resolution holds the only reference", "the_value_of_a_promise_holds_it")
    row("promise queue holds the only reference, resolved", "a_message_to_a_promise_holds_it_until_delivered")
    row("promise queue holds the only reference, rejected", "a_message_to_a_promise_holds_it_until_rejected")
    row("message to self", "a_message_to_oneself")
    row("terminated vat", "a_vat_that_ends")
    absent("gc-kernel", "there are no devices", "device transfer")

    for cause in ("abandon", "terminate"):
        for when in ("before", "after"):
            for state in ("reachable", "recognizable", "none"):
                told("story_gc_kernel", f"gc_kernel_orphan::{cause}_{when}_{state}", "gc-kernel-orphan",
                     f"orphan test {cause}-{when}-{state}")
    for how in ("dropped", "retired"):
        told("story_gc_kernel", f"gc_kernel_orphan::it_ends_when_the_last_message_comes_{how}", "gc-kernel-orphan",
             f"termination plus maybeFreeKrefs - {how}")
    for how in ("reachable", "recognizable"):
        told("story_gc_kernel", f"gc_kernel_abandon::{how}", "abandon-export", f"abandon {how} object")


def vpid_kernel():
    def row(scenario, test, **verdict):
        told("story_vpid_kernel", f"vpid_kernel::{test}", "vpid-kernel", scenario, **verdict)

    for case in range(1, 8):
        for mode in ("presence", "local-object", "data", "promise-data", "reject", "promise-reject"):
            pipelining = {"verdict": "differs", "why": "needs a vat with `enablePipelining` (SwingSet's comms vat); here a result promise is always "
                          "new, as for every other vat there: the vat ends for an illegal syscall"} if case in (3, 7) else {}
            row(f"case{case} {mode}", f"case{case}_{mode.replace('-', '_')}", **pipelining)
    row("crossing resolutions", "crossing_resolutions")
    row("reflected message (enablePipelining=false)", "reflected_message")
    absent("vpid-kernel", "no vat is asked about messages to promises that it decides", "reflected message (enablePipelining=true)")
    row("rejects imported result promise", "an_imported_result_promise")
    row("rejects previously exported result promise", "a_result_promise_that_was_sent")


def vat_timer():
    for program, tests in {
            "broker_kernel_timer_test": {
                "getCurrentTimestamp": "the_time_is_told_and_never_goes_back", "clock": "brand_and_clock_are_one_each",
                "setWakeup": "a_wakeup_comes_once_and_in_time", "wakeAt": "promises_of_a_time_are_kept", "delay": "delays"},
            "broker_kernel_series_test": {
                "makeRepeater": "repeaters", "makeRepeater from now": "repeaters",
                "repeatAfter": "repeats_go_on_when_the_handler_has_answered", "repeatAfter from now": "repeats_from_now_on",
                "repeatAfter shared cancel token": "a_shared_token_cancels_all",
                "notifier in future": "a_notifier_in_the_future", "notifier from now": "a_notifier_from_now",
                "cancel notifier": "cancelled_notifiers_say_when", "iterator": "iterators", "cancel active iterator": "iterators",
                "cancel idle iterator": "iterators"}}.items():
        for scenario, test in tests.items():
            told(program, f"timer::{test}", "vat-timer", scenario)
    told("broker_kernel_timer_test", "timer::wrong_arguments", "vat-timer", "brand", "same, but",
         "`TimerBrands must match`, without the two brands in the text")
    absent("vat-timer", "inner functions of SwingSet's timer vat", "schedule", "cancels", "measureInterval")


def run(program, tests):
    """Runs one program; sets what became of its rows. Returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="vatyard-test-") as folder:
        report = os.path.join(folder, "tap")
        done = subprocess.run([os.path.join(BIN, program), "-j1", f"--tap={report}"], capture_output=True, text=True, timeout=280)
        with open(report, encoding="utf-8") as file:
            results = {f"{m[2]}::{m[3]}": m[1] == "ok" for m in map(OK.match, file) if m}
    if done.returncode:
        print(done.stderr)
    for test, rows in tests.items():
        if test not in results:
            print(f"{program} has no test {test}")
        for row in rows:
            row.passed = results.get(test, False)
    return done.returncode


def main():
    begin()
    kernel()
    gc_kernel()
    vpid_kernel()
    vat_timer()
    code = [run(program, tests) for program, tests in stories.items()]
    record()
    failed = any(row.passed is False for tests in stories.values() for rows in tests.values() for row in rows)
    sys.exit(1 if failed or any(code) else 0)


if __name__ == "__main__":
    main()
