"""HTTP/2 as it stands on the wire."""

import asyncio
import struct

import h2.settings
from http2 import Answer2, Stream, frame
from rows_http1 import GET
from table import H2, H2C, TLS, Table, answers, asks, sends, within, writes
from wire import Ended

TABLE = Table("HTTP/2")
add = TABLE.add
CODES = {"NO_ERROR": 0, "INTERNAL_ERROR": 2, "REFUSED_STREAM": 7, "CANCEL": 8, "ENHANCE_YOUR_CALM": 11, "HTTP_1_1_REQUIRED": 13}


async def get(http, path, outcomes, method="GET", body=None):
    """A request whose outcome is a status, or how it ended."""
    try:
        answer = await http.ask(method, path, body=body)
        outcomes[path] = await answer.head()
        await answer.rest()
    except Ended as ended:
        outcomes[path] = str(ended)


def streams(count):
    async def ask(run):
        http = await run.http()
        outcomes = {}
        await asyncio.gather(*(get(http, "/%d" % number, outcomes) for number in range(count)))
        run.see("outcomes", outcomes)
        run.records.sort(key=lambda record: record.get("body", ""))

    return ask


async def path_back(run, exchange):
    await exchange.rest()
    await exchange.answer(200, (), exchange.path.encode() * 10)


add("100 streams at once", H2, streams(100), path_back)


async def all_together(run, exchange):
    """No answer before the last of 100 requests has come."""
    run.waiting = run.__dict__.get("waiting", 0) + 1
    if run.waiting == 100:
        run.event("all").set()
    run.saw("all are there together", await run.happens("all", 6))
    await exchange.answer(200, (), exchange.path.encode())


add("100 streams, none answered before all have come", H2, streams(100), all_together)


async def backwards(run, exchange):
    """Answered in the other order than asked."""
    await asyncio.sleep(0.5 - int(exchange.path[1:]) * 0.05)
    await exchange.answer(200, (), exchange.path.encode())


add("ten streams, answered in the other order", H2, streams(10), backwards)


async def one_is_slow(run):
    """A large body on one stream does not hold up another."""
    http = await run.http()
    large = await http.ask("GET", "/large")
    await large.head()
    await large.piece()
    outcomes = {}
    result = await within(3, get(http, "/small", outcomes))
    run.see("small", result or outcomes)
    await large.rest()
    run.records.clear()


async def large_or_small(run, exchange):
    await exchange.answer(200, (), 12 << 20 if exchange.path == "/large" else b"small")


add("a small answer beside a large one that is not read", H2, one_is_slow, large_or_small, limit=20)

# Limits of the server.
ONLY_ONE = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
SMALL_WINDOW = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100}


async def counted(run, exchange):
    run.inside = run.__dict__.get("inside", 0) + 1
    run.most = max(run.__dict__.get("most", 0), run.inside)
    run.saw("streams at once", run.most)
    await asyncio.sleep(0.1)
    await exchange.answer(200, (), b"x")
    run.inside -= 1


async def one_at_a_time(run):
    """A client that heeds the server's limit on streams."""
    http = await run.http()
    await asyncio.sleep(0.3)
    limit = http.peer.http.remote_settings.max_concurrent_streams
    turns, outcomes = asyncio.Semaphore(min(limit, 100)), {}

    async def one(number):
        async with turns:
            await get(http, "/%d" % number, outcomes)

    await asyncio.gather(*(one(number) for number in range(5)))
    run.see("outcomes", outcomes)
    run.records.clear()


add("a server that takes one stream at a time", H2, one_at_a_time, counted, settings=ONLY_ONE)
add("a server with a window of 100 bytes", H2, asks("POST", body=b"x" * 2000), answers(), settings=SMALL_WINDOW)


async def small_window(run):
    http = await run.http(settings=SMALL_WINDOW)
    answer = await http.ask("GET")
    await answer.head()
    await answer.rest()


add("a client with a window of 100 bytes", H2, small_window, answers(200, (), b"x" * 2000))

# Resets of streams.


