"""What admission.py needs changed in mitmproxy itself, one piece at a time.

Each piece first checks that what it changes is as in the versions that were tried,
from FIRST to LAST below. If it is not, mitmdump ends with a line that says so, and
never becomes ready. The option `egress_without`, for tests, leaves out the pieces
that it names. All pieces are in this one file, because they are applied in one go,
in one order, after the same look at mitmproxy.
"""

import asyncio
import collections
import contextlib
import contextvars
import dataclasses
import fcntl
import functools
import inspect
import ipaddress
import itertools
import logging
import os
import pathlib
import re
import socket
import struct
import sys
import termios
import time
import types
import typing
import weakref
import zlib

from cryptography import x509
from mitmproxy import version

FIRST, LAST = (11, 0, 2), (12, 3, 1)
VERSION = tuple(map(int, re.findall(r"\d+", version.VERSION)[:3]))


def end(why):
    """End at once, because mitmproxy would go on for a moment without its addons."""
    os.write(2, f"mitmproxy {version.VERSION} {why}\n".encode())
    os._exit(1)


def refuse_to_run(why):
    first, last = (".".join(map(str, tried)) for tried in (FIRST, LAST))
    end(f"does not fit: {why}; versions from {first} to {last} do")


if not FIRST <= VERSION <= LAST:
    refuse_to_run("its version")

try:
    import h2.connection
    import h2.errors
    import h2.events
    import h2.exceptions
    import wsproto.extensions
    from mitmproxy import addonmanager, exceptions, flow, http
    from mitmproxy.connection import Client, ConnectionState, Server
    from mitmproxy.net import encoding
    from mitmproxy.net.http import http1
    from mitmproxy.proxy import commands, events, server, server_hooks
    from mitmproxy.proxy.layers import http as layers
    from mitmproxy.proxy.layers import modes, tcp, tls, websocket
    from mitmproxy.proxy.layers.http import _http1, _http2
    from mitmproxy.proxy.layers.http._base import ReceiveHttp
    from OpenSSL import SSL
    from wsproto.events import CloseConnection, Message, Ping, Pong
    from wsproto.frame_protocol import CloseReason
except ImportError as error:
    refuse_to_run(str(error))

# mitmproxy 12 has codes of its own where 11 takes an HTTP status.
ErrorCode = getattr(layers, "ErrorCode", None)
BAD_GATEWAY = ErrorCode.CONNECT_FAILED if ErrorCode else 502
BAD_REQUEST = ErrorCode.GENERIC_CLIENT_ERROR if ErrorCode else 400
NO_ANSWER = ErrorCode.KILL if ErrorCode else 444

HEAD_MAX = 256 * 1024
WAITING_MAX = 4 * 1024 * 1024
TRIES_MAX = 6
END_DELAY = 5  # seconds
# Seconds: how long an origin may take to accept a connection, how long before another address of it
# is tried, and how long a client may take to speak first.
CONNECT_MAX, PATIENCE, CLIENT_FIRST = 30, 2, 1
OTHERS_MAX = 4
PIECE = 1024
MEMBERS_MAX = 1000
STREAM_WINDOW, CONNECTION_WINDOW = 1024 * 1024, 8 * 1024 * 1024
# Streams that have ended, of which is known how: for what a side has sent before it knew.
ENDED_MAX = 1000
CONNECTIONS_MAX = 4
# A message of a WebSocket, for addons in one piece. Each frame, or chunk of a body, takes memory and
# time by itself, also an empty one.
MESSAGE_MAX = 16 * 1024 * 1024
FRAME_COST = 512
PINGS_MAX = 16
RESET, CUT = "reset", "cut"  # how a connection ends that does not end in good order
END_OF_HEAD = re.compile(rb"\n\r?\n")

CONNECT = (
    "The proxy refuses CONNECT, which is for a forward proxy: HTTPS_PROXY of this program, or a setting "
    "like it, names one at a port that is intercepted. Without it the program is intercepted all the "
    "same. Where the forward proxy is needed, it has to be excluded from interception "
    "(OPENSANDBOX_EGRESS_MITMPROXY_EXCLUDE_CIDRS), and nobody here sees what goes by it."
)
AMBIGUOUS = "The proxy refuses this request, which two parsers could understand differently: {}."

applied = False


def check_ca(confdir):
    """End if clients would not find the CA. Before 12.2.3 a leaf names it by the SHA-1 of its key,
    and clients do not find a CA that has another key identifier."""
    if VERSION >= (12, 2, 3):
        return
    try:
        pem = pathlib.Path(confdir, "mitmproxy-ca.pem").read_bytes()
    except OSError:
        return  # mitmproxy itself says what is wrong, or makes one
    ca = x509.load_pem_x509_certificates(pem)[0]
    expected = x509.SubjectKeyIdentifier.from_public_key(ca.public_key())
    try:
        found = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return
    if found != expected:
        end(
            f"does not work with the CA {ca.subject.rfc4514_string()[:100]!r}, whose "
            "subjectKeyIdentifier is not the SHA-1 of its key: use mitmproxy 12.2.3 or newer, "
            "or another CA"
        )


def is_watching():
    """Does mitmdump still watch its log for errors of its start?"""
    return any(type(handler).__name__ == "ErrorCheckHandler" for handler in logging.root.handlers)


# What has been refused, by kind; worker.py tells healthd, in this order.
refused = dict.fromkeys(("non-http", "tls", "request", "version", "addon"), 0)


def say_refused(kind, what):
    """Count it, and log one line."""
    refused[kind] += 1
    line = "".join(c if c.isprintable() else "?" for c in what)
    logging.warning("opensandbox-egress refused %s: %s", kind, line)


def stock(owner, name, *parameters):
    """Return mitmproxy's function, which is to be replaced, if it has these parameters."""
    function = getattr(owner, name, None)
    if function is None or list(inspect.signature(function).parameters) != list(parameters):
        refuse_to_run(f"{owner.__name__}.{name}")
    return function


def without(kind, generator):
    """Yield what a layer's generator yields, except commands of that kind."""
    reply = None
    with contextlib.suppress(StopIteration):
        while True:
            command = generator.send(reply)
            reply = None if isinstance(command, kind) else (yield command)


class Objections(typing.NamedTuple):
    """Functions that say what is wrong, None for nothing."""

    to_head: typing.Callable  # the lines of an HTTP/1 request
    to_request: typing.Callable
    to_fields: typing.Callable  # pairs of name and value


