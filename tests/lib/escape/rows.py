"""The rows: each plays an application that wants to get around the proxy, or just through it.

Usage: rows.py KIND FAMILY [PATTERN]. FAMILY is 4 or 6: see families(). PATTERN is looked for in the
name of a row and of its variant ("header line of 20 MiB 443"). Prints a JSON line for each variant of each row: what it is
called, what should come of it, and what came of it. judge.py compares that with what the origins
took and what an addon saw. What should come of it:

ok       answered 200, by the origin
refused  an answer of 4xx or 5xx, or the end of the connection, soon; the origin took nothing
403 ...  that answer; the origin took nothing
any      ok or refused
quiet    anything; but the origin took nothing
held     anything that the judge finds nothing in
raw      passed as raw bytes (where MITMPROXY_NON_HTTP says so)
passed   passed through undecrypted (where MITMPROXY_IGNORE_HOSTS says so)
"""

import binascii
import bz2
import collections
import concurrent.futures
import gzip
import hashlib
import json
import os
import re
import ssl
import struct
import sys
import time
import zlib

import client
from client import H2, Hello, Outcome, Reader, Tcp, Tls, ask_h2, h2_fields, h2_frame, handshake, say, upload

PLAIN = [(f"{origin}.escape.test", 80) for origin in ("raw", "nginx", "go", "node", "python")]
SECURE = [("raw.escape.test", 443), ("go.escape.test", 443)]
RAW = [("raw.escape.test", 80), ("raw.escape.test", 443)]
BOTH_VERSIONS = ("go", "node", "nginx", "two")
KINDS = {}
MIB = 1 << 20
LARGE = 100 * MIB


def kind(name):
    def add(rows):
        KINDS.setdefault(name, []).append(rows)
        return rows

    return add


class Row:
    """One row in one variant: `play` gets the path that is its own."""

    def __init__(self, name, variant, expect, play, prefix="", sha256=None):
        self.name, self.variant, self.expect, self.play = name, str(variant), expect, play
        self.prefix, self.sha256 = prefix, sha256


def link(host, port, **options):
    """A wire to that host, through TLS on 443."""
    return handshake(host, **options) if port == 443 else Tcp(host, port)


def fill(data, host, path):
    return data.replace(b"%T", path.encode()).replace(b"%H", host.encode())


def written(name, data, expect, targets, answers=1, pieces=None, prefix="", **options):
    """The rows of one text that is sent as it stands to each of these targets."""
    method = "HEAD" if data.lstrip().startswith(b"HEAD") else "GET"
    for host, port in targets:

        def play(path, host=host, port=port):
            wire = link(host, port)
            if isinstance(wire, Outcome):
                return wire
            try:
                whole = fill(data, host, path)
                return say(wire, *(pieces(whole) if pieces else [whole]), answers=answers, method=method)
            finally:
                wire.close()

        yield Row(name, f"{host.split('.')[0]}-{port}", expect, play, prefix, **options)


GET = b"GET %T HTTP/1.1\r\nHost: %H\r\n\r\n"


# --- ordinary requests: what proves that the others could arrive


@kind("control")
def control():
    yield from written("http/1.1", GET, "ok", PLAIN)
    origins = ("raw", "none", "retry", "nginx", "go", "node", "python")
    yield from written("https, http/1.1", GET, "ok", [(f"{origin}.escape.test", 443) for origin in origins])
    for origin in origins:
        host = f"{origin}.escape.test"

        def play_either(path, host=host):
            wire = handshake(host, alpn=("h2", "http/1.1"))
            if isinstance(wire, Outcome):
                return wire
            try:
                if wire.alpn == "h2":
                    return ask_h2(host, h2_fields(b"GET", host.encode(), path.encode()))
                return say(wire, fill(GET, host, path))
            finally:
                wire.close()

        yield Row("both versions offered", origin, "ok", play_either)
    yield from written("head", b"HEAD %T HTTP/1.1\r\nHost: %H\r\n\r\n", "ok", PLAIN + SECURE)
    post = b"POST %T HTTP/1.1\r\nHost: %H\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"POST %T HTTP/1.1\r\nHost: %H\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    sha256 = hashlib.sha256(b"hello").hexdigest()
    yield from written("post", post, "ok", PLAIN + SECURE, sha256=sha256)
    yield from written("post, chunked", chunked, "ok", PLAIN + SECURE, sha256=sha256)
    twice = GET + b"GET %T?second HTTP/1.1\r\nHost: %H\r\nConnection: close\r\n\r\n"
    yield from written("keep-alive", twice, "ok", PLAIN + SECURE, answers=2)
    for origin in BOTH_VERSIONS:
        host = f"{origin}.escape.test"

        def play(path, host=host):
            return ask_h2(host, h2_fields(b"GET", host.encode(), path.encode()))

        def play_post(path, host=host):
            return ask_h2(host, h2_fields(b"POST", host.encode(), path.encode()), b"hello")

        yield Row("http/2", origin, "ok", play)
        yield Row("http/2, post", origin, "ok", play_post, sha256=sha256)


# --- A2: what a connection is


# Long enough for what has come to be looked at, also where the machine is busy.
PAUSE = 0.03


def in_two(position, pause=PAUSE):
    def send(wire, data):
        wire.send(data[:position])
        time.sleep(pause)
        wire.send(data[position:])

    return send


def byte_by_byte(wire, data):
    for index in range(len(data)):
        wire.send(data[index : index + 1])
        time.sleep(0.001)


def records(size, version=b"\x03\x01"):
    """The ClientHello anew, in records of `size` bytes."""

    def send(wire, data):
        body, out = data[5:], b""
        for index in range(0, len(body), size):
            piece = body[index : index + size]
            out += b"\x16" + version + struct.pack(">H", len(piece)) + piece
        wire.send(out)

    return send


def hello_length(name):
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return len(out.read())


def hello(name, variant, expect, first, host="raw.escape.test"):
    def play(path):
        wire = handshake(host, first=first)
        if isinstance(wire, Outcome):
            return wire
        try:
            return say(wire, fill(GET, host, path))
        finally:
            wire.close()

    return Row(name, variant, expect, play)


@kind("A2")
def client_hello():
    for position in range(1, hello_length("raw.escape.test")):
        yield hello("ClientHello in two segments", position, "ok", in_two(position))
    for position in (*range(1, 12), 100):
        yield hello("ClientHello with a long pause", position, "ok", in_two(position, 0.3))
    yield hello("ClientHello byte by byte", 1, "ok", byte_by_byte)
    for size in (1, 2, 3, 4, 5, 7, 40):
        yield hello("ClientHello in records", size, "ok", records(size))
        yield hello("ClientHello in records, other origin", size, "ok", records(size), "go.escape.test")
    for version in ("0300", "0301", "0302", "0303"):
        yield hello("record version", version, "ok", records(1 << 14, bytes.fromhex(version)))
    for version in ("0304", "0305", "03ff", "0299", "0200", "0403", "fefd"):
        yield hello("odd record version", version, "any", records(1 << 14, bytes.fromhex(version)))
        yield hello("odd record version, small", version, "any", records(3, bytes.fromhex(version)))

    def before(data):
        return lambda wire, hello: wire.send(data + hello)

    odd = {
        "warning alert": "15030100020100",
        "empty record": "1603010000",
        "change cipher spec": "14030300010100"[:12],
        "a zero byte": "00",
        "line end": "0d0a",
        "heartbeat": "180302000301ffff",
    }
    for name, data in odd.items():
        yield hello("before the ClientHello", name, "any", before(bytes.fromhex(data)))


@kind("A2")
def request_line():
    for host, port in RAW:
        length = len(fill(GET, host, "/A2/request-in-two-segments/443-000-over-IPv4"))
        for position in range(1, length):

            def play(path, host=host, port=port, position=position):
                wire = link(host, port)
                if isinstance(wire, Outcome):
                    return wire
                try:
                    data = fill(GET, host, path)
                    return say(wire, data[:position], data[position:], pause=PAUSE)
                finally:
                    wire.close()

            yield Row("request in two segments", f"{port}-{position}", "ok", play)
    yield from written("request after a pause", GET, "ok", PLAIN + SECURE, pieces=lambda data: (data[:1], b"", b"", data[1:]))
    every = lambda data: [data[index : index + 1] for index in range(len(data))]
    yield from written("request byte by byte", GET, "ok", RAW, pieces=every)
    yield from written("empty lines first", b"\r\n\r\n" + GET, "any", RAW + PLAIN[1:])
    yield from written("bare line feeds first", b"\n\n" + GET, "any", RAW + PLAIN[1:])
    yield from written("empty lines first, split", b"\r\n" + GET, "any", RAW, pieces=lambda data: (data[:1], data[1:2], data[2:]))
    for method in (b"FOO", b"foo", b"M-SEARCH", b"PROPFIND", b"VERSION-CONTROL", b"Q" * 31):
        yield from written(f"method {method.decode()}", GET.replace(b"GET", method), "ok", RAW)
    for method in (b"get", b"gEt", b"Post", b"options", b"patch", b"delete"):
        yield from written(f"method {method.decode()}", GET.replace(b"GET", method), "refused", RAW)
    for method in (b"a", b"A", b"1", b"!#$%&'*+-.^_`|~", b"G\xc3\xa9T", b"G(T", b"Q" * 5000, b"PRI", b"CONNECT"):
        yield from written(f"method {method[:12]!r}", GET.replace(b"GET", method), "any", RAW)
    yield from written("method split", GET.replace(b"GET", b"M-SEARCH"), "ok", RAW, pieces=lambda data: (data[:2], data[2:]))
    yield from written("HTTP/0.9", b"GET %T\r\n", "held", RAW + PLAIN[1:])
    for data in (b"GET\xa0%T\r\n\r\n", b"\xa0GET %T\r\n\r\n", b"GET\x1c%T\r\n\r\n", b"GET\x85%T\n\n"):
        yield from written(f"white space {data[:4]!r}", data, "held", [("python.escape.test", 80)])
    yield from written("HTTP/0.9, another method", b"DELETE %T\n", "held", RAW)


