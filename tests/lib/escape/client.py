"""What an application can write to a socket: the client's half of the rows.

Everything runs over a *wire*, an object with send(bytes), recv(seconds) and close(). recv gives
b"" at the end and None when the time is over.
"""

import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import threading
import time

# Addresses by the family and the name.
HOSTS = {"IPv4": {}, "IPv6": {}}
with open("/etc/hosts") as hosts:
    for line in filter(str.strip, hosts):
        address, *aliases = line.split()
        HOSTS["IPv6" if ":" in address else "IPv4"].update(dict.fromkeys(aliases, address))

# The family in which this thread connects.
thread = threading.local()

# The certificate of the proxy's CA alone: what it does not verify was not intercepted.
PROXY_CA = os.environ["PROXY_CA"]
ORIGIN_CA = os.environ["ORIGIN_CA"]
# How long anything may take here, on a machine that is busy. What is refused has ended by then.
PATIENCE = 3.5


class Outcome:
    """What came of it: an answer's status, "closed", "open" (nothing within PATIENCE)."""

    def __init__(self, what, body=b"", note="", **more):
        self.what, self.body, self.note, self.more = what, body, note, more

    def __repr__(self):
        return f"{self.what}{' ' + self.note if self.note else ''}{' ' + repr(self.body[:300]) if self.body else ''}"