def validation(objections, **_):
    """Requests and trailers are checked by admission.py as well, before a hook sees them."""
    validate_request = stock(
        layers, "validate_request", "mode", "request", "validate_inbound_headers"
    )
    handle_h2_event = stock(_http2.Http2Server, "handle_h2_event", "self", "event")
    h2_events = _http2.h2.events
    read_request_head = stock(http1, "read_request_head", "lines")

    def validate(mode, request, validate_inbound_headers):
        if request.method == "CONNECT":
            say_refused("request", f"{request.pretty_host}: CONNECT, which is for a forward proxy")
            return CONNECT
        objection = validate_request(mode, request, validate_inbound_headers)
        if objection is None and (found := objections.to_request(request)):
            objection = AMBIGUOUS.format(found)
            say_refused("request", f"{request.host_header}: {found}")
        return objection

    def validate_event(self, event):
        if is_connect(event):
            say_refused("request", "CONNECT in HTTP/2")
            self.h2_conn.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            return False
        if found := objection_to_event(self, event):
            say_refused("request", found)
            yield from self.protocol_error(f"Invalid request: {found}")
            return True
        return (yield from handle_h2_event(self, event))

    def is_connect(event):
        """Which nobody has offered, if it is extended (RFC 8441, 3)."""
        return isinstance(event, h2_events.RequestReceived) and (b":method", b"CONNECT") in event.headers

    def objection_to_event(self, event):
        """The h2 library checks Content-Length only at data frames, of which there may be none."""
        left = self.__dict__.setdefault("egress_left", {})  # bytes to come, by stream
        if isinstance(event, h2_events.TrailersReceived):
            fields = list(event.headers)
            return objections.to_fields(fields) or forbidden_trailer(fields)
        if isinstance(event, h2_events.RequestReceived):
            for name, value in event.headers:
                if name == b"content-length" and value.isdigit():
                    left[event.stream_id] = int(value)
        elif isinstance(event, h2_events.DataReceived) and event.stream_id in left:
            left[event.stream_id] -= len(event.data)
        elif isinstance(event, (h2_events.StreamEnded, h2_events.StreamReset)):
            missing = left.pop(event.stream_id, 0)
            if missing and isinstance(event, h2_events.StreamEnded):
                return "a body that is not as long as content-length says"
        return None

    def read_head(lines):
        if found := objections.to_head(lines):
            say_refused("request", found)
            raise ValueError(AMBIGUOUS.format(found))
        return read_request_head(lines)

    layers.validate_request = validate
    _http2.Http2Server.handle_h2_event = validate_event
    http1.read_request_head = read_head


def forbidden_trailer(fields):
    """Fields that frame or route a message may not be trailers (RFC 9110, 6.5.1)."""
    for name, _ in fields:
        if name.lower() in (b"content-length", b"transfer-encoding", b"host", b"connection"):
            return f"field {name.decode()}"
    return None


def same_version(**_):
    """A request goes out in the version of HTTP in which it came in."""
    make_server_connection = stock(layers.HttpStream, "make_server_connection", "self")

    def make(self):
        ok = yield from make_server_connection(self)
        client, server = self.context.client.alpn, self.context.server.alpn
        if not ok or (client == b"h2") == (server == b"h2"):
            return ok
        why = "the origin does not speak the client's version of HTTP"
        say_refused("version", f"{self.flow.request.pretty_host}: {why}")
        yield from self.handle_protocol_error(
            layers.ResponseProtocolError(self.stream_id, why, BAD_GATEWAY)
        )
        return False

    layers.HttpStream.make_server_connection = make


def prior_knowledge(**_):
    """A client that begins with HTTP/2, without TLS, knows an origin that speaks it. (admission.py has
    noted it as if it had been agreed on.) The origin says so with its SETTINGS: until then nothing of
    the client's goes out, which another origin could take for requests of HTTP/1."""
    client = _http2.Http2Client
    begin = stock(layers.HttpClient, "_handle_event", "self", "event")
    init = stock(client, "__init__", "self", "context")
    close_connection = stock(client, "close_connection", "self", "msg")

    def begin_alike(self, event):
        if not (self.context.client.tls or self.context.server.tls):
            self.context.server.alpn = self.context.client.alpn
        yield from begin(self, event)

    def init_closed(self, context):
        init(self, context)
        if not context.server.tls:
            self.provisional_max_concurrency = -1  # all wait for SETTINGS (0 would be no limit)

    def close(self, msg):
        yield from close_connection(self, msg)
        for waiting_id in self.stream_queue:
            # Such a stream has no number of its own there yet.
            self.their_stream_id[-waiting_id] = waiting_id
            yield ReceiveHttp(layers.ResponseProtocolError(-waiting_id, msg, BAD_GATEWAY))
        self.stream_queue.clear()

    layers.HttpClient._handle_event = begin_alike
    client.__init__, client.close_connection = init_closed, close


def half_closed(**_):
    """A client of HTTP/1 that sends no more may wait for its answer still, or have gone: the origin is
    told the same, by the end of what it gets, and decides as it would without the proxy. mitmproxy
    takes it for the end of both directions."""
    handler, client_side, origin_side = server.ConnectionHandler, _http1.Http1Server, _http1.Http1Client
    server_event = stock(handler, "server_event", "self", "event")
    wait = stock(client_side, "wait", "self", "event")
    mark_done = stock(client_side, "mark_done", "self", "request", "response")
    send = stock(origin_side, "send", "self", "event")

    def sends_no_more(client):
        return client.state is ConnectionState.CAN_WRITE

    async def with_resets(self, event):
        """A reset is the end of both directions."""
        if isinstance(event, events.ConnectionClosed):
            transport = self.transports.get(event.connection)
            if transport and transport.writer.is_closing():
                event.connection.state = ConnectionState.CLOSED
        await server_event(self, event)

    def wait_for_answer(self, event):
        if not (isinstance(event, events.ConnectionClosed) and sends_no_more(self.conn)):
            yield from wait(self, event)
        elif asked := vars(self.conn).get("egress_asked"):
            yield commands.CloseTcpConnection(asked, half_close=True)

    def send_end(self, event):
        yield from send(self, event)
        if isinstance(event, layers.RequestEndOfMessage):
            client = self.context.client
            vars(client)["egress_asked"] = self.conn
            if sends_no_more(client) and client.alpn != b"h2":
                yield commands.CloseTcpConnection(self.conn, half_close=True)

    def close_when_done(self, *, request=False, response=False):
        yield from mark_done(self, request=request, response=response)
        if self.state == self.read_headers and sends_no_more(self.conn):
            yield commands.CloseConnection(self.conn)

    handler.server_event = with_resets
    client_side.wait, client_side.mark_done = wait_for_answer, close_when_done
    origin_side.send = send_end


def bounded_heads(**_):
    """Limit the head of a message, in HTTP/2 to no less. Skip empty lines before a request (RFC 9112,
    2.2)."""
    read_body = stock(_http1.Http1Connection, "read_body", "self", "event")
    read_request = stock(_http1.Http1Server, "read_headers", "self", "event")
    read_response = stock(_http1.Http1Client, "read_headers", "self", "event")
    init = stock(_http2.BufferedH2Connection, "__init__", "self", "config")

    def is_too_large(buffer):
        return len(buffer) > HEAD_MAX and not END_OF_HEAD.search(bytes(buffer)[:HEAD_MAX])

    def request(self, event):
        left = len(self.buf) + 1
        while self.state == self.read_headers and len(self.buf) < left:
            if is_too_large(self.buf):
                say_refused("request", f"more than {HEAD_MAX} bytes of header")
                yield commands.SendData(
                    self.conn, _http1.make_error_response(431, "Header too large.")
                )
                yield commands.CloseConnection(self.conn)
                self.state = self.done
                return
            left = len(self.buf)
            yield from read_request(self, event)
            if not left or not isinstance(event, events.DataReceived):
                return

    def response(self, event):
        if self.stream_id is None or not is_too_large(self.buf):
            yield from read_response(self, event)
            return
        yield commands.CloseConnection(self.conn)
        yield ReceiveHttp(
            layers.ResponseProtocolError(
                self.stream_id, f"more than {HEAD_MAX} bytes of header", BAD_GATEWAY
            )
        )
        self.state = self.done

    def body(self, event):
        """What read_body leaves in the buffer is a chunk-size line that has no end yet."""
        yield from read_body(self, event)
        if len(self.buf) <= HEAD_MAX or self.state != self.read_body:
            return

        def say_so_at_the_end(event):
            """Not before: a hook that runs while data still comes can keep the connection open
            for ever, because mitmproxy's cancellation then hits the wrong await."""
            if isinstance(event, events.ConnectionClosed):
                error = self.ReceiveProtocolError
                yield ReceiveHttp(error(self.stream_id, "a line without an end", error.code))

        self.state = say_so_at_the_end
        yield commands.CloseConnection(self.conn)

    def init_with_limit(self, config):
        init(self, config)
        self.local_settings.max_header_list_size = HEAD_MAX
        self.local_settings.acknowledge()
        self.decoder.max_header_list_size = HEAD_MAX
        self.encoder.encode = functools.partial(encode, self.encoder.encode)

    def encode(stock_encode, fields):
        """The time that the library takes to write a field in Huffman's code grows by the square of
        its length."""
        fields = list(fields)
        return stock_encode(fields, huffman=all(len(value) <= PIECE for _, value in fields))

    _http1.Http1Connection.read_body = body
    _http1.Http1Server.read_headers = request
    _http1.Http1Client.read_headers = response
    _http2.BufferedH2Connection.__init__ = init_with_limit


