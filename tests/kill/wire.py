"""A client of a broker without any library: ZeroMQ's DEALER over a Unix socket, MessagePack, and the messages
of wire/schema/control.def, whose rows are read and not repeated here.

The client connects again by itself and repeats what has no answer, by the ids it had: that is what a request id is for.
It can also drop dead, and forget what it asked."""

import collections
import os
import re
import select
import socket
import struct
import time

from failpoints import SOURCE

PROMISE = 1 << 63


def kref(vat, serial, promise=False):
    return (PROMISE if promise else 0) | vat << 40 | serial


# ---- MessagePack, as canonical as wire/codec wants it


def pack(value, out):
    if value is None:
        out.append(0xC0)
    elif value is True or value is False:
        out.append(0xC3 if value else 0xC2)
    elif isinstance(value, int):
        if value < 0x80:
            out.append(value)
        elif value < 1 << 8:
            out += b"\xcc" + value.to_bytes(1, "big")
        elif value < 1 << 16:
            out += b"\xcd" + value.to_bytes(2, "big")
        elif value < 1 << 32:
            out += b"\xce" + value.to_bytes(4, "big")
        else:
            out += b"\xcf" + value.to_bytes(8, "big")
    elif isinstance(value, str):
        data = value.encode()
        _head(out, len(data), 0xA0, 32, (0xD9, 0xDA, 0xDB))
        out += data
    elif isinstance(value, (bytes, bytearray)):
        _head(out, len(value), None, 0, (0xC4, 0xC5, 0xC6))
        out += value
    else:
        _head(out, len(value), 0x90, 16, (None, 0xDC, 0xDD))
        for item in value:
            pack(item, out)
    return out


def _head(out, size, small, below, codes):
    if size < below:
        out.append(small | size)
    elif size < 1 << 8 and codes[0]:
        out += bytes((codes[0], size))
    elif size < 1 << 16:
        out.append(codes[1])
        out += size.to_bytes(2, "big")
    else:
        out.append(codes[2])
        out += size.to_bytes(4, "big")


def unpack(data, at=0):
    """(value, where the next one begins)"""
    code = data[at]
    at += 1
    if code < 0x80:
        return code, at
    if code in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[code], at
    if 0xCC <= code <= 0xCF:
        size = 1 << (code - 0xCC)
        return int.from_bytes(data[at : at + size], "big"), at + size
    if code & 0xE0 == 0xA0:
        return data[at : at + (code & 31)].decode(), at + (code & 31)
    if code & 0xF0 == 0x90:
        size = code & 15
    else:
        width = {0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC4: 1, 0xC5: 2, 0xC6: 4, 0xDC: 2, 0xDD: 4}[code]
        size = int.from_bytes(data[at : at + width], "big")
        at += width
        if code in (0xD9, 0xDA, 0xDB):
            return data[at : at + size].decode(), at + size
        if code in (0xC4, 0xC5, 0xC6):
            return bytes(data[at : at + size]), at + size
    items = []
    for _ in range(size):
        item, at = unpack(data, at)
        items.append(item)
    return items, at


# ---- the table of messages


class Table:
    def __init__(self):
        with open(os.path.join(SOURCE, "wire", "schema", "control.def"), encoding="utf-8") as file:
            text = file.read()
        self.tags = {name: int(tag, 16) for name, tag in re.findall(r"^MESSAGE\((\w+), (0x[0-9a-f]+),", text, re.M)}
        self.names = {tag: name for name, tag in self.tags.items()}
        self.fields = {name: [] for name in self.tags}
        for name, _, field in re.findall(r"^FIELD\((\w+), (\w+), (\w+),", text, re.M):
            self.fields[name].append(field)

    def encode(self, name, /, **values):
        frame = [self.tags[name]] + [values.pop(field) for field in self.fields[name]]
        assert not values, values
        return bytes(pack(frame, bytearray()))

    def decode(self, frame):
        """(name, {field: value}); ("", {}) for messages of other tables."""
        items, _ = unpack(frame)
        name = self.names.get(items[0], "")
        return name, dict(zip(self.fields[name], items[1:])) if name else {}

    def rows(self, data):
        at = 0
        while at < len(data):
            items, at = unpack(data, at)
            name = self.names[items[0]]
            yield name, dict(zip(self.fields[name], items[1:]))


