#!/usr/bin/env python3
"""fetch, through the agent to a server on loopback and back: what a vat may reach is what its list names, redirected or
not; an answer is a delivery, so a log that is run again asks nobody; an agent that dies loses no question that may be asked
twice, and repeats none that may not."""

import http.server
import os
import ssl
import subprocess
import threading

from yard import VATS, YardTest, main, wait_for

FETCHER = os.path.join(VATS, "fetcher.js")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.asked.append((self.command, self.path, self.headers["Host"].split(":")[0]))
        if self.path.startswith("/to/"):
            self.answer(302, Location=f"http://{self.path[4:]}")
        elif self.path == "/slow":
            self.server.gate.wait(30)
            self.answer(200, b"slow")
        elif self.path == "/echo":
            self.answer(201, b"%s %s %s" % (self.command.encode(), self.headers.get("X-One", "").encode(), body),
                        Content_Type="text/echo")
        elif self.path == "/count":
            self.answer(200, str(len(self.server.asked)).encode())
        else:
            self.answer(200, "hello \u00fc".encode(), Content_Type="text/plain; charset=utf-8")

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *_):
        pass


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """An agent that was killed does not wait for its answer."""


class Server:
    def __init__(self, context=None):
        self.http = Threads(("127.0.0.1", 0), Handler)
        self.http.asked, self.http.gate = [], threading.Event()
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.scheme = "https" if context else "http"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def asked(self):
        return self.http.asked

    def url(self, path, host="localhost"):
        return f"{self.scheme}://{host}:{self.http.server_port}{path}"

    def close(self):
        self.http.gate.set()
        self.http.shutdown()
        self.http.server_close()


