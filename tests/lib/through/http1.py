"""HTTP/1 by hand, at both ends: what stands in a message and what frames it stays visible."""

import hashlib

from wire import Ended

LIMIT = 1 << 21


class Broken(Exception):
    """What has come is no message of HTTP/1."""


def pattern(size):
    """A body of that many bytes, in pieces, each of them different."""
    number = 0
    while size > 0:
        piece = (b"%015d\n" % number) * 8192
        yield piece[:size] if size < len(piece) else piece
        size -= len(piece)
        number += 1


def pieces_of(body):
    return pattern(body) if isinstance(body, int) else [body] if body else []


def length_of(body):
    return body if isinstance(body, int) else len(body)


class Digest:
    def __init__(self):
        self.size, self.hash = 0, hashlib.sha256()

    def take(self, data):
        self.size += len(data)
        self.hash.update(data)

    def __str__(self):
        return "%d bytes, %s" % (self.size, self.hash.hexdigest()[:12])


class Buffer:
    """Bytes of a connection, read by lines or by count."""

    def __init__(self, pipe):
        self.pipe, self.data = pipe, bytearray()

    async def more(self):
        self.data += await self.pipe.receive()

    async def line(self):
        while (end := self.data.find(b"\n")) < 0:
            if len(self.data) > LIMIT:
                raise Broken("endless line")
            await self.more()
        line = bytes(self.data[: end + 1])
        del self.data[: end + 1]
        return line.removesuffix(b"\n").removesuffix(b"\r")

    async def some(self, limit=1 << 18):
        if not self.data:
            await self.more()
        piece = bytes(self.data[:limit])
        del self.data[:limit]
        return piece

    async def exactly(self, count):
        piece = b""
        while len(piece) < count:
            piece += await self.some(count - len(piece))
        return piece

    async def fields(self):
        fields = []
        while line := await self.line():
            name, colon, value = line.partition(b":")
            if not colon:
                raise Broken("no field: %r" % line[:40])
            fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return fields


def values(fields, name):
    return [value for key, value in fields if key.lower() == name]


def write_head(start, fields):
    lines = [start] + ["%s: %s" % field for field in fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Body:
    """A body that is read: its framing, and its pieces as they come."""

    def __init__(self, buffer, fields, until_close, none=False):
        self.buffer, self.trailers, self.left = buffer, [], None
        if none:
            self.framing = "none"
        elif "chunked" in " ".join(values(fields, "transfer-encoding")).lower():
            self.framing = "chunked"
        elif lengths := values(fields, "content-length"):
            self.framing, self.left = "length", int(lengths[0])
        else:
            self.framing = "close" if until_close else "none"
        self.done = self.framing == "none" or self.left == 0

    async def piece(self):
        """The next bytes; none at the end."""
        if self.done:
            return b""
        if self.framing == "close":
            return await self.last_piece()
        if self.framing == "chunked" and not self.left:
            self.left = int((await self.buffer.line()).split(b";")[0], 16)
            if self.left == 0:
                self.trailers, self.done = await self.buffer.fields(), True
                return b""
        data = await self.buffer.some(self.left)
        self.left -= len(data)
        if self.left == 0 and self.framing == "chunked":
            await self.buffer.line()
        self.done = self.left == 0 and self.framing == "length"
        return data

    async def last_piece(self):
        try:
            return await self.buffer.some()
        except Ended as ended:
            # With TLS an end without close_notify may be anybody's.
            if str(ended) != ("close_notify" if self.buffer.pipe.tls else "FIN"):
                raise
            self.done = True
            return b""


class Sent:
    """A body that is written, by chunks or as it stands."""

    def __init__(self, pipe, fields):
        self.pipe, self.chunked = pipe, "chunked" in values(fields, "transfer-encoding")

    async def write(self, data):
        await self.pipe.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)

    async def end(self, trailers=()):
        if self.chunked:
            await self.pipe.send(b"0\r\n" + write_head("", trailers)[2:])