def resets(code, when):
    async def handle(run, exchange):
        if when == "before":
            await exchange.reset(code)
            raise Ended("done")
        await exchange.answer(200, [("content-type", "text/event-stream")], None, end=False, framing="chunked")
        if when == "in the body":
            await exchange.write(b"data: x\n\n")
            await asyncio.sleep(0.2)
        await exchange.reset(code)
        raise Ended("done")

    return handle


async def reset_and_again(run):
    """After it the connection is of use still."""
    http = await run.http()
    outcomes = {}
    await get(http, "/", outcomes)
    run.see("outcome", outcomes)


for name, code in CODES.items():
    add("RST_STREAM %s before an answer" % name, H2, reset_and_again, resets(code, "before"))
for name in ("NO_ERROR", "INTERNAL_ERROR", "CANCEL"):
    add("RST_STREAM %s after the head" % name, H2, reset_and_again, resets(CODES[name], "after the head"))
    add("RST_STREAM %s in the body" % name, H2, reset_and_again, resets(CODES[name], "in the body"))


def early_answer(body):
    async def handle(run, exchange):
        """The answer is whole, and the rest of the upload not wanted: RFC 9113, 8.1."""
        await exchange.piece()
        await exchange.answer(413, (), body)
        await exchange.reset(0)
        raise Ended("done")

    return handle


async def upload_refused(run):
    http = await run.http(settings={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 16384})
    answer = await http.ask("POST", "/", [("content-length", str(20 << 20))], end=False)

    async def write():
        for _ in range(20):
            await answer.write(b"x" * (1 << 20))

    writing = asyncio.ensure_future(write())
    try:
        await answer.head()
        await answer.rest()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


add("an answer and RST_STREAM NO_ERROR in a large upload", H2, upload_refused, early_answer(b"too large"))
add("a large answer and RST_STREAM NO_ERROR in a large upload", H2, upload_refused, early_answer(200000))


def cancels(when):
    """The client gives up; what becomes of the server's stream?"""

    async def ask(run):
        http = await run.http()
        if when == "in an upload":
            answer = await http.ask("POST", "/", [("content-length", str(20 << 20))], end=False)
            await answer.write(b"x" * 65536)
            await run.happens("begun")
        else:
            answer = await http.ask("GET", "/")
            if when == "in the body":
                await answer.head()
                await answer.piece()
            else:
                await run.happens("begun")
        await answer.stream.reset(8)
        run.records.clear()
        run.saw("the server is told in 2 s", await run.happens("told", 2))
        outcomes = {}
        await within(3, get(http, "/again", outcomes))
        run.see("the next", outcomes)

    async def handle(run, exchange):
        if exchange.path == "/again":
            await exchange.answer(200, (), b"again")
            return
        if when == "in an upload":
            await exchange.piece()
        run.event("begun").set()
        if when == "in the body":
            await exchange.answer(200, [("content-type", "text/event-stream")], None, end=False)
            await exchange.write(b"data: x\n\n")
        exchange.record.clear()
        try:
            while True:
                event = await exchange.stream.events.get()
                if event[0] in ("reset", "gone"):
                    run.saw("how", "%s %s" % event)
                    break
        finally:
            run.event("told").set()
        exchange.done = True

    return ask, handle


for when in ("before an answer", "in the body", "in an upload"):
    add("the client cancels %s" % when, H2, *cancels(when))

# GOAWAY: a client goes on with another connection, and asks again for what was not taken.


async def asks_on(run, count, at_once):
    clients = [await run.http()]
    outcomes, retries = {}, 0
    turns = asyncio.Semaphore(at_once)

    async def one(number):
        nonlocal retries
        async with turns:
            for _ in range(20):
                http = clients[-1]
                if http.peer.goaway or http.peer.lost:
                    clients.append(await run.http())
                    http = clients[-1]
                await get(http, "/%d" % number, outcomes)
                if not str(outcomes["/%d" % number]).startswith(("refused by", "GOAWAY 0", "FIN", "close_notify")):
                    return

    await asyncio.gather(*(one(number) for number in range(count)))
    statuses = list(outcomes.values())
    run.records.clear()
    run.see("outcomes", {str(status): statuses.count(status) for status in set(statuses)})