def http1_answers(**_):
    """Drop interim responses, which mitmproxy takes for the answer (RFC 9110, 15.2), and trailers,
    at which it hangs. A proxy may drop both."""
    read_body = stock(_http1.Http1Connection, "read_body", "self", "event")
    read_response = stock(_http1.Http1Client, "read_headers", "self", "event")
    interim = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")

    def response(self, event):
        while self.request and (head := interim.match(bytes(self.buf))):
            self.buf.maybe_extract_at_most(head.end())
        yield from read_response(self, event)

    def body(self, event):
        try:
            yield from read_body(self, event)
        except NotImplementedError:  # of trailers, at the end of the body
            yield ReceiveHttp(self.ReceiveEndOfMessage(self.stream_id))
            is_request = isinstance(self, _http1.Http1Server)
            yield from self.mark_done(request=is_request, response=not is_request)

    _http1.Http1Client.read_headers = response
    _http1.Http1Connection.read_body = body


def framing(**_):
    """An HTTP/1.1 request to an origin is as long as it says, whatever addons have done to its
    body or to its length."""
    make_server_connection = stock(layers.HttpStream, "make_server_connection", "self")
    send = stock(_http1.Http1Client, "send", "self", "event")

    def make(self):
        """Set Content-Length to the length of a collected body."""
        headers, body = self.flow.request.headers, self.flow.request.raw_content
        if not self.flow.request.stream and "transfer-encoding" not in headers:
            if body or "content-length" in headers:
                headers["content-length"] = str(len(body or b""))
        return (yield from make_server_connection(self))

    def send_as_long_as_it_says(self, event):
        if isinstance(event, layers.RequestHeaders):
            request = event.request
            chunked = request.headers.get("transfer-encoding", "").lower() == "chunked"
            length = request.headers.get("content-length", "0")
            self.egress_left = None if chunked else int(length) if length.isdigit() else 0
        elif isinstance(event, layers.RequestData) and self.egress_left is not None:
            self.egress_left -= len(event.data)  # ignored in a WebSocket
        ends = isinstance(event, layers.RequestEndOfMessage)
        left = None if self.state == self.passthrough else self.egress_left
        if left is not None and (left < 0 or (ends and left > 0)):
            self._handle_event = self.done
            why = "an addon has left the request with another length than its body"
            say_refused("addon", f"{self.request.pretty_host}: {why}")
            yield commands.CloseConnection(self.conn)
            yield ReceiveHttp(layers.ResponseProtocolError(event.stream_id, why, BAD_GATEWAY))
            return
        yield from send(self, event)

    layers.HttpStream.make_server_connection = make
    _http1.Http1Client.egress_left = None
    _http1.Http1Client.send = send_as_long_as_it_says


def bounded_queues(bodies, **_):
    """Stop reading from a connection while too much of its data waits inside mitmproxy: for a slow
    connection or hook, for the answer to the request before, or for room for a body."""
    handler = server.ConnectionHandler
    drain_writers = stock(handler, "drain_writers", "self")
    server_event = stock(handler, "server_event", "self", "event")

    async def count(self, event):
        if isinstance(event, events.DataReceived):
            known = vars(event.connection)
            known["egress_unseen"] = known.get("egress_unseen", 0) + len(event.data)
        await server_event(self, event)

    async def drain(self):
        await drain_writers(self)
        task = asyncio.current_task()
        for connection, transport in list(self.transports.items()):
            if transport.handler is task:
                if vars(connection)["egress_unseen"] > bodies.SMALL:
                    await wait(self, connection)
                return

    async def wait(self, connection):
        """The look at all layers takes time, so what waits without a look may be SMALL."""
        while (size := waiting(self.layer, connection)) > limit(connection):
            await asyncio.sleep(0.02)
        vars(connection)["egress_unseen"] = size

    def limit(connection):
        return bodies.SMALL if bodies.stop(connection) else WAITING_MAX

    handler.drain_writers = drain
    handler.server_event = count


def waiting(outermost, connection):
    """How many bytes from a connection wait in the layers of a client's connection."""
    total = 0
    is_client = isinstance(connection, Client)
    pending, seen = [outermost], set()
    while pending:
        layer = pending.pop()
        if layer is None or id(layer) in seen:
            continue
        seen.add(id(layer))
        # Until a hook is done, until TLS is, and until it is known what the bytes are.
        for queue in ("_paused_event_queue", "_event_queue", "events"):
            for event in layer.__dict__.get(queue, ()):
                if isinstance(event, events.DataReceived):
                    total += len(event.data) if event.connection is connection else 0
                elif isinstance(event, layers.RequestData if is_client else layers.ResponseData):
                    total += len(event.data) + FRAME_COST
        if isinstance(layer, _http1.Http1Connection) and layer.conn is connection:
            total += len(layer.buf)
        pending += [layer.__dict__.get("child_layer"), layer.__dict__.get("layer")]
        pending += layer.__dict__.get("streams", {}).values() if isinstance(layer, layers.HttpLayer) else ()
        pending += layer.__dict__.get("connections", {}).values()
    return total


