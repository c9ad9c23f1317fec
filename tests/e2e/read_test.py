#!/usr/bin/env python3
"""The broker's door for reading only: what figures need goes through it, and nothing else; and what serves them over HTTP is
healthy by itself."""

import json
import os
import signal
import stat
import threading
import time
import urllib.error
import urllib.request

from yard import YardTest, main, wait_for

READS = [["stats"], ["metrics"], ["health"], ["health", "--live"], ["health", "--ready"], ["ps"],
         ["cluster", "ls"], ["host", "ls"]]
CHANGES = [["kill", "v1", "--yes"], ["cluster", "rm", "s1", "--yes"], ["host", "drain", "h1"], ["gc"], ["down"],
           ["db", "audit"], ["health", "--deep"], ["objects"], ["queue"], ["trace"], ["db", "backup", "copy"]]


class Read(YardTest):
    def setUp(self):
        super().setUp()
        self.read = f"ipc://{self.yard.dir}/door/read.sock"
        self.broker = self.start()

    def start(self):
        child = self.yard.start("--state", os.path.join(self.yard.dir, "broker"), "--control-read", self.read,
                                program="vatbroker")
        line = child.stdout.readline()
        self.assertTrue(line.startswith("ready "), line)
        says = json.loads(line[6:])
        self.assertEqual(self.read, says["control_read"])
        self.yard.env["VATYARD_ENDPOINT"] = says["control"]
        return child

    def reader(self, *words):
        return self.yard.ctl(*words, "--endpoint", self.read)

    def test_figures_and_lists_and_nothing_else(self):
        mode = os.stat(self.read[6:]).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(0o600, mode & 0o777)
        for words in READS:
            self.assertExit(0, self.reader(*words))
        refused = []
        for words in CHANGES:
            result = self.reader(*words)
            self.assertNotEqual(0, result.code, words)
            if result.code == 5:
                self.assertIn("E6003", result.err, words)
                self.assertIn("--endpoint", result.err, words)
                refused.append(words[0])
        # Those that look up a name first fail at that: there is nothing of that name.
        self.assertLessEqual({"gc", "db", "health", "objects"}, set(refused), refused)
        self.assertIsNone(self.broker.poll(), "it goes on")
        self.assertExit(0, self.yard.ctl("health", "--deep"))
        stats = self.reader("metrics").out
        self.assertRegex(stats, r'(?m)^vatyard_received_frames_total\{door="readers"\} [1-9]')

    def test_what_serves_the_figures_is_healthy_by_itself(self):
        server = self.yard.start("metrics", "--listen", "127.0.0.1:0", "--endpoint", self.read)
        url = server.stdout.readline().strip()

        def status(path):
            try:
                with urllib.request.urlopen(url + path, timeout=20) as answer:
                    return answer.status
            except urllib.error.HTTPError as error:
                return error.code

        for path in "/metrics", "/healthz", "/readyz", "/livez":
            self.assertEqual(200, status(path), path)
            self.assertExit(0, self.yard.ctl("health", "--http", url + path))
        self.broker.terminate()
        self.broker.wait(20)
        self.assertTrue(wait_for(lambda: status("/readyz") == 503, 5))
        self.assertExit(9, self.yard.ctl("health", "--http", url + "/readyz"))
        result = self.yard.ctl("health", "--http", url + "/livez", "--json")
        self.assertExit(0, result)
        self.assertTrue(result.json["healthy"])
        self.start()
        self.assertTrue(wait_for(lambda: status("/metrics") == 200, 10))
        server.terminate()
        server.wait(20)
        result = self.yard.ctl("health", "--http", url + "/livez")
        self.assertExit(9, result)
        self.assertIn("refused", result.out)

    def test_it_is_alive_while_others_wait_for_a_broker_that_hangs(self):
        server = self.yard.start("metrics", "--listen", "127.0.0.1:0", "--endpoint", self.read)
        url = server.stdout.readline().strip()
        waited = []

        def scrape():
            begun = time.monotonic()
            try:
                with urllib.request.urlopen(url + "/metrics", timeout=60) as answer:
                    waited.append((answer.status, time.monotonic() - begun))
            except urllib.error.HTTPError as error:
                waited.append((error.code, time.monotonic() - begun))

        threads = [threading.Thread(target=scrape) for _ in range(4)]
        self.broker.send_signal(signal.SIGSTOP)
        try:
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            begun = time.monotonic()
            result = self.yard.ctl("health", "--http", url + "/livez", "--timeout", "4s")
            took = time.monotonic() - begun
            self.assertExit(0, result)
            self.assertTrue(not waited or took > 4, f"they wait: {waited}")
        finally:
            self.broker.send_signal(signal.SIGCONT)
            for thread in threads:
                thread.join(60)
        self.assertEqual(4, len(waited))

    def test_a_url_is_asked_for_itself_alone(self):
        for words in ["--deep"], ["--ready"], ["--live"], ["--hosts", "1"], ["--vathost", self.yard.dir]:
            result = self.yard.ctl("health", "--http", "http://127.0.0.1:1/", *words)
            self.assertExit(2, result)
            self.assertIn("exclude each other", result.err)
        self.assertExit(2, self.yard.ctl("health", "--http", "https://127.0.0.1/"))


if __name__ == "__main__":
    main()
