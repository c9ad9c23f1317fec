#!/usr/bin/env python3
"""What vats reach outside, in ocap-kernel's manner: service, endowments, endowment-globals, io (kernel-test) and system-subcluster
(kernel-node-runtime). vats/ocap.js, globals.js, reader.js, system.js."""

import http.server
import json
import os
import re
import socket
import threading

from conform import VATS, main, shows
from ocap import Ocap, iife
from yard import wait_for

NETWORK = ["fetch", "Request", "Headers", "Response"]


class Powers(Ocap):
    def config(self, code, name="test", services=None, more=None, **vat):
        spec = {"bundleSpec": iife(self.yard, os.path.join(VATS, f"{code}.js")), "parameters": {}, **vat}
        cluster = {"bootstrap": name, "vats": {name: spec}, **(more or {})}
        if services is not None:
            cluster["services"] = services
        return self.yard.file(f"{name}.json", cluster)


class Service(Powers):
    @shows("service", "can invoke a kernel service and get an answer", verdict="same, but", why="with the kernel's own timer: a host cannot add services, what it would write there is a vat here")
    def test_service(self):
        self.up()
        self.yard.ok("cluster", "launch", self.config("ocap", services=["timer"], parameters={"role": "customer"}), "--wait")
        self.assertPrinted(["services: timer"], "test")
        self.assertRegex(json.dumps(self.call("@test", "go", "s:getCurrentTimestamp")), r'"absValue": "\d{13}n"')

    @shows("service", "configure subcluster with unknown service throws")
    def test_unknown(self):
        self.up()
        result = self.yard.ctl("cluster", "launch", self.config("ocap", services=["testService"], parameters={"role": "customer"}))
        self.assertNotEqual(0, result.code)
        self.assertIn("no registered kernel service 'testService'", result.err)
        self.assertEqual({}, self.ps())

    @shows("service", "invoking unknown service method throws")
    def test_unknown_method(self):
        self.up()
        self.yard.ok("cluster", "launch", self.config("ocap", services=["timer"], parameters={"role": "customer"}), "--wait")
        self.call("@test", "goBadly")
        self.assertTrue(wait_for(lambda: re.match("kernel service threw:.*nonexistentMethod", self.lines("test")[-1])))


