"""What admission.py needs changed in mitmproxy itself, one piece at a time.

Each piece looks first whether what it changes is there as it was in the versions
that it was tried with, the first and the last of which stand below; if it is not,
mitmdump ends with a line that says so, and never becomes ready. A piece is left
out by its name in the option `egress_without`, which is for tests.
"""

import contextlib
import contextvars
import inspect
import logging
import os
import re
import time
import typing

from mitmproxy import version

FIRST, LAST = (11, 0, 2), (12, 3, 1)


def refuse_to_run(why):
    """At once: mitmproxy would go on without its addons for a moment."""
    os.write(
        2,
        f"mitmproxy {version.VERSION} does not fit: {why}; versions from "
        f"{'.'.join(map(str, FIRST))} to {'.'.join(map(str, LAST))} do\n".encode(),
    )
    os._exit(1)


if not FIRST <= tuple(map(int, re.findall(r"\d+", version.VERSION)[:3])) <= LAST:
    refuse_to_run("its version")

try:
    from mitmproxy import addonmanager, exceptions, http
    from mitmproxy.net.http import http1
    from mitmproxy.proxy import commands, events
    from mitmproxy.proxy.layers import http as layers
    from mitmproxy.proxy.layers.http import _http1, _http2
    from mitmproxy.proxy.layers.http._base import ReceiveHttp
except ImportError as error:
    refuse_to_run(str(error))

# 11 knows a status where 12 has a code of its own.
ErrorCode = getattr(layers, "ErrorCode", None)
BAD_GATEWAY = ErrorCode.CONNECT_FAILED if ErrorCode else 502
BAD_REQUEST = ErrorCode.GENERIC_CLIENT_ERROR if ErrorCode else 400

HEAD_MAX = 256 * 1024
END_OF_HEAD = re.compile(rb"\n\r?\n")

AMBIGUOUS = "The proxy refuses this request, which two parsers could understand differently: {}."

applied = False


def say_refused(kind, what):
    """One line, whose beginning healthd counts by its kind (healthd/output.c)."""
    logging.warning("opensandbox-egress refused %s: %s", kind, what)


def stock(owner, name, *parameters):
    """The function of mitmproxy's that is about to be replaced."""
    function = getattr(owner, name, None)
    if function is None or list(inspect.signature(function).parameters) != list(parameters):
        refuse_to_run(f"{owner.__name__}.{name}")
    return function


def without(kind, generator):
    """What a layer's generator yields, but for commands of that kind."""
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
    """Requests are judged by ours as well, before a hook sees them; so are trailers."""
    validate_request = stock(
        layers, "validate_request", "mode", "request", "validate_inbound_headers"
    )
    handle_h2_event = stock(_http2.Http2Server, "handle_h2_event", "self", "event")
    read_request_head = stock(http1, "read_request_head", "lines")

    def validate(mode, request, validate_inbound_headers):
        objection = validate_request(mode, request, validate_inbound_headers)
        if objection is None and (found := objections.to_request(request)):
            objection = AMBIGUOUS.format(found)
            say_refused("request", f"{request.host_header}: {found}")
        return objection

    def validate_trailers(self, event):
        if isinstance(event, _http2.h2.events.TrailersReceived):
            fields = list(event.headers)
            if found := objections.to_fields(fields) or forbidden_trailer(fields):
                say_refused("request", f"trailers: {found}")
                yield from self.protocol_error(f"Invalid trailers: {found}")
                return True
        return (yield from handle_h2_event(self, event))

    def read_head(lines):
        if found := objections.to_head(lines):
            say_refused("request", found)
            raise ValueError(AMBIGUOUS.format(found))
        return read_request_head(lines)

    layers.validate_request = validate
    _http2.Http2Server.handle_h2_event = validate_trailers
    http1.read_request_head = read_head


def forbidden_trailer(fields):
    """RFC 9110, 6.5.1: what frames or routes a message is not for trailers."""
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