class Fetch(YardTest):
    def setUp(self):
        super().setUp()
        self.server = Server()
        self.addCleanup(self.server.close)
        self.up()

    def up(self):
        self.yard.ok("up")
        self.addCleanup(self.yard.ctl, "down")
        self.yard.ok("cluster", "launch", self.cluster(), "--wait")

    def cluster(self, hosts=("localhost",), globals_=("fetch", "Headers", "Request", "Response")):
        vat = {"source": FETCHER, "globals": list(globals_)}
        if hosts is not None:
            vat["network"] = {"allowedHosts": list(hosts)}
        return self.yard.cluster({"fetcher": vat}, name="web.json")

    def call(self, method, *args):
        return self.yard.ok("call", "@web/fetcher", method, *args, "--json").json["value"]

    def tries(self, url, options="undefined"):
        return self.call("tries", f"s:{url}", options)

    def seen(self, count, seconds=40):
        wait_for(lambda: len(self.call("seen")) >= count, seconds)
        return self.call("seen")

    def agents(self):
        return list(self.yard.processes("vatagent"))

    def test_an_answer(self):
        self.assertEqual({"status": 200, "statusText": "OK", "url": self.server.url("/hello"), "redirected": False,
                          "type": "text/plain; charset=utf-8", "text": "hello \u00fc"},
                         self.call("fetch", f"s:{self.server.url('/hello#part')}", "undefined"))
        self.assertEqual("201 POST two body \u00fc",
                         self.tries(self.server.url("/echo"),
                                    '{method: "POST", body: "body \u00fc", headers: {"x-one": "two"}}'))
        self.assertSound()

    def test_hosts(self):
        port = self.server.http.server_port
        self.assertEqual("Error: Invalid host: 127.0.0.1", self.tries(self.server.url("/hello", "127.0.0.1")))
        self.assertEqual([], self.server.asked)
        self.assertEqual("200 hello \u00fc", self.tries(self.server.url(f"/to/localhost:{port}/hello")))
        self.assertEqual("Error: Invalid host: 127.0.0.1", self.tries(self.server.url(f"/to/127.0.0.1:{port}/hello")))
        self.assertEqual({"localhost"}, {host for _, _, host in self.server.asked})
        self.assertRegex(self.tries("file:///etc/passwd"), "fetch cannot target file:// URLs")
        self.assertRegex(self.tries("http://localhost:1/"), "^TypeError: fetch failed: Failed to connect")

    def test_without_a_list(self):
        result = self.yard.ctl("cluster", "launch", self.cluster(None))
        self.assertNotEqual(0, result.code)
        self.assertIn('requested "fetch" but no network.allowedHosts was specified', result.out + result.err)

    def test_a_log_that_is_run_again_asks_nobody(self):
        for _ in range(3):
            self.call("begin", f"s:{self.server.url('/count')}", "undefined")
        before = self.seen(3)
        self.assertEqual(["1", "2", "3"], sorted(before))
        self.yard.kill(self.yard.workers())
        self.assertEqual(before, self.seen(3))
        self.assertEqual(3, len(self.server.asked))
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        self.assertEqual(before, self.seen(3))
        self.assertEqual(3, len(self.server.asked))
        self.assertSound()

    def test_the_agent_dies(self):
        self.call("begin", f"s:{self.server.url('/slow')}", "undefined")
        self.call("begin", f"s:{self.server.url('/slow')}", '{method: "POST"}')
        self.assertTrue(wait_for(lambda: len(self.server.asked) == 2))
        self.yard.kill(self.agents())
        self.assertTrue(wait_for(lambda: len(self.server.asked) == 3), "what only asks is asked again")
        lost = self.seen(1)
        self.assertEqual(1, len(lost))
        self.assertIn("[KERNEL:CONNECTION_LOST]", lost[0], "what may change something is not")
        self.server.http.gate.set()
        self.assertEqual([*lost, "slow"], self.seen(2))
        self.assertEqual(["GET", "GET", "POST"], sorted(method for method, _, _ in self.server.asked))
        self.assertEqual("200 hello \u00fc", self.tries(self.server.url("/hello")))
        self.assertSound()

    def test_many_questions_and_agents_that_die(self):
        count = 60
        for _ in range(count):
            self.call("begin", f"s:{self.server.url('/slow')}", "undefined")
        for _ in range(3):
            asked = len(self.server.asked)
            self.yard.kill(self.agents())
            self.assertTrue(wait_for(lambda: len(self.server.asked) >= asked + 32), "all that may go on at once do")
        self.server.http.gate.set()
        self.assertEqual(["slow"] * count, self.seen(count))
        self.assertSound()

    def test_the_broker_dies(self):
        self.call("begin", f"s:{self.server.url('/slow')}", "undefined")
        self.assertTrue(wait_for(lambda: len(self.server.asked) == 1))
        self.yard.kill(self.yard.processes("vatbroker"))
        self.yard.ok("up")
        self.assertTrue(wait_for(lambda: len(self.server.asked) == 2), "asked again")
        self.server.http.gate.set()
        self.assertEqual(["slow"], self.seen(1))


class Https(YardTest):
    """Over TLS, with a certificate that is trusted only because the broker was started with SSL_CERT_FILE."""

    def setUp(self):
        super().setUp()
        self.certificate = os.path.join(self.yard.dir, "certificate.pem")
        key = os.path.join(self.yard.dir, "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server = Server(context)
        self.addCleanup(self.server.close)
        self.addCleanup(self.yard.ctl, "down")

    def tries(self, host):
        vat = {"source": FETCHER, "globals": ["fetch"], "network": {"allowedHosts": ["localhost", "127.0.0.1"]}}
        self.yard.ok("up")
        if not self.yard.ok("cluster", "ls", "--json").json:
            self.yard.ok("cluster", "launch", self.yard.cluster({"fetcher": vat}, name="web.json"), "--wait")
        return self.yard.ok("call", "@web/fetcher", "tries", f"s:{self.server.url('/hello', host)}", "--json").json["value"]

    def test_certificates_are_checked(self):
        self.assertRegex(self.tries("localhost"), "^TypeError: fetch failed: SSL certificate problem")
        self.yard.ok("down")
        self.yard.env["SSL_CERT_FILE"] = self.certificate
        self.assertEqual("200 hello \u00fc", self.tries("localhost"))
        self.assertRegex(self.tries("127.0.0.1"), "^TypeError: fetch failed: SSL", "it is another name's")
        self.assertEqual([("GET", "/hello", "localhost")], self.server.asked)


if __name__ == "__main__":
    main()
