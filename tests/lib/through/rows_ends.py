"""How connections end: by either side, at every stage, politely or not."""

import asyncio

from http1 import Buffer
from rows_http1 import GET, OK
from table import H2, ONE, PLAIN, TLS, Table, all_of, asks, drain, end_as, head_of, see_answers, sends, within, without_added
from wire import Ended

TABLE = Table("ends")
add = TABLE.add
HEAD = b"HTTP/1.1 200 OK\r\n"
SIZED = HEAD + b"Content-Length: 1000\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = HEAD + b"Content-Type: text/plain\r\n\r\n"
HOW = {PLAIN: ("close", "reset"), TLS: ("close", "cut", "reset")}
STAGES = {
    "before it reads": None, "before an answer": b"", "in the head": b"HTTP/1.1 200 OK\r\nContent-", "after the head": SIZED, "in a body with a length": SIZED + b"x" * 500,
    "in a chunk": CHUNKED + b"100\r\nxyz", "between chunks": CHUNKED + b"3\r\nxyz\r\n", "in a body until close": UNTIL_CLOSE + b"x" * 500, "after a whole answer": OK,
}


async def arrival(pipe):
    """A reset takes back what has not arrived."""
    while (pipe.tcp if pipe.tls else pipe).unacknowledged():
        await asyncio.sleep(0)


def server_ends(written, how):
    async def serve(run, pipe, number):
        pipe = await run.secure(pipe)
        if written is not None:
            run.saw("request", without_added(await head_of(pipe)))
            await pipe.send(written)
        # (With TLS, what is read last in the handshake may have the request behind it.)
        if written is not None or not pipe.tls:
            await asyncio.sleep(0.3)
        await end_as(pipe, how)

    return serve


for transport, hows in HOW.items():
    for stage, written in STAGES.items():
        for how in hows:
            name = {"close": "closed", "cut": "cut", "reset": "reset"}[how]
            add("%s by the server %s" % (name, stage), transport, sends(GET, seconds=3), server_ends(written, how), raw=True, exact=stage == "in a body until close")



async def ends_at_once(run, pipe, number):
    await end_as(pipe, "reset")


async def meets_the_end(run):
    """Whether the request is still sent then, and how the end shows, are a matter of luck."""
    ends = set()
    for _ in range(20):
        try:
            pipe = await run.connect()
            await pipe.send(GET.replace(b"HOST", run.host.encode()))
            ends.add((await all_of(pipe, 2))[1] != "silence")
        except Ended:
            ends.add(True)
    run.see("told", list(ends))


add("reset by the server in the moment of the connection", PLAIN, meets_the_end, ends_at_once, raw=True, limit=60)


async def resets_behind_it(run, pipe, number):
    """All of the answer has arrived somewhere when the reset comes."""
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await pipe.send(HEAD + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2000000)
    await arrival(pipe)
    pipe.reset()


async def reads_all(run):
    await sends(GET, seconds=3)(run)
    run.see("read", [len(answer["body"]) for answer in run.client["read"]])


add("reset by the server behind a large answer", ONE, reads_all, resets_behind_it, raw=True)

# The client's end, as the server is told of it.
REQUESTS = {
    "as soon as it is connected": b"", "in the head": b"POST / HTTP/1.1\r\nHost: HOST\r\nX-", "in a body with a length": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500,
    "in a large body": b"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 9000000, "in a chunk": b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nxyz",
    "while it waits for an answer": GET,
}


def client_ends(written, how):
    async def ask(run):
        pipe = await run.connect()
        await pipe.send(written.replace(b"HOST", run.host.encode()))
        await arrival(pipe)
        await asyncio.sleep(0.3)
        await end_as(pipe, how)
        run.saw("told within 2 s", await run.happens("told", 2))

    return ask


async def waits_for_end(run, pipe, number):
    pipe = await run.secure(pipe)
    try:
        await drain(pipe)
    except Ended as ended:
        run.saw("how", str(ended))
        run.event("told").set()


for transport, hows in HOW.items():
    for stage, written in REQUESTS.items():
        for how in hows:
            name = {"close": "closed", "cut": "cut", "reset": "reset"}[how]
            add("%s by the client %s" % (name, stage), transport, client_ends(written, how), waits_for_end, raw=True)


async def leaves_download(run, how):
    pipe = await run.connect()
    await pipe.send(GET.replace(b"HOST", run.host.encode()))
    buffer = Buffer(pipe)
    await buffer.exactly(100000)
    await end_as(pipe, how)
    run.saw("told within 3 s", await run.happens("told", 3))


async def sends_for_ever(run, pipe, number):
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await pipe.send(HEAD + b"Content-Length: 100000000000\r\n\r\n")
    try:
        while True:
            await pipe.send(b"x" * 65536)
            await asyncio.sleep(0.01)
    except Ended:
        run.event("told").set()


for how in ("close", "reset"):
    async def ask(run, how=how):
        await leaves_download(run, how)

    add("a download that the client leaves by %s" % how, ONE, ask, sends_for_ever, raw=True)

# Half of a connection.


async def half_closed(run):
    """A client that says its all, and then waits: as netcat and some libraries do."""
    pipe = await run.connect()
    await pipe.send(GET.replace(b"HOST", run.host.encode()))
    await pipe.finish()
    await see_answers(run, pipe, 3)