def bounded_heads(**_):
    """The head of a message has a size. Empty lines before a request are passed over (RFC 9112, 2.2)."""
    read_body = stock(_http1.Http1Connection, "read_body", "self", "event")
    read_request = stock(_http1.Http1Server, "read_headers", "self", "event")
    read_response = stock(_http1.Http1Client, "read_headers", "self", "event")

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
        """What is left of a body's data is the line of a chunk's size that has no end yet."""
        try:
            yield from read_body(self, event)
            why = "a line without an end" if len(self.buf) > HEAD_MAX else None
        except NotImplementedError as error:
            why = str(error)  # trailers, in the middle of whose connection it would hang
        if why is None or self.state != self.read_body:
            return

        def say_so_at_the_end(event):
            """A hook that runs while the connection still brings data can keep it open for ever
            in mitmproxy: the cancellation by which it is closed hits the wrong await."""
            if isinstance(event, events.ConnectionClosed):
                error = self.ReceiveProtocolError
                yield ReceiveHttp(error(self.stream_id, why, error.code))

        self.state = say_so_at_the_end
        yield commands.CloseConnection(self.conn)

    _http1.Http1Connection.read_body = body
    _http1.Http1Server.read_headers = request
    _http1.Http1Client.read_headers = response


def request_hook_first(bodies, **_):
    """`request` runs before the first byte of a request leaves, also of one whose body goes on in
    pieces; a response that is set there, or in `requestheaders`, is the answer."""
    stream = layers.HttpStream
    wait_for_headers = stock(stream, "state_wait_for_request_headers", "self", "event")
    start_request_stream = stock(stream, "start_request_stream", "self")
    stream_body = stock(stream, "state_stream_request_body", "self", "event")
    check_body_size = stock(stream, "check_body_size", "self", "request")

    def start(self):
        bodies.release(self.flow)
        yield layers.HttpRequestHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        if self.flow.response:
            yield from answer(self)
        else:
            yield from start_request_stream(self)

    def wait(self, event):
        yield from wait_for_headers(self, event)
        if self.client_state == self.state_discard_request_body:
            self.server_state = self.state_done  # the stock function waits for the origin

    def answer(self):
        """While the client still sends, which is read and thrown away."""
        self.client_state = self.state_discard_request_body
        self.flow.response.timestamp_start = time.time()
        yield layers.HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield from self.send_response()
        self.flow.live = False
        yield layers.SendHttp(layers.ResponseEndOfMessage(self.stream_id), self.context.client)

    def discard(self, event):
        if isinstance(event, layers.RequestEndOfMessage):
            self.client_state = self.state_done
            yield layers.DropStream(self.stream_id)

    def stream_without_hook(self, event):
        yield from without(layers.HttpRequestHook, stream_body(self, event))

    def check(self, request):
        """The stock function knows one size for both directions, this one that of requests."""
        if (yield from check_body_size(self, request)):
            return True
        size = len(self.request_body_buf)
        if not request or size == 0 or bodies.hold(self.flow, size):
            return False
        self.flow.request.stream = True
        body = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        yield from self.start_request_stream()
        yield from self.client_state(layers.RequestData(self.stream_id, body))
        return False

    stream.state_wait_for_request_headers = wait
    stream.start_request_stream = start
    stream.state_stream_request_body = stream_without_hook
    stream.state_discard_request_body = discard
    stream.check_body_size = check


def addon_errors(**_):
    """An addon that raises in `requestheaders` or `request` ends the flow: mitmproxy would go on
    with what the addon was to decide about."""
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
        if event.name not in ("requestheaders", "request"):
            await trigger_event(self, event)
            return
        flow = event.flow
        errors = []
        token = raised.set(errors)
        try:
            await trigger_event(self, event)
        except exceptions.OptionsError as error:
            logging.error("Addon error: %s", error)
        finally:
            raised.reset(token)
        if errors and flow.metadata.get("egress_failed") is None:
            flow.metadata["egress_failed"] = True
            say_refused("addon", f"{flow.request.pretty_host}: {type(errors[0]).__name__} in an addon")
        if flow.metadata.get("egress_failed"):
            flow.response = http.Response.make(
                502, "An addon of the proxy has failed; the proxy's log has its error.\n"
            )

    addonmanager.safecall = noticing
    addonmanager.AddonManager.trigger_event = trigger


PIECES = [validation, same_version, bounded_heads, request_hook_first, addon_errors]


def apply(bodies, objections, left_out):
    """Once in a process."""
    global applied
    applied = True
    for piece in PIECES:
        if piece.__name__ not in left_out:
            piece(bodies=bodies, objections=objections)
