"""Decide what a connection is, and what a request may be.

healthd loads this before every other addon. Nothing reaches an origin unless
the other addons have seen it as the origin understands it:

- A connection is TLS, HTTP, or something else (see MITMPROXY_NON_HTTP). As many
  bytes as necessary are read to decide that, however they arrive.
- Which TLS connections are passed through undecrypted (MITMPROXY_IGNORE_HOSTS,
  MITMPROXY_NO_NAME) is decided on the ClientHello and the address alone.
- TLS with the origin comes before TLS with the client, and both sides speak the
  same version of HTTP: a translated request could be smuggled.
- A request that two parsers could understand differently is refused.
- Large request bodies are passed on in pieces (MITMPROXY_STREAM_REQUESTS).

Changes of mitmproxy itself are in mitmproxy_patches.py.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence

import mitmproxy_patches as patches
from mitmproxy import ctx, exceptions
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import url
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import ClientTLSLayer, HttpLayer, ServerTLSLayer, TCPLayer
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.tls import parse_client_hello
from mitmproxy.utils import human

VARIABLE = "OPENSANDBOX_EGRESS_MITMPROXY_NON_HTTP"

# The largest ClientHello. OpenSSL takes 128 KiB; real ones stay below 4 KiB.
HELLO_MAX = 32 * 1024
# A longer first line is left to the HTTP layer, which has a limit of its own.
LINE_MAX = 64 * 1024

# RFC 9110, 5.6.2: what a method and a field's name are made of.
TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# These two match str, where \s is more than in bytes: some servers split a request line at any
# such white space.
METHOD_AND_SPACE = re.compile(
    r"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI)\s", re.IGNORECASE
)
COULD_BE_REQUEST_LINE = re.compile(
    "(?:" + TOKEN.decode() + r"(?:\s[^\x00-\x08\x0e-\x1b\x7f]*)?)?"
)
# With which HTTP/2 begins where both sides know beforehand that they speak it (RFC 9113, 3.3, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HTTP_ALPNS = (b"h2", b"http/1.1", b"http/1.0")

TLS, HTTP, HTTP2, NO_VERSION, OTHER = "TLS", "HTTP", "HTTP/2", "HTTP/0.9", "other"


def kind_of(data):
    """What the first bytes of a connection are, None if more are needed.

    Whatever some server could take for TLS or HTTP counts as that, so that its
    rules hold even where other protocols are let through.
    """
    if 0x14 <= data[0] <= 0x17:  # RFC 8446, 5.1: the types of records; then comes the version
        if len(data) < 2:
            return None
        return TLS if data[1] < 0x10 else OTHER
    if data[0] & 0x80 and len(data) < 4:
        return None
    if data[0] & 0x80 and data[2] == 1 and data[3] == 3:
        return TLS  # RFC 5246, E.2: a ClientHello in the form of SSL 2.0
    line, newline, _ = data.decode("latin-1").lstrip().partition("\n")
    if "HTTP/" in line.upper():
        return HTTP
    if METHOD_AND_SPACE.match(line):
        return NO_VERSION if newline else HTTP
    if newline or not COULD_BE_REQUEST_LINE.fullmatch(line):
        return OTHER
    return None if len(data) <= LINE_MAX else HTTP


def kind_of_greeting(data, alpn, is_inside_tls):
    """The same for what the server sends first. HTTP/2 begins with SETTINGS (RFC 9113, 3.4); without
    TLS the client says whether it is to be that."""
    if alpn in HTTP_ALPNS or (data[0] == 0 and len(data) < 9):
        return None
    if data[3:9] != b"\x04\0\0\0\0\0":
        return OTHER
    return HTTP2 if is_inside_tls else None


class Refusal(layer.Layer):
    """Closes the connection, and ignores its data."""

    def _handle_event(self, event):
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)


# --- requests

# Fields that belong to one connection; HTTP/2 does not know them (RFC 9113, 8.2.2).
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
# The options that a client may put in Connection. Any other name would make the next proxy drop the
# field of that name, which an addon may have set (RFC 9110, 7.6.1).
CONNECTION_OPTIONS = {"close", "keep-alive", "te", "upgrade"}

METHODS = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"}
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
TARGET = rb"[^\x00-\x20\x7f#]+"
# Empty only as a whole. An empty port, or one with zeros before it, would be part of the host's name
# to addons (pretty_host), and so would be any port if mitmproxy does not take the name for one.
AUTHORITY = re.compile(
    rb"(?:(?:\[[0-9A-Fa-f:.%]+\]|[^\x00-\x20\x7f@,/?#\\\"<>\[\]:]+)(?::[1-9][0-9]{0,4})?)?"
)
REQUEST_LINE = re.compile(TOKEN + rb" " + TARGET + rb" HTTP/1\.[01]")


def objection_to_head(lines):
    """What is wrong with the lines of an HTTP/1 request before anything is read out of them: bare
    CR, folded fields (RFC 9112, 5.2), any white space but single spaces in the request line."""
    if not REQUEST_LINE.fullmatch(lines[0]):
        return "request line"
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):
            return "folded field"
        if CONTROL.search(line):
            return "control character"
    return None


def objection_to_fields(fields):
    for name, value in fields:
        if not re.fullmatch(TOKEN, name):
            return f"field name {name!r}"
        if CONTROL.search(value):
            return f"control character in field {name.decode()}"
        if value != value.strip(b" \t"):
            return f"white space around field {name.decode()}"
    return None


def objection_to_framing(request):
    fields = [(name.lower(), value) for name, value in request.headers.fields]
    if request.is_http2:
        for name, value in fields:
            if name in HOP_BY_HOP or (name == b"te" and value.lower() != b"trailers"):
                return f"field {name.decode()} in HTTP/2"
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    # With another coding, addons would see the encoded body, and the origin the decoded one.
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        return "transfer-encoding other than chunked"
    lengths = [value for name, value in fields if name == b"content-length"]
    if codings and lengths:
        return "both transfer-encoding and content-length"
    if len(lengths) > 1 or (lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0])):
        return "content-length"
    return None


def is_a_host(authority):
    try:
        url.parse_authority(authority, check=True)
        return True
    except ValueError:
        return False


def objection_to_authority(request):
    hosts = [value for name, value in request.headers.fields if name.lower() == b"host"]
    authority = request.data.authority
    if len(hosts) > 1:
        return "more than one Host"
    for name in [authority, *hosts]:
        if not AUTHORITY.fullmatch(name) or (name and not is_a_host(name)):
            return "host"
    if authority and hosts and authority.lower() != hosts[0].lower():
        return "the target's host is not the one in Host"
    if authority and not hosts and not request.is_http2:
        return "a target with a host, and no Host"
    if not authority and not hosts and request.http_version != "HTTP/1.0":
        return "no host"
    return None


def objection_to(request):
    """Why two parsers could understand this request differently, None if they cannot."""
    data = request.data
    if not re.fullmatch(TOKEN, data.method):
        return "method"
    # mitmproxy shows addons a method in upper case; to servers the case counts (RFC 9110, 9.1).
    if data.method.upper() in METHODS and not data.method.isupper():
        return "method"
    if not re.fullmatch(rb"/(?:" + TARGET + rb")?|\*", data.path):
        return "target"
    return (
        objection_to_fields(request.headers.fields)
        or objection_to_framing(request)
        or objection_to_authority(request)
        or objection_to_handshake(request)
    )


def asks_for_websocket(request):
    return request.headers.get("upgrade", "").strip().lower() == "websocket"


def objection_to_handshake(request):
    """To an origin that expects no body here, its bytes are messages (RFC 6455, 4.1), of which no
    hook would know."""
    if not asks_for_websocket(request):
        return None
    if request.data.method != b"GET":
        return "method of a WebSocket's handshake"
    if "transfer-encoding" in request.headers or int(request.headers.get("content-length", 0)):
        return "body of a WebSocket's handshake"
    return None


def reduce_connection(request):
    """Remove from Connection what a client may not say, and every upgrade but WebSocket, whose
    messages addons see. Without an upgrade a server goes on in HTTP (RFC 9110, 7.8)."""
    headers = request.headers
    upgrades = asks_for_websocket(request)
    if not upgrades:
        headers.pop("upgrade", None)
        headers.pop("http2-settings", None)
    if "connection" not in headers:
        return
    said = [option.strip() for option in headers["connection"].split(",")]
    kept = [
        option
        for option in said
        if option.lower() in CONNECTION_OPTIONS and (upgrades or option.lower() != "upgrade")
    ]
    if kept == said:
        return
    if kept:
        headers["connection"] = ", ".join(kept)
    else:
        del headers["connection"]


def is_grpc(request):
    """Exactly that: whatever else is taken for it, addons would not see its body. There is none in
    HTTP/1.1."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.is_http2 and re.fullmatch(r"application/grpc(\+[\w.+-]+)?", media_type) is not None