def ends(**_):
    """A connection ends as the other side's has ended: in good order, which with TLS means by
    close_notify, without that, or by a reset. Or an answer until close would look broken where it is
    whole, and whole where it is broken."""
    handler = server.ConnectionHandler
    server_event = stock(handler, "server_event", "self", "event")
    handle_connection = stock(handler, "handle_connection", "self", "connection")
    close_connection = stock(handler, "close_connection", "self", "connection", "half_close")
    open_connection = stock(handler, "open_connection", "self", "command")
    start_tls = stock(tls.TLSLayer, "start_tls", "self")
    resetting = set()  # The event loop alone would not keep them.

    async def connect(self, command):
        try:
            await open_connection(self, command)
        except AssertionError:  # It was reset before it could be asked for its address.
            self.transports.pop(command.connection).writer.close()
            command.connection.state, command.connection.error = ConnectionState.CLOSED, "connection reset"
            await self.server_event(events.OpenConnectionCompleted(command, command.connection.error))

    def start(self):
        yield from start_tls(self)
        vars(self.conn)["egress_tls"] = self.tls

    async def notice(self, event):
        if isinstance(event, events.ConnectionClosed):
            how = how_ended(event.connection, self.transports[event.connection].reader)
            if event.connection is self.client:
                self.egress_client_ended = how
            else:
                self.egress_server_ended = how
        await server_event(self, event)

    def how_ended(connection, reader):
        if connection.tls_established and connection.egress_tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
            return None  # whatever comes after that
        if reader.exception():
            return RESET
        is_closed = connection.state is ConnectionState.CLOSED  # by us
        return CUT if connection.tls_established and not is_closed else None

    def how_to_end(self, connection):
        return self.egress_server_ended if connection is self.client else self.egress_client_ended

    async def handle(self, connection):
        """The stock function closes whatever has happened."""
        writer = self.transports[connection].writer
        close_writer, writer.close = writer.close, lambda: None
        try:
            await handle_connection(self, connection)
        finally:
            if how_to_end(self, connection) is RESET:
                # A task of its own: this one may have been cancelled twice.
                task = asyncio.create_task(reset(writer, END_DELAY if connection is self.client else 0))
                resetting.add(task)
                task.add_done_callback(resetting.discard)
            else:
                say_goodbye(self, connection, writer)
                close_writer()
            vars(connection).pop("egress_tls", None)

    def close(self, connection, half_close=False):
        if half_close and how_to_end(self, connection) is RESET:
            half_close = False
        elif half_close:
            say_goodbye(self, connection, self.transports[connection].writer)
        close_connection(self, connection, half_close)

    def say_goodbye(self, connection, writer):
        if not connection.tls_established or how_to_end(self, connection) or writer.is_closing():
            return
        with contextlib.suppress(SSL.Error):  # it has failed, or there is nothing to be sent
            connection.egress_tls.shutdown()
            writer.write(connection.egress_tls.bio_read(PIECE))

    async def reset(writer, patience):
        """What was answered before the reset is to arrive."""
        latest = time.monotonic() + patience
        while unsent(writer) and time.monotonic() < latest:
            await asyncio.sleep(0.02)
        if not writer.is_closing():
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    def unsent(writer):
        """How many bytes the other side has not acknowledged."""
        if writer.is_closing():
            return 0
        in_kernel = fcntl.ioctl(writer.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return writer.transport.get_write_buffer_size() + int.from_bytes(in_kernel, sys.byteorder)

    handler.egress_client_ended = handler.egress_server_ended = None
    handler.server_event, handler.open_connection = notice, connect
    handler.handle_connection, handler.close_connection = handle, close
    tls.TLSLayer.start_tls = start


def origin_ends(**_):
    """Where the origin ends its connection, the client's ends as well: in place of an answer that has
    not begun, and when it is idle. Clients know what to ask again; after a 502 they would not. (In
    HTTP/2 see http2_ends.)"""
    layer = layers.HttpLayer
    handle_event = stock(layer, "_handle_event", "self", "event")
    read_response = stock(_http1.Http1Client, "read_headers", "self", "event")

    def response(self, event):
        for command in read_response(self, event):
            if is_silent_end(event) and isinstance(command, ReceiveHttp) and not self.buf:
                command.event.code = NO_ANSWER
            yield command

    def is_silent_end(event):
        """Where there is an error, the origin has said why, and a page says it to the client."""
        return isinstance(event, events.ConnectionClosed) and not event.connection.error

    def handle(self, event):
        yield from handle_event(self, event)
        if is_silent_end(event) and event.connection is not self.context.client:
            self.egress_ended = True
        if self.egress_ended and is_idle(self):
            yield from close(self.connections[self.context.client])

    def is_idle(self):
        """There is no request, and no other connection to an origin."""
        client = self.connections[self.context.client]
        if self.streams or not client.conn.connected:
            return False
        if isinstance(client, _http1.Http1Server) and (client.state != client.read_headers or client.buf):
            return False
        return not any(one.connected for one in {*self.connections, self.context.server} - {client.conn})

    def close(client):
        if isinstance(client, _http2.Http2Server):
            client.h2_conn.close_connection()
            yield commands.SendData(client.conn, client.h2_conn.data_to_send())
            client._handle_event = client.done
        yield commands.CloseConnection(client.conn)

    layer.egress_ended = False
    layer._handle_event, _http1.Http1Client.read_headers = handle, response


def stream_windows(**_):
    """In HTTP/2, what the other side does not take yet is not asked for: the window of a stream opens
    as far as its data have gone on. mitmproxy takes all, and to stop reading the connection would
    stop other streams as well, and the windows for the opposite direction, for ever if both wait."""
    connection = _http2.BufferedH2Connection
    init = stock(connection, "__init__", "self", "config")
    stock(connection, "initiate_connection", "self")
    send_data = stock(connection, "send_data", "self", "stream_id", "data", "end_stream", "pad_length")
    handle_h2_event = stock(_http2.Http2Connection, "handle_h2_event", "self", "event")
    acknowledge = stock(connection, "acknowledge_received_data", "self", "acknowledged_size", "stream_id")
    handle_event = stock(layers.HttpLayer, "_handle_event", "self", "event")
    holding = weakref.WeakSet()  # the connections that hold something

    def init_with_windows(self, config):
        init(self, config)
        self.local_settings.initial_window_size = STREAM_WINDOW
        self.local_settings.acknowledge()
        self.egress_held = {}  # bytes that have come and are not acknowledged, by stream

    def initiate(self):
        super(connection, self).initiate_connection()
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)

    def hold(self, acknowledged_size, stream_id):
        self.egress_held[stream_id] = self.egress_held.get(stream_id, 0) + acknowledged_size
        holding.add(self)

    def send(self, stream_id, data, end_stream=False, pad_length=None):
        """A few bytes are put to those that wait already: each piece takes memory."""
        waits = self.stream_buffers.get(stream_id)
        if waits and not waits[-1].end_stream and len(waits[-1].data) + len(data) <= PIECE:
            waits[-1] = type(waits[-1])(waits[-1].data + data, end_stream)
        elif data or end_stream:
            send_data(self, stream_id, data, end_stream, pad_length)

    def leave_out_empty(self, event):
        state = isinstance(event, h2.events.DataReceived) and self.streams.get(event.stream_id)
        if state is _http2.StreamState.HEADERS_RECEIVED and not event.data:
            self.h2_conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            return False
        return (yield from handle_h2_event(self, event))

    def handle(self, event):
        yield from handle_event(self, event)
        if not holding:
            return
        for side in map(innermost, list(self.connections.values())):
            if isinstance(side, _http2.Http2Connection) and side.h2_conn.egress_held:
                release(self, side)
                data = side.h2_conn.data_to_send()
                if data and side.conn.state & ConnectionState.CAN_WRITE:
                    yield commands.SendData(side.conn, data)

    def release(self, side):
        held = side.h2_conn.egress_held
        for stream_id in list(held):
            waits = min(held[stream_id], unsent(self, side, stream_id))
            gone = held[stream_id] - waits
            if waits:
                held[stream_id] = waits
            else:
                del held[stream_id]
            # Also of nothing: the window of the connection may have come to its end meanwhile.
            with contextlib.suppress(h2.exceptions.ProtocolError):  # the stream has ended
                acknowledge(side.h2_conn, gone, stream_id)
        if not held:
            holding.discard(side.h2_conn)

    def innermost(layer):
        """What speaks HTTP on a connection; there may be TLS around it."""
        while inner := layer.__dict__.get("child_layer") or layer.__dict__.get("layer"):
            layer = inner
        return layer

    def unsent(self, side, stream_id):
        """How many bytes of a stream wait on the other side."""
        if side.is_closed(stream_id):
            return 0
        if isinstance(side, _http2.Http2Client):
            other = self.connections[self.context.client]
            waits = other.h2_conn.stream_buffers.get(side.their_stream_id.get(stream_id), ())
        else:
            stream = self.streams.get(stream_id)
            other = stream and self.connections.get(stream.context.server)
            other = other and innermost(other)
            if not isinstance(other, _http2.Http2Client):
                return 0
            waits = other.h2_conn.stream_buffers.get(other.our_stream_id.get(stream_id), ())
            waits = [*waits, *other.stream_queue.get(stream_id, ())]
        return sum(len(getattr(piece, "data", b"")) for piece in waits)

    connection.__init__, connection.initiate_connection = init_with_windows, initiate
    connection.acknowledge_received_data, connection.send_data = hold, send
    _http2.Http2Connection.handle_h2_event = leave_out_empty
    layers.HttpLayer._handle_event = handle