async def answers_late(run, pipe, number):
    pipe = await run.secure(pipe)
    data = await head_of(pipe)
    while b"Content-Length" in data and not data.endswith(b"hello"):
        data += await pipe.receive()
    run.saw("request", without_added(data))
    await asyncio.sleep(0.5)
    await pipe.send(OK)
    await asyncio.sleep(0.2)
    await pipe.close()


async def half_closed_post(run):
    pipe = await run.connect()
    await pipe.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\n\r\nhello" % run.host.encode())
    await pipe.finish()
    await see_answers(run, pipe, 3)


async def half_closed_download(run):
    """A large answer after it, in pieces."""
    await half_closed(run)
    for answer in run.client["read"]:
        answer["body"] = len(answer["body"])


async def answers_in_pieces(run, pipe, number):
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await pipe.send(HEAD + b"Content-Length: 2000000\r\n\r\n")
    for _ in range(20):
        await pipe.send(b"x" * 100000)
        await asyncio.sleep(0.02)
    await pipe.close()


async def server_half_closes(run, pipe, number):
    """The server ends its direction and takes what comes: an answer before the request has ended."""
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await pipe.send(HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nearly")
    await pipe.finish()
    total = 0
    try:
        while True:
            total += len(await pipe.receive())
    except Ended as ended:
        run.saw("rest of the request", total)
        run.saw("end", str(ended))


async def goes_on_sending(run):
    pipe = await run.connect()
    await pipe.send(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 20\r\n\r\n0123456789" % run.host.encode())
    run.see("answer", str(await within(2, head_of(pipe)))[:40])
    await asyncio.sleep(0.2)
    try:
        await pipe.send(b"0123456789")
    except Ended as ended:
        run.see("sending", str(ended))
    data, end = await all_of(pipe, 2)
    run.see("end", end)
    await pipe.close()


add("half-closed by the client after its request", ONE, half_closed, answers_late, raw=True)
add("half-closed by the client after its request with a body", ONE, half_closed_post, answers_late, raw=True)
add("half-closed by the client before a large answer", ONE, half_closed_download, answers_in_pieces, raw=True)
add("half-closed by the server before the request has ended", ONE, goes_on_sending, server_half_closes, raw=True)


async def never_answers(run, pipe, number):
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await drain(pipe)


async def stalls(run, pipe, number):
    pipe = await run.secure(pipe)
    await head_of(pipe)
    await pipe.send(SIZED + b"x" * 10)
    await drain(pipe)


add("a server that never answers", ONE, sends(GET, seconds=6), never_answers, raw=True)
add("a server that stalls in the body", ONE, sends(GET, seconds=6), stalls, raw=True)
add("a client that stalls in the head", ONE, sends(b"GET / HTTP/1.1\r\nHo", seconds=8), waits_for_end, raw=True, limit=15)
add("a client that says nothing", ONE, sends(seconds=8), waits_for_end, raw=True, limit=15)


# HTTP/2.
def server_ends_h2(stage, how):
    async def handle(run, exchange):
        if stage != "before an answer":
            await exchange.answer(200, [("content-type", "text/event-stream")], None, end=False, framing="chunked")
        if stage == "in the body":
            await exchange.write(b"data: x\n\n")
        await asyncio.sleep(0.3)
        await end_as(exchange.pipe, how)
        raise Ended("done")

    return handle


for stage in ("before an answer", "after the head", "in the body"):
    for how in ("close", "cut", "reset"):
        add("%s by the server %s" % (how, stage), H2, asks(), server_ends_h2(stage, how))


async def ends_for_all(run):
    """Three requests wait for their answers, and one is not sent whole yet."""
    http = await run.http()
    answers = [await http.ask("POST", "/%d" % number, body=b"x") for number in range(3)]
    await http.ask("POST", "/half", [("content-length", "1000")], end=False)
    ends = []
    for answer in answers:
        try:
            ends.append(await answer.head())
        except Ended as ended:
            ends.append(str(ended))
    run.see("ends", ends)
    run.requests.clear()


async def serves_three(run, exchange):
    await exchange.rest()
    run.event(exchange.path).set()
    for number in range(3):
        await run.happens("/%d" % number)
    await asyncio.sleep(0.2)
    await exchange.pipe.close()
    raise Ended("done")


add("close by the server before three answers", H2, ends_for_all, serves_three)


def client_ends_h2(stage, how):
    async def ask(run):
        http = await run.http()
        answer = await http.ask("POST", "/", [("content-length", "1000")] if stage == "in the request" else (), end=stage != "in the request")
        if stage == "in the request":
            await answer.write(b"x" * 500)
        await asyncio.sleep(0.4)
        await end_as(http.pipe, how)
        run.saw("told within 2 s", await run.happens("told", 2))
        run.requests.clear()

    async def handle(run, exchange):
        try:
            await exchange.rest()
            await exchange.stream.events.get()
        except Ended:
            pass
        run.event("told").set()

    return ask, handle


for stage in ("in the request", "while it waits for an answer"):
    for how in ("close", "reset"):
        add("%s by the client %s" % (how, stage), H2, *client_ends_h2(stage, how))