def goes_away(after, close):
    """A server that takes so many requests on a connection, as nginx does."""

    async def handle(run, exchange):
        await exchange.rest()
        server = exchange.server
        if exchange.count > after:
            return
        if exchange.count == after:
            await server.goaway(exchange.stream.number)
        await exchange.answer(200, (), exchange.path.encode())
        run.requests.clear()
        if exchange.count == after and close:
            await asyncio.sleep(0.3)
            await server.pipe.close()

    return handle


for after, count, at_once in ((1, 5, 1), (1, 5, 5), (10, 25, 1), (10, 25, 4), (1000, 1200, 8)):
    for close in (True, False) if after < 1000 else (True,):
        async def ask(run, count=count, at_once=at_once):
            await asks_on(run, count, at_once)

        ending = "and close" if close else "without a close"
        add("GOAWAY after %d requests %s, %d at once" % (after, ending, at_once), H2, ask, goes_away(after, close), limit=60, heavy=after > 100)


async def calms(run, exchange):
    await exchange.server.goaway(0, 11)
    await exchange.pipe.close()
    raise Ended("done")


add("GOAWAY ENHANCE_YOUR_CALM", H2, reset_and_again, calms)


async def graceful(run, exchange):
    """GOAWAY with the highest number first, as a server does that is about to end."""
    await exchange.server.goaway((1 << 31) - 1)
    await exchange.answer(200, (), b"x")
    await asyncio.sleep(0.3)
    await exchange.server.goaway(exchange.stream.number)


add("a graceful end: GOAWAY twice", H2, streams(1), graceful, settle=0.5)


async def client_goes(run):
    http = await run.http()
    answer = await http.ask("GET", "/")
    await http.pipe.send(frame(7, 0, 0, struct.pack("!II", 0, 0)))
    await answer.head()
    await answer.rest()


add("GOAWAY of the client, while it waits for an answer", H2, client_goes, answers())

# Frames.


async def pings(run):
    http = await run.http()
    for number in range(5):
        http.peer.do("ping", b"%08d" % number)
        await http.peer.flush()
        run.see("ping %d" % number, (await within(2, http.peer.pongs.get())) != "nothing")
    answer = await http.ask("GET")
    await answer.head()
    await answer.rest()


async def pings_client(run, exchange):
    exchange.server.peer.do("ping", b"12345678")
    await exchange.server.peer.flush()
    run.saw("answer to a ping", (await within(2, exchange.server.peer.pongs.get())) != "nothing")
    await exchange.answer(200, (), b"x")


add("pings of the client", H2, pings, answers())
add("a ping of the server", H2, asks(), pings_client)


async def padded(run):
    http = await run.http()
    answer = await http.ask("POST", "/", end=False)
    http.peer.do("send_data", answer.stream.number, b"padded", pad_length=100)
    http.peer.do("send_data", answer.stream.number, b"", pad_length=0)
    http.peer.do("send_data", answer.stream.number, b"!", end_stream=True)
    await http.peer.flush()
    await answer.head()
    await answer.rest()


async def answers_padded(run, exchange):
    await exchange.rest()
    await exchange.answer(200, (), None, end=False, framing="chunked")
    exchange.server.peer.do("send_data", exchange.stream.number, b"padded", pad_length=255)
    exchange.server.peer.do("send_data", exchange.stream.number, b"", end_stream=True)
    await exchange.server.peer.flush()


add("padded and empty DATA", H2, padded, answers_padded)


async def with_priority(run):
    http = await run.http()
    answer = await http.ask("GET", "/", [("priority", "u=1, i")], body=None)
    http.peer.do("prioritize", answer.stream.number, weight=10)
    await http.peer.flush()
    await http.pipe.send(frame(0x10, 0, 0, struct.pack("!I", 1) + b"u=3"))
    await http.pipe.send(frame(0x42, 0, 0, b"greased"))
    await answer.head()
    await answer.rest()


add("priority, and a frame of an unknown kind", H2, with_priority, answers())


