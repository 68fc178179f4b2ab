"""Origins that write down what they take, and those that play along with an application.

Usage: origin.py PKI LOGS. All of them, each on an address of its own in both
families, ports 80 and 443:

python  Python's http.server
raw     any bytes: what is HTTP is answered, the rest is written down; offers http/1.1 alone
none    the same without ALPN (and on port 53)
retry   the same with a TLS that asks for another ClientHello (HelloRetryRequest)
banner  the same, but it speaks first
good    the same: what IGNORE_HOSTS names
two     HTTP/2, whatever the client offers

A raw one answers by the path: /101 with "switching protocols" and an echo, /websocket with a
real WebSocket's handshake and an echo of what comes, all else with 200.
"""

import base64
import hashlib
import http.server
import json
import os
import select
import socket
import ssl
import sys
import threading
import time

PKI, LOGS = sys.argv[1:]
# The last part of an origin's addresses.
NUMBERS = {"python": 53, "raw": 54, "none": 55, "two": 56, "retry": 57, "banner": 58, "good": 59}
FAMILIES = {socket.AF_INET: "203.0.113.%d", socket.AF_INET6: "2001:db8::%d"}
lock = threading.Lock()
log = open(os.path.join(LOGS, "python.jsonl"), "ab", buffering=0)
connections = 0


def note(**line):
    with lock:
        log.write(json.dumps(line).encode() + b"\n")


def names(origin):
    name = "good.test" if origin == "good" else f"{origin}.escape.test"
    return os.path.join(PKI, f"{name}.crt"), os.path.join(PKI, f"{name}.key")


def text(data):
    return data.decode("latin-1")


class Body:
    """Length and sum of a body that comes in pieces."""

    def __init__(self):
        self.length, self.sum = 0, hashlib.sha256()

    def add(self, piece):
        self.length += len(piece)
        self.sum.update(piece)

    def fields(self):
        return {"length": self.length, "sha256": self.sum.hexdigest()}


# --- http.server


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.take
        raise AttributeError(name)

    def read(self, body, size):
        while size > 0:
            piece = self.rfile.read1(min(size, 1 << 16))
            if not piece:
                return False
            body.add(piece)
            size -= len(piece)
        return True

    def take(self):
        body = Body()
        complete = True
        try:
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                    if not self.read(body, size):
                        raise ValueError
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
            else:
                complete = self.read(body, int(self.headers.get("Content-Length") or 0))
        except ValueError:
            complete = False
        note(
            origin="python",
            client=self.client_address[0],
            method=self.command,
            target=self.requestline.split(" ")[1] if " " in self.requestline else "",
            version=self.request_version,
            headers=[[name, value] for name, value in self.headers.items()],
            complete=complete,
            **body.fields(),
        )
        answer = f"python {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)
        if not complete:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, family, address, context):
        self.address_family, self.context = family, context
        super().__init__(address, Handler)

    def finish_request(self, request, client_address):
        if self.context:
            request.settimeout(30)
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, *_):
        pass


# --- raw bytes


class Closed(Exception):
    pass


