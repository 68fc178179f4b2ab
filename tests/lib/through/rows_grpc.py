"""gRPC: messages with a length before each, over streams of HTTP/2 that end in trailers."""

import asyncio
import struct

from table import H2, H2C, Table, within
from wire import Ended

TABLE = Table("gRPC")
FIELDS = [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-accept-encoding", "identity, gzip"), ("user-agent", "grpc-test/1")]
FINE = [("grpc-status", "0"), ("grpc-message", "")]


def message(data, compressed=0):
    return struct.pack("!BI", compressed, len(data)) + data


class Messages:
    """The messages of one direction."""

    def __init__(self, side):
        self.side, self.data = side, b""

    async def next(self):
        while len(self.data) < 5 or len(self.data) < 5 + struct.unpack("!I", self.data[1:5])[0]:
            piece = await self.side.piece()
            if not piece:
                return None
            self.data += piece
        size = struct.unpack("!I", self.data[1:5])[0]
        one, self.data = self.data[5 : 5 + size], self.data[5 + size :]
        return one


async def call(run, fields=(), path="/pkg.Service/Method", http=None):
    http = http or await run.http()
    return await http.ask("POST", path, [*FIELDS, *fields], end=False)


def add(name, ask, handle, transports=(H2,), **options):
    TABLE.add(name, transports, ask, handle, **options)


# Client's kinds.


def sends(*messages, fields=()):
    async def ask(run):
        answer = await call(run, fields)
        for one in messages:
            await answer.write(message(one))
        await answer.end()
        await answer.head()
        await answer.rest()

    return ask


async def ping_pong(run, count=10):
    """Each message is sent when the one before is answered."""
    answer = await call(run)
    back, got = Messages(answer), []
    for number in range(count):
        await answer.write(message(b"ping %d" % number))
        if number == 0:
            run.see("status", await within(3, answer.head()))
        got.append(await within(3, back.next()))
    run.see("got", [one if one == "nothing" else one.decode() for one in got])
    await answer.end()
    run.see("after the end", await within(3, back.next()))


# Server's kinds.


async def echoes(run, exchange):
    await exchange.answer(200, FIELDS[:1], end=False, body=None, framing="chunked")
    requests = Messages(exchange)
    while (one := await requests.next()) is not None:
        await exchange.write(message(one.replace(b"ping", b"pong")))
    await exchange.end(FINE)


def replies(*messages, trailers=FINE, pause=0, fields=()):
    async def handle(run, exchange):
        await exchange.rest()
        await exchange.answer(200, [*FIELDS[:1], *fields], end=False, body=None, framing="chunked")
        for one in messages:
            await exchange.write(message(one))
            await asyncio.sleep(pause)
        await exchange.end(trailers)

    return handle


def trailers_only(status, text):
    async def handle(run, exchange):
        await exchange.answer(200, [*FIELDS[:1], ("grpc-status", status), ("grpc-message", text)], None)

    return handle


async def server_first(run, exchange):
    """Answers before the first message."""
    await exchange.answer(200, FIELDS[:1], end=False, body=None, framing="chunked")
    await exchange.write(message(b"welcome"))
    await exchange.rest()
    await exchange.end(FINE)


async def listens_first(run):
    answer = await call(run)
    run.see("status", await within(3, answer.head()))
    run.see("first", str(await within(3, Messages(answer).next())))
    await answer.write(message(b"hello"))
    await answer.end()
    await answer.rest()


async def is_refused(run):
    """Whether the server still takes what is sent after its answer depends on the moment."""
    await listens_first(run)
    run.requests.clear()


add("unary", sends(b"question"), replies(b"answer"), (H2, H2C))
add("unary, empty messages", sends(b""), replies(b""))
add("unary, 4 MiB", sends(b"q" * (4 << 20)), replies(b"a" * (4 << 20)), limit=20)
add("unary, 12 MiB", sends(b"q" * (12 << 20)), replies(b"a" * (12 << 20)), limit=30)
add("client stream", sends(*[b"%d" % n for n in range(50)]), replies(b"sum"))
add("server stream", sends(b"go"), replies(*[b"%d" % n for n in range(50)]))
add("server stream, slow", sends(b"go"), replies(*[b"%d" % n for n in range(5)], pause=0.2))
add("ping-pong", ping_pong, echoes, (H2, H2C))
add("both directions, 200 messages", sends(*[b"ping" * 100] * 200), echoes)
add("the server speaks first", listens_first, server_first)
add("an error in trailers alone", sends(b"x"), trailers_only("5", "not found%21 %C3%BC"))
add("an error in trailers alone, before the request has ended", is_refused, trailers_only("16", "no"))
add("an error after messages", sends(b"x"), replies(b"one", trailers=[("grpc-status", "13"), ("grpc-message", "broken"), ("grpc-status-details-bin", "CAUSBm5vdA")]))
add("metadata, of bytes as well", sends(b"x", fields=[("x-key", "one"), ("x-key", "two"), ("x-trace-bin", "AAECAw"), ("authorization", "Bearer x")]), replies(b"y", fields=[("x-head", "1"), ("x-head-bin", "//4")], trailers=[*FINE, ("x-tail", "1"), ("x-tail", "2"), ("x-tail-bin", "AA")]))
add("a compressed message", sends(b"x", fields=[("grpc-encoding", "gzip")]), replies(b"y", fields=[("grpc-encoding", "gzip")]))
add("gRPC-Web", sends(b"x", fields=[("x-grpc-web", "1")]), replies(b"y"))
add("HTTP status 503 without gRPC", sends(b"x"), lambda run, exchange: exchange.answer(503, (), b"no"))


async def deadline(run):
    """The client gives up when its deadline is over, and says so by RST_STREAM."""
    answer = await call(run, [("grpc-timeout", "500m")])
    await answer.write(message(b"x"))
    await answer.end()
    result = await within(0.5, answer.head())
    run.see("within the deadline", result)
    await answer.stream.reset(8)
    run.saw("the server is told in 2 s", await run.happens("told", 2))


async def waits_for_reset(run, exchange):
    run.event("begun").set()
    try:
        await exchange.rest()
        while True:
            event = await exchange.stream.events.get()
            if event[0] in ("reset", "gone"):
                run.saw("how", "%s %s" % event)
                return
    except Ended as ended:
        run.saw("how", "reset " + str(ended).split()[-1])
    finally:
        run.event("told").set()


async def streams_until_reset(run, exchange):
    await exchange.answer(200, FIELDS[:1], end=False, body=None, framing="chunked")
    await exchange.write(message(b"one"))
    await waits_for_reset(run, exchange)


async def cancels_stream(run):
    answer = await call(run)
    await answer.write(message(b"x"))
    await answer.head()
    await Messages(answer).next()
    await answer.stream.reset(8)
    run.saw("the server is told in 2 s", await run.happens("told", 2))


async def cancels_upload(run):
    answer = await call(run)
    await answer.write(message(b"x"))
    await run.happens("begun")
    await answer.stream.reset(8)
    run.saw("the server is told in 2 s", await run.happens("told", 2))


async def server_resets(run, exchange):
    await exchange.answer(200, FIELDS[:1], end=False, body=None, framing="chunked")
    await exchange.write(message(b"one"))
    await asyncio.sleep(0.2)
    await exchange.reset(8)


async def client_vanishes(run):
    """The connection is gone, not the stream alone."""
    answer = await call(run)
    await answer.write(message(b"x"))
    await answer.head()
    await Messages(answer).next()
    answer.client.pipe.reset()
    run.saw("the server is told in 2 s", await run.happens("told", 2))


async def not_how(run, exchange):
    await streams_until_reset(run, exchange)
    run.server.pop("how", None)
    run.requests.clear()


add("a deadline", deadline, waits_for_reset)
add("the client cancels a stream of answers", cancels_stream, streams_until_reset)
add("the client cancels its own stream", cancels_upload, waits_for_reset)
add("the server cancels", sends(b"x"), server_resets)
add("the client's connection is reset", client_vanishes, not_how)


async def five_calls(run):
    """One connection, calls that go on at once."""
    http = await run.http()

    async def one(number):
        answer = await call(run, path="/pkg.Service/%d" % number, http=http)
        back, got = Messages(answer), []
        for turn in range(5):
            await answer.write(message(b"ping %d %d" % (number, turn)))
            if turn == 0:
                await answer.head()
            got.append((await back.next()).decode())
        await answer.end()
        await answer.rest()
        run.see("call %d" % number, got)

    await asyncio.gather(*(one(number) for number in range(5)))
    run.records.sort(key=lambda record: record["body"])


add("five calls at once", five_calls, echoes)


async def silent(run, exchange):
    await exchange.answer(200, FIELDS[:1], end=False, body=None, framing="chunked")
    requests = Messages(exchange)
    await exchange.write(message(await requests.next()))
    await exchange.write(message(await requests.next()))
    await exchange.end(FINE)


def silence(seconds):
    async def ask(run):
        answer = await call(run)
        back = Messages(answer)
        await answer.write(message(b"one"))
        await answer.head()
        run.see("one", str(await back.next()))
        await asyncio.sleep(seconds)
        await answer.write(message(b"two"))
        await answer.end()
        run.see("two", str(await back.next()))
        await answer.rest()

    return ask


add("a stream that is silent for 20 s", silence(20), silent, limit=40, waits=True)
add("a stream that is silent for 700 s", silence(700), silent, limit=720, waits=True, tier="long")