NOISE = hashlib.sha512(b"noise").digest()
PAYLOADS = {
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "SMTP": b"EHLO client.test\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n",
    "Redis, inline": b"PING\r\n",
    "PostgreSQL": bytes.fromhex("00000008 04d2162f"),
    "PostgreSQL, startup": bytes.fromhex("00000017 00030000") + b"user\0postgres\0\0",
    "MySQL": b"\x4a\x00\x00\x00\x0a8.0.0\0",
    "BitTorrent": b"\x13BitTorrent protocol" + bytes(8) + NOISE[:40],
    "noise": NOISE,
    "zeros": bytes(64),
    "DNS": struct.pack(">H", 29) + bytes.fromhex("1234 0100 0001 0000 0000 0000 07") + b"example\3com\0" + b"\0\1\0\1",
    "IRC": b"NICK somebody\r\nUSER a b c d\r\n",
    "SOCKS5": b"\x05\x01\x00",
    "SOCKS4": b"\x04\x01\x01\xbb\x7f\0\0\1\0",
    "RDP": bytes.fromhex("030000130ee000000000000100080003000000"),
    "SSLv2 hello": bytes.fromhex("802e010002001500000010010080020080030080040080050080060040070 0c0".replace(" ", "")) + NOISE[:16],
    "QUIC": b"\xc3\x00\x00\x00\x01" + NOISE[:40],
    "MQTT": b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test",
    "RTSP": b"OPTIONS rtsp://raw.escape.test/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    "SIP": b"REGISTER sip:raw.escape.test SIP/2.0\r\n\r\n",
    "proxy protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "TLS alert": bytes.fromhex("15030300020100"),
    "TLS data": bytes.fromhex("1703030020") + NOISE[:32],
    "TLS hello request": bytes.fromhex("160303000400000000"),
}


def talk(wire, *pieces):
    """Bytes, and what comes back: "raw" if anything does that is no HTTP."""
    for index, piece in enumerate(pieces):
        if index:
            time.sleep(0.02)
        wire.send(piece)
    deadline, came = time.monotonic() + client.PATIENCE, b""
    while time.monotonic() < deadline:
        data = wire.recv(deadline - time.monotonic())
        if not data:
            break
        came += data
        if came.startswith(b"HTTP/"):
            reader = Reader(wire)
            reader.buffer = came
            return reader.answer()
        if b"\r\n" in came:
            break
    if came.startswith((b"raw bytes", b"220 banner")):
        return Outcome("raw", came)
    return Outcome("open" if data is None else "closed", came)


def talks(name, expect, targets, *pieces):
    """Rows of bytes; inside TLS with http/1.1 agreed on, and with nothing agreed on."""
    for host, port in targets:
        for alpn in (("http/1.1",), None) if port == 443 else (None,):

            def play(path, host=host, port=port, alpn=alpn):
                wire = link(host, port, **({"alpn": alpn} if port == 443 else {}))
                if isinstance(wire, Outcome):
                    return wire
                try:
                    return talk(wire, *pieces)
                finally:
                    wire.close()

            # What passes as raw bytes need not do so where HTTP was agreed on.
            if expect != "raw" or alpn is None:
                yield Row(name, f"{host.split('.')[0]}-{port}{'-http' if alpn else ''}", expect, play)


class Inner:
    """A wire in a wire: TLS inside TLS."""

    def __init__(self, outer):
        self.send, self.recv, self.close = outer.send, outer.recv, outer.close


def tls_in_tls(path):
    host = "raw.escape.test"
    outer = handshake(host)
    if isinstance(outer, Outcome):
        return outer
    try:
        inner = Tls(Inner(outer), host, verify=False)
        return say(inner, fill(GET, host, path))
    except TimeoutError:
        return Outcome("open")
    except (ssl.SSLError, OSError) as error:
        return Outcome("closed", note=str(error))
    finally:
        outer.close()


@kind("A2")
def no_http():
    for name, payload in PAYLOADS.items():
        yield from talks(f"bytes: {name}", "refused", RAW, payload)
        yield from talks(f"bytes in two segments: {name}", "refused", RAW, payload[:1], payload[1:])
    yield from talks("server first", "quiet", [("banner.escape.test", 80), ("banner.escape.test", 443)])
    for first in (b"\x16", b"G", b"\0", b"S", b"\x16\x03", b"\x16\x03\x01", b"GET", b"GET /"):
        yield from talks(f"{first!r} and silence", "quiet", RAW, first)
    yield Row("TLS inside TLS", "raw", "quiet", tls_in_tls)
    yield from h2_preface()


def h2_preface():
    for host, port, alpn in (
        ("raw.escape.test", 80, None),
        ("go.escape.test", 80, None),
        ("nginx.escape.test", 80, None),
        ("none.escape.test", 80, None),
        ("raw.escape.test", 443, ("http/1.1",)),
        ("raw.escape.test", 443, None),
        ("two.escape.test", 443, ("http/1.1",)),
        ("two.escape.test", 443, None),
        ("go.escape.test", 443, ("http/1.1",)),
        ("go.escape.test", 443, ("acme-tls/1", "spdy/3")),
        ("go.escape.test", 443, None),
    ):

        def play(path, host=host, port=port, alpn=alpn):
            wire = link(host, port, **({"alpn": alpn} if port == 443 else {}))
            if isinstance(wire, Outcome):
                return wire
            try:
                h2 = H2(wire)
                h2.headers(h2_fields(b"GET", host.encode(), path.encode()), end=True)
                return h2.outcome()
            finally:
                wire.close()

        yield Row("HTTP/2 that was not agreed on", f"{host.split('.')[0]}-{port}-{'none' if alpn is None else alpn[0]}".replace("/", ""), "any", play)


@kind("A18")
def extra_port():
    target = [("none.escape.test", 53)]
    yield from written("HTTP on port 53", GET, "ok", target)
    yield from talks("DNS on port 53", "refused", target, PAYLOADS["DNS"])
    yield from talks("DNS on port 53, in two segments", "refused", target, PAYLOADS["DNS"][:1], PAYLOADS["DNS"][1:])
    yield from talks("noise on port 53", "refused", target, NOISE)


@kind("allow")
def allowed():
    yield from written("HTTP", GET, "ok", RAW)
    for name in ("SSH", "SMTP", "Redis", "PostgreSQL", "noise", "DNS", "BitTorrent"):
        yield from talks(f"bytes: {name}", "raw", RAW, PAYLOADS[name])
    yield from talks("server first", "raw", [("banner.escape.test", 80)])
    yield from talks("bytes on which an addon raises", "refused", RAW, b"\x00raise-tcp SECRET")
    # What is HTTP or TLS is taken for it here as well, however it comes.
    for row in (*client_hello(), *request_line()):
        if row.expect == "ok" and row.name != "ClientHello in two segments":
            yield row


@kind("log")
def logged():
    yield from written("HTTP", GET, "ok", RAW)
    for name in ("SSH", "noise"):
        yield from talks(f"bytes: {name}", "raw", RAW, PAYLOADS[name])


# --- A3, A12: bodies


def block(size):
    """`size` bytes in pieces that are cheap to make."""
    piece = (b"0123456789abcdef" * 4096)[: 1 << 16]
    for index in range(0, size, len(piece)):
        yield piece[: min(len(piece), size - index)]


def chunks(size):
    for piece in block(size):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def sha256_of(size):
    total = hashlib.sha256()
    for piece in block(size):
        total.update(piece)
    return total.hexdigest()


SPOOFED = b"X-OpenSandbox-Egress: spoofed\r\nX-Seen: spoofed\r\n"