class Room:
    """What a body takes of the memory for bodies."""

    def __init__(self, flow, size):
        self.client, self.size = flow.client_conn, size
        self.since = time.monotonic()
        self.is_whole = self.is_closed = False


class Bodies:
    """The memory for request bodies that are held for addons.

    A small body takes no room: nobody else's uploads decide whether addons see it. How many there
    are is bounded by the number of connections. A larger one needs room for all that it may
    become before more of it is read: so whoever has room needs nobody else's to come to an end.
    Who finds none waits in line. There is no way around: passed on in pieces, the body would be
    unseen because others have sent much.
    """

    SMALL = 64 * 1024
    TOTAL_MAX = 128 * 1024 * 1024
    # Seconds: how long one waits for room, and after which time one that is still not whole gives
    # way to those who wait. Or uploads that stop before their end would keep all room.
    WAIT_MAX = 120
    GIVE_WAY = 60

    def __init__(self, close):
        self.limit = 0  # of one body
        self.rooms = {}  # by the flow's id, oldest first
        self.total = 0
        self.waiting = {}  # clients by the flow's id, in line
        self.close = close  # a client's connection

    def has_room(self, flow, size):
        """May a body of which so much has come be held? Take room for it if nobody waits."""
        return size <= self.SMALL or flow.id in self.rooms or (not self.waiting and self.take(flow))

    def take(self, flow):
        declared = flow.request.headers.get("content-length", "")
        size = min(int(declared), self.limit) if declared.isdigit() else self.limit
        if self.total + size > self.TOTAL_MAX:
            return False
        self.rooms[flow.id] = Room(flow, size)
        self.total += size
        return True

    async def wait(self, flow):
        latest = time.monotonic() + self.WAIT_MAX
        self.waiting[flow.id] = flow.client_conn
        try:
            while time.monotonic() < latest and flow.client_conn.state is not ConnectionState.CLOSED:
                if next(iter(self.waiting)) == flow.id and self.take(flow):
                    return
                self.make_way()
                await asyncio.sleep(0.02)
        finally:
            del self.waiting[flow.id]

    def make_way(self):
        """Close the connection of the oldest body that has had its time."""
        for room in self.rooms.values():
            if not (room.is_whole or room.is_closed) and time.monotonic() - room.since > self.GIVE_WAY:
                room.is_closed = True
                self.close(room.client)
                return

    def stop(self, client):
        """Is a connection not to be read, because it waits? One that has room as well is read: or
        that body would never end (HTTP/2)."""
        return client in self.waiting.values() and all(room.client is not client for room in self.rooms.values())

    def settle(self, flow):
        """The body is whole: it takes as much room as there is of it."""
        if room := self.rooms.get(flow.id):
            size = len(flow.request.raw_content or b"")
            self.total += size - room.size
            room.size, room.is_whole = size, True

    def release(self, flow):
        if room := self.rooms.pop(flow.id, None):
            self.total -= room.size


