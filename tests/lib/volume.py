"""Much data one way, as WebSocket messages or as bytes of no known protocol.

Usage: volume.py serve ADDRESS WEBSOCKET_PORT BYTES_PORT, and 127.0.0.1:9101 says how long a body was
       volume.py websocket|bytes up|down ADDRESS PORT MIB

The client prints how many bytes the receiving end has got.
"""

import base64
import hashlib
import http.server
import os
import socket
import struct
import sys
import threading

MIB = 1 << 20
GREETING = struct.Struct("!BxQ")  # 1 for up, 2 for down: neither TLS nor HTTP; MiB
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
BINARY = 0x82


class Bytes:
    def __init__(self, sock):
        self.sock, self.file = sock, sock.makefile("rb", buffering=MIB)

    def greet(self, direction, mib):
        self.sock.sendall(GREETING.pack(1 + (direction == "down"), mib))

    def greeted(self):
        kind, mib = GREETING.unpack(self.read(GREETING.size))
        return ("up", "down")[kind - 1], mib

    def read(self, size):
        data = self.file.read(size)
        if len(data) < size:
            raise OSError(f"ended after {len(data)} of {size} bytes")
        return data

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        return self.read(MIB)


class WebSocket(Bytes):
    """Messages of a MiB, with a mask of zeros, which changes nothing."""

    masked = 0

    def greet(self, direction, mib):
        self.masked = 0x80
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET /{direction}/{mib} HTTP/1.1\r\nHost: volume.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        lines = self.head()
        if " 101 " not in lines[0]:
            raise OSError(lines)

    def greeted(self):
        lines = self.head()
        key = next(line.split(": ")[1] for line in lines if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        self.sock.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        _, direction, mib = lines[0].split()[1].split("/")
        return direction, int(mib)

    def head(self):
        lines = []
        while line := self.file.readline().decode().strip():
            lines.append(line)
        return lines

    def send(self, data):
        self.sock.sendall(struct.pack("!BBQ", BINARY, self.masked | 127, len(data)) + bytes(self.masked and 4))
        self.sock.sendall(data)

    def receive(self):
        """A message, of however many frames."""
        message, is_last = b"", False
        while not is_last:
            first, size = self.read(2)
            is_last, mask, size = first & 0x80, size & 0x80, size & 0x7F
            if size >= 126:
                size = int.from_bytes(self.read(2 if size == 126 else 8), "big")
            self.read(4 if mask else 0)
            message += self.read(size)
        return message


def send_all(peer, mib):
    block = bytes(MIB)
    for _ in range(mib):
        peer.send(block)
    return int.from_bytes(peer.receive()[:8], "big")


def receive_all(peer, mib):
    """Tells the sender as well."""
    size = sum(len(peer.receive()) for _ in range(mib))
    peer.send(size.to_bytes(8, "big").ljust(MIB))
    return size


def serve(kind, address, port):
    def one(sock):
        peer = kind(sock)
        direction, mib = peer.greeted()
        (receive_all if direction == "up" else send_all)(peer, mib)
        peer.file.read(1)

    listener = socket.create_server((address, port))
    while True:
        threading.Thread(target=one, args=listener.accept()[:1], daemon=True).start()


class Sink(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        left = size = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(left, MIB))):
            left -= len(data)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d" % (size - left))


def main(what, *rest):
    if what == "serve":
        address, *ports = rest
        threads = [
            threading.Thread(target=serve, args=(kind, address, int(port)))
            for kind, port in zip((WebSocket, Bytes), ports)
        ]
        for thread in threads:
            thread.start()
        http.server.ThreadingHTTPServer(("127.0.0.1", 9101), Sink).serve_forever()
    direction, address, port, mib = rest
    peer = {"websocket": WebSocket, "bytes": Bytes}[what](socket.create_connection((address, int(port)), 60))
    peer.greet(direction, int(mib))
    print((send_all if direction == "up" else receive_all)(peer, int(mib)))


main(*sys.argv[1:])