def posted(host, port, size, sent=None, chunked=False, extra=b"", seconds=client.PATIENCE):
    """POST with a body over HTTP/1.1; `sent` bytes of it only."""

    def play(path):
        wire = link(host, port)
        if isinstance(wire, Outcome):
            return wire
        try:
            framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
            head = fill(b"POST %T HTTP/1.1\r\nHost: %H\r\n", host, path) + framing + b"\r\n" + SPOOFED + extra + b"\r\n"
            pieces = chunks(size) if chunked else block(size if sent is None else sent)
            return upload(wire, head, pieces, seconds)
        finally:
            wire.close()

    return play


def posted_h2(host, size, declared=False, grpc=False, seconds=client.PATIENCE):
    def play(path):
        more = [(b"x-opensandbox-egress", b"spoofed"), (b"x-seen", b"spoofed")]
        if declared:
            more.append((b"content-length", b"%d" % size))
        if grpc:
            more += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
        return ask_h2(host, h2_fields(b"POST", host.encode(), path.encode(), *more), block(size), seconds=seconds)

    return play


@kind("A12")
def changed_bodies():
    """Addons that change a body or its length: a request of the client's in it does not become one."""
    replaced = hashlib.sha256(b"replaced").hexdigest()
    filler = b"x" * 8
    for place in ("/replace", "/no-length", "/text-in-requestheaders"):
        for label, header in (("held", b""), ("grpc", b"Content-Type: application/grpc\r\n")):
            # In HTTP/1.1 there is no gRPC: this one is held as well.
            data = b"POST %T HTTP/1.1\r\nHost: %H\r\n" + header
            length = b"Content-Length: %d\r\n\r\n" % len(filler + SMUGGLED)
            chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(filler + SMUGGLED), filler + SMUGGLED)
            sha256 = replaced if place == "/replace" else None
            expect = "ok" if place == "/replace" else "any"
            yield from written(f"{place} {label}", data + length + filler + SMUGGLED, expect, RAW, prefix=place, sha256=sha256)
            yield from written(f"{place} {label}, chunked", data + chunk, expect, RAW, prefix=place, sha256=sha256)
        for size in (1000, 9 * MIB):
            for port in (80, 443):
                expect = "ok" if place == "/replace" else "any"
                yield Row(f"{place}, upload", f"{port}-{size}", expect, posted("raw.escape.test", port, size, seconds=20), place)
        for host in ("go.escape.test", "two.escape.test"):
            yield Row(f"{place}, http/2", host, "any", posted_h2(host, 100000, declared=True, grpc=True), place)


def uploads(label, prefix, expect):
    whole = expect == "ok"
    seconds = 20 if whole else client.PATIENCE

    def row(name, variant, play, size, wanted=expect):
        return Row(f"{name}, {label}", variant, wanted, play, prefix, sha256_of(size) if whole else None)

    raw = "raw.escape.test"
    for port in (80, 443):
        for size in (0, 1, 1048577, 9 * MIB):
            yield row("declared", f"{port}-{size}", posted(raw, port, size, seconds=seconds), size)
        size = 10 * MIB
        yield row("chunked", f"{port}-{size}", posted(raw, port, size, chunked=True, seconds=seconds), size)
        if whole:
            continue
        # What is collected first is decided when all of it is there.
        yield row("declared, 2 kB sent", f"{port}-{MIB + 1}", posted(raw, port, MIB + 1, sent=2048), size, "quiet")
        yield row("declared, 2 kB sent", f"{port}-{LARGE}", posted(raw, port, LARGE, sent=2048), size)
        yield row("declared", f"{port}-{LARGE}", posted(raw, port, LARGE), size)
        asked = b"Expect: 100-continue\r\n"
        yield row("declared, asking first", f"{port}-{LARGE}", posted(raw, port, LARGE, extra=asked), size)
    if whole:
        yield row("declared", f"80-{LARGE}", posted(raw, 80, LARGE, seconds=seconds), LARGE)
    for origin in ("go", "two"):
        host = f"{origin}.escape.test"
        for size in (1, 1048577, 9 * MIB):
            yield row("http/2, declared", f"{origin}-{size}", posted_h2(host, size, True, seconds=seconds), size)
            yield row("http/2", f"{origin}-{size}", posted_h2(host, size, seconds=seconds), size)
        if not whole:
            yield row("http/2, declared", f"{origin}-{LARGE}", posted_h2(host, LARGE, True), LARGE)
        yield row("grpc", f"{origin}-100000", posted_h2(host, 100000, grpc=True, seconds=seconds), 100000)


@kind("A3")
def all_uploads():
    yield from uploads("refused in request", "/refuse-request", "403")
    yield from uploads("refused in requestheaders", "/refuse-requestheaders", "403")
    yield from uploads("allowed", "", "ok")
    spoofed = GET.replace(b"\r\n\r\n", b"\r\n" + SPOOFED + b"\r\n")
    yield from written("spoofed", spoofed, "ok", PLAIN + SECURE)


@kind("memory")
def many_uploads():
    for index in range(50):
        yield Row("50 uploads at once", index, "ok", posted("raw.escape.test", 80, 60 * MIB, chunked=index % 2 == 0, seconds=200), "", sha256_of(60 * MIB) if index == 0 else None)


@kind("A20")
def others_hold_all():
    """Uploads that stop just before their end take all memory that there is for bodies."""

    def hold(host):
        wires = []
        for _ in range(16):
            wire = Tcp(host, 80)
            wire.send(fill(b"POST %T HTTP/1.1\r\nHost: %H\r\nContent-Length: 8388608\r\n\r\n", host, "/held"))
            for piece in block(8 * MIB - 1):
                wire.send(piece)
            wires.append(wire)
        # More than all: they wait in line, and are not collected.
        for _ in range(4):
            wire = Tcp(host, 80)
            wire.send(fill(b"POST %T HTTP/1.1\r\nHost: %H\r\nContent-Length: 8388608\r\n\r\n", host, "/held"))
            wire.send(b"a" * MIB)
            wires.append(wire)
        time.sleep(1)
        return wires

    def while_held(path, ask, waits):
        wires = hold("raw.escape.test")
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as asking:
                family = client.thread.family

                def in_family():
                    client.thread.family = family
                    return ask(path)

                asked = asking.submit(in_family)
                if waits and concurrent.futures.wait([asked], 1.5).done:
                    return Outcome("no wait", note=str(asked.result()))
                if not waits:
                    return asked.result()
                for wire in wires:
                    wire.close()
                return asked.result()
        finally:
            for wire in wires:
                wire.close()

    for size in (65536, 65537):
        asks = {
            "declared": posted("raw.escape.test", 80, size, seconds=15),
            "chunked": posted("raw.escape.test", 443, size, chunked=True, seconds=15),
            "http2": posted_h2("go.escape.test", size, seconds=15),
        }
        for label, ask in asks.items():
            waits = size > 65536
            play = lambda path, ask=ask, waits=waits: while_held(path, ask, waits)
            name = "waits for room" if waits else "needs no room"
            yield Row(f"{name}, {label}", size, "ok", play, "/content-raw", sha256_of(size))


# --- A9: names that are passed through, and what only says that it has one


def passing(name, variant, expect, host, sni, first=None, request_host=None, ca=client.ORIGIN_CA, verify=True):
    def play(path):
        wire = handshake(host, name=sni, ca=ca, first=first, verify=verify)
        if isinstance(wire, Outcome):
            return wire
        try:
            return say(wire, fill(GET, request_host or sni, path))
        finally:
            wire.close()

    return Row(name, variant, expect, play)