def what_has_ended(**_):
    """What is kept of streams of HTTP/2 and connections to origins that have ended is bounded, while
    the client's connection goes on. mitmproxy keeps the numbers of all streams of a connection, and
    all connections; h2 for 65,536 streams by whom they were ended."""
    client, layer = _http2.Http2Client, layers.HttpLayer
    handle_event = stock(client, "_handle_event", "self", "event")
    get_connection = stock(layer, "get_connection", "self", "event", "reuse")

    def handle(self, event):
        yield from handle_event(self, event)
        if len(self.our_stream_id) <= 2 * ENDED_MAX:
            return
        for theirs, ours in list(itertools.islice(self.our_stream_id.items(), ENDED_MAX)):
            if self.is_closed(ours):
                del self.our_stream_id[theirs], self.their_stream_id[ours]

    def get(self, event, *, reuse=True):
        if len(self.connections) > CONNECTIONS_MAX:
            for connection in ended(self):
                del self.connections[connection]
        yield from get_connection(self, event, reuse=reuse)

    def ended(self):
        """One that has failed tells those who ask again why; without it they would try again."""
        kept = {self.context.client, self.context.server, *self.waiting_for_establishment}
        kept |= {stream.context.server for stream in self.streams.values()}
        return [
            connection
            for connection in self.connections
            if connection.state is ConnectionState.CLOSED and not connection.error and connection not in kept
        ]

    client._handle_event, layer.get_connection = handle, get
    h2.connection.H2Connection.MAX_CLOSED_STREAMS = ENDED_MAX


def http2_ends(**_):
    """An origin ends a connection of HTTP/2 in good order (GOAWAY without an error, RFC 9113, 6.8),
    as nginx does after 1,000 requests: what it still answers is waited for, and what it has not
    begun is asked for on another connection. A stream that it resets is reset for the client, by
    the same code. To mitmproxy, all of this is an error of the gateway."""
    buffered, client, stream = _http2.BufferedH2Connection, _http2.Http2Client, layers.HttpStream
    receive_goaway = stock(buffered, "_receive_goaway_frame", "self", "frame")
    handle_event = stock(client, "_handle_event", "self", "event")
    handle_h2_event = stock(client, "handle_h2_event", "self", "event")
    close_connection = stock(client, "close_connection", "self", "msg")
    answer = stock(_http2.Http2Server, "_handle_event", "self", "event")
    handle_error = stock(stream, "handle_protocol_error", "self", "event")
    matches = stock(layers.GetHttpConnection, "connection_spec_matches", "self", "connection")

    def receive(self, frame):
        if frame.error_code != h2.errors.ErrorCodes.NO_ERROR:
            self.egress_goaway = frame
            return receive_goaway(self, frame)
        if self.config.client_side:  # or it is about what the server begins, which is nothing
            self.egress_last_stream = frame.last_stream_id
        return [], []

    def handle(self, event):
        if isinstance(event, events.Wakeup) and event.command is self.egress_end:
            yield commands.CloseConnection(self.conn)
            self._handle_event = self.done
            return
        yield from handle_event(self, event)
        last = self.h2_conn.egress_last_stream
        if last is None or self.conn.state is ConnectionState.CLOSED:
            return
        vars(self.conn)["egress_ending"] = True  # nobody gets it any more
        unbegun = [self.their_stream_id[ours] for ours in self.streams if ours > last]
        self.streams = {ours: state for ours, state in self.streams.items() if ours <= last}
        unbegun += self.stream_queue
        self.stream_queue.clear()
        for stream_id in unbegun:
            error = layers.ResponseProtocolError(stream_id, "the origin's connection ends", BAD_GATEWAY)
            error.egress_code, error.egress_unbegun = h2.errors.ErrorCodes.REFUSED_STREAM, True
            yield ReceiveHttp(error)
        # The origin closes it, or we do.
        if not self.streams and not self.egress_end:
            self.egress_end = commands.RequestWakeup(END_DELAY)
            yield self.egress_end

    def close(self, msg):
        """Requests that still go on are those of the client's one connection, if no other was begun."""
        goaway = self.h2_conn.egress_goaway
        is_end = goaway or not self.conn.state & ConnectionState.CAN_READ
        for command in close_connection(self, msg):
            if isinstance(command, ReceiveHttp) and is_end and self.h2_conn.egress_last_stream is None:
                command.event.egress_end = goaway and as_theirs(self, goaway)
            yield command

    def as_theirs(self, goaway):
        """A GOAWAY as the client has to be told of it: code, and last stream that was taken."""
        taken = [theirs for ours, theirs in self.their_stream_id.items() if ours <= goaway.last_stream_id]
        return goaway.error_code, max(taken, default=0)

    def with_code(self, event):
        if not isinstance(event, h2.events.StreamReset):
            return (yield from handle_h2_event(self, event))
        if event.error_code == h2.errors.ErrorCodes.NO_ERROR:
            # It may have come together with the end of the answer, and is about the upload then.
            self.streams.setdefault(event.stream_id, _http2.StreamState.HEADERS_RECEIVED)
        for command in handle_h2_event(self, event):
            if isinstance(command, ReceiveHttp):
                command.event.egress_code = event.error_code
            yield command
        return False

    def reset(self, event):
        code = getattr(event, "egress_code", None)
        if hasattr(event, "egress_end"):
            yield from end(self, event)
        elif code is None or self.is_closed(event.stream_id):
            yield from answer(self, event)
        # An answer that waits for the client is whole, if it was not reset for an error.
        elif code != h2.errors.ErrorCodes.NO_ERROR or not self.h2_conn.stream_buffers.get(event.stream_id):
            self.h2_conn.reset_stream(event.stream_id, code)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())

    def end(self, event):
        """All other requests end with it, also those that the origin has not seen."""
        if event.egress_end:
            code, last = event.egress_end
            self.h2_conn.close_connection(code, last_stream_id=last)
            yield commands.SendData(self.conn, self.h2_conn.data_to_send())
        self.streams.pop(event.stream_id, None)
        yield from self.close_connection(event.message)

    def ask_again(self, event):
        is_upload = self.client_state == self.state_stream_request_body
        if isinstance(event, layers.RequestProtocolError) and is_upload and self.server_state == self.state_done:
            yield layers.SendHttp(event, self.context.server)  # or the rest of the upload would stay
        tries = self.flow.metadata.get("egress_tries", 0)
        is_whole = self.client_state == self.state_done and not self.flow.request.stream
        is_unanswered = self.server_state == self.state_wait_for_response_headers
        if not (getattr(event, "egress_unbegun", False) and is_whole and is_unanswered and tries < TRIES_MAX):
            yield from handle_error(self, event)
            return
        self.flow.metadata["egress_tries"] = tries + 1
        if not (yield from self.make_server_connection()):
            return
        request, server = self.flow.request, self.context.server
        rest = [layers.RequestData(self.stream_id, request.raw_content)] if request.raw_content else []
        rest += [layers.RequestTrailers(self.stream_id, request.trailers)] if request.trailers else []
        yield layers.SendHttp(layers.RequestHeaders(self.stream_id, request, not rest), server)
        for part in (*rest, layers.RequestEndOfMessage(self.stream_id)):
            yield layers.SendHttp(part, server)

    def matches_one_that_goes_on(self, connection):
        return matches(self, connection) and not vars(connection).get("egress_ending")

    buffered.egress_last_stream = buffered.egress_goaway = client.egress_end = None
    buffered._receive_goaway_frame = receive
    client._handle_event, client.handle_h2_event, client.close_connection = handle, with_code, close
    _http2.Http2Server._handle_event = reset
    stream.handle_protocol_error = ask_again
    layers.GetHttpConnection.connection_spec_matches = matches_one_that_goes_on