class Tcp:
    def __init__(self, host, port):
        self.socket = socket.create_connection((HOSTS[thread.family][host], port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started = time.monotonic()

    def send(self, data):
        # What is not taken any more is no error here: the answer is what counts.
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def recv(self, seconds):
        if not select.select([self.socket], [], [], max(seconds, 0))[0]:
            return None
        try:
            return self.socket.recv(1 << 16)
        except OSError:
            return b""

    def close(self):
        self.socket.close()


class Tls:
    """TLS over a wire; `first` may send the ClientHello in its own way."""

    def __init__(self, wire, name, alpn=("http/1.1",), ca=PROXY_CA, first=None, verify=True, highest=None):
        context = ssl.create_default_context(cafile=ca)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if highest:
            context.maximum_version = highest
        self.wire, self.incoming, self.outgoing = wire, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                break
            except ssl.SSLWantReadError:
                data = self.outgoing.read()
                if data:
                    (first or (lambda wire, hello: wire.send(hello)))(wire, data)
                    first = None
                self.feed(deadline)
            except ssl.SSLError:
                self.flush()
                raise
        self.alpn = self.tls.selected_alpn_protocol()

    def flush(self):
        data = self.outgoing.read()
        return not data or self.wire.send(data)

    def feed(self, deadline):
        data = self.wire.recv(deadline - time.monotonic())
        if data is None:
            raise TimeoutError("handshake")
        if not data:
            raise ConnectionResetError("handshake")
        self.incoming.write(data)

    def send(self, data):
        for index in range(0, len(data), 1 << 16):
            self.tls.write(data[index : index + (1 << 16)])
            if not self.flush():
                return False
        return True

    def recv(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                data = self.wire.recv(deadline - time.monotonic())
                if data is None:
                    return None
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLError:
                return b""

    def close(self):
        self.wire.close()


def handshake(host, **options):
    """A TLS connection to port 443 of that host, or the Outcome of the attempt."""
    wire = Tcp(host, 443)
    name = options.pop("name", host)
    try:
        return Tls(wire, name, **options)
    except ssl.SSLCertVerificationError as error:
        return Outcome("foreign certificate", note=error.verify_message)
    except TimeoutError:
        return Outcome("open", note="handshake")
    except (ssl.SSLError, OSError) as error:
        return Outcome("closed", note=f"handshake: {error}")


class Reader:
    """Reads HTTP/1 answers from a wire."""

    def __init__(self, wire):
        self.wire, self.buffer, self.ended = wire, b"", False

    def more(self, deadline):
        data = self.wire.recv(deadline - time.monotonic())
        if data is None:
            raise TimeoutError
        if not data:
            self.ended = True
            raise EOFError
        self.buffer += data

    def answer(self, seconds=PATIENCE, method="GET"):
        started = time.monotonic()
        deadline = started + seconds
        took = lambda: f"after {time.monotonic() - started:.1f} s"
        try:
            while b"\r\n\r\n" not in self.buffer:
                self.more(deadline)
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            status = lines[0].split(b" ")[1].decode("latin-1") if b" " in lines[0] else "?"
            headers = {line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip() for line in lines[1:]}
            if status == "101":
                return Outcome("101")
            if status.startswith("1"):
                return self.answer(deadline - time.monotonic(), method)
            if not status.isdigit():
                return Outcome("no HTTP", head[:60])
            body = b""
            try:
                if b"chunked" in headers.get(b"transfer-encoding", b""):
                    while not self.buffer.endswith(b"0\r\n\r\n"):
                        self.more(deadline)
                    body, self.buffer = self.buffer, b""
                elif method != "HEAD" and b"content-length" in headers:
                    size = int(headers[b"content-length"])
                    while len(self.buffer) < size:
                        self.more(deadline)
                    body, self.buffer = self.buffer[:size], self.buffer[size:]
            except EOFError:
                body, self.buffer = self.buffer, b""
            return Outcome(status, body)
        except EOFError:
            return Outcome("no HTTP", self.buffer) if self.buffer else Outcome("closed", note=took())
        except TimeoutError:
            return Outcome("open", self.buffer)


def say(wire, *pieces, pause=0.005, answers=1, method="GET"):
    """Send pieces with a pause in between; the outcome, or that of several answers."""
    for index, piece in enumerate(pieces):
        if index and pause:
            time.sleep(pause)
        wire.send(piece)
    reader = Reader(wire)
    outcomes = [reader.answer(method=method)]
    while len(outcomes) < answers and outcomes[-1].what.isdigit() and not reader.ended:
        outcomes.append(reader.answer(seconds=1))
    return outcomes[0] if answers == 1 else outcomes


def upload(wire, head, pieces, seconds):
    """A request whose body comes from an iterator; ends early if there is an answer."""
    reader, deadline = Reader(wire), time.monotonic() + seconds
    wire.send(head)
    for piece in pieces:
        if time.monotonic() > deadline:
            return Outcome("open", note="still sending")
        early = wire.recv(0)
        if early is not None:
            reader.buffer += early
            while reader.buffer.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in reader.buffer:
                reader.buffer = reader.buffer.partition(b"\r\n\r\n")[2]
            if early == b"" or b"\r\n\r\n" in reader.buffer:
                break
        if not wire.send(piece):
            break
    return reader.answer(seconds=seconds)


# --- HTTP/2


def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0)


def h2_head(fields):
    """Header fields as they stand, without Huffman codes and without any check."""
    block = b""
    for name, value in fields:
        block += b"\x00" + h2_length(name) + name + h2_length(value) + value
    return block


def h2_length(data):
    if len(data) < 127:
        return bytes([len(data)])
    rest, out = len(data) - 127, b"\x7f"
    while rest >= 128:
        out += bytes([rest % 128 + 128])
        rest //= 128
    return out + bytes([rest])


def h2_fields(method, host, path, *more):
    return [(b":method", method), (b":scheme", b"https"), (b":authority", host), (b":path", path), *more]


class H2:
    """One request over HTTP/2, by hand."""

    def __init__(self, wire):
        self.wire, self.buffer, self.window = wire, b"", {0: 65535, 1: 65535}
        self.status, self.ended, self.answer_body = None, None, b""
        self.initial = 65535
        self.decoder = None
        wire.send(PREFACE)

    def headers(self, fields, end=False, stream=1):
        block = h2_head(fields)
        first, rest = block[:16384], block[16384:]
        self.wire.send(h2_frame(1, (1 if end else 0) | (0 if rest else 4), stream, first))
        while rest:
            piece, rest = rest[:16384], rest[16384:]
            self.wire.send(h2_frame(9, 0 if rest else 4, stream, piece))

    def data(self, data, end=False, deadline=None):
        deadline = deadline or time.monotonic() + 30
        while len(data) or end:
            self.read(0)
            if self.ended:
                return False
            room = min(self.window[0], self.window[1], 16384, len(data))
            if len(data) and room <= 0:
                if time.monotonic() > deadline:
                    return False
                self.read(0.2)
                continue
            last = end and room == len(data)
            if not self.wire.send(h2_frame(0, 1 if last else 0, 1, data[:room])):
                return False
            self.window[0] -= room
            self.window[1] -= room
            data = data[room:]
            if last:
                break
        return True

    def read(self, seconds):
        data = self.wire.recv(seconds)
        if data is None:
            return False
        if not data:
            self.ended = self.ended or "closed"
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            size = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + size:
                break
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
            self.frame(kind, flags, stream, self.buffer[9 : 9 + size])
            self.buffer = self.buffer[9 + size :]
        return True

    def frame(self, kind, flags, stream, payload):
        if kind == 4 and not flags & 1:
            for index in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[index : index + 6])
                if name == 4:
                    self.window[1] += value - self.initial
                    self.initial = value
            self.wire.send(h2_frame(4, 1, 0))
        elif kind == 8 and stream in self.window:
            self.window[stream] += int.from_bytes(payload, "big")
        elif kind == 6 and not flags & 1:
            self.wire.send(h2_frame(6, 1, 0, payload))
        elif kind == 1:
            import hpack

            self.decoder = self.decoder or hpack.Decoder()
            if flags & 0x20:
                payload = payload[5:]
            fields = self.decoder.decode(payload, raw=True)
            for name, value in fields:
                if bytes(name) == b":status" and stream == 1:
                    self.status = bytes(value).decode()
            if flags & 1:
                self.ended = self.ended or "answer"
        elif kind == 0:
            self.answer_body += payload
            if payload:
                for number in (0, stream):
                    self.wire.send(h2_frame(8, 0, number, struct.pack(">I", len(payload))))
            if flags & 1:
                self.ended = self.ended or "answer"
        elif kind == 3:
            self.ended = self.ended or "reset"
        elif kind == 7:
            self.ended = self.ended or "goaway"

    def outcome(self, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            self.read(deadline - time.monotonic())
        if self.status:
            return Outcome(self.status, self.answer_body, note=self.ended or "")
        return Outcome("closed" if self.ended else "open", note=self.ended or "")


def ask_h2(host, fields, body=None, alpn=("h2", "http/1.1"), trailers=None, seconds=PATIENCE):
    """One request, or the Outcome "no h2" where the proxy does not speak it for this origin. Without
    TLS if nothing is offered in ALPN."""
    wire = handshake(host, alpn=alpn) if alpn else Tcp(host, 80)
    if isinstance(wire, Outcome):
        return wire
    try:
        if alpn and wire.alpn != "h2":
            return Outcome("no h2", note=str(wire.alpn))
        client = H2(wire)
        client.headers(fields, end=body is None)
        if body is not None:
            pieces = [body] if isinstance(body, bytes) else body
            for piece in pieces:
                if not client.data(piece, deadline=time.monotonic() + seconds):
                    break
            else:
                if trailers:
                    client.headers(trailers, end=True)
                else:
                    client.data(b"", end=True)
        return client.outcome(seconds)
    finally:
        wire.close()


# --- TLS 1.3 by hand, for a server that asks for another ClientHello (RFC 8446)


class Hello:
    """A client that first offers no key, and so provokes a HelloRetryRequest.

    The list of protocols in the first and in the second ClientHello may differ, which no
    library would do. The server's certificate is not looked at: who it is shows at the origin.
    """

    def __init__(self, wire, name, first_alpn, second_alpn):
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self.wire, self.buffer, self.plain, self.handshake_bytes = wire, b"", b"", b""
        self.read_keys = self.write_keys = None
        self.retried, self.alpn = False, None
        key = X25519PrivateKey.generate()
        share = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        random, session = os.urandom(32), os.urandom(32)

        def hello(shares, alpn, cookie=b""):
            def extension(number, data):
                return struct.pack(">HH", number, len(data)) + data

            def listed(data, form=">H"):
                return struct.pack(form, len(data)) + data

            extensions = extension(0, listed(b"\x00" + listed(name.encode())))
            extensions += extension(10, listed(b"\x00\x1d"))
            extensions += extension(13, listed(bytes.fromhex("040308040401050308050501080606010201")))
            extensions += extension(43, b"\x02\x03\x04")
            if alpn:
                extensions += extension(16, listed(b"".join(listed(item.encode(), ">B") for item in alpn)))
            if cookie:
                extensions += extension(44, cookie)
            extensions += extension(51, listed(shares))
            body = b"\x03\x03" + random + b"\x20" + session + b"\x00\x02\x13\x01" + b"\x01\x00" + listed(extensions)
            return b"\x01" + struct.pack(">I", len(body))[1:] + body

        first = hello(b"", first_alpn)
        self.record(22, first)
        answer = self.message()
        transcript = first
        if answer[6:38] == bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C"):
            self.retried = True
            cookie = self.extensions(answer).get(44, b"")
            second = hello(b"\x00\x1d\x00\x20" + share, second_alpn, cookie)
            self.record(22, second)
            transcript = b"\xfe\x00\x00\x20" + hashlib.sha256(first).digest() + answer + second
            answer = self.message()
        transcript += answer
        peer = self.extensions(answer)[51][4:]
        shared = key.exchange(X25519PublicKey.from_public_bytes(peer))

        digest = lambda data: hashlib.sha256(data).digest()
        empty = digest(b"")
        early = self.extract(b"\0" * 32, b"\0" * 32)
        secret = self.extract(self.expand(early, b"derived", empty), shared)
        client_secret = self.expand(secret, b"c hs traffic", digest(transcript))
        server_secret = self.expand(secret, b"s hs traffic", digest(transcript))
        self.read_keys = self.keys(server_secret)
        while True:
            message = self.message()
            if message[0] == 8:
                data = message[6:]
                while data:
                    number, size = struct.unpack(">HH", data[:4])
                    if number == 16:
                        self.alpn = data[7 : 4 + size].decode()
                    data = data[4 + size :]
            transcript += message
            if message[0] == 20:
                break
        finished = hmac.digest(self.expand(client_secret, b"finished", b""), digest(transcript), "sha256")
        master = self.extract(self.expand(secret, b"derived", empty), b"\0" * 32)
        self.record(20, b"\x01")
        self.write_keys = self.keys(client_secret)
        self.record(22, b"\x14\x00\x00\x20" + finished)
        self.write_keys = self.keys(self.expand(master, b"c ap traffic", digest(transcript)))
        self.read_keys = self.keys(self.expand(master, b"s ap traffic", digest(transcript)))

    @staticmethod
    def extract(salt, data):
        return hmac.digest(salt, data, "sha256")

    @staticmethod
    def expand(secret, label, context, size=32):
        label = b"tls13 " + label
        info = struct.pack(">HB", size, len(label)) + label + bytes([len(context)]) + context
        return hmac.digest(secret, info + b"\x01", "sha256")[:size]

    def keys(self, secret):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return [AESGCM(self.expand(secret, b"key", b"", 16)), self.expand(secret, b"iv", b"", 12), 0]

    @staticmethod
    def nonce(keys):
        number = keys[2]
        keys[2] += 1
        return bytes(a ^ b for a, b in zip(keys[1], number.to_bytes(12, "big")))

    @staticmethod
    def extensions(message):
        session = message[38]
        data, found = message[39 + session + 5 :], {}
        while data:
            number, size = struct.unpack(">HH", data[:4])
            found[number], data = data[4 : 4 + size], data[4 + size :]
        return found

    def record(self, kind, data):
        if self.write_keys and kind != 20:
            data += bytes([kind])
            head = b"\x17\x03\x03" + struct.pack(">H", len(data) + 16)
            data = self.write_keys[0].encrypt(self.nonce(self.write_keys), data, head)
            return self.wire.send(head + data)
        return self.wire.send(bytes([kind]) + b"\x03\x03" + struct.pack(">H", len(data)) + data)

    def read_record(self, deadline):
        while len(self.buffer) < 5 or len(self.buffer) < 5 + int.from_bytes(self.buffer[3:5], "big"):
            data = self.wire.recv(deadline - time.monotonic())
            if data is None:
                raise TimeoutError("handshake")
            if not data:
                raise ConnectionResetError("closed")
            self.buffer += data
        size = 5 + int.from_bytes(self.buffer[3:5], "big")
        head, data, self.buffer = self.buffer[:5], self.buffer[5:size], self.buffer[size:]
        kind = head[0]
        if kind == 23 and self.read_keys:
            data = self.read_keys[0].decrypt(self.nonce(self.read_keys), data, head).rstrip(b"\0")
            kind, data = data[-1], data[:-1]
        if kind == 21:
            raise ConnectionResetError(f"alert {data.hex()}")
        return kind, data

    def message(self):
        deadline = time.monotonic() + PATIENCE
        while len(self.handshake_bytes) < 4 or len(self.handshake_bytes) < 4 + int.from_bytes(
            self.handshake_bytes[1:4], "big"
        ):
            kind, data = self.read_record(deadline)
            if kind == 22:
                self.handshake_bytes += data
        size = 4 + int.from_bytes(self.handshake_bytes[1:4], "big")
        message, self.handshake_bytes = self.handshake_bytes[:size], self.handshake_bytes[size:]
        return message

    def send(self, data):
        return all(self.record(23, data[index : index + 16000]) for index in range(0, len(data), 16000))

    def recv(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                kind, data = self.read_record(deadline)
            except TimeoutError:
                return None
            except (ConnectionError, ValueError):
                return b""
            if kind == 23:
                return data

    def close(self):
        self.wire.close()


def websocket_key():
    return base64.b64encode(os.urandom(16))
