"""HTTP/1 as it stands on the wire: framing, connections, what is odd and what is old."""

import asyncio

from http1 import Buffer
from table import ONE, PLAIN, TLS, Table, all_of, answers, drain, head_of, see_answers, sends, within, without_added, writes
from wire import Ended

TABLE = Table("HTTP/1")
add = TABLE.add
GET = b"GET / HTTP/1.1\r\nHost: HOST\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nhello\n"


def request(text):
    return text.replace("\n", "\r\n").encode("latin-1")


# What a client writes; the server answers each the same.
for name, text in {
    "HTTP/1.0": "GET / HTTP/1.0\nHost: HOST\n\n",
    "HTTP/1.0 without Host": "GET / HTTP/1.0\n\n",
    "HTTP/1.0, keep-alive": "GET / HTTP/1.0\nHost: HOST\nConnection: keep-alive\n\n",
    "HTTP/1.1 without Host": "GET / HTTP/1.1\n\n",
    "Connection: close": "GET / HTTP/1.1\nHost: HOST\nConnection: close\n\n",
    "Connection: keep-alive": "GET / HTTP/1.1\nHost: HOST\nConnection: keep-alive\nKeep-Alive: timeout=5\n\n",
    "Connection: TE": "GET / HTTP/1.1\nHost: HOST\nConnection: TE\nTE: trailers, deflate;q=0.5\n\n",
    "Connection names a field": "GET / HTTP/1.1\nHost: HOST\nConnection: X-Hop\nX-Hop: 1\n\n",
    "Proxy-Connection": "GET / HTTP/1.1\nHost: HOST\nProxy-Connection: keep-alive\n\n",
    "names in mixed letters, in an order of their own": "GET / HTTP/1.1\nhOsT: HOST\nx-b: 2\nACCEPT: */*\nX-a: 1\nx-b: 1\n\n",
    "no space after colons": "GET / HTTP/1.1\nHost:HOST\nX-A:1\nX-B:  2  \n\n",
    "Host in capitals": "GET / HTTP/1.1\nHost: R.THROUGH.TEST\n\n",
    "Host with the port": "GET / HTTP/1.1\nHost: HOST:80\n\n",
    "Host with a dot": "GET / HTTP/1.1\nHost: HOST.\n\n",
    "an empty line first": "\nGET / HTTP/1.1\nHost: HOST\n\n",
    "Content-Length: 0 in a GET": "GET / HTTP/1.1\nHost: HOST\nContent-Length: 0\n\n",
    "POST without a length": "POST / HTTP/1.1\nHost: HOST\n\n",
    "Upgrade: h2c": "GET / HTTP/1.1\nHost: HOST\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n",
    "Upgrade: foo, declined": "GET / HTTP/1.1\nHost: HOST\nConnection: Upgrade\nUpgrade: foo/2\n\n",
    "Upgrade: websocket, declined": "GET / HTTP/1.1\nHost: HOST\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\n",
    "Upgrade-Insecure-Requests": "GET / HTTP/1.1\nHost: HOST\nUpgrade-Insecure-Requests: 1\n\n",
    "TRACE with Max-Forwards": "TRACE / HTTP/1.1\nHost: HOST\nMax-Forwards: 0\n\n",
    "lower-case get": "get / HTTP/1.1\nHost: HOST\n\n",
    "a body of two equal lengths": "POST / HTTP/1.1\nHost: HOST\nContent-Length: 2\nContent-Length: 2\n\nab",
    "a length in a list": "POST / HTTP/1.1\nHost: HOST\nContent-Length: 2, 2\n\nab",
    "Transfer-Encoding: gzip, chunked": "POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: gzip, chunked\n\n0\n\n",
    "Transfer-Encoding: Chunked": "POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: Chunked\n\n2\nab\n0\n\n",
    "chunk extensions": "POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked\n\n2;a=b\nab\n0;c\n\n",
    "chunk sizes with zeros and capitals": "POST / HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked\n\n000A\n0123456789\n0\n\n",
    "a field's value in two lines": "GET / HTTP/1.1\nHost: HOST\nX-Fold: a\n b\n\n",
    "a tab after the colon": "GET / HTTP/1.1\nHost: HOST\nX-Tab:\ta\t\n\n",
    "CONNECT": "CONNECT HOST:443 HTTP/1.1\nHost: HOST:443\n\n",
    "PRI without HTTP/2": "PRI / HTTP/1.1\nHost: HOST\n\n",
    "HTTP/1.2": "GET / HTTP/1.2\nHost: HOST\n\n",
    "two spaces in the request line": "GET  / HTTP/1.1\nHost: HOST\n\n",
    "a byte order mark": "\xef\xbb\xbfGET / HTTP/1.1\nHost: HOST\n\n",
    "a body of a WebSocket's kind of chunk": "POST /a HTTP/1.1\nHost: HOST\nTransfer-Encoding: chunked\nContent-Type: text/plain\n\n5\nhello\n1\n!\n0\n\n",
}.items():
    add(name, ONE if "capitals" not in name and ":80" not in text else PLAIN, sends(request(text), seconds=2), writes(OK, ending="stay"))