class Globals(Powers):
    absent_names = ["URL", "URLSearchParams", "atob", "btoa", "AbortController", "AbortSignal", "setTimeout", "clearTimeout", "setInterval",
                    "clearInterval", "crypto", "SubtleCrypto"]

    def vat(self, *names):
        self.up()
        self.yard.ok("cluster", "launch", self.config("globals", globals=list(names)), "--wait")

    def value(self, method, *names):
        self.vat(*names)
        return self.call("@test", method)

    @shows("endowment-globals", "can use TextEncoder and TextDecoder")
    def test_text(self):
        self.assertEqual("hello", self.value("text", "TextEncoder", "TextDecoder"))

    @shows("endowment-globals", "can use URL and URLSearchParams")
    def test_url(self):
        self.assertEqual(["/path", "10", "https://example.com/path?a=1&b=2"], self.value("url", "URL", "URLSearchParams"))

    @shows("endowment-globals", "can use atob and btoa")
    def test_base64(self):
        self.assertEqual("hello world", self.value("base64", "atob", "btoa"))

    @shows("endowment-globals", "can use AbortController and AbortSignal")
    def test_abort(self):
        self.assertEqual([False, True], self.value("abort", "AbortController", "AbortSignal"))

    @shows("endowment-globals", "can use setTimeout and clearTimeout")
    def test_timeout(self):
        self.assertEqual("fired", self.value("timeout", "setTimeout", "clearTimeout"))

    @shows("endowment-globals", "can use setInterval and clearInterval")
    def test_interval(self):
        self.assertEqual(2, self.value("interval", "setInterval", "clearInterval"))

    @shows("endowment-globals", "can use real Date (not tamed)", verdict="same, but", why="the time is that of the delivery, and the same for a whole crank")
    def test_date(self):
        self.assertIs(True, self.value("date", "Date"))

    @shows("endowment-globals", "can use crypto.getRandomValues", verdict="same, but", why="the bytes come from the delivery's seed")
    def test_bytes(self):
        self.assertIs(True, self.value("bytes", "crypto", "SubtleCrypto"))

    @shows("endowment-globals", "can use Math.random sourced from crypto.getRandomValues", verdict="same, but", why="chance comes from the delivery's seed")
    def test_chance(self):
        self.assertIs(True, self.value("chance", "Math"))

    @shows("endowment-globals", *(f"does not have {name} without endowing it" for name in absent_names))
    def test_none(self):
        self.vat()
        for name in self.absent_names:
            with self.subTest(name=name):
                self.assertIs(False, self.call("@test", "has", f"s:{name}"))

    @shows("endowment-globals", "does not have TextEncoder without endowing it", "does not have TextDecoder without endowing it", verdict="differs",
           why="every vat has them, as in SwingSet's workers; to ask for them is no error")
    def test_always(self):
        self.vat()
        self.assertEqual([True, True], [self.call("@test", "has", f"s:{name}") for name in ("TextEncoder", "TextDecoder")])

    @shows("endowment-globals", "throws when calling tamed Date.now without endowing Date", "throws when calling tamed Math.random without endowing Math")
    def test_tamed(self):
        self.vat()
        for method in "date", "chance":
            self.refused("secure mode", "call", "@test", method)

    def narrowed(self, allowed, *names):
        """Launches at a broker that allows only these globals."""
        home = self.yard.home
        state = [os.path.join(home, part) for part in ("broker", "host-1")]
        for folder in state:
            os.makedirs(folder)
        key = self.yard.start("--state", state[1], "--print-key", program="vathost").communicate(timeout=20)[0].strip()
        with open(os.path.join(state[0], "hosts.allow"), "w", encoding="utf-8") as file:
            file.write(f"{key} host-1\n")
        door = f"ipc://{home}/control.sock"
        broker = self.yard.start("--state", state[0], "--control", door, "--globals", allowed, program="vatbroker")
        ready = json.loads(broker.stdout.readline().removeprefix("ready "))
        host = self.yard.start("--state", state[1], "--name", "host-1", "--broker", ready["hosts"], "--server-key", ready["key"],
                               program="vathost")
        self.assertIn("ready", host.stdout.readline())
        self.yard.env["VATYARD_ENDPOINT"] = door
        return self.yard.ctl("cluster", "launch", self.config("globals", globals=list(names)), "--wait")

    @shows("endowment-globals", "throws when a vat requests a global excluded by the kernel")
    def test_excluded(self):
        result = self.narrowed("TextEncoder TextDecoder", "TextEncoder", "TextDecoder", "URL")
        self.assertNotEqual(0, result.code)
        self.assertIn('requested unknown global "URL"', result.err)

    @shows("endowment-globals", "initializes when all vat globals are within allowedGlobalNames")
    def test_within(self):
        self.assertExit(0, self.narrowed("TextEncoder TextDecoder", "TextEncoder", "TextDecoder"))
        self.assertEqual("hello", self.call("@test", "text"))

    @shows("endowment-globals", "allows all globals when allowedGlobalNames is omitted")
    def test_all(self):
        self.assertEqual("/path", self.value("url", "URL", "URLSearchParams")[0])

    @shows("endowment-globals", "rejects every vat global when allowedGlobalNames is empty")
    def test_nothing_allowed(self):
        result = self.narrowed("", "TextEncoder")
        self.assertNotEqual(0, result.code)
        self.assertIn('requested unknown global "TextEncoder"', result.err)

    @shows("endowment-globals", "rejects unknown names in allowedGlobalNames at the RPC boundary", verdict="same, but",
           why="the list is an argument of vatbroker, which does not start with a name that there is not")
    def test_unknown_allowed(self):
        result = self.yard.start("--state", os.path.join(self.yard.dir, "b"), "--globals", "TextEncoder NotARealGlobal", program="vatbroker")
        _, err = result.communicate(timeout=20)
        self.assertEqual(2, result.returncode)
        self.assertIn("--globals", err)


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"Hello, world!")

    def log_message(self, *_):
        pass