class Raw:
    """One connection: reads HTTP/1 as it is written, and keeps what is not."""

    def __init__(self, origin, port, client, stream):
        global connections
        with lock:
            connections += 1
            self.conn = f"{origin}:{port}#{connections}"
        self.origin, self.stream, self.buffer = origin, stream, b""
        self.client = client

    def more(self):
        try:
            piece = self.stream.recv(1 << 18)
        except (OSError, ValueError):
            piece = b""
        if not piece:
            raise Closed
        self.buffer += piece

    def bytes_came(self, what):
        if self.buffer:
            note(origin=self.origin, conn=self.conn, client=self.client, raw=text(self.buffer[:300]), count=len(self.buffer), what=what)
        self.buffer = b""

    def send(self, data):
        try:
            self.stream.sendall(data)
        except (OSError, ValueError):
            raise Closed from None

    def serve(self):
        try:
            if self.origin == "banner":
                self.send(b"220 banner ESMTP\r\n")
            while self.request():
                pass
        except Closed:
            self.bytes_came("left over")

    def head(self):
        """The lines of a request, None if it is no HTTP."""
        started = time.monotonic()
        while b"\n" not in self.buffer:
            self.more()
            # Told apart when a while has gone without a whole line.
            if b"\n" not in self.buffer and not select.select([self.stream], [], [], 0.4)[0]:
                return None
            if time.monotonic() - started > 20:
                return None
        if b"HTTP/" not in self.buffer.lstrip(b"\r\n").split(b"\n")[0]:
            return None
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.lstrip(b"\r\n").partition(b"\r\n\r\n")
        return head.split(b"\r\n")

    def body(self, headers, body):
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        if any(name.lower() == "transfer-encoding" for name, _ in headers):
            while True:
                while b"\r\n" not in self.buffer:
                    self.more()
                line, _, self.buffer = self.buffer.partition(b"\r\n")
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    while not self.buffer.startswith(b"\r\n") and b"\r\n\r\n" not in self.buffer:
                        self.more()
                    trailers, _, self.buffer = (b"\r\n" + self.buffer).partition(b"\r\n\r\n")
                    return text(trailers.strip())
                self.some(size, body)
                while len(self.buffer) < 2:
                    self.more()
                self.buffer = self.buffer[2:]
        elif lengths:
            self.some(int(lengths[0]), body)
        return ""

    def some(self, size, body):
        while size > 0:
            if not self.buffer:
                self.more()
            body.add(self.buffer[:size])
            taken = min(size, len(self.buffer))
            self.buffer, size = self.buffer[taken:], size - taken

    def request(self):
        lines = self.head()
        if lines is None:
            first = self.buffer
            self.bytes_came("no HTTP")
            self.send(b"raw bytes " + first[:8].hex().encode() + b"\r\n")
            while True:
                self.more()
                self.bytes_came("no HTTP")
        if lines == [b"PRI * HTTP/2.0"]:
            return self.preface()
        words = text(lines[0]).split(" ")
        headers = [[part.strip() for part in text(line).partition(":")[::2]] for line in lines[1:]]
        fields = dict(
            origin=self.origin,
            client=self.client,
            method=words[0],
            target=" ".join(words[1:-1]),
            version=words[-1],
            headers=headers,
            head=text(b"\r\n".join(lines))[:2000],
        )
        if fields["target"].startswith(("/101", "/websocket")):
            note(**fields, length=0, sha256=Body().sum.hexdigest(), complete=True)
            return self.tunnel(fields["target"], {name.lower(): value for name, value in headers})
        body, complete, trailers = Body(), False, ""
        try:
            trailers = self.body(headers, body)
            complete = True
        except ValueError:
            raise Closed from None
        finally:
            note(**fields, complete=complete, trailers=trailers, **body.fields())
        answer = f"{self.origin} {fields['target']}\n".encode()
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
        return True

    def preface(self):
        """A client of HTTP/2 may say SETTINGS and WINDOW_UPDATE, and nothing else before it is answered."""
        self.stream.settimeout(1)
        try:
            while True:
                self.more()
        except Closed:
            self.buffer = self.buffer.removeprefix(b"SM\r\n\r\n")
        while self.buffer[3:4] in (b"\x04", b"\x08"):
            self.buffer = self.buffer[9 + int.from_bytes(self.buffer[:3], "big") :]
        self.bytes_came("behind a preface")
        self.send(b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n")
        raise Closed

    def tunnel(self, target, headers):
        if target.startswith("/websocket"):
            key = headers.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
                % (accept.encode(), b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if "deflate" in str(headers) else b"")
            )
            # What looks like a masked frame is sent back unmasked, as WebSocket asks.
            while True:
                while len(self.buffer) < 6:
                    self.more()
                if self.buffer[0] & 0x70 or not self.buffer[1] & 0x80:
                    self.bytes_came("no WebSocket")
                    continue
                size = self.buffer[1] & 0x7F
                while len(self.buffer) < 6 + size:
                    self.more()
                mask, data = self.buffer[2:6], self.buffer[6 : 6 + size]
                opcode, self.buffer = self.buffer[:1], self.buffer[6 + size :]
                data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
                self.frame(target, opcode, data)
        upgrade = "" if target.startswith("/101-bare") else f"Upgrade: {headers.get('upgrade', 'raw')}\r\nConnection: Upgrade\r\n"
        self.send(b"HTTP/1.1 101 Switching Protocols\r\n%b\r\ntunnel open\r\n" % upgrade.encode())
        while True:
            self.more()
            echo = self.buffer
            self.bytes_came("behind a 101")
            self.send(b"echo " + echo)


    def frame(self, target, opcode, data):
        """A WebSocket's frame: answered as RFC 6455 asks for, or with what it is. No hook knows what
        a ping or a pong holds; a close has a reason only where an addon has left it."""
        known = {b"\x88": data if target.startswith("/websocket-reason") else data[:2], b"\x89": b"", b"\x8a": b"own"}
        unseen = data.removeprefix(known.get(opcode, data))
        if unseen:
            note(origin=self.origin, conn=self.conn, client=self.client, raw=text(unseen), count=len(unseen), what="in a control frame")
        if opcode == b"\x8a":
            opcode, data = b"\x81", b"ponged"
        elif opcode == b"\x89":
            opcode = b"\x8a"
        elif data == b"ping me":
            opcode, data = b"\x89", b"own"
        self.send(opcode + bytes([len(data)]) + data)
        if opcode == b"\x88":
            raise Closed