async def no_authority(run):
    http = await run.http()
    stream_fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", run.host)]
    answer = await http.ask("HEAD", "/dummy", end=False)
    await answer.stream.reset(8)
    run.records.clear()
    stream = Stream(http.peer, http.peer.http.get_next_available_stream_id())
    http.peer.streams[stream.number] = stream
    await stream.fields(stream_fields, True)
    second = Answer2(http, stream)
    await second.head()
    await second.rest()
    run.requests.pop("/dummy", None)


add("host in place of :authority", H2, no_authority, answers())
add("extended CONNECT, which nobody has offered", H2, asks("CONNECT", "/chat", pseudo=[(":protocol", "websocket")]), answers(501))
add("te: trailers and a user's own fields", H2, asks(fields=[("te", "trailers"), ("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")]), answers())
add("an answer of END_STREAM alone", H2, asks(), answers(200, [], None))


async def settings_later(run):
    http = await run.http()
    http.peer.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 200000, h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
    await http.peer.flush()
    answer = await http.ask("GET")
    await answer.head()
    await answer.rest()


add("settings that change", H2, settings_later, answers(200, (), b"x" * 500000))


async def sees_goaway(run):
    """Is an idle connection's end told to the client?"""
    http = await run.http()
    outcomes = {}
    await get(http, "/", outcomes)
    for _ in range(30):
        await asyncio.sleep(0.1)
        if http.peer.goaway or http.peer.lost:
            break
    run.see("the client is told within 3 s", bool(http.peer.goaway or http.peer.lost))
    run.see("outcome", outcomes)


async def ends_idle(run, exchange):
    await exchange.answer(200, (), b"x")

    async def later():
        await asyncio.sleep(0.3)
        await exchange.server.goaway(exchange.stream.number)
        await exchange.pipe.close()

    run.tasks.append(asyncio.create_task(later()))


add("a server that ends an idle connection", H2, sees_goaway, ends_idle)


async def after_idle_end(run):
    """The next request after that, by a client which retries on another connection."""
    await asks_on(run, 1, 1)
    await asyncio.sleep(1)
    await asks_on(run, 1, 1)


add("a request after an idle connection has ended", H2, after_idle_end, ends_idle)

# Which version it is.


def offers(*alpn):
    async def ask(run):
        pipe = await run.connect(context=run.context(list(alpn)))
        run.see("protocol", pipe.tls.selected_alpn_protocol())
        if pipe.tls.selected_alpn_protocol() != "h2":
            await pipe.send(GET.replace(b"HOST", run.host.encode()))
            run.see("answer", str(await within(3, pipe.receive()))[:17])

    return ask


def speaks(*alpn):
    return lambda stage: stage.server(alpn=alpn)


for name, client, server in (
    ("both offer both", ("h2", "http/1.1"), ("h2", "http/1.1")), ("the client none", (), ("h2", "http/1.1")), ("the server none", ("h2", "http/1.1"), ()),
    ("the server HTTP/1.1 alone", ("h2", "http/1.1"), ("http/1.1",)), ("the client an unknown one", ("foo/1",), ("h2", "http/1.1")),
    ("the client an unknown one and HTTP/1.1", ("foo/1", "http/1.1"), ("h2", "http/1.1")), ("the client an unknown one that the server has", ("foo/1",), ("foo/1", "http/1.1")),
    ("the client HTTP/1.0 and 1.1", ("http/1.0", "http/1.1"), ("http/1.1", "http/1.0")), ("the client h2 alone, the server HTTP/1.1", ("h2",), ("http/1.1",)),
):
    add("ALPN: " + name, TLS, offers(*client), answers(), context=speaks(*server))
add("h2c with prior knowledge: GET", H2C, asks(), answers())
add("h2c with prior knowledge: POST", H2C, asks("POST", body=b"x" * 100000), answers(200, (), b"y" * 100000))
add("h2c with prior knowledge: ten streams", H2C, streams(10), path_back)
add("what is no HTTP/2 where it was chosen", H2, sends(GET, seconds=2), writes(b"HTTP/1.1 400 Bad\r\n\r\n"), raw=True)
