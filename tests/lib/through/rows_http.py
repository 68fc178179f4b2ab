"""Requests and answers whose meaning is the same in every version of HTTP."""

import asyncio
import gzip
import hashlib

import brotli
from table import EVERY, H2, ONE, TLS, Table, answers, asks

TABLE = Table("HTTP")
add = TABLE.add

# Methods.
add("GET", EVERY, asks(), answers())
add("HEAD with a length", EVERY, asks("HEAD"), answers(200, [("Content-Length", "1234")], None))
add("HEAD without a length", EVERY, asks("HEAD"), answers(200, [("Content-Type", "text/plain")], None, framing="close"))
add("OPTIONS *", EVERY, asks("OPTIONS", "*"), answers(200, [("Allow", "GET, OPTIONS")]))
add("OPTIONS /", EVERY, asks("OPTIONS", "/x"), answers(204, [("Allow", "GET")], None))
add("PUT with a body", EVERY, asks("PUT", "/x", body=b"put"), answers(201, [("Location", "/x")]))
add("PATCH with a body", EVERY, asks("PATCH", "/x", body=b"patch"), answers())
add("DELETE with a body", EVERY, asks("DELETE", "/x", body=b"delete"), answers(202))
add("DELETE without a body", EVERY, asks("DELETE", "/x"), answers(204, body=None))
add("GET with a body", EVERY, asks("GET", "/search", body=b'{"query":1}'), answers())
add("POST without a body", EVERY, asks("POST", "/x"), answers())
add("TRACE", EVERY, asks("TRACE", "/x"), answers())
for method in ("PROPFIND", "M-SEARCH", "PURGE", "QUERY", "X.Own_METHOD"):
    add("method " + method, EVERY, asks(method, "/x"), answers())
add("method of small letters", EVERY, asks("frob", "/x"), answers())

# Status.
for status in (201, 206, 207, 226, 299, 300, 302, 400, 401, 403, 404, 405, 409, 410, 418, 421, 425, 429, 451, 499, 500, 501, 502, 503, 504, 511, 599):
    fields = {302: [("Location", "http://elsewhere.test/")], 401: [("WWW-Authenticate", 'Basic realm="x"')], 429: [("Retry-After", "1")], 503: [("Retry-After", "1")]}
    add("status %d" % status, (H2,) if status % 2 else (TLS,), asks(), answers(status, fields.get(status, ())))
add("204", EVERY, asks(), answers(204, body=None))
add("205", EVERY, asks(), answers(205, body=b""))
add("304 with a length", EVERY, asks(fields=[("If-None-Match", '"a"')]), answers(304, [("ETag", '"a"'), ("Content-Length", "55")], None))
add("304 without a length", EVERY, asks(fields=[("If-None-Match", '"a"')]), answers(304, [("ETag", '"a"')], None))

# Ranges.
add("a range", EVERY, asks(fields=[("Range", "bytes=2-4")]), answers(206, [("Content-Range", "bytes 2-4/10")], b"234"))
add("two ranges", EVERY, asks(fields=[("Range", "bytes=0-0,9-9")]), answers(206, [("Content-Type", "multipart/byteranges; boundary=x")], b"--x\r\n\r\n0\r\n--x\r\n\r\n9\r\n--x--"))
add("416", EVERY, asks(fields=[("Range", "bytes=99-")]), answers(416, [("Content-Range", "bytes */10")]))

# Codings: what is sent stays as it stands.
TEXT = b"some text, " * 500
for name, coding, body in (
    ("gzip", "gzip", gzip.compress(TEXT)), ("br", "br", brotli.compress(TEXT)), ("an unknown coding", "x-own", TEXT),
    ("a damaged gzip", "gzip", gzip.compress(TEXT)[:-9]), ("what is no gzip", "gzip", TEXT), ("two codings", "gzip, br", brotli.compress(gzip.compress(TEXT))),
    ("GZIP", "GZIP", gzip.compress(TEXT)), ("identity", "identity", TEXT), ("zstd that is none", "zstd", TEXT),
):
    add("answer in " + name, EVERY, asks(fields=[("Accept-Encoding", "gzip, br")]), answers(200, [("Content-Encoding", coding)], body))
    add("request in " + name, EVERY, asks("POST", body=body, fields=[("Content-Encoding", coding)]), answers())