def two(origin, port, client, stream):
    """HTTP/2 by the library, which forgives as much as it can."""
    import h2.config
    import h2.connection
    import h2.events

    raw = Raw(origin, port, client, stream)
    config = h2.config.H2Configuration(
        client_side=False, validate_inbound_headers=False, normalize_inbound_headers=False, header_encoding=False
    )
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    requests = {}
    while True:
        try:
            stream.sendall(connection.data_to_send() or b"")
            data = stream.recv(1 << 16)
        except Exception:
            break
        if not data:
            break
        try:
            events = connection.receive_data(data)
        except Exception:
            raw.buffer = data
            raw.bytes_came("no HTTP/2")
            break
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                requests[event.stream_id] = (event.headers, Body())
            elif isinstance(event, h2.events.DataReceived):
                requests[event.stream_id][1].add(event.data)
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                if event.stream_id not in requests:
                    continue
                headers, body = requests.pop(event.stream_id)
                headers = [[text(name), text(value)] for name, value in headers]
                pseudo = dict(headers)
                ended = isinstance(event, h2.events.StreamEnded)
                note(
                    origin=origin,
                    client=client,
                    method=pseudo.get(":method"),
                    target=pseudo.get(":path"),
                    version="HTTP/2.0",
                    headers=headers,
                    complete=ended,
                    **body.fields(),
                )
                if ended:
                    answer = f"{origin} {pseudo.get(':path')}\n".encode()
                    connection.send_headers(event.stream_id, [(":status", "200"), ("content-length", str(len(answer)))])
                    connection.send_data(event.stream_id, answer, end_stream=True)


def one(origin, port, client, plain, context):
    try:
        plain.settimeout(90)
        if port != 443:
            stream = plain
        elif origin == "two":
            from OpenSSL import SSL

            plain.settimeout(None)
            stream = SSL.Connection(context, plain)
            stream.set_accept_state()
            stream.do_handshake()
        else:
            stream = context.wrap_socket(plain, server_side=True)
        # On port 80 it speaks what it is spoken to in, as servers with prior knowledge do.
        if origin == "two" and (port == 443 or plain.recv(3, socket.MSG_PEEK) == b"PRI"):
            two(origin, port, client, stream)
        else:
            Raw(origin, port, client, stream).serve()
    except Exception as error:  # a handshake that fails is the client's business
        print(origin, port, repr(error), file=sys.stderr, flush=True)
    finally:
        plain.close()


def tls(origin):
    certificate, key = names(origin)
    if origin == "two":
        from OpenSSL import SSL

        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_file(certificate)
        context.use_privatekey_file(key)
        # Whatever was offered, as only a server that means harm does.
        context.set_alpn_select_callback(lambda connection, offered: b"h2")
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if origin not in ("none", "python"):
        context.set_alpn_protocols(["http/1.1"])
    if origin == "retry":
        context.set_ecdh_curve("secp521r1")
    return context


def listen(origin, port, family):
    context = tls(origin) if port == 443 else None
    address = FAMILIES[family] % NUMBERS[origin], port
    if origin == "python":
        Server(family, address, context).serve_forever()
    listener = socket.create_server(address, family=family, backlog=256)
    while True:
        plain, peer = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=one, args=(origin, port, peer[0], plain, context), daemon=True).start()


for origin in NUMBERS:
    for port in (80, 443, 53) if origin == "none" else (80, 443):
        for family in FAMILIES:
            threading.Thread(target=listen, args=(origin, port, family), daemon=True).start()
print("listening", flush=True)
threading.Event().wait()