def request_hook_first(bodies, **_):
    """The hook `request` runs before the first byte of a request leaves, even if its body goes on
    in pieces. A response that it or `requestheaders` sets is the answer, and a content that is set
    there is the body."""
    stream = layers.HttpStream
    wait_for_headers = stock(stream, "state_wait_for_request_headers", "self", "event")
    start_request_stream = stock(stream, "start_request_stream", "self")
    stream_body = stock(stream, "state_stream_request_body", "self", "event")
    send_response = stock(stream, "send_response", "self", "already_streamed")

    def start(self):
        bodies.release(self.flow)
        yield layers.HttpRequestHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if self.flow.response:
            yield from answer(self)
        elif self.flow.request.raw_content is not None:
            yield from send_replaced(self)
        else:
            yield from start_request_stream(self)

    def wait(self, event):
        yield from wait_for_headers(self, event)
        if self.client_state == self.state_discard_request_body and not self.flow.live:
            self.server_state = self.state_done  # the stock function waits for the origin

    def answer(self):
        """Answer while the client still sends; the rest of its body is thrown away."""
        self.client_state = self.state_discard_request_body
        self.flow.response.timestamp_start = time.time()
        yield layers.HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield from self.send_response()
        self.flow.live = False
        yield layers.SendHttp(layers.ResponseEndOfMessage(self.stream_id), self.context.client)

    def send_replaced(self):
        """Send the replaced body whole, while the client still sends the original."""
        request = self.flow.request
        request.stream = False
        if not (yield from self.make_server_connection()):
            self.client_state = self.state_errored
            return
        self.client_state = self.state_discard_request_body
        body = request.raw_content
        server = self.context.server
        yield layers.SendHttp(layers.RequestHeaders(self.stream_id, request, not body), server)
        if body:
            yield layers.SendHttp(layers.RequestData(self.stream_id, body), server)
        yield layers.SendHttp(layers.RequestEndOfMessage(self.stream_id), server)

    def discard(self, event):
        if not isinstance(event, layers.RequestEndOfMessage):
            return
        self.client_state = self.state_done
        if not self.flow.live:  # answered
            yield layers.DropStream(self.stream_id)
        elif self.server_state == self.state_done:
            yield from self.flow_done()

    def stream_without_hook(self, event):
        """Trailers would go on unseen: they are left out, as a proxy may do (RFC 9110, 6.5.1). The
        end of an answer that came before that of the request is out already."""
        if isinstance(event, layers.RequestTrailers):
            return
        is_answered = self.server_state == self.state_done
        for command in without(layers.HttpRequestHook, stream_body(self, event)):
            if not (is_answered and is_end_of_answer(command)):
                yield command

    def send(self, already_streamed=False):
        yield from send_response(self, already_streamed)
        is_early = self.client_state == self.state_stream_request_body
        if is_early and self.server_state == self.state_done:
            yield layers.SendHttp(layers.ResponseEndOfMessage(self.stream_id), self.context.client)

    def is_end_of_answer(command):
        return isinstance(command, layers.SendHttp) and isinstance(command.event, layers.ResponseEndOfMessage)

    stream.state_wait_for_request_headers = wait
    stream.start_request_stream = start
    stream.state_stream_request_body, stream.send_response = stream_without_hook, send
    stream.state_discard_request_body = discard


@dataclasses.dataclass
class EgressRoomHook(commands.StartHook):
    """A body needs room (admission.Bodies): the flow stands still until there is some, or there
    was none for too long."""

    flow: http.HTTPFlow


def bounded_bodies(bodies, **_):
    """A request's body is collected up to the limit for requests, and goes on in pieces above it.
    (mitmproxy has one limit for both directions.) It is answered where there is no room for it."""
    stream = layers.HttpStream
    check_body_size = stock(stream, "check_body_size", "self", "request")
    handle_protocol_error = stock(stream, "handle_protocol_error", "self", "event")

    def forget(self, event):
        """What has no end is freed at once. Layers are freed later, by the garbage collector."""
        yield from handle_protocol_error(self, event)
        self.request_body_buf.clear()

    def check(self, request):
        if (yield from check_body_size(self, request)):
            return True
        size = len(self.request_body_buf)
        if not request or size == 0:
            return False
        if size > bodies.limit:
            yield from go_on_in_pieces(self)
            return False
        if bodies.has_room(self.flow, size):
            return False
        yield EgressRoomHook(self.flow)
        if (yield from self.check_killed(True)):
            return True
        if bodies.has_room(self.flow, size):
            return False
        yield from refuse(self)
        return True

    def go_on_in_pieces(self):
        self.flow.request.stream = True
        body = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        yield from self.start_request_stream()
        yield from self.client_state(layers.RequestData(self.stream_id, body))

    def refuse(self):
        """Before any hook but `requestheaders` has run. What still comes is thrown away."""
        why = "other request bodies take all the memory that there is for them"
        say_refused("request", f"{self.flow.request.pretty_host}: {why}")
        self.request_body_buf.clear()
        self.client_state, self.server_state = self.state_discard_request_body, self.state_done
        self.flow.error = flow.Error(why)
        yield layers.HttpErrorHook(self.flow)
        self.flow.live = False
        response = http.Response.make(503, f"The proxy refuses this request: {why}.\n", {"Retry-After": "10"})
        client = self.context.client
        yield layers.SendHttp(layers.ResponseHeaders(self.stream_id, response), client)
        yield layers.SendHttp(layers.ResponseData(self.stream_id, response.raw_content), client)
        yield layers.SendHttp(layers.ResponseEndOfMessage(self.stream_id), client)

    stream.check_body_size = check
    stream.handle_protocol_error = forget


def websockets(**_):
    """Nothing goes from one side of a WebSocket to the other that no hook has seen. A ping goes on
    empty, and when it is answered, so is the one that came, by its own payload: both sides still
    learn whether the other one is there. `websocket_end` runs before a close goes on, with the
    reason that it leaves. A message that is too large to be held ends the connection, and what has
    gone on is not kept, nor are the messages of raw TCP."""
    connection, layer = websocket.WebsocketConnection, websocket.WebsocketLayer
    relay_messages = stock(layer, "relay_messages", "self", "event")
    receive_events = stock(connection, "events", "self")
    send2 = stock(connection, "send2", "self", "event")
    relay_tcp = stock(tcp.TCPLayer, "relay_messages", "self", "event")
    deflate = wsproto.extensions.PerMessageDeflate
    inflate = stock(deflate, "frame_inbound_payload_data", "self", "proto", "data")

    def events_but_the_last(self):
        for event in receive_events(self):
            if isinstance(event, Message):
                self.egress_held += len(event.data) + FRAME_COST
                if self.egress_held > MESSAGE_MAX:
                    event = CloseConnection(CloseReason.MESSAGE_TOO_BIG, "message too big")
                elif event.message_finished:
                    self.egress_held = 0
            if isinstance(event, CloseConnection):
                self.egress_close = event
                return
            yield event

    def send(self, event):
        if isinstance(event, Ping):
            self.egress_pings.append(event.payload)
            return send2(self, Ping())
        if isinstance(event, Pong):
            # One pong may be for several pings (RFC 6455, 5.5.3), or for none.
            pings = self.egress_other.egress_pings
            answers = [self.send(Pong(payload)) for payload in pings or [b""]]
            pings.clear()
            return commands.SendData(self.conn, b"".join(answers))
        return send2(self, event)

    def relay(self, event):
        sides = self.client_ws, self.server_ws
        if not hasattr(self.client_ws, "egress_other"):
            for side, other in zip(sides, reversed(sides)):
                side.egress_other = other
                side.egress_pings = collections.deque(maxlen=PINGS_MAX)  # that it has to answer
        yield from relay_messages(self, event)
        del self.flow.websocket.messages[:-1]  # nobody reads them
        if self.flow.metadata.get("egress_failed") and not self.client_ws.egress_close:
            self.client_ws.egress_close = CloseConnection(CloseReason.INTERNAL_ERROR)
        for side in sides:
            if side.egress_close:
                yield from end_by(self, side)
                return

    def end_by(self, side):
        data, event = self.flow.websocket, side.egress_close
        data.timestamp_end, data.closed_by_client = time.time(), side is self.client_ws
        data.close_code, data.close_reason = event.code, event.reason
        yield websocket.WebsocketEndHook(self.flow)
        event = CloseConnection(data.close_code, data.close_reason)
        # That one has ended without a close is told in the same way, and by no code (RFC 6455, 7.1.5).
        is_said = data.close_code != CloseReason.ABNORMAL_CLOSURE
        for ws in (self.server_ws, self.client_ws):
            if is_said and ws.state in (wsproto.ConnectionState.OPEN, wsproto.ConnectionState.REMOTE_CLOSING):
                yield send2(ws, event)
            yield commands.CloseConnection(ws.conn)
        self.flow.live = False
        self._handle_event = self.done

    def inflate_some(self, proto, data):
        """What a few bytes may become at once is bounded as well."""
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return inflate(self, proto, data)
        try:
            inflated = self._decompressor.decompress(bytes(data), MESSAGE_MAX)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return CloseReason.MESSAGE_TOO_BIG if self._decompressor.unconsumed_tail else inflated

    def relay_bytes(self, event):
        yield from relay_tcp(self, event)
        if self.flow:
            del self.flow.messages[:-1]

    connection.egress_held, connection.egress_close = 0, None
    connection.events, connection.send2 = events_but_the_last, send
    layer.relay_messages, tcp.TCPLayer.relay_messages = relay, relay_bytes
    deflate.frame_inbound_payload_data = inflate_some