TABLE = Table()

# ---- the connection

READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
PART_BYTES_MAX = 1024 * 1024


class Client:
    """Requests and their answers. ON_ANSWER(request, name, fields) gets each answer once, ON_EVENT the events of those who watch."""

    def __init__(self, path, on_answer, on_event=None):
        self.path, self.on_answer, self.on_event = path, on_answer, on_event
        self.asked = collections.OrderedDict()  # request id -> frame
        self.sock = None
        self.retry_at = 0.0
        self.connects = 0
        self._reset()

    def _reset(self):
        if self.sock:
            self.sock.close()
        self.sock, self.greeted = None, False
        self.out, self.inp, self.parts = bytearray(), bytearray(), []

    def close(self):
        self._reset()

    def forget(self):
        """The client dies: the connection is cut and nothing is remembered. Returns the requests that had no answer."""
        open_ = list(self.asked)
        self.asked.clear()
        self._reset()
        return open_

    def ask(self, name, /, request=None, **values):
        request = request or os.urandom(16)
        frame = TABLE.encode(name, request=request, **values)
        self.asked[request] = frame
        if self.greeted:
            self._frame(frame)
        return request

    def _command(self, body):
        self.out += bytes((4, len(body))) + body

    def _frame(self, frame):
        for at in range(0, len(frame), PART_BYTES_MAX):
            part = frame[at : at + PART_BYTES_MAX]
            more = at + PART_BYTES_MAX < len(frame)
            if len(part) < 256:
                self.out += bytes((int(more), len(part))) + part
            else:
                self.out += bytes((2 | int(more),)) + struct.pack(">Q", len(part)) + part

    def _connect(self):
        if time.monotonic() < self.retry_at:
            return
        self.retry_at = time.monotonic() + 0.02
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            return
        self.sock = sock
        self.connects += 1
        self.out += GREETING

    def turn(self, seconds):
        """Sends and takes what there is; waits for at most SECONDS."""
        if not self.sock:
            self._connect()
        if not self.sock:
            time.sleep(min(seconds, 0.005))
            return
        readable, writable, _ = select.select([self.sock], [self.sock] if self.out else [], [], seconds)
        try:
            if writable:
                del self.out[: self.sock.send(self.out)]
            if readable:
                data = self.sock.recv(1 << 18)
                if not data:
                    raise ConnectionError
                self.inp += data
                self._take()
        except BlockingIOError:
            pass
        except OSError:
            self._reset()

    def _take(self):
        if not self.greeted and self.inp[:1] == b"\xff":
            if len(self.inp) < 64:
                return
            del self.inp[:64]
            self._command(READY)
        while True:
            if len(self.inp) < 2:
                return
            flags, long_ = self.inp[0], self.inp[0] & 2
            head = 9 if long_ else 2
            if len(self.inp) < head:
                return
            size = struct.unpack(">Q", self.inp[1:9])[0] if long_ else self.inp[1]
            if len(self.inp) < head + size:
                return
            body = bytes(self.inp[head : head + size])
            del self.inp[: head + size]
            if flags & 4:
                self._take_command(body)
                continue
            self.parts.append(body)
            if not flags & 1:
                frame, self.parts = b"".join(self.parts), []
                self._take_frame(frame)
                if not self.sock:
                    return

    def _take_command(self, body):
        if body.startswith(b"\x05READY"):
            self._frame(TABLE.encode("client_hello", proto_min=1, proto_max=1))
        elif body.startswith(b"\x04PING"):
            self._command(b"\x04PONG" + body[7:])

    def _take_frame(self, frame):
        name, fields = TABLE.decode(frame)
        if name == "client_welcome":
            self.greeted = True
            if self.on_event:
                self._frame(TABLE.encode("watch", request=os.urandom(16), console=1, traffic=0))
            for asked in self.asked.values():
                self._frame(asked)
        elif name == "event" and self.on_event:
            self.on_event(fields)
        elif "request" in fields and fields["request"] in self.asked:
            del self.asked[fields["request"]]
            self.on_answer(fields["request"], name, fields)