class Endowments(Powers):
    @shows("endowments", "can use endowments")
    def test_fetch(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.up()
        self.yard.ok("cluster", "launch", self.config("globals", globals=NETWORK, network={"allowedHosts": ["localhost"]}), "--wait")
        self.assertEqual(200, self.call("@test", "hello", f"s:http://localhost:{server.server_port}"))
        self.refused("Invalid host: bad-url.test", "call", "@test", "hello", "s:https://bad-url.test")
        self.assertPrinted(["buildRootObject", "bootstrap", "response: Hello, world!", "Request constructor: ok", "Headers constructor: ok",
                          "Response constructor: ok", "error: Error: Invalid host: bad-url.test"], "test")


class Io(Powers):
    @shows("io", "reads and writes through an IO channel")
    def test_socket(self):
        self.up()
        path = os.path.join(self.yard.dir, "io.sock")
        self.yard.ok("cluster", "launch", self.config("reader", services=["repl"], more={"io": {"repl": {"type": "socket", "path": path}}}), "--wait")
        self.assertTrue(wait_for(lambda: os.path.exists(path)))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            self.assertTrue(wait_for(lambda: client.connect_ex(path) == 0))
            client.sendall(b"hello from test\n")
            self.call("@test", "read")
            self.assertEqual("hello from test", self.call("@test", "getLine"))
            self.call("@test", "write", "s:hello from vat")
            self.assertEqual(b"hello from vat\n", client.recv(100))


class System(Powers):
    def systems(self, *names):
        files = [self.config("system", name=name, services=["kernelFacet"],
                             more={"bundles": {"child": {"bundleSpec": iife(self.yard, self.source)}}}) for name in names]
        self.yard.ok("up", *(word for file in files for word in ("--system", file)))

    def setUp(self):
        super().setUp()
        self.addCleanup(self.yard.ctl, "down")

    def clusters(self):
        return [row["name"] for row in self.yard.ok("cluster", "ls", "--json").json]

    @shows("system-subcluster", "launches system subcluster at kernel initialization", "provides bootstrap root via getSystemSubclusterRoot",
           "receives kernelFacet service in bootstrap")
    def test_launched(self):
        self.systems("test-system")
        self.assertEqual(["test-system"], self.clusters())
        self.assertIs(True, self.call("@test-system", "hasFacet"))

    @shows("system-subcluster", "queries kernel status via kernelFacet")
    def test_status(self):
        self.systems("test-system")
        status = self.call("@test-system", "getStatus")
        self.assertEqual((1, 1), (len(status["vats"]), len(status["subclusters"])))

    def launch_child(self):
        return self.call("@test-system", "launch", '{bootstrap: "child", vats: {child: {bundleName: "child", parameters: {role: "plain"}}}}')

    @shows("system-subcluster", "launches subcluster via kernelFacet", verdict="same, but", why="the config names code by `bundleName` or `bundleHash`, never by path")
    def test_launch(self):
        self.systems("test-system")
        self.assertEqual(1, len(self.call("@test-system", "getSubclusters")))
        self.launch_child()
        self.assertEqual(2, len(self.call("@test-system", "getSubclusters")))
        self.assertEqual(2, len(self.clusters()))

    @shows("system-subcluster", "terminates subcluster via kernelFacet", verdict="same, but", why="as before")
    def test_terminate(self):
        self.systems("test-system")
        cluster = self.launch_child()["subclusterId"]
        self.assertEqual(2, len(self.call("@test-system", "getSubclusters")))
        self.call("@test-system", "terminate", f"s:{cluster}")
        self.assertEqual(1, len(self.call("@test-system", "getSubclusters")))
        self.assertSound()

    @shows("system-subcluster", "restores existing system subcluster on kernel restart", "persists baggage data across kernel restarts")
    def test_restart(self):
        self.systems("test-system")
        before = self.yard.ok("cluster", "ls", "--json").json[0]["cluster"]
        self.call("@test-system", "store", "s:persistent-data", "s:hello from first incarnation")
        self.yard.ok("down")
        self.assertNothingRuns()
        self.systems("test-system")
        self.assertEqual([before], [row["cluster"] for row in self.yard.ok("cluster", "ls", "--json").json])
        self.assertIs(True, self.call("@test-system", "hasFacet"))
        self.assertEqual("hello from first incarnation", self.call("@test-system", "read", "s:persistent-data"))
        self.assertEqual([True, False], [self.call("@test-system", "has", f"s:{key}") for key in ("persistent-data", "non-existent-key")])
        self.assertSound()

    @shows("system-subcluster", "launches multiple system subclusters at kernel initialization")
    def test_two(self):
        self.systems("system-1", "system-2")
        self.assertEqual(["system-1", "system-2"], self.clusters())
        for name in "system-1", "system-2":
            self.assertIs(True, self.call(f"@{name}", "hasFacet"))


if __name__ == "__main__":
    main()