class Client1:
    """A connection of a client; one exchange at a time."""

    def __init__(self, run, pipe):
        self.run, self.pipe, self.buffer = run, pipe, Buffer(pipe)

    async def ask(self, method, path="/", fields=(), body=None, framing=None, end=True, trailers=(), version="1.1"):
        """Sends a request, its body as well unless `end` is false."""
        fields = [("Host", self.run.host)] * (not values(fields, "host")) + list(fields)
        if framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        elif body is not None and not values(fields, "content-length"):
            fields.append(("Content-Length", str(length_of(body))))
        await self.pipe.send(write_head("%s %s HTTP/%s" % (method, path, version), fields))
        answer = Answer1(self, method, Sent(self.pipe, fields))
        if end:
            for piece in pieces_of(body):
                await answer.write(piece)
            await answer.end(trailers)
        return answer

    async def close(self):
        await self.pipe.close()


class Incoming1:
    """A body that is read, for either end."""

    async def piece(self):
        data = await self.body.piece()
        self.digest.take(data)
        self.record.update(body=str(self.digest), trailers=self.body.trailers, complete=self.body.done)
        return data

    async def rest(self):
        while await self.piece():
            pass
        return self


class Answer1(Incoming1):
    """An exchange as the client has it: what is sent, and what is answered."""

    def __init__(self, client, method, sent):
        self.client, self.method, self.sent = client, method, sent
        self.write, self.end = sent.write, sent.end
        self.record = client.run.client_record()
        self.digest, self.body = Digest(), None

    async def head(self):
        while True:
            status, fields = await self.some_head()
            if status >= 200 or status == 101:
                break
            self.record.setdefault("interim", []).append((status, fields))
        none = self.method == "HEAD" or status in (101, 204, 304)
        self.body = Body(self.client.buffer, fields, True, none)
        self.record.update(status=status, fields=fields, framing=self.body.framing)
        return status

    async def some_head(self):
        """An answer's head, be it an interim one."""
        version, _, rest = (await self.client.buffer.line()).decode("latin-1").partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise Broken("no answer: %r" % (version + " " + rest)[:60])
        return int(rest[:3]), await self.client.buffer.fields()


class Server1:
    """A connection of a server: serves requests until it ends."""

    def __init__(self, run, pipe, number):
        self.run, self.pipe, self.number, self.buffer = run, pipe, number, Buffer(pipe)
        self.closing = False

    async def serve(self, handle):
        while not self.closing:
            line = await self.buffer.line()
            while not line:
                line = await self.buffer.line()
            exchange = Exchange1(self, line.decode("latin-1"), await self.buffer.fields())
            await handle(exchange)
            while not exchange.body.done:
                await exchange.piece()


class Exchange1(Incoming1):
    """An exchange as the server has it."""

    def __init__(self, server, line, fields):
        self.server, self.run, self.pipe, self.fields = server, server.run, server.pipe, fields
        self.method, self.path, self.version = (line.split(" ") + ["", ""])[:3]
        self.body, self.digest = Body(server.buffer, fields, False), Digest()
        self.record = self.run.server_record(self.path)
        self.record.update(line=line, fields=fields, framing=self.body.framing)
        if "close" in " ".join(values(fields, "connection")).lower():
            server.closing = True

    async def interim(self, status, fields=()):
        await self.pipe.send(write_head("HTTP/1.1 %d Interim" % status, fields))

    async def answer(self, status, fields=(), body=None, framing=None, end=True, trailers=()):
        fields = list(fields)
        bodiless = status in (204, 304) or status < 200
        if framing == "chunked":
            fields.append(("Transfer-Encoding", "chunked"))
        elif framing == "close":
            self.server.closing = True
        elif body is not None and not values(fields, "content-length"):
            fields.append(("Content-Length", str(length_of(body))))
        elif body is None and end and not bodiless and not values(fields, "content-length"):
            fields.append(("Content-Length", "0"))
        await self.pipe.send(write_head("HTTP/1.1 %d Reason" % status, fields))
        self.sent = Sent(self.pipe, fields)
        self.write, self.end = self.sent.write, self.sent.end
        if end:
            for piece in pieces_of(body if self.method != "HEAD" else None):
                await self.write(piece)
            await self.end(trailers)
        if framing == "close" and end:
            await self.pipe.close()

    def reset(self, _code=None):
        self.pipe.reset()
        raise Ended("done")