add("HEAD of a gzip", EVERY, asks("HEAD"), answers(200, [("Content-Encoding", "gzip"), ("Content-Length", "20")], None))
add("304 of a gzip", EVERY, asks(), answers(304, [("Content-Encoding", "gzip")], None))

# Fields.
MANY = [("X-Field-%d" % number, "value %d" % number) for number in range(90)]
add("90 fields in a request", EVERY, asks(fields=MANY), answers())
add("90 fields in an answer", EVERY, asks(), answers(200, MANY))
add("1,000 fields in a request", EVERY, asks(fields=[("X-F-%d" % n, "v") for n in range(1000)]), answers())
add("1,000 fields in an answer", EVERY, asks(), answers(200, [("X-F-%d" % n, "v") for n in range(1000)]))
add("a field of 8 kB in a request", EVERY, asks(fields=[("X-Long", "x" * 8192)]), answers())
add("a field of 65 kB in a request", EVERY, asks(fields=[("X-Long", "x" * 65536)]), answers())
add("a field of 65 kB in an answer", EVERY, asks(), answers(200, [("X-Long", "x" * 65536)]))
add("fields of 200 kB in a request", EVERY, asks(fields=[("X-Long-%d" % n, "x" * 20000) for n in range(10)]), answers())
add("fields of 200 kB in an answer", EVERY, asks(), answers(200, [("X-Long-%d" % n, "x" * 20000) for n in range(10)]))
add("a field of 1 MB in an answer", ONE, asks(), answers(200, [("X-Long", "x" * 1000000)]))
add("three Set-Cookie", EVERY, asks(), answers(200, [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, c"), ("Set-Cookie", "a=3")]))
add("a Cookie", EVERY, asks(fields=[("Cookie", "a=1; b=2; c=\"3\"")]), answers())
add("two Cookies", EVERY, asks(fields=[("Cookie", "a=1"), ("Cookie", "b=2")]), answers())
add("the same field three times", EVERY, asks(fields=[("X-Same", "1"), ("X-Other", "0"), ("X-Same", "2"), ("X-Same", "1")]), answers(200, [("Via", "1.1 a"), ("Via", "1.1 b"), ("Vary", "x"), ("Vary", "y")]))
add("an empty field", EVERY, asks(fields=[("X-Empty", "")]), answers(200, [("X-Empty", "")]))
add("Latin-1 in a field", EVERY, asks(fields=[("X-Word", "caf\xe9")]), answers(200, [("X-Word", "na\xefve")]))
add("UTF-8 in a field", EVERY, asks(fields=[("X-Word", "\xc3\xbc\xe2\x82\xac")]), answers(200, [("X-Word", "\xc3\xbc\xe2\x82\xac")]))
add("odd names of fields", EVERY, asks(fields=[("x_under", "1"), ("X!#$%&'*+-.^_`|~9", "2"), ("1", "3")]), answers(200, [("x_under", "1"), ("X!#$%&'*+-.^_`|~9", "2")]))
add("white space and quotes in values", EVERY, asks(fields=[("X-Q", 'a  "b\tc" , d;e=f')]), answers(200, [("X-Q", 'a  "b\tc" , d;e=f')]))
add("Date, Server and Via of the origin", EVERY, asks(fields=[("Via", "1.0 x"), ("X-Forwarded-For", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")]), answers(200, [("Date", "Mon, 01 Jan 2001 00:00:00 GMT"), ("Server", "own/1"), ("Via", "2 y"), ("Age", "7"), ("Alt-Svc", 'h3=":443"; ma=1')]))
add("credentials", EVERY, asks(fields=[("Authorization", "Basic YTpi"), ("Proxy-Authorization", "Basic YTpi")]), answers(200, [("Proxy-Authenticate", "Basic"), ("Authentication-Info", "x")]))
add("TE: trailers", EVERY, asks(fields=[("TE", "trailers")]), answers())
add("security fields", EVERY, asks(fields=[("Origin", "null"), ("Referer", "http://x/"), ("Sec-Fetch-Mode", "cors")]), answers(200, [("Strict-Transport-Security", "max-age=1"), ("Content-Security-Policy", "default-src 'none'"), ("Public-Key-Pins", 'pin-sha256="x"; max-age=1')]))
add("conditional request", EVERY, asks("PUT", fields=[("If-Match", '"a", W/"b"'), ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")], body=b"x"), answers(412))
add("no User-Agent, and no Accept", EVERY, asks(), answers())
add("Expires, Cache-Control and Pragma", EVERY, asks(fields=[("Cache-Control", "no-cache"), ("Pragma", "no-cache")]), answers(200, [("Cache-Control", "max-age=60"), ("Expires", "0"), ("ETag", 'W/"x"')]))

# Targets.
for name, path in (
    ("a query", "/a?b=c&d=%20e+f"), ("encoded slashes", "/a%2Fb%2f..%2e/c"), ("dots", "/a/../b/./c//d"), ("odd characters", "/a;b=1,c:@!$&'()*~[x]|{y}^`\"<z>\\"),
    ("a question mark alone", "/?"), ("two slashes", "//a//"), ("a colon first", "/:80/x"), ("a URL within", "/http://x.test/?u=https://y.test/"),
    ("UTF-8 as it stands", "/\xc3\xbc"), ("UTF-8 encoded", "/%C3%BC"), ("a broken escape", "/%zz%"), ("a fragment", "/a#b"), ("8 kB", "/" + "x" * 8000), ("64 kB", "/" + "x" * 64000),
):
    add("target: " + name, EVERY, asks("GET", path), answers())

# Trailers.
add("trailers of an answer", EVERY, asks(fields=[("TE", "trailers")]), answers(200, [("Trailer", "X-Sum")], framing="chunked", trailers=[("X-Sum", "abc"), ("X-Two", "2")]))
add("trailers of a request", EVERY, asks("POST", body=b"body", framing="chunked", fields=[("Trailer", "X-Sum")], trailers=[("X-Sum", "abc")]), answers())
add("trailers of an answer with a length", H2, asks(), answers(200, [("content-length", "6")], trailers=[("x-sum", "abc")]))

# Interim answers.


def interims(*those):
    async def handle(run, exchange):
        for status, fields in those:
            await exchange.interim(status, fields)
            await asyncio.sleep(0.1)
        await exchange.rest()
        await exchange.answer(200, (), b"hello\n")

    return handle


add("100 that nobody has asked for", EVERY, asks("POST", body=b"x"), interims((100, ())))
add("102", EVERY, asks(), interims((102, ())))
add("103", EVERY, asks(), interims((103, [("Link", "</a.css>; rel=preload")])))
add("103 twice", EVERY, asks(), interims((103, [("Link", "</a>")]), (103, [("Link", "</b>")])))
add("199", EVERY, asks(), interims((199, [("X-Own", "1")])))


async def expecting(run, size=100):
    """Waits for 100 before the body goes, as curl does, for a while."""
    http = await run.http()
    answer = await http.ask("POST", "/x", [("Expect", "100-continue"), ("Content-Length", str(size))], end=False)
    waiting = asyncio.ensure_future(answer.head())
    waited = 0
    while not waiting.done() and not answer.record.get("interim") and waited < 1.5:
        await asyncio.sleep(0.05)
        waited += 0.05
    run.see("100 within 1.5 s", "interim" in answer.record)
    if not waiting.done():
        await answer.write(b"x" * size)
        await answer.end()
        run.see("body was sent")
    await waiting
    await answer.rest()


async def continues(run, exchange):
    await exchange.interim(100)
    await exchange.rest()
    await exchange.answer(200, (), b"taken")


async def expects_nothing(run, exchange):
    await exchange.rest()
    await exchange.answer(200, (), b"taken")


def refuses(status):
    async def handle(run, exchange):
        exchange.server.closing = True
        await exchange.answer(status, [("Connection", "close")] if exchange.version != "HTTP/2" else (), b"no")
        exchange.done = True

    return handle


async def large_expecting(run):
    await expecting(run, 20 << 20)


add("Expect: 100-continue, accepted", EVERY, expecting, continues)
add("Expect: 100-continue, not heeded", EVERY, expecting, expects_nothing)
for status in (417, 413, 401):
    add("Expect: 100-continue, refused with %d" % status, EVERY, expecting, refuses(status))
add("Expect: 100-continue, large, accepted", EVERY, large_expecting, continues)
add("Expect: 100-continue, large, refused with 413", EVERY, large_expecting, refuses(413))
add("another Expect", EVERY, asks("POST", body=b"x", fields=[("Expect", "something")]), answers(417))

# Pieces, and when they come.


def in_pieces(count, fields=(), size=10, **options):
    """Each piece is sent when the client has had the one before."""

    async def handle(run, exchange):
        await exchange.rest()
        await exchange.answer(200, fields, None, end=False, **options)
        arrived = []
        for number in range(count):
            await exchange.write(b"%0*d" % (size, number))
            arrived.append(await run.happens("got %d" % number, 4 if all(arrived) else 0))
        await exchange.end()
        run.saw("each piece had arrived before the next was sent", all(arrived))
        if options.get("framing") == "close":
            await exchange.pipe.close()

    return handle


def takes_pieces(size=10, method="GET", **options):
    async def ask(run):
        http = await run.http()
        answer = await http.ask(method, **options)
        await answer.head()
        run.event("head").set()
        total, number = 0, 0
        while piece := await answer.piece():
            total += len(piece)
            while total >= (number + 1) * size:
                run.event("got %d" % number).set()
                number += 1

    return ask


EVENTS = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")]
add("an event stream", EVERY, takes_pieces(), in_pieces(4, EVENTS, framing="chunked"))
add("an event stream in gzip", EVERY, takes_pieces(), in_pieces(4, [*EVENTS, ("Content-Encoding", "gzip")], framing="chunked"))
add("an event stream until close", ONE, takes_pieces(), in_pieces(4, EVENTS, framing="close"))
add("chunks as they come", EVERY, takes_pieces(), in_pieces(4, framing="chunked"))
add("pieces until close", ONE, takes_pieces(), in_pieces(4, framing="close"))
add("small pieces of a known length", EVERY, takes_pieces(), in_pieces(3, [("Content-Length", "30")]))
add("pieces of 256 kB of a known length", EVERY, takes_pieces(262144), in_pieces(3, [("Content-Length", "786432")], 262144))
add("pieces of 1 MB of a known length", EVERY, takes_pieces(1 << 20), in_pieces(3, [("Content-Length", str(3 << 20))], 1 << 20))
add("an event stream of a known length", EVERY, takes_pieces(), in_pieces(3, [*EVENTS, ("Content-Length", "30")]))


async def head_first(run, exchange):
    await exchange.answer(200, [("Content-Type", "text/event-stream")], None, end=False, framing="chunked")
    run.saw("the head had arrived before the first piece", await run.happens("head", 2))
    await exchange.write(b"data: 1\n\n")
    await exchange.end()


async def head_of_length_first(run, exchange):
    await exchange.answer(200, [("Content-Length", "5")], None, end=False)
    run.saw("the head had arrived before the body", await run.happens("head", 2))
    await exchange.write(b"hello")
    await exchange.end()


add("an event stream's head comes first", EVERY, takes_pieces(), head_first)
add("the head comes before a small body", EVERY, takes_pieces(), head_of_length_first)


def uploads_in_pieces(count, size=10, **options):
    """Each piece is sent when the server has had the one before."""

    async def ask(run):
        http = await run.http()
        answer = await http.ask("POST", "/up", end=False, **options)
        arrived = []
        for number in range(count):
            await answer.write(b"%0*d" % (size, number))
            arrived.append(await run.happens("got %d" % number, 4 if all(arrived) else 0))
        await answer.end()
        run.see("each piece had arrived before the next was sent", all(arrived))
        await answer.head()
        await answer.rest()

    return ask


def takes_upload(size=10):
    async def handle(run, exchange):
        total, number = 0, 0
        while piece := await exchange.piece():
            total += len(piece)
            while total >= (number + 1) * size:
                run.event("got %d" % number).set()
                number += 1
        await exchange.answer(200, (), b"%d" % total)

    return handle


add("upload: chunks as they come", EVERY, uploads_in_pieces(3, framing="chunked"), takes_upload())
add("upload: pieces of a known length", EVERY, uploads_in_pieces(3, fields=[("Content-Length", "30")]), takes_upload())
add("upload: pieces of a known length of 10 MiB", EVERY, uploads_in_pieces(10, 1 << 20, fields=[("Content-Length", str(10 << 20))]), takes_upload(1 << 20), limit=40)


async def both_at_once(run):
    """A request and its answer that go on together, as a remote procedure call over HTTP does."""
    http = await run.http()
    answer = await http.ask("POST", "/both", end=False, framing="chunked")
    answered = []
    head = False
    for number in range(3):
        await answer.write(b"ping")
        try:
            head = head or await asyncio.wait_for(asyncio.shield(run.__dict__.setdefault("head", asyncio.ensure_future(answer.head()))), 2)
            answered.append((await asyncio.wait_for(answer.piece(), 2)).decode())
        except asyncio.TimeoutError:
            answered.append("nothing")
            break
    run.see("answered", answered)
    await answer.end()
    await run.head
    await answer.rest()


async def echoes(run, exchange):
    await exchange.answer(200, (), None, end=False, framing="chunked")
    while piece := await exchange.piece():
        await exchange.write(piece.replace(b"ping", b"pong"))
    await exchange.end()


add("a request and its answer at once", EVERY, both_at_once, echoes)


async def answers_first(run, exchange):
    """An answer that does not wait for the request's body."""
    await exchange.answer(200, (), b"early")
    await exchange.rest()


async def slow_upload(run):
    http = await run.http()
    answer = await http.ask("POST", "/x", [("Content-Length", "12")], end=False)
    await answer.write(b"begin,")
    head = asyncio.ensure_future(answer.head())
    done, _ = await asyncio.wait({head}, timeout=2)
    run.see("answered before the body had ended", bool(done))
    await answer.write(b"ended.")
    await answer.end()
    await head
    await answer.rest()


add("an answer before the request's body", EVERY, slow_upload, answers_first)


async def long_poll(run, exchange):
    await asyncio.sleep(30)
    await exchange.answer(200, (), b"event")


async def long_silence(run, exchange):
    await exchange.answer(200, EVENTS, None, end=False, framing="chunked")
    await exchange.write(b"data: 1\n\n")
    await asyncio.sleep(exchange.run.row.silence)
    await exchange.write(b"data: 2\n\n")
    await exchange.end()


add("a long poll of 30 s", EVERY, asks(), long_poll, limit=40, waits=True)
for seconds, tier in ((25, "short"), (700, "long")):
    add("an event stream that is silent for %d s" % seconds, EVERY, asks(), long_silence, limit=seconds + 10, waits=True, tier=tier)
    for made in TABLE.rows[-3:]:
        made.silence = seconds


async def slow_poll(run, exchange):
    await asyncio.sleep(700)
    await exchange.answer(200, (), b"event")


add("a long poll of 700 s", EVERY, asks(), slow_poll, limit=720, waits=True, tier="long")

# Several requests.


async def five(run):
    http = await run.http()
    for number in range(5):
        answer = await http.ask("POST" if number % 2 else "GET", "/%d" % number, body=b"x" * number * 100 if number % 2 else None)
        await answer.head()
        await answer.rest()


async def numbered(run, exchange):
    await exchange.rest()
    exchange.record["connection"] = run.__dict__.setdefault("order", {}).setdefault(exchange.server.number, len(run.order) + 1)
    await exchange.answer(200, [("X-Path", exchange.path)], exchange.path.encode())


add("five requests on one connection", EVERY, five, numbered)


async def many_clients(run):
    """As a browser's connections: eight, ten requests on each."""

    async def one(client):
        http = await run.http()
        for number in range(10):
            answer = await http.ask("GET", "/%d/%d" % (client, number))
            await answer.head()
            await answer.rest()

    await asyncio.gather(*(one(client) for client in range(8)))
    bodies = hashlib.sha256("".join(sorted(record["body"] for record in run.records)).encode()).hexdigest()
    statuses = sorted({record["status"] for record in run.records})
    run.records.clear()
    run.see("statuses", statuses)
    run.see("bodies", bodies)


async def pathed(run, exchange):
    await exchange.rest()
    await exchange.answer(200, (), exchange.path.encode() * 50)


add("eight connections, ten requests each", EVERY, many_clients, pathed)
