"""What a row is made of.

A row is a client and a server: two functions, `ask(run)` and `serve(run, pipe, number)`. Most rows
are HTTP, over several transports: for these `handle(run, exchange)` is called for each request.
"""

import asyncio
import collections

from http1 import Body, Broken, Buffer, values
from wire import Ended

Transport = collections.namedtuple("Transport", "name port tls alpn h2")
PLAIN = Transport("plain", 80, False, (), False)
TLS = Transport("TLS", 443, True, ("http/1.1",), False)
H2 = Transport("h2", 443, True, ("h2", "http/1.1"), True)
H2C = Transport("h2c", 80, False, (), True)
ONE = (PLAIN, TLS)
BOTH = (TLS, H2)
EVERY = (PLAIN, TLS, H2)


class Row:
    """One behaviour over one transport.

    raw     `serve` has the bare connection; else it is given HTTP exchanges
    ends    how the server's connections ended is compared as well
    exact   whether close_notify came before an end is compared as well
    waits   it mostly waits, so it takes no place among those that play at once
    heavy   it moves so much that few of its kind play at once
    found   its name leads to its address, also for the proxy
    settle  seconds to wait for what is under way when the client is done
    """

    def __init__(self, group, name, transport, ask, serve, **options):
        self.group, self.transport, self.ask = group, transport, ask
        self.name = "%s, %s" % (name, transport.name)
        self.raw = options.pop("raw", False)
        self.port, self.found, self.address = options.pop("port", None), options.pop("found", False), options.pop("address", None)
        self.ports = options.pop("ports", ())
        self.limit, self.tier = options.pop("limit", 20), options.pop("tier", "short")
        self.waits, self.heavy = options.pop("waits", False), options.pop("heavy", False)
        self.ends, self.settle = options.pop("ends", False), options.pop("settle", 0)
        self.exact = options.pop("exact", False)
        self.settings, self.context = options.pop("settings", None), options.pop("context", None)
        assert not options, options
        self.serving = serve

    async def serve(self, run, pipe, number):
        if self.raw:
            await self.serving(run, pipe, number)
        else:
            context = self.context(run.stage) if self.context else None
            await run.serve_http(self.serving, pipe, number, self.settings, context)


class Table:
    """The rows of a group."""

    def __init__(self, group):
        self.group, self.rows = group, []

    def add(self, name, transports, ask, serve, **options):
        for transport in transports if isinstance(transports, (tuple, list)) and not hasattr(transports, "_fields") else [transports]:
            self.rows.append(Row(self.group, name, transport, ask, serve, **options))

    def row(self, name, transports, serve, **options):
        """For a client of its own: decorates `ask`."""

        def add(ask):
            self.add(name, transports, ask, serve, **options)
            return ask

        return add


# Clients and servers that many rows share.


def asks(method="GET", path="/", fields=(), body=None, **options):
    """One request, its whole answer read."""

    async def ask(run):
        http = await run.http()
        answer = await http.ask(method, path, fields, body, **options)
        await answer.head()
        await answer.rest()

    return ask


def answers(status=200, fields=(), body=b"hello\n", **options):
    """The request is read to its end, then answered."""

    async def handle(run, exchange):
        await exchange.rest()
        await exchange.answer(status, fields, body, **options)

    return handle


def writes(*pieces, pause=0, ending="close"):
    """A server that takes one head of a request, and then writes these bytes."""

    async def serve(run, pipe, number):
        pipe = await run.secure(pipe)
        done = await see_request(run, pipe)
        for piece in pieces:
            await pipe.send(piece)
            await asyncio.sleep(pause)
        await end_as(pipe, "close" if done else ending)

    return serve