# --- addons


class LastWord:
    """Runs after mitmproxy's own addons, one of which also decides which side's TLS is first."""

    # mitmproxy warns where it finds no addon of that name.
    name = "nextlayer"

    def __init__(self, admission):
        self.admission = admission

    def tls_clienthello(self, data):
        if self.admission.is_ignored(data) or self.admission.is_passed_without_name(data):
            data.ignore_connection = True
        data.establish_server_tls_first = not data.ignore_connection


class Admission:
    name = "egress_admission"

    def __init__(self):
        self.bodies = Bodies(close)
        self.ignored = []

    # The options that healthd sets, and has checked.
    def load(self, loader):
        loader.add_option("egress_non_http", str, "reject", "MITMPROXY_NON_HTTP.")
        loader.add_option("egress_no_name", str, "verify", "MITMPROXY_NO_NAME.")
        loader.add_option("egress_ignore_hosts", Sequence[str], [], "MITMPROXY_IGNORE_HOSTS.")
        loader.add_option("egress_stream_requests", int, 8 << 20, "MITMPROXY_STREAM_REQUESTS.")
        loader.add_option("egress_idle_timeout", int, 3600, "MITMPROXY_IDLE_TIMEOUT.")
        loader.add_option(
            "egress_without", str, "", "Patches to leave out, separated by commas; for tests."
        )

    def configure(self, updated):
        self.bodies.limit = ctx.options.egress_stream_requests
        self.ignored = [compiled(pattern) for pattern in ctx.options.egress_ignore_hosts]
        if not patches.applied:
            patches.check_ca(ctx.options.confdir)
            without = [name for name in ctx.options.egress_without.split(",") if name]
            objections = patches.Objections(objection_to_head, objection_to, objection_to_fields)
            patches.apply(self.bodies, objections, without)
            self.take_place_of_next_layer()

    def take_place_of_next_layer(self):
        stock = ctx.master.addons.get("nextlayer")
        if stock is None or not patches.is_watching():
            patches.refuse_to_run("it has no addon nextlayer, or does not watch its start")
        ctx.master.addons.remove(stock)
        ctx.master.addons.add(LastWord(self))

    def next_layer(self, nextlayer):
        context = nextlayer.context
        data = nextlayer.data_client()
        client, server = context.client.alpn, context.server.alpn
        is_inside_tls = any(isinstance(outer, ClientTLSLayer) for outer in context.layers)
        if is_inside_tls and context.server.tls_established and (client == b"h2") != (server == b"h2"):
            nextlayer.layer = refusal(context, "version", "two versions of HTTP were agreed on")
            return
        if is_inside_tls and client == b"h2":
            kind = HTTP
        elif not data:
            kind = kind_of_greeting(nextlayer.data_server(), server, is_inside_tls)
        elif not is_inside_tls and PREFACE.startswith(data[: len(PREFACE)]):
            kind = HTTP if len(data) >= len(PREFACE) else None
            if kind:
                context.client.alpn = context.server.alpn = b"h2"
        else:
            kind = kind_of(data)
        if kind == TLS and not is_inside_tls:
            nextlayer.layer = self.tls_layer(context, data)
        elif kind == HTTP:
            nextlayer.layer = HttpLayer(context, HTTPMode.transparent)
        elif kind == HTTP2:
            nextlayer.layer = refusal(context, "version", "HTTP/2, on which nobody has agreed")
        elif kind == NO_VERSION:
            nextlayer.layer = refusal(context, "request", "no version of HTTP in the request line")
        elif kind is not None:
            nextlayer.layer = self.other_layer(context)

    def tls_layer(self, context, data):
        try:
            is_whole = parse_client_hello(data) is not None
        except ValueError:
            return refusal(context, "tls", "a damaged ClientHello")
        if not is_whole and len(data) > HELLO_MAX:
            return refusal(context, "tls", f"a ClientHello of more than {HELLO_MAX} bytes")
        if not is_whole:
            return None
        outer = ServerTLSLayer(context)
        outer.child_layer = ClientTLSLayer(context)
        return outer

    def other_layer(self, context):
        mode = ctx.options.egress_non_http
        if mode == "reject":
            return refusal(context, "non-http", f"neither TLS nor HTTP, closed; see {VARIABLE}")
        if mode == "log":
            logging.warning(
                "passed non-http %s: neither TLS nor HTTP; see %s", addresses(context), VARIABLE
            )
        return TCPLayer(context)

    def is_ignored(self, data):
        host, port, *_ = data.context.server.address
        names = [f"{host}:{port}"]
        if data.client_hello.sni:
            names.append(f"{data.client_hello.sni}:{port}")
        return any(pattern.search(name) for pattern in self.ignored for name in names)

    def is_passed_without_name(self, data):
        if data.client_hello.sni or ctx.options.egress_no_name != "passthrough":
            return False
        where = addresses(data.context)
        logging.warning("passed tls %s: the client has named no host; see %s", where, patches.NO_NAME)
        return True

    def tls_start_server(self, data):
        """Offer to a later server of the same client only the version that the client speaks; and
        to none HTTP/3, which is never spoken over TCP."""
        client = data.context.client
        if not client.tls_established:
            offers = [offer for offer in client.alpn_offers if offer != b"h3"]
            if len(offers) < len(client.alpn_offers):
                data.conn.alpn_offers = offers or [b"http/1.1"]
            return
        if client.alpn:
            data.conn.alpn_offers = [client.alpn]
        elif client.alpn_offers:
            data.conn.alpn_offers = [b"http/1.1"]

    def requestheaders(self, flow):
        request = flow.request
        if flow.error:
            return  # refused already
        if not request.is_http2:
            reduce_connection(request)
            # The only one, however it is written; there are servers that know one spelling.
            if "transfer-encoding" in request.headers:
                request.headers["transfer-encoding"] = "chunked"
        declared = int(request.headers.get("content-length", 0))
        if declared > self.bodies.limit or is_grpc(request):
            request.stream = True

    async def egress_room(self, flow):
        await self.bodies.wait(flow)

    def request(self, flow):
        self.bodies.settle(flow)

    def response(self, flow):
        self.bodies.release(flow)

    def error(self, flow):
        self.bodies.release(flow)


def compiled(pattern):
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise exceptions.OptionsError(f"MITMPROXY_IGNORE_HOSTS: {pattern!r}: {error}") from error


def close(client):
    """Close a client's connection, as if it had been idle for too long."""
    for handler in ctx.master.addons.get("proxyserver").connections.values():
        if handler.client is client and (transport := handler.transports.get(client)):
            transport.handler.cancel("closed by the proxy")


def addresses(context):
    client = human.format_address(context.client.peername)
    return f"{client} -> {human.format_address(context.server.address)}"


def refusal(context, kind, why):
    patches.say_refused(kind, f"{addresses(context)}: {why}")
    return Refusal(context)


addons = [Admission()]