def codings(**_):
    """What addons read as the content of a body is made of all of its bytes, by a coding of HTTP, or
    it is none. mitmproxy takes any codec of Python's for a coding, and leaves out what follows the
    first end in a compressed body."""
    decode = stock(encoding, "decode", "encoded", "encoding", "errors")
    encode = stock(encoding, "encode", "decoded", "encoding", "errors")
    decoders, encoders = encoding.custom_decode, encoding.custom_encode

    def known(data, name, errors="strict"):
        """Text has charsets, which are codecs; bytes that become other bytes are a coding's."""
        if isinstance(data, bytes) and name.lower() not in decoders:
            try:
                b"x".decode(name)
            except UnicodeError:
                pass  # a charset in which this is no text
            except LookupError as error:
                raise ValueError(f"no content coding: {name!r}") from error
        return decode(data, name, errors)

    def encode_known(data, name, errors="strict"):
        if isinstance(data, bytes) and name.lower() not in encoders:
            raise ValueError(f"no content coding: {name!r}")
        return encode(data, name, errors)

    def is_bounded(members):
        """Each takes time in proportion to all that follows."""
        if len(members) >= MEMBERS_MAX:
            raise ValueError(f"more than {MEMBERS_MAX} members")
        return True

    def gzip(content):
        """All members of it (RFC 1952, 2.2), and zeros, with which some fill it up."""
        members = []
        while (content := content.lstrip(b"\0")) and is_bounded(members):
            member = zlib.decompressobj(47)  # with the head of gzip or of zlib
            members.append(member.decompress(content) + member.flush())
            content = member.unused_data
        return b"".join(members)

    def deflate(content):
        """Some send it without the head that RFC 9110, 8.4.1.2 asks for."""
        found = []
        for bits in (15, -15) if content else ():
            stream = zlib.decompressobj(bits)
            with contextlib.suppress(zlib.error):
                decoded = stream.decompress(content) + stream.flush()
                if stream.eof and not stream.unused_data:
                    found.append(decoded)
        if content and len(found) != 1:
            raise ValueError("neither one stream of deflate nor one of zlib, or either")
        return found[0] if found else b""

    def zstandard(content):
        """All frames of it, to their ends."""
        frames = []
        while content and is_bounded(frames):
            frame = encoding.zstd.ZstdDecompressor().decompressobj()
            frames.append(frame.decompress(content))
            if not frame.eof:
                raise ValueError("a frame without an end")
            content = frame.unused_data
        return b"".join(frames)

    decoders.update({"gzip": gzip, "x-gzip": gzip, "deflate": deflate})
    if encoding.zstd.__name__ == "zstandard":  # as mitmproxy 11 has it
        decoders["zstd"] = zstandard
    # No coding of HTTP has this name, which mitmproxy gives to what is one of the two of deflate.
    del decoders["deflateraw"], encoders["deflateraw"]
    encoders["x-gzip"] = encoders["gzip"]  # the same (RFC 9110, 8.4.1.3)
    encoding.decode, encoding.encode = known, encode_known


def addon_errors(bodies, **_):
    """An addon that raises in `requestheaders` or `request` ends the flow, and one that raises in
    `websocket_message` or `tcp_message` ends the connection. mitmproxy would go on with what the
    addon has not decided on."""
    safecall = stock(addonmanager, "safecall")
    trigger_event = stock(addonmanager.AddonManager, "trigger_event", "self", "event")
    raised = contextvars.ContextVar("raised", default=None)

    @contextlib.contextmanager
    def noticing():
        with safecall():
            try:
                yield
            except exceptions.AddonHalt:
                raise
            except Exception as error:
                if (errors := raised.get()) is not None:
                    errors.append(error)
                raise

    async def trigger(self, event):
        if event.name not in ("requestheaders", "request", "websocket_message", "tcp_message"):
            await trigger_event(self, event)
            return
        (flow,) = event.args()
        errors = []
        message = message_of(flow, event.name)  # an addon may take it out of the list
        token = raised.set(errors)
        try:
            await trigger_event(self, event)
        except exceptions.OptionsError as error:
            logging.error("Addon error: %s", error)
        finally:
            raised.reset(token)
        if errors and flow.metadata.get("egress_failed") is None:
            flow.metadata["egress_failed"] = True
            host = flow.request.pretty_host if isinstance(flow, http.HTTPFlow) else flow.server_conn.address
            say_refused("addon", f"{host}: {type(errors[0]).__name__} in an addon")
        if flow.metadata.get("egress_failed"):
            stop(flow, event.name, message)

    def message_of(flow, hook):
        if hook == "websocket_message":
            return flow.websocket.messages[-1]
        return flow.messages[-1] if hook == "tcp_message" else None

    def stop(flow, hook, message):
        if hook == "websocket_message":
            message.drop()  # websockets() closes
        elif hook == "tcp_message":
            message.content = b""
            bodies.close(flow.client_conn)
        else:
            flow.response = http.Response.make(
                502, "An addon of the proxy has failed; the proxy's log has its error.\n"
            )

    addonmanager.safecall = noticing
    addonmanager.AddonManager.trigger_event = trigger


def idle_timeout(**_):
    """What is silent for ten minutes is not dead: a slow answer, an event stream, a WebSocket."""
    init = stock(server.ConnectionHandler, "__init__", "self", "context")
    stock(server.TimeoutWatchdog, "__init__", "self", "timeout", "callback")

    def with_timeout(self, context):
        init(self, context)
        if self.client.transport_protocol == "tcp":
            self.timeout_watchdog.timeout = context.options.egress_idle_timeout

    server.ConnectionHandler.__init__ = with_timeout