async def see_request(run, pipe):
    """A whole request, its line and its fields' names as they stand; is the client done then?"""
    buffer = Buffer(pipe)
    line = (await buffer.line() or await buffer.line()).decode("latin-1")
    try:
        fields = [field for field in await buffer.fields() if field[0].lower() != "x-opensandbox-egress"]
        run.saw("request", [line, *sorted(fields, key=lambda field: field[0].lower())])
        body, content = Body(buffer, fields, False), b""
        while piece := await within(1, body.piece()):
            if piece == "nothing":
                break
            content += piece
        run.saw("body", [body.framing, content.decode("latin-1")])
    except (Broken, ValueError) as error:
        run.saw("request", [line, str(error)])
        return False
    connection = " ".join(values(fields, "connection")).lower()
    return "close" in connection or (line.endswith("1.0") and "keep-alive" not in connection)


async def see_answers(run, pipe, seconds, bodiless=False):
    """All answers that come, what is no answer, and how it ends."""
    data, end = await all_of(pipe, seconds)
    run.see("end", end)
    answers = []
    run.see("read", answers)
    while data:
        head, mark, rest = data.partition(b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n")
        if not mark or not head.startswith(b"HTTP/1."):
            answers.append("no answer: " + data.decode("latin-1")[:60])
            return
        line, *lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
        version, _, status = line.partition(" ")
        fields = sorted((name.lower(), value.strip()) for name, _, value in (one.partition(":") for one in lines))
        one = {"version": version, "status": status.strip(), "fields": fields}
        answers.append(one)
        if status[:3] in ("101", "204", "304") or status[:1] == "1":
            data = rest
            continue
        one["framing"], one["body"], one["complete"], data = body_of(fields, rest)


def body_of(fields, data):
    """The framing of an answer's body, the body, whether it is whole, and what follows."""
    if values(fields, "transfer-encoding") and "chunked" in values(fields, "transfer-encoding")[0].lower():
        body = b""
        while True:
            line, mark, rest = data.partition(b"\r\n")
            if not mark:
                return "chunked", body.decode("latin-1"), False, b""
            size = int(line.split(b";")[0], 16)
            body += rest[:size]
            data = rest[size + 2 :]
            if size == 0:
                return "chunked", body.decode("latin-1"), True, data
    if lengths := values(fields, "content-length"):
        size = int(lengths[0])
        return "length", data[:size].decode("latin-1"), len(data) >= size, data[size:]
    return "close", data.decode("latin-1"), None, b""


async def end_as(pipe, ending):
    if ending == "close":
        await pipe.close()
    elif ending == "cut":
        pipe.cut()
    elif ending == "reset":
        pipe.reset()
    elif ending == "finish":
        await pipe.finish()
        await drain(pipe)
    elif ending == "stay":
        await drain(pipe)


async def head_of(pipe):
    data = b""
    while b"\r\n\r\n" not in data:
        data += await pipe.receive()
    return data


async def drain(pipe):
    """All that comes, to the end, which is raised."""
    while True:
        await pipe.receive()


async def all_of(pipe, seconds=5):
    """What comes until the end or until nothing comes for so long, and how it ends."""
    data = b""
    try:
        while True:
            data += await asyncio.wait_for(pipe.receive(), seconds)
    except Ended as ended:
        return data, str(ended)
    except asyncio.TimeoutError:
        return data, "silence"


async def within(seconds, waiting):
    """Its result, or "nothing"."""
    try:
        return await asyncio.wait_for(waiting, seconds)
    except asyncio.TimeoutError:
        return "nothing"


def without_added(head):
    """A request's head without what the proxy's addon adds to it, as text."""
    lines = head.decode("latin-1").split("\r\n")
    return "\n".join(line for line in lines if not line.lower().startswith("x-opensandbox-egress:"))


def sends(*pieces, pause=0, then=None, seconds=5):
    """A client that writes these bytes; what comes back, and how it ends, is seen as it stands."""

    async def ask(run):
        pipe = await run.connect()
        try:
            for piece in pieces:
                await pipe.send(piece.replace(b"HOST", run.host.encode()))
                await asyncio.sleep(pause)
        except Ended as ended:
            run.see("sending", str(ended))
        if then:
            await end_as(pipe, then)
        if then in (None, "half"):
            await see_answers(run, pipe, seconds)

    return ask