@kind("A9")
def ignored_hosts():
    good, raw = "good.test", "raw.escape.test"
    length = hello_length(good)
    yield passing("by name", "plain", "passed", good, good)
    yield passing("by name, to another address", "raw", "passed", raw, good, verify=False)
    for position in (1, 3, 5, 6, 40, length // 2, length - 1):
        yield passing("by name in two segments", position, "passed", good, good, first=in_two(position))
    for size in (1, 7, 40):
        yield passing("by name in records", size, "passed", good, good, first=records(size))
    yield passing("by address", "none", "passed", "none.escape.test", "none.escape.test")
    claim = GET.replace(b"%H", b"good.test")
    targets = [("raw.escape.test", 80), ("go.escape.test", 80), ("none.escape.test", 80)]
    yield from written("only a Host header", claim, "any", targets)
    yield from written("only a Host header with port", GET.replace(b"%H", b"good.test:80"), "any", targets)
    yield from written("only in an absolute form", b"GET http://good.test%T HTTP/1.1\r\nHost: good.test\r\n\r\n", "any", targets)
    for target in ("raw.escape.test", "go.escape.test"):
        yield passing("only a Host header, decrypted", target, "any", target, target, request_host=good, ca=client.PROXY_CA)

        def play(path, target=target):
            return ask_h2(target, h2_fields(b"GET", b"good.test", path.encode()))

        yield Row("only an authority, decrypted", target, "any", play)
    yield from written("the address, but plain HTTP", GET, "any", [("none.escape.test", 80), ("good.test", 80)])


# --- A11: versions that differ


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.test\r\n\r\n"


@kind("A11")
def http2():
    # Without TLS it is prior knowledge, which "two" has, and "raw" has not.
    for origin, plain_port in [(origin, False) for origin in ("raw", "none", "two", "go", "node", "nginx")] + [("two", True), ("raw", True)]:
        host = f"{origin}.escape.test"
        authority = host.encode()

        def case(name, fields, expect, body=None, alpn=("h2", "http/1.1"), trailers=None):
            def play(path, host=host, alpn=None if plain_port else alpn):
                filled = [(field.replace(b"%T", path.encode()), value.replace(b"%T", path.encode())) for field, value in fields]
                return ask_h2(host, filled, body, alpn=alpn, trailers=trailers)

            return Row(name, f"{origin}-80" if plain_port else origin, expect, play)

        plain = h2_fields(b"GET", authority, b"%T")
        yield case("body without a length", plain, "any", SMUGGLED)
        yield case("body without a length, post", h2_fields(b"POST", authority, b"%T"), "any", SMUGGLED)
        yield case("body without a length, h2 alone", plain, "any", SMUGGLED, alpn=("h2",))
        yield case("body longer than its length", plain + [(b"content-length", b"3")], "refused", SMUGGLED)
        yield case("body shorter than its length", plain + [(b"content-length", b"3000")], "refused", SMUGGLED)
        yield case("two lengths", plain + [(b"content-length", b"0"), (b"content-length", b"%d" % len(SMUGGLED))], "refused", SMUGGLED)
        yield case("transfer-encoding", plain + [(b"transfer-encoding", b"chunked")], "refused", b"0\r\n\r\n" + SMUGGLED)
        for name in (b"connection", b"keep-alive", b"proxy-connection", b"upgrade"):
            yield case(f"{name.decode()} header", plain + [(name, b"x-seen")], "refused")
        for what, bad in (("CR LF", b"a\r\nb: c"), ("LF", b"a\nb: c"), ("CR", b"a\rb"), ("NUL", b"a\0b")):
            yield case(f"{what} in a value", plain + [(b"x-value", bad)], "refused")
            yield case(f"{what} in a name", plain + [(b"x-" + bad, b"value")], "refused")
            yield case(f"{what} in :path", h2_fields(b"GET", authority, b"%T" + bad), "refused")
            yield case(f"{what} in :method", h2_fields(b"GET" + bad, authority, b"%T"), "refused")
            yield case(f"{what} in :authority", h2_fields(b"GET", authority + bad, b"%T"), "refused")
        yield case("a request in a value", plain + [(b"x-value", b"a\r\n\r\n" + SMUGGLED)], "refused")
        yield case("a request in :path", h2_fields(b"GET", authority, b"%T HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED), "refused")
        yield case("name with a colon", plain + [(b"x:y", b"value")], "refused")
        yield case("name with a space", plain + [(b"x y", b"value")], "refused")
        yield case("name in capitals", plain + [(b"X-Name", b"value")], "refused")
        yield case("empty name", plain + [(b"", b"value")], "refused")
        yield case("space in :path", h2_fields(b"GET", authority, b"%T HTTP/1.1"), "refused")
        yield case("space in :method", h2_fields(b"GET /x", authority, b"%T"), "refused")
        yield case("empty :path", h2_fields(b"GET", authority, b""), "refused")
        yield case("relative :path", h2_fields(b"GET", authority, b"relative"), "refused")
        yield case("absolute :path", h2_fields(b"GET", authority, b"http://other.test%T"), "any")
        yield case("no :path", [field for field in plain if field[0] != b":path"], "refused")
        yield case("two :path", plain + [(b":path", b"/other")], "refused")
        yield case("two :authority", plain + [(b":authority", b"other.test")], "refused")
        yield case("a pseudo header of answers", plain + [(b":status", b"200")], "refused")
        yield case("a pseudo header behind others", [(b"a", b"b"), *plain], "refused")
        yield case("host is another", plain + [(b"host", b"other.test")], "refused")
        yield case("host is the same", plain + [(b"host", authority)], "any")
        yield case("authority with userinfo", h2_fields(b"GET", b"user@" + authority, b"%T"), "refused")
        yield case("scheme http", [(n, b"http" if n == b":scheme" else v) for n, v in plain], "any")
        yield case("scheme with CR LF", [(n, b"https\r\nx: y" if n == b":scheme" else v) for n, v in plain], "refused")
        yield case("value with a space at its end", plain + [(b"x-value", b" a ")], "any")
        yield case("extended connect", [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *plain[1:]], "refused")
        yield case("connect", [(b":method", b"CONNECT"), (b":authority", b"other.test:443")], "refused")
        yield case("trailers", h2_fields(b"POST", authority, b"%T"), "any", b"body", trailers=[(b"x-trailer", b"a")])
        bad = [(b"content-length", b"0"), (b"x-seen", b"spoofed"), (b":path", b"/other")]
        for name, length, body, more in (
            ("a length, and no body", b"5", None, None),
            ("trailers before the length is there", b"50", b"hello", [(b"x-trailer", b"a")]),
            ("a length, and trailers alone", b"50", b"", [(b"x-trailer", b"a")]),
        ):
            fields = h2_fields(b"POST", authority, b"%T", (b"content-length", length))
            yield case(name, fields, "refused", body, trailers=more)
        yield case("forbidden trailers", h2_fields(b"POST", authority, b"%T"), "any", b"body", trailers=bad)
        if plain_port:
            yield case("HTTP/2 without TLS", plain, "ok" if origin == "two" else "refused")
            continue
        # An HTTP/1.1 client: the origin shall be spoken to in its version, or not at all.
        for alpn in (("http/1.1",), None, ("http/1.0",), ("acme-tls/1",)):

            def play(path, host=host, alpn=alpn):
                wire = handshake(host, alpn=alpn)
                if isinstance(wire, Outcome):
                    return wire
                try:
                    return say(wire, fill(GET, host, path))
                finally:
                    wire.close()

            label = alpn[0].replace("/", "") if alpn else "none"
            yield Row("http/1.1 with other protocols offered", f"{origin}-{label}", "any", play)

        def wrong_version(path, host=host):
            wire = handshake(host, alpn=("h2",))
            if isinstance(wire, Outcome):
                return wire
            try:
                outcome = say(wire, fill(GET, host, path))
            finally:
                wire.close()
            # What it says then is HTTP/2, and the end.
            h2 = outcome.what == "no HTTP" and outcome.body.startswith(b"\0\0")
            return Outcome("closed", outcome.body) if h2 else outcome

        yield Row("http/1.1 where h2 was agreed on", origin, "any", wrong_version)


@kind("A11")
def retried_hello():
    offers = {
        "h2 both times": (("h2", "http/1.1"), ("h2", "http/1.1"), "any"),
        "http1.1 both times": (("http/1.1",), ("http/1.1",), "ok"),
        "h2, then http1.1": (("h2",), ("http/1.1",), "any"),
        "http1.1, then h2": (("http/1.1",), ("h2",), "any"),
        "both, then none": (("h2", "http/1.1"), (), "any"),
        "none, then h2": ((), ("h2",), "any"),
        "none, then both": ((), ("http/1.1", "h2"), "any"),
    }
    for origin in ("raw", "none", "go", "two", "nginx"):
        for label, (first, second, expect) in offers.items():
            host = f"{origin}.escape.test"

            def play(path, host=host, first=first, second=second):
                try:
                    wire = Hello(Tcp(host, 443), host, first, second)
                except TimeoutError:
                    return Outcome("open", note="handshake")
                except (OSError, KeyError, IndexError, struct.error) as error:
                    return Outcome("closed", note=f"handshake: {error}")
                try:
                    if not wire.retried:
                        return Outcome("not retried")
                    if wire.alpn == "h2":
                        h2 = H2(wire)
                        h2.headers(h2_fields(b"GET", host.encode(), path.encode()))
                        h2.data(SMUGGLED, end=True)
                        return h2.outcome()
                    return say(wire, fill(GET, host, path))
                finally:
                    wire.close()

            if expect == "ok" and origin == "two":
                expect = "any"
            yield Row(f"HelloRetryRequest: {label}", origin, expect, play)


# --- A13: addons that raise


@kind("A13")
def raising():
    body = b"garbage, not gzip"
    for name, header in {
        "gzip that is none": b"Content-Encoding: gzip",
        "brotli that is none": b"Content-Encoding: br",
        "deflate that is none": b"Content-Encoding: deflate",
        "zstd that is none": b"Content-Encoding: zstd",
        "unknown charset": b"Content-Type: text/plain; charset=nonsense",
        "a charset that is a codec": b"Content-Type: text/plain; charset=hex",
        "undecodable text": b"Content-Type: text/plain; charset=utf-16",
    }.items():
        data = b"POST %T HTTP/1.1\r\nHost: %H\r\n" + header + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        yield from written(name, data, "any", RAW, prefix="/text")
    for hook in ("requestheaders", "request"):
        yield from written(f"raised in {hook}", GET, "502", PLAIN + SECURE, prefix=f"/raise-{hook}")
        for origin in BOTH_VERSIONS:
            host = f"{origin}.escape.test"

            def play(path, host=host):
                return ask_h2(host, h2_fields(b"GET", host.encode(), path.encode()))

            yield Row(f"raised in {hook}, http/2", origin, "502", play, f"/raise-{hook}")
        for port in (80, 443):
            for size, chunked in ((1, False), (9 * MIB, False), (100 * MIB, False), (10 * MIB, True)):
                label = f"{port}-{size}-{'chunked' if chunked else 'declared'}"
                play = posted("raw.escape.test", port, size, chunked=chunked)
                yield Row(f"raised in {hook}, upload", label, "502", play, f"/raise-{hook}")
    yield from written("raised in responseheaders", GET, "any", PLAIN + SECURE, prefix="/raise-responseheaders")


# --- A14: what two parsers could understand differently


def with_lines(*lines, method=b"GET", body=b""):
    return b"%b %%T HTTP/1.1\r\nHost: %%H\r\n" % method + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


ANYWHERE = PLAIN + SECURE


@kind("A14")
def hosts():
    rows = {
        "absolute form": (b"GET http://%H%T HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "absolute form, no Host": (b"GET http://%H%T HTTP/1.1\r\n\r\n", "any"),
        "absolute form, another host": (b"GET http://other.test%T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "absolute form, Host is another": (b"GET http://%H%T HTTP/1.1\r\nHost: other.test\r\n\r\n", "refused"),
        "absolute form, another port": (b"GET http://%H:8080%T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "absolute form, userinfo": (b"GET http://other.test@%H%T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "absolute form, https": (b"GET https://%H%T HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "absolute form, another scheme": (b"GET ftp://%H%T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "two Hosts": (b"GET %T HTTP/1.1\r\nHost: %H\r\nHost: other.test\r\n\r\n", "refused"),
        "two equal Hosts": (b"GET %T HTTP/1.1\r\nHost: %H\r\nHost: %H\r\n\r\n", "refused"),
        "two Hosts, spelt differently": (b"GET %T HTTP/1.1\r\nhost: other.test\r\nHOST: %H\r\n\r\n", "refused"),
        "Host with userinfo": (b"GET %T HTTP/1.1\r\nHost: user@%H\r\n\r\n", "refused"),
        "Host with a space": (b"GET %T HTTP/1.1\r\nHost: %H other.test\r\n\r\n", "refused"),
        "Host with a tab": (b"GET %T HTTP/1.1\r\nHost: %H\tother.test\r\n\r\n", "refused"),
        "Host with a comma": (b"GET %T HTTP/1.1\r\nHost: %H, other.test\r\n\r\n", "refused"),
        "Host with a path": (b"GET %T HTTP/1.1\r\nHost: %H/other\r\n\r\n", "refused"),
        "Host with a bad port": (b"GET %T HTTP/1.1\r\nHost: %H:port\r\n\r\n", "refused"),
        "Host with an empty port": (b"GET %T HTTP/1.1\r\nHost: %H:\r\n\r\n", "refused"),
        "Host with port 0": (b"GET %T HTTP/1.1\r\nHost: %H:0\r\n\r\n", "refused"),
        "Host with port 00080": (b"GET %T HTTP/1.1\r\nHost: %H:00080\r\n\r\n", "refused"),
        "Host with port 65536": (b"GET %T HTTP/1.1\r\nHost: %H:65536\r\n\r\n", "refused"),
        "Host with port 80": (b"GET %T HTTP/1.1\r\nHost: %H:80\r\n\r\n", "ok"),
        "Host that is none, and port 80": (b"GET %T HTTP/1.1\r\nHost: a!b.%H:80\r\n\r\n", "refused"),
        "Host with an asterisk, and port 80": (b"GET %T HTTP/1.1\r\nHost: *.%H:80\r\n\r\n", "refused"),
        "Host with an empty label, and port 80": (b"GET %T HTTP/1.1\r\nHost: a..%H:80\r\n\r\n", "refused"),
        "Host with a label of 64 letters": (b"GET %T HTTP/1.1\r\nHost: " + b"a" * 64 + b".%H\r\n\r\n", "refused"),
        "Host with an underscore": (b"GET %T HTTP/1.1\r\nHost: a_b.%H\r\n\r\n", "any"),
        "Host in UTF-8": (b"GET %T HTTP/1.1\r\nHost: b\xc3\xbc.%H\r\n\r\n", "any"),
        "Host that is a port": (b"GET %T HTTP/1.1\r\nHost: :80\r\n\r\n", "refused"),
        "absolute form, empty port": (b"GET http://%H:%T HTTP/1.1\r\nHost: %H:\r\n\r\n", "refused"),
        "empty Host": (b"GET %T HTTP/1.1\r\nHost:\r\n\r\n", "any"),
        "HTTP/1.1 without Host": (b"GET %T HTTP/1.1\r\nX-A: b\r\n\r\n", "refused"),
        "HTTP/1.0 without Host": (b"GET %T HTTP/1.0\r\n\r\n", "any"),
        "HTTP/1.0 with Host": (b"GET %T HTTP/1.0\r\nHost: %H\r\n\r\n", "ok"),
        "Host behind a space": (b"GET %T HTTP/1.1\r\n Host: other.test\r\nHost: %H\r\n\r\n", "refused"),
        "Host with a space before the colon": (b"GET %T HTTP/1.1\r\nHost : other.test\r\nHost: %H\r\n\r\n", "refused"),
        "asterisk form": (b"OPTIONS * HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "target without a slash": (b"GET other.test%T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "target with two slashes": (b"GET //other.test%T HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "target with a fragment": (b"GET %T#part HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "target with bytes": (b"GET %T\xc3\xa9\xff HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "target with NUL": (b"GET %T\0x HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "target with CR": (b"GET %T\rx HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "target with DEL": (b"GET %T\x7f HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
    }
    for name, (data, expect) in rows.items():
        yield from written(name, data, expect, ANYWHERE)


@kind("A14")
def connection_headers():
    for value in (b"X-OpenSandbox-Egress", b"close, X-Seen", b"x-opensandbox-egress, x-seen, keep-alive", b"Host", b"Content-Length"):
        yield from written(f"Connection: {value.decode()}", with_lines(b"Connection: " + value), "any", ANYWHERE)
    yield from written("two Connections", with_lines(b"Connection: keep-alive", b"Connection: X-Seen"), "any", ANYWHERE)
    yield from written("Proxy-Connection", with_lines(b"Proxy-Connection: X-Seen"), "any", ANYWHERE)
    yield from written("spoofed marks", with_lines(b"X-Seen: 1", b"x-seen: 2", b"X-OpenSandbox-Egress: a", b"x-opensandbox-egress: b", b"X_OpenSandbox-Egress: c"), "ok", ANYWHERE)


@kind("A14")
def framing():
    body = b"0\r\n\r\n" + SMUGGLED
    size = b"Content-Length: %d" % len(body)
    rows = {
        "length and chunked": ([size, b"Transfer-Encoding: chunked"], "refused"),
        "chunked and length": ([b"Transfer-Encoding: chunked", size], "refused"),
        "two lengths": ([size, b"Content-Length: 0"], "refused"),
        "two lengths, other order": ([b"Content-Length: 0", size], "refused"),
        "two equal lengths": ([size, size], "any"),
        "lengths in a list": ([size + b", 0"], "refused"),
        "equal lengths in a list": ([size + b", %d" % len(body)], "any"),
        "length with a plus": ([b"Content-Length: +%d" % len(body)], "refused"),
        "negative length": ([b"Content-Length: -1"], "refused"),
        "length in hexadecimal": ([b"Content-Length: 0x%x" % len(body)], "refused"),
        "length with an underscore": ([b"Content-Length: 1_0"], "refused"),
        "length with a space": ([b"Content-Length: 1 0"], "refused"),
        "empty length": ([b"Content-Length:"], "refused"),
        "length with a space before the colon": ([b"Content-Length : %d" % len(body)], "refused"),
        "huge length": ([b"Content-Length: 99999999999999999999999999"], "held"),
        "xchunked": ([b"Transfer-Encoding: xchunked"], "refused"),
        "identity": ([b"Transfer-Encoding: identity"], "refused"),
        "chunked, identity": ([b"Transfer-Encoding: chunked, identity"], "refused"),
        "identity, chunked": ([b"Transfer-Encoding: identity, chunked"], "refused"),
        "gzip, chunked": ([b"Transfer-Encoding: gzip, chunked"], "any"),
        "chunked twice": ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], "refused"),
        "chunked and another": ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"], "refused"),
        "chunked with a space before the colon": ([b"Transfer-Encoding : chunked"], "refused"),
        "chunked behind a tab": ([b"Transfer-Encoding:\tchunked"], "any"),
        "chunked behind a vertical tab": ([b"Transfer-Encoding: \x0bchunked"], "refused"),
        "chunked with quotes": ([b'Transfer-Encoding: "chunked"'], "refused"),
        "chunked in capitals": ([b"Transfer-Encoding: CHUNKED"], "ok"),
        "chunked on a folded line": ([b"Transfer-Encoding:", b" chunked"], "refused"),
        "chunked as another's continuation": ([b"X-A: b", b" Transfer-Encoding: chunked"], "refused"),
        "Transfer_Encoding": ([b"Transfer_Encoding: chunked", b"Content-Length: 0"], "any"),
        "chunked behind a bare LF": ([b"X-A: b\nTransfer-Encoding: chunked"], "any"),
        "chunked behind a bare CR": ([b"X-A: b\rTransfer-Encoding: chunked"], "refused"),
    }
    for name, (lines, expect) in rows.items():
        yield from written(name, with_lines(*lines, method=b"POST", body=body), expect, ANYWHERE)
    old = b"POST %T HTTP/1.0\r\nHost: %H\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    yield from written("chunked in HTTP/1.0", old, "refused", ANYWHERE)
    yield from written("GET with a body", with_lines(size, body=body), "any", ANYWHERE)
    chunked = b"Transfer-Encoding: chunked"
    for name, data, expect in (
        ("chunk with an extension", b"5;a=b\r\nhello\r\n0\r\n\r\n", "any"),
        ("chunk with an extension with LF", b"5;a\n=b\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk with a long extension", b"5;" + b"a" * 20000 + b"\r\nhello\r\n0\r\n\r\n", "any"),
        ("chunk size with a plus", b"+5\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk size behind spaces", b"  5\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk size before spaces", b"5  \r\nhello\r\n0\r\n\r\n", "any"),
        ("negative chunk size", b"-1\r\nhello\r\n0\r\n\r\n", "refused"),
        ("huge chunk size", b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n", "held"),
        ("empty chunk size", b"\r\nhello\r\n0\r\n\r\n", "refused"),
        ("chunk ends with LF", b"5\nhello\n0\n\n", "quiet"),
        ("chunk without an end", b"5\r\nhelloXX0\r\n\r\n", "any"),
        ("many zeros in a chunk size", b"0" * 200 + b"5\r\nhello\r\n0\r\n\r\n", "any"),
        ("trailers", b"5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n", "any"),
        ("forbidden trailers", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nHost: other.test\r\nX-Seen: a\r\n\r\n", "any"),
        ("folded trailers", b"5\r\nhello\r\n0\r\nX-Trailer: a\r\n b\r\n\r\n", "any"),
    ):
        yield from written(name, with_lines(chunked, method=b"POST", body=data), expect, ANYWHERE)


def stored(size, is_last=0):
    """The head of a block that is not compressed (RFC 1951, 3.2.4)."""
    return struct.pack("<BHH", is_last, size, size ^ 0xFFFF)


def either_way(first, second):
    """A body that is deflate with the head of zlib, and without. The two bytes of the head, 78 9C,
    are without it the beginning of a block of 156 bytes."""
    end = stored(0, is_last=1)
    head = b"\x78\x9c" + stored(0xFF63)  # its 00 63 FF are the rest of the other head
    rest = 0xFF63 - 154 - len(end)
    data = first.ljust(154, b"1") + stored(rest + len(end) + 4, is_last=1) + second.ljust(rest, b"2")
    return head + data + end + struct.pack(">I", zlib.adler32(data))


def zstandard(data, is_whole=True):
    """A frame of one block that is not compressed (RFC 8878, 3.1.1), or without its last block."""
    return b"\x28\xb5\x2f\xfd\x20%c" % len(data) + (len(data) << 3 | is_whole).to_bytes(3, "little") + data


@kind("A14")
def codings():
    """What addons read of a body: as it stands if its coding is none of HTTP's, or all that is in it."""
    secret, other = b"SECRET", b"harmless"
    packed = zlib.compress(other)
    bare = packed[2:-4]
    squeezed = gzip.compress(secret)
    raw = {
        "hex": binascii.hexlify(secret),
        "base64": binascii.b2a_base64(secret),
        "quopri": b"=53ECRET",
        "uu": b"begin 666 x\n" + binascii.b2a_uu(other) + b"\nend\n" + secret,
        "bz2": bz2.compress(other),
        "zlib": packed,
        "zip": packed,
        "rot13": secret,
        "utf-16": secret,
        "unicode_escape": secret,
        "idna": secret,
        "aws-chunked": secret,
        "snappy": secret,
        "gzip, gzip": gzip.compress(squeezed),
        "deflate": packed + secret,
        "Deflate": bare + secret,
        "deflate, either way": either_way(other, secret),
        "gzip, many members": gzip.compress(other) * 2000,
        "deflateraw": packed + secret,
        "DeflateRaw": packed,
        "zstd": zstandard(secret, is_whole=False),
        "ZSTD": zstandard(other) + secret,
        "gzip": squeezed + secret,
        "br": secret,
        "identity": secret,
    }
    for name, body in raw.items():
        coding = b"Content-Encoding: " + re.sub(", (either way|many members)", "", name).encode()
        data = with_lines(coding, b"Content-Length: %d" % len(body), method=b"POST", body=body)
        yield from written(f"{name}, as it stands", data, "ok", RAW, prefix="/content-raw")
    decoded = {
        "gzip": (squeezed, secret),
        "GZIP": (squeezed, secret),
        "x-gzip": (squeezed, secret),
        "gzip in two members": (gzip.compress(other) + squeezed, other + secret),
        "gzip and zeros": (squeezed + bytes(8), secret),
        "deflate": (packed, other),
        "deflate without a head": (bare, other),
        "zstd": (zstandard(secret), secret),
        "zstd in two frames": (zstandard(other) + zstandard(secret), other + secret),
    }
    for name, (body, content) in decoded.items():
        prefix = "/content-" + hashlib.sha256(content).hexdigest()[:16]
        coding = b"Content-Encoding: " + name.split()[0].encode()
        data = with_lines(coding, b"Content-Length: %d" % len(body), method=b"POST", body=body)
        yield from written(f"{name}, decoded", data, "ok", RAW, prefix=prefix)


@kind("A14")
def no_grpc():
    """Only the body of gRPC goes on in pieces whatever its size, and gRPC is HTTP/2."""
    for media_type in (b"application/grpc", b"application/grpc+proto", b"application/grpcXYZ", b"application/grpc-web"):
        data = with_lines(b"Content-Type: " + media_type, b"Content-Length: 5", method=b"POST", body=b"hello")
        yield from written(f"{media_type.decode()} in HTTP/1.1", data, "ok", RAW, prefix="/content-raw")
    for media_type in (b"application/grpcXYZ", b"application/grpc-web", b"application/grpc+", b"application/grpc/x", b"text/plain, application/grpc"):
        for origin in ("go", "two"):
            host = f"{origin}.escape.test"

            def play(path, host=host, media_type=media_type):
                return ask_h2(host, h2_fields(b"POST", host.encode(), path.encode(), (b"content-type", media_type)), b"hello")

            yield Row(f"{media_type.decode()}, http/2", origin, "ok", play, "/content-raw")


@kind("A14")
def lines():
    rows = {
        "line feeds alone": (b"GET %T HTTP/1.1\nHost: %H\n\n", "any"),
        "one line feed alone": (b"GET %T HTTP/1.1\r\nHost: %H\nX-A: b\r\n\r\n", "any"),
        "head ends with LF LF": (b"GET %T HTTP/1.1\r\nHost: %H\n\n" + SMUGGLED, "any"),
        "bare CR in a value": (with_lines(b"X-A: b\rX-B: c"), "refused"),
        "bare CR in a name": (with_lines(b"X-\rA: b"), "refused"),
        "CR CR LF": (b"GET %T HTTP/1.1\r\r\nHost: %H\r\r\n\r\r\n", "quiet"),
        "NUL in a value": (with_lines(b"X-A: b\0c"), "refused"),
        "NUL in a name": (with_lines(b"X-\0A: b"), "refused"),
        "control character in a value": (with_lines(b"X-A: b\x01\x08c"), "refused"),
        "vertical tab in a value": (with_lines(b"X-A: b\x0bc"), "refused"),
        "DEL in a value": (with_lines(b"X-A: b\x7fc"), "refused"),
        "next line in a value": (with_lines(b"X-A: b\x85c"), "any"),
        "tab in a value": (with_lines(b"X-A: b\tc"), "any"),
        "folded with a space": (with_lines(b"X-A: b", b" c"), "refused"),
        "folded with a tab": (with_lines(b"X-A: b", b"\tc"), "refused"),
        "first line folded": (b"GET %T HTTP/1.1\r\n X-A: b\r\nHost: %H\r\n\r\n", "refused"),
        "line of spaces": (with_lines(b"  "), "refused"),
        "line without a colon": (with_lines(b"X-A"), "refused"),
        "empty name": (with_lines(b": b"), "refused"),
        "name with a space": (with_lines(b"X A: b"), "refused"),
        "name with a space at its end": (with_lines(b"X-A : b"), "refused"),
        "name with a tab at its end": (with_lines(b"X-A\t: b"), "refused"),
        "name with bytes": (with_lines(b"X-\xff: b"), "refused"),
        "name with parentheses": (with_lines(b"X(A): b"), "refused"),
        "tabs in the request line": (b"GET\t%T\tHTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "spaces in the request line": (b"GET  %T  HTTP/1.1\r\nHost: %H\r\n\r\n", "any"),
        "space before the request line": (b" GET %T HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "space behind the request line": (b"GET %T HTTP/1.1 \r\nHost: %H\r\n\r\n", "any"),
        "space in the target": (b"GET %T x HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "form feed in the request line": (b"GET\x0c%T\x0cHTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
        "no-break space in the request line": (b"GET\xa0%T\xa0HTTP/1.1\r\nHost: %H\r\n\r\n", "refused"),
    }
    for version in (b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1", b"HTTP/1.1x", b"HTTP /1.1", b"XTTP/1.1"):
        expect = "any" if version == b"HTTP/1.2" else "refused"
        rows[f"version {version.decode()}"] = (GET.replace(b"HTTP/1.1", version), expect)
    for name, (data, expect) in rows.items():
        yield from written(name, data, expect, ANYWHERE)
    # A second request behind a refused one is a request of its own, or nobody's.
    second = b"GET /behind%T HTTP/1.1\r\nHost: %H\r\nConnection: close\r\n\r\n"
    refused = b"GET /refuse-request%T HTTP/1.1\r\nHost: %H\r\n\r\n"
    yield from written("behind a refused request", refused + second, "held", ANYWHERE, answers=2)
    upload = b"POST /refuse-request%T HTTP/1.1\r\nHost: %H\r\nContent-Length: 9\r\n\r\n123456789"
    yield from written("behind a refused upload", upload + second, "held", ANYWHERE, answers=2)
    early = b"POST /refuse-requestheaders%T HTTP/1.1\r\nHost: %H\r\nContent-Length: %S\r\n\r\n" + SMUGGLED + second
    early = early.replace(b"%S", b"%d" % len(SMUGGLED))
    yield from written("behind an upload refused early", early, "held", ANYWHERE, answers=2)
    raised = b"POST /raise-request%T HTTP/1.1\r\nHost: %H\r\nContent-Length: 9\r\n\r\n123456789"
    yield from written("behind an upload that raised", raised + second, "held", ANYWHERE, answers=2)
    broken = with_lines(b"X A: b") + second
    yield from written("behind a broken request", broken, "held", ANYWHERE, answers=2)
    yield from written("three requests", GET + GET.replace(b"%T", b"%T?2") + second, "ok", ANYWHERE, answers=3)


# --- A15: other protocols by agreement of client and origin


def upgraded(path, host, port, lines):
    wire = link(host, port)
    if isinstance(wire, Outcome):
        return wire
    try:
        wire.send(fill(b"GET %T HTTP/1.1\r\nHost: %H\r\n", host, path) + b"".join(line + b"\r\n" for line in lines) + b"\r\n")
        reader = Reader(wire)
        outcome = reader.answer()
        if outcome.what != "101":
            return outcome
        wire.send(b"\x01raw bytes in a tunnel\r\n")
        came, deadline = reader.buffer, time.monotonic() + client.PATIENCE
        while b"echo" not in came:
            data = wire.recv(deadline - time.monotonic())
            if data is None:
                return Outcome("tunnel" if came else "open", came)
            if not data:
                break
            came += data
        # A WebSocket's own way to say goodbye is no tunnel.
        return Outcome("tunnel", came) if came and not came.startswith(b"\x88") else Outcome("closed", came)
    finally:
        wire.close()


TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def masked(first, data):
    size = len(data)
    length = bytes([0x80 + size]) if size < 126 else struct.pack(">BH", 0xFE, size) if size < 65536 else struct.pack(">BQ", 0xFF, size)
    return bytes([first]) + length + bytes(4) + data


def websocket(path, host, port, talk, more=b""):
    """A WebSocket, in which `talk` sends and expects frames."""
    wire = link(host, port)
    if isinstance(wire, Outcome):
        return wire
    try:
        wire.send(
            fill(b"GET %T HTTP/1.1\r\nHost: %H\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", host, path)
            + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + client.websocket_key() + b"\r\n" + more + b"\r\n"
        )
        reader = Reader(wire)
        outcome = reader.answer()
        return outcome if outcome.what != "101" else talk(wire, reader)
    except (EOFError, TimeoutError):
        return Outcome("open", note="in the WebSocket")
    finally:
        wire.close()


def frame_of(reader, seconds=client.PATIENCE):
    deadline = time.monotonic() + seconds
    while len(reader.buffer) < 2 or len(reader.buffer) < 2 + reader.buffer[1]:
        reader.more(deadline)
    size = 2 + reader.buffer[1]
    frame, reader.buffer = reader.buffer[:size], reader.buffer[size:]
    return frame[0], frame[2:]


def talked(*turns):
    """Frames in turn: (what is sent, [what then comes])."""

    def talk(wire, reader):
        for sent, expected in turns:
            wire.send(sent)
            for frame in expected:
                if (came := frame_of(reader)) != frame:
                    return Outcome("another frame", repr(came).encode())
        return Outcome("200", b"websocket")

    return talk


def too_large(*pieces, compressed=False):
    """A message that is not passed on: the proxy says so (1009, RFC 6455, 7.4.1)."""

    def talk(wire, reader):
        for piece in pieces:
            if not wire.send(piece):
                break
        first, data = frame_of(reader, 15)
        return Outcome("200") if (first, data[:2]) == (CLOSE, b"\x03\xf1") else Outcome("another frame", data)

    more = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if compressed else b""
    return lambda path, host, port: websocket(path, host, port, talk, more)


def deflated(size):
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packed.compress(bytes(size)) + packed.flush(zlib.Z_SYNC_FLUSH)[:-4]


@kind("A15")
def websockets():
    """Nothing goes on that no hook has seen, and both sides still learn what they asked for."""
    hello = (masked(TEXT, b"hello"), [(TEXT, b"hello")])
    again = (masked(TEXT, b"again"), [(TEXT, b"again")])
    ping = (masked(PING, b"SECRET ping"), [(PONG, b"SECRET ping")])
    pings = (b"".join(masked(PING, b"SECRET %d" % n) for n in range(3)), [(PONG, b"SECRET %d" % n) for n in range(3)])
    within = (masked(TEXT - 0x80, b"in ") + masked(PING, b"SECRET"), [(PONG, b"SECRET")])
    end = b"\x10\xe1"  # 4321
    rows = {
        "a real WebSocket": (hello, again),
        "a ping is answered by its payload": (hello, ping, again, ping),
        "a ping that is empty": ((masked(PING, b""), [(PONG, b"")]), again),
        "a ping of 125 bytes": ((masked(PING, b"S" * 125), [(PONG, b"S" * 125)]), again),
        "a ping within a message": (within, ping, (masked(0x80, b"two"), [(0x01, b"in "), (0x80, b"two")])),
        "a pong that nobody asked for": ((masked(PONG, b"SECRET pong"), [(TEXT, b"ponged")]), again),
        "the origin pings": ((masked(TEXT, b"ping me"), [(PING, b"")]), (masked(PONG, b""), [(TEXT, b"ponged")]), again),
        "the origin pings, another payload comes back": ((masked(TEXT, b"ping me"), [(PING, b"")]), (masked(PONG, b"SECRET"), [(TEXT, b"ponged")])),
        "an end with a reason": (hello, (masked(CLOSE, end + b"SECRET reason"), [(CLOSE, end)])),
        "an end without a code": (hello, (masked(CLOSE, b""), [(CLOSE, b"")])),
    }
    for host, port in RAW:

        def row(name, talk, prefix="/websocket", more=b""):
            return Row(name, port, "ok", lambda path, host=host, port=port: websocket(path, host, port, talk, more), prefix)

        for name, turns in rows.items():
            yield row(name, talked(*turns))
        # In a moment, not for as long as the origin needs for each.
        yield row("many pings", many_pings)
        yield row("an end with a reason that the addon leaves", talked((masked(CLOSE, end + b"reason"), [(CLOSE, end + b"reason")])), "/websocket-reason")
        # What the addon has not decided on does not go on (1011, RFC 6455, 7.4.1).
        yield row("an addon raises", talked((masked(TEXT, b"SECRET"), [(CLOSE, b"\x03\xf3")])), "/websocket-raises")
        two = (masked(TEXT, b"x"), [(TEXT, b"2")])  # itself, and the one before
        yield row("messages are not kept", talked(two, two, two, two), "/websocket-counts")
        yield row("a WebSocket, length 0", talked(hello, again), more=b"Content-Length: 0\r\n")


@kind("A21")
def endless_messages():
    piece = bytes(65000)
    within, first = masked(0, piece), masked(BINARY - 0x80, b"x")
    plays = {
        "endless WebSocket message": too_large(first, *[within] * 400),
        "endless WebSocket message of small frames": too_large(first, *[masked(0, b"") * 10000] * 30),
        "endless WebSocket frame": too_large(b"\x82\xff" + struct.pack(">Q", 1 << 40) + bytes(4), *[piece] * 400),
        "WebSocket message of 200 MiB in 200 kB": too_large(masked(BINARY + 0x40, deflated(200 * MIB)), compressed=True),
    }
    for name, play in plays.items():
        for host, port in RAW:
            yield Row(name, port, "ok", lambda path, host=host, port=port, play=play: play(path, host, port), "/websocket")


def many_pings(wire, reader):
    """Only the latest must be answered (RFC 6455, 5.5.3)."""
    wire.send(b"".join(masked(PING, b"%d" % n) for n in range(100)))
    while frame_of(reader) != (PONG, b"99"):
        pass
    return Outcome("200")


@kind("A15")
def tunnels():
    up, key = b"Connection: Upgrade", b"Sec-WebSocket-Key: " + client.websocket_key()
    rows = {
        "h2c": [b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
        "H2C": [b"upgrade: H2C", up],
        "h2c, websocket": [b"Upgrade: h2c, websocket", up],
        "websocket, h2c": [b"Upgrade: websocket, h2c", up, key, b"Sec-WebSocket-Version: 13"],
        "h2c twice": [b"Upgrade: foo", b"Upgrade: h2c", up],
        "h2c with a tab": [b"Upgrade:\th2c ", up],
        "h2c without Connection": [b"Upgrade: h2c"],
        "websocket without a key": [b"Upgrade: websocket", up],
        "websocket, wrong version": [b"Upgrade: websocket", up, key, b"Sec-WebSocket-Version: 8"],
        "websocket, wrong answer": [b"Upgrade: websocket", up, key, b"Sec-WebSocket-Version: 13"],
        "TLS/1.0": [b"Upgrade: TLS/1.0", up],
        "raw": [b"Upgrade: raw", up],
        "unasked": [],
    }
    for name, sent in rows.items():
        for place in ("/101", "/101-bare"):
            for host, port in RAW:
                # The origin may take the request, as an addon has seen it; nothing may follow the 101.
                expect = "held"

                def play(path, host=host, port=port, sent=sent):
                    return upgraded(path, host, port, sent)

                yield Row(f"101 to {name}", f"{place[1:]}-{port}", expect, play, place)
    frame = b"\x81\x8cabcdSECRET IN WS"
    shake = b"%%b %%%%T HTTP/1.1\r\nHost: %%%%H\r\nUpgrade: %%b\r\n%b\r\n%b\r\nSec-WebSocket-Version: 13\r\n" % (up, key)
    for upgrade in (b"websocket", b"WebSocket"):
        for name, framing, body in (
            ("a length", b"Content-Length: %d\r\n\r\n" % len(frame), frame),
            ("chunks", b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(frame), frame)),
            ("no chunk", b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
        ):
            for method in (b"GET", b"POST"):
                data = shake % (method, upgrade) + framing + body
                yield from written(f"{upgrade.decode()} by {method.decode()} with {name}", data, "400", RAW + SECURE[1:], prefix="/websocket")
        data = shake % (b"POST", upgrade) + b"\r\n"
        yield from written(f"{upgrade.decode()} by POST", data, "400", RAW + SECURE[1:], prefix="/websocket")
    for target in (b"raw.escape.test:443", b"other.test:443", b"%H:80"):
        yield from written(f"CONNECT {target.decode()}", b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + target + b"\r\n\r\n", "refused", PLAIN + SECURE)


# --- A16: what has no end


@kind("A16")
def endless():
    piece = b"a" * (1 << 16)
    for host, port in RAW:

        def fed(path, start, end, size, host=host, port=port):
            wire = link(host, port)
            if isinstance(wire, Outcome):
                return wire
            try:
                pieces = [piece] * (size // len(piece)) + [end]
                return upload(wire, fill(start, host, path), iter(pieces), seconds=client.PATIENCE)
            finally:
                wire.close()

        start = b"GET %T HTTP/1.1\r\nHost: %H\r\nX-Long: "
        yield Row("header line of 20 MiB", port, "refused", lambda path, fed=fed: fed(path, start, b"\r\n\r\n", 20 * MIB))
        yield Row("endless request line", port, "refused", lambda path, fed=fed: fed(path, b"GET %T", b"", 20 * MIB))
        yield Row("endless method", port, "refused", lambda path, fed=fed: fed(path, b"GET", b"", 20 * MIB))
        yield Row("endless chunk size", port, "refused", lambda path, fed=fed: fed(path, b"POST %T HTTP/1.1\r\nHost: %H\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"", 20 * MIB))
        many = b"".join(b"X-%d: value\r\n" % number for number in range(10000))
        yield Row("10000 headers", port, "any", lambda path, fed=fed, many=many: fed(path, b"GET %T HTTP/1.1\r\nHost: %H\r\n" + many, b"\r\n", 0))

    def h2_long(path):
        wire = handshake("go.escape.test", alpn=("h2",))
        if isinstance(wire, Outcome):
            return wire
        if wire.alpn != "h2":
            return Outcome("no h2")
        try:
            h2 = H2(wire)
            block = client.h2_head(h2_fields(b"GET", b"go.escape.test", path.encode()))
            # A literal of 20 MiB, in frames that go on.
            block += b"\x00\x06x-long" + client.h2_length(b"a" * (20 * MIB))
            wire.send(h2_frame(1, 0, 1, block))
            for _ in range(20 * MIB // 16384):
                if h2.read(0) and h2.ended or not wire.send(h2_frame(9, 0, 1, b"a" * 16384)):
                    break
            wire.send(h2_frame(9, 5, 1, b""))
            return h2.outcome()
        finally:
            wire.close()

    yield Row("header of 20 MiB, http/2", "go", "refused", h2_long)


# ---


def families(rows, first):
    """Each row of a table with the address family that it is played over.

    A connection's bytes are judged alike in both families, so a table is not played twice. The
    variants of a row alternate, and the suite lets mitmproxy 12 begin with the other family than 11.
    So with each version a row of several variants meets both families, and in a whole run each
    variant does, in the time that one family would take. With which family a row begins depends on
    its name, or the first variants, most of which go to port 80, would all go over the same.
    """
    turns = collections.Counter()
    for row in rows:
        turn = first // 2 + zlib.crc32(row.name.encode()) + turns[row.name]
        turns[row.name] += 1
        yield row, f"IPv{4 + turn % 2 * 2}"


def play(kind_name, row, family):
    """One row: its result as a line of JSON."""
    client.thread.family = family
    variant = f"{row.variant} over {family}"
    path = "/" + "/".join(part.replace(" ", "-").replace("%", "") for part in (kind_name, row.name, variant))
    path = row.prefix + "".join(c if c.isalnum() or c in "/-_." else "_" for c in path)
    started = time.monotonic()
    try:
        outcome = row.play(path)
    except (OSError, ssl.SSLError) as error:
        outcome = Outcome("closed", note=str(error))
    except Exception as error:  # a fault of the row's own is a wrong row
        outcome = Outcome("broken row", note=repr(error))
    outcomes = outcome if isinstance(outcome, list) else [outcome]
    return {
        "kind": kind_name,
        "name": row.name,
        "variant": variant,
        "family": family,
        "expect": row.expect,
        "path": path,
        "sha256": row.sha256,
        "outcomes": [one.what for one in outcomes],
        "shown": "; ".join(map(str, outcomes)),
        "seconds": round(time.monotonic() - started, 2),
    }


def main(kind_name, first, pattern=""):
    rows = families([row for source in KINDS[kind_name] for row in source()], int(first))
    rows = [(row, family) for row, family in rows if re.search(pattern, f"{row.name} {row.variant}")]
    # Where nothing arrives at all, nothing is proved: this holds for either family.
    before, behind = (
        [(row, family) for row in written(f"control {when}", GET, "ok", RAW) for family in client.HOSTS]
        for when in ("before", "behind")
    )
    workers = {"memory": 50, "A16": 1, "A20": 1, "A21": 1, "A3": 4, "A2": 12}.get(kind_name, 8)
    workers = int(os.environ.get("WORKERS", workers))
    # What may get no answer waits for one in vain (client.PATIENCE): all of that at once.
    with concurrent.futures.ThreadPoolExecutor(workers) as busy, concurrent.futures.ThreadPoolExecutor(24) as waiting:
        for plays in before, rows, behind:
            pools = {"quiet": waiting, "held": waiting}
            results = [pools.get(row.expect, busy).submit(play, kind_name, row, family) for row, family in plays]
            for result in results:
                print(json.dumps(result.result()), flush=True)


main(*sys.argv[1:])