add("lines that end in LF alone", ONE, sends(b"GET / HTTP/1.1\nHost: HOST\n\n", seconds=2), writes(OK, ending="stay"), limit=6)

# What a server writes.
for name, answer in {
    "answer of HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n",
    "answer of HTTP/1.0, keep-alive": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\nhello\n",
    "answer of HTTP/1.0 until close": b"HTTP/1.0 200 OK\r\n\r\nhello\n",
    "answer without a reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "answer without a reason's space": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "answer with a reason of its own": b"HTTP/1.1 200 All \xfcber it!\r\nContent-Length: 2\r\n\r\nok",
    "answer of status 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
    "answer of status 600": b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nok",
    "answer with names in mixed letters": b"HTTP/1.1 200 OK\r\nx-B: 2\r\nCONTENT-length: 2\r\nX-a: 1\r\nx-b: 1\r\n\r\nok",
    "answer without fields": b"HTTP/1.1 200 OK\r\n\r\nok",
    "answer of lines that end in LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "answer with a folded field": b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "answer with a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "answer with two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "answer with two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "answer with chunk extensions": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n",
    "answer with Transfer-Encoding: Chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "answer with Transfer-Encoding: identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
    "answer with Transfer-Encoding: gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "answer of 204 with a length of 0": b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
    "answer of 204 with a body": b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
    "answer of 304 and more bytes": b"HTTP/1.1 304 No\r\nETag: \"x\"\r\n\r\njunk",
    "answer and more bytes": OK + b"junk",
    "answer that is none": b"SSH-2.0-x\r\n",
    "answer of HTTP/2 to HTTP/1": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "answer of HTTP/0.9": b"<html>hello</html>\r\n",
    "answer with a space before a colon": b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok",
    "answer with Keep-Alive": b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 2\r\n\r\nok",
    "answer with Connection: close": CLOSING,
    "answer with Upgrade: h2c in 200": b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 2\r\n\r\nok",
    "answer of 426": b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: HTTP/3.0\r\nContent-Length: 2\r\n\r\nno",
    "answer of 101 to another protocol": b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\nwelcome to foo\n",
    "answer of 407": b"HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno",
    "answer with a NUL in a field": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "answer of no bytes": b"",
    "answer of half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
}.items():
    question = b"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n" if " 101 " in answer.decode("latin-1") else GET
    framed = b"ontent-" in answer.lower() or b"hunked" in answer or b" 304 " in answer or b" 204 " in answer
    add(name, ONE, sends(question, seconds=1.5), writes(answer, ending="stay" if framed and b"Le" not in answer[-2:] else "close"))