def other_addresses(**_):
    """An origin that does not accept connections at the IPv6 address that the client has chosen is
    looked for at the IPv4 addresses of its name: the client would try them itself, but here its own
    connection has been accepted. A name is believed as far as it is held to: TLS verifies the
    origin's certificate for it, and a plain request names it in Host. Addons are asked again, with
    the address that is connected to (`server_connect`)."""
    handler = server.ConnectionHandler
    open_connection = stock(handler, "open_connection", "self", "command")
    start_server_tls = stock(tls.ClientTLSLayer, "start_server_tls", "self")
    make_server_connection = stock(layers.HttpStream, "make_server_connection", "self")
    opening = contextvars.ContextVar("opening")

    async def open(self, command):
        opening.set((self, command.connection))
        await open_connection(self, command)

    async def connect(host, port, **options):
        """In place of asyncio.open_connection."""
        proxy, origin = opening.get()
        first = asyncio.ensure_future(asyncio.open_connection(host, port, **options))
        if ":" not in host or host != proxy.client.sockname[0]:
            return await answered(first, CONNECT_MAX)
        try:
            return await answered(asyncio.shield(first), PATIENCE)
        except OSError:
            if vars(proxy.client).get("egress_unknown"):
                raise
            others = await other_hosts(vars(proxy.client).get("egress_name"), port)
            if not others or (first.done() and not first.exception()):
                return await answered(first, CONNECT_MAX)
        finally:
            first.cancel()
        return await connect_to_any(proxy, origin, [(other, port) for other in others])

    async def answered(connecting, seconds):
        try:
            return await asyncio.wait_for(connecting, seconds)
        except asyncio.TimeoutError as error:
            raise TimeoutError("the origin does not answer") from error

    async def connect_to_any(proxy, origin, addresses):
        chosen = origin.address
        for address in addresses:
            origin.address = address
            data = server_hooks.ServerConnectionHookData(client=proxy.client, server=origin)
            await proxy.handle_hook(server_hooks.ServerConnectHook(data))
            if origin.error:
                raise OSError(f"Connection killed: {origin.error}")
            try:
                made = await answered(asyncio.open_connection(*origin.address), CONNECT_MAX)
            except OSError as error:
                failure = error
                continue
            proxy.layer.context.server.address = origin.address  # for what is asked later
            return made
        origin.address = chosen
        raise failure

    async def other_hosts(name, port):
        look_up = asyncio.get_running_loop().getaddrinfo
        try:
            kind = {"family": socket.AF_INET, "type": socket.SOCK_STREAM}
            found = await look_up(name, port, **kind) if name else []
        except (OSError, ValueError):  # of a name that is none
            return []
        return [host for *_, (host, _) in found if is_outside(host)][:OTHERS_MAX]

    def is_outside(host):
        """Names may not lead to the pod's own addresses, which are those that can be bound to, nor to
        those of its link, where clouds have their metadata."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                return not ipaddress.ip_address(host).is_link_local
        return False

    def start_tls(self):
        vars(self.conn)["egress_name"] = self.conn.sni
        return (yield from start_server_tls(self))

    def make(self):
        if self.flow.request.scheme == "http":
            vars(self.context.client)["egress_name"] = self.flow.request.pretty_host
        return (yield from make_server_connection(self))

    server.asyncio = types.SimpleNamespace(**{**vars(asyncio), "open_connection": connect})
    handler.open_connection = open
    tls.ClientTLSLayer.start_server_tls = start_tls
    layers.HttpStream.make_server_connection = make


def known_before_connected(**_):
    """A connection to an origin that was opened before anything was known of it (MITMPROXY_NON_HTTP),
    and that has failed, is opened again when the client has said what it is and whom it asks for. A
    client that waits for the origin to speak first is closed."""
    finish_start = stock(modes.DestinationKnown, "finish_start", "self")

    def finish(self):
        known = vars(self.context.client)
        known["egress_unknown"] = True  # so there is no other address to be tried yet
        failure = yield from finish_start(self)
        known["egress_unknown"] = False
        if not failure:
            return None
        before = self.context.server
        self.context.server = Server(address=before.address, via=before.via)
        timer = commands.RequestWakeup(CLIENT_FIRST)
        spoken = False

        def wait(event):
            nonlocal spoken
            if isinstance(event, events.Wakeup) and event.command is timer:
                if not spoken:
                    self._handle_event = self.done
                    yield commands.CloseConnection(self.context.client)
                return
            if not spoken:
                spoken = True
                yield from self.child_layer.handle_event(events.Start())
            yield from self.child_layer.handle_event(event)

        self._handle_event = wait
        yield timer
        return None

    modes.DestinationKnown.finish_start = finish


# What origins say who miss a client's certificate; the last also for other reasons.
MISSES_CERTIFICATE = re.compile("alert (?:certificate required|bad certificate|handshake failure)")
NO_CERTIFICATE = (
    "If the origin asks for a client certificate: that of the application cannot be passed on. Have "
    "the host passed through undecrypted (OPENSANDBOX_EGRESS_MITMPROXY_IGNORE_HOSTS), or give the "
    "proxy a certificate (OPENSANDBOX_EGRESS_MITMPROXY_SET=client_certs=PATH)."
)
NO_NAME = "OPENSANDBOX_EGRESS_MITMPROXY_NO_NAME"
NAMED_NONE = (
    "The client has named no host in its ClientHello (SNI), so the certificate has to be for its address. "
    f"{NO_NAME}=passthrough passes such connections through undecrypted."
)


def tls_failures(**_):
    """An alert behind the handshake ends a connection (RFC 8446, 6.2): in TLS 1.3 an origin that wants a
    client's certificate has no other way. mitmproxy logs it, and waits. The page for the client says
    what can be done."""
    layer, stream = tls.TLSLayer, layers.HttpStream
    receive_data = stock(layer, "receive_data", "self", "data")
    handshake_error = stock(tls.ServerTLSLayer, "on_handshake_error", "self", "err")
    handle_error = stock(stream, "handle_protocol_error", "self", "event")

    def receive(self, data):
        failure = None
        for command in receive_data(self, data):
            if isinstance(command, commands.Log) and command.message.startswith("TLS Error: "):
                failure = failure or command.message
            yield command
        if failure:
            if isinstance(self.conn, Server) and MISSES_CERTIFICATE.search(failure):
                self.conn.error = explained(self, failure)
            self.conn.state &= ~ConnectionState.CAN_READ
            yield from self.event_to_child(events.ConnectionClosed(self.conn))

    def fail(self, err):
        yield from handshake_error(self, explained(self, err))

    def explained(self, failure):
        if MISSES_CERTIFICATE.search(failure):
            return f"{failure}. {NO_CERTIFICATE}"
        if "mismatch" in failure and not self.context.client.sni:
            return f"{failure}. {NAMED_NONE}"
        return failure

    def say_why(self, event):
        if isinstance(event, layers.ResponseProtocolError) and self.flow.server_conn.error:
            event.message = self.flow.server_conn.error
        yield from handle_error(self, event)

    layer.receive_data, tls.ServerTLSLayer.on_handshake_error = receive, fail
    stream.handle_protocol_error = say_why


PIECES = [
    validation,
    same_version,
    prior_knowledge,
    framing,
    http1_answers,
    half_closed,
    bounded_heads,
    bounded_queues,
    ends,
    origin_ends,
    stream_windows,
    what_has_ended,
    http2_ends,
    request_hook_first,
    bounded_bodies,
    websockets,
    codings,
    addon_errors,
    idle_timeout,
    tls_failures,
    other_addresses,
    known_before_connected,
]


def apply(bodies, objections, left_out):
    """To be called once in a process."""
    global applied
    applied = True
    for piece in PIECES:
        if piece.__name__ not in left_out:
            piece(bodies=bodies, objections=objections)
