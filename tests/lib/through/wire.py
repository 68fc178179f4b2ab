"""The two ends of a connection: sockets in the namespaces of pod and origin, plain or with TLS.

One process plays both ends, so that a row can tell what had arrived when the next piece was sent.
What the other end does to a connection is an Ended: FIN, reset, close_notify, or an alert of TLS.
"""

import asyncio
import ctypes
import fcntl
import os
import socket
import ssl
import struct
import sys
import termios

CLONE_NEWNET = 0x40000000
IPV6_FREEBIND = 78
LIBC = ctypes.CDLL(None, use_errno=True)


class Ended(Exception):
    """The other end has ended the connection, and so."""


class Place:
    """A network namespace, in which sockets are made as a user."""

    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __init__(self, name):
        self.file = os.open("/run/netns/" + name, os.O_RDONLY | os.O_CLOEXEC)

    def socket(self, address, uid=0):
        """A socket has the namespace and the owner of the time when it was made."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        enter(self.file)
        os.seteuid(uid)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        finally:
            os.seteuid(0)
            enter(self.home)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def listen(self, address, port):
        sock = self.socket(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The address is the origin's by a route, no device has it.
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        sock.bind((address, port))
        sock.listen(4096)
        return sock


def enter(namespace):
    if LIBC.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Tcp:
    """A connection; send and receive raise Ended."""

    tls = None

    def __init__(self, sock):
        self.sock, self.turn = sock, asyncio.Lock()

    async def send(self, data):
        async with self.turn:
            try:
                await asyncio.get_running_loop().sock_sendall(self.sock, data)
            except OSError as error:
                raise Ended(kind(error)) from error

    async def receive(self, limit=1 << 18):
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, limit)
        except OSError as error:
            raise Ended(kind(error)) from error
        if not data:
            raise Ended("FIN")
        return data

    def unacknowledged(self):
        return int.from_bytes(fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    async def finish(self):
        """No more comes from here; the other direction stays."""
        self.shut()

    def shut(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.cut()

    def cut(self):
        """Closed, without what TLS says before. A task may wait for it still, and does so to its own end."""
        if (file := self.sock.fileno()) >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(file)
            loop.remove_writer(file)
        self.sock.close()

    async def close(self):
        self.cut()


class Tls:
    """The same with TLS on top of a Tcp."""

    def __init__(self, tcp, context, server_side, name=None):
        self.tcp, self.incoming, self.outgoing = tcp, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=name)

    async def handshake(self):
        await self.step(self.tls.do_handshake)
        await self.flush()
        return self

    async def step(self, act, *arguments):
        while True:
            try:
                return act(*arguments)
            except ssl.SSLWantReadError:
                await self.flush()
            except ssl.SSLError as error:
                try:
                    await self.flush()
                except Ended:
                    pass
                raise Ended(kind(error)) from error
            try:
                self.incoming.write(await self.tcp.receive())
            except Ended as ended:
                if str(ended) != "FIN":
                    raise
                self.incoming.write_eof()

    async def flush(self):
        if self.outgoing.pending:
            await self.tcp.send(self.outgoing.read())

    async def send(self, data):
        view = memoryview(data)
        for start in range(0, len(view), 1 << 18):
            await self.step(self.tls.write, view[start : start + (1 << 18)])
            await self.flush()

    async def receive(self, limit=1 << 18):
        data = await self.step(self.tls.read, limit)
        if not data:
            raise Ended("close_notify")
        return data

    async def finish(self):
        self.farewell()
        await self.flush()
        self.tcp.shut()

    def farewell(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass

    def reset(self):
        self.tcp.reset()

    def cut(self):
        self.tcp.cut()

    async def close(self):
        self.farewell()
        try:
            await self.flush()
        except Ended:
            pass
        await self.tcp.close()


def kind(error):
    """How a connection ended, in words that do not depend on the direction."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate: " + error.verify_message
    if isinstance(error, ssl.SSLEOFError) or getattr(error, "reason", "") == "UNEXPECTED_EOF_WHILE_READING":
        return "FIN"
    if isinstance(error, ssl.SSLZeroReturnError):
        return "close_notify"
    if isinstance(error, ssl.SSLError):
        return "TLS: " + (error.reason or str(error))
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    return type(error).__name__ if not error.errno else os.strerror(error.errno)


def client_context(trusted, alpn, checked=True):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(trusted)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if not checked:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_context(certificate, alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate + ".crt", certificate + ".key")
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