# Byte by byte.
BYTES = [bytes([byte]) for byte in request("POST /slow HTTP/1.1\nHost: r.test\nContent-Length: 5\n\nhello")]
add("a request byte by byte", ONE, sends(*BYTES, pause=0.005, seconds=2), writes(OK, ending="stay"))
add("an answer byte by byte", ONE, sends(GET, seconds=3), writes(*[bytes([byte]) for byte in OK], pause=0.005, ending="stay"))
add("chunks byte by byte", ONE, sends(GET, seconds=3), writes(*[bytes([b]) for b in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"], pause=0.005, ending="stay"))

# Pipelining.


async def three_at_once(run):
    pipe = await run.connect()
    await pipe.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (n, run.host.encode()) for n in range(3)))
    await see_answers(run, pipe, 2)


async def three_posts(run):
    pipe = await run.connect()
    await pipe.send(b"".join(b"POST /%d HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbod%d" % (n, run.host.encode(), n) for n in range(3)))
    await see_answers(run, pipe, 2)


async def pipelined_close(run):
    pipe = await run.connect()
    await pipe.send((GET * 2 + LAST).replace(b"HOST", run.host.encode()))
    await see_answers(run, pipe, 2)


async def path_back(run, exchange):
    await exchange.rest()
    await exchange.answer(200, (), exchange.path.encode())
    if exchange.server.closing:
        await exchange.pipe.close()


add("three requests in one write", ONE, three_at_once, path_back)
add("three POSTs in one write", ONE, three_posts, path_back)
add("three requests in one write, the last with close", ONE, pipelined_close, path_back)


async def not_yet_answered(run):
    """The second request is sent before the first is answered: does the server see it?"""
    pipe = await run.connect()
    await pipe.send(GET.replace(b"HOST", run.host.encode()) * 2)
    buffer = Buffer(pipe)
    run.see("first line", (await buffer.line()).decode())
    await all_of(pipe, 1)


async def waits_for_second(run, pipe, number):
    pipe = await run.secure(pipe)
    data = await head_of(pipe)
    while data.count(b"\r\n\r\n") < 2:
        more = await within(1.5, pipe.receive())
        if more == "nothing":
            break
        data += more
    run.saw("requests before the first answer", data.count(b"\r\n\r\n"))
    await pipe.send(OK * 2)
    await drain(pipe)


add("a second request before the first answer", ONE, not_yet_answered, waits_for_second, raw=True)

# Connections that stay, and that end.


def after_answer(ending, delay=0.3, announced=False):
    """The server ends a connection that is idle."""

    async def serve(run, pipe, number):
        pipe = await run.secure(pipe)
        await head_of(pipe)
        run.saw("first connection", True)
        await pipe.send(CLOSING if announced else OK)
        await asyncio.sleep(delay)
        if ending == "reset":
            pipe.reset()
        elif ending == "cut":
            pipe.cut()
        else:
            await pipe.close()

    return serve


@TABLE.row("keep-alive that the server closes when idle", ONE, after_answer("close"), raw=True)
async def idle_close(run):
    pipe = await run.connect()
    await pipe.send(GET.replace(b"HOST", run.host.encode()))
    data, end = await all_of(pipe, 3)
    run.see("received", data.decode("latin-1"))
    run.see("the client is told", end)


TABLE.add("keep-alive that the server resets when idle", ONE, idle_close, after_answer("reset"), raw=True)
TABLE.add("keep-alive that the server cuts when idle", TLS, idle_close, after_answer("cut"), raw=True)


async def asks_again(run):
    """A client that retries once on a new connection, where nothing has come on the old one."""
    results = []
    pipe = await run.connect()
    for number in range(2):
        try:
            await pipe.send(b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (number, run.host.encode()))
            results.append((await head_of(pipe)).split(b"\r\n")[0].decode())
        except Ended:
            results.append("retried")
            pipe = await run.connect()
            await pipe.send(b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (number, run.host.encode()))
            results.append((await head_of(pipe)).split(b"\r\n")[0].decode())
        await asyncio.sleep(0.2)
    run.see("results", results)


def closes_at_second(ending):
    """The race that every keep-alive client knows: the second request meets the end."""

    async def serve(run, pipe, number):
        pipe = await run.secure(pipe)
        await head_of(pipe)
        await pipe.send(OK)
        await head_of(pipe)
        if ending == "reset":
            pipe.reset()
        else:
            await pipe.close()

    return serve


add("keep-alive that ends as the second request comes", ONE, asks_again, closes_at_second("close"), raw=True)
add("keep-alive that is reset as the second request comes", ONE, asks_again, closes_at_second("reset"), raw=True)


async def stays_idle(run):
    http = await run.http()
    for _ in range(2):
        answer = await http.ask("GET")
        await answer.head()
        await answer.rest()
        await asyncio.sleep(8)
    run.see("end", (await all_of(http.pipe, 0.5))[1])


add("keep-alive that is idle for 8 s", ONE, stays_idle, path_back, limit=25, waits=True)


async def closing_request(run):
    """A client that says close, and waits for the server to do it."""
    pipe = await run.connect()
    await pipe.send(LAST.replace(b"HOST", run.host.encode()))
    await see_answers(run, pipe, 2)


async def answers_and_stays(run, pipe, number):
    pipe = await run.secure(pipe)
    run.saw("request", without_added(await head_of(pipe)))
    await pipe.send(OK)
    await drain(pipe)


add("Connection: close that the server does not heed", ONE, closing_request, answers_and_stays, raw=True, ends=False)
add("Connection: close of the server, who does not close", ONE, sends(GET, seconds=2), writes(CLOSING, ending="stay"))
add("a client of HTTP/1.0 whose server does not close", ONE, sends(b"GET / HTTP/1.0\r\n\r\n", seconds=2), writes(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n", ending="stay"))


async def many_idle(run, count=1000):
    """So many connections, each with a request before and after a time in which all are open."""
    clients = []
    statuses = []

    async def ask(http):
        answer = await http.ask("GET", "/x")
        statuses.append(await answer.head())
        await answer.rest()

    for start in range(0, count, 100):
        some = await asyncio.gather(*(run.http() for _ in range(min(100, count - start))))
        await asyncio.gather(*(ask(http) for http in some))
        clients += some
    await asyncio.sleep(2)
    for start in range(0, count, 100):
        await asyncio.gather(*(ask(http) for http in clients[start : start + 100]))
    run.records.clear()
    run.requests.clear()
    run.see("statuses", {str(status): statuses.count(status) for status in set(statuses)})
    run.saw("connections", run.accepted)


async def few_idle(run):
    await many_idle(run, 100)


add("1,000 idle connections", PLAIN, many_idle, answers(), limit=60, heavy=True)
add("100 idle connections", TLS, few_idle, answers(), limit=60, heavy=True)
add("1,000 idle connections", TLS, many_idle, answers(), limit=120, heavy=True, tier="long")

# writes() and its like have the bare connection.
for row in TABLE.rows:
    if row.serving.__qualname__.startswith("writes."):
        row.raw = True
