"""What is not HTTP, or not on a usual port: MITMPROXY_EXTRA_PORTS, and MITMPROXY_NON_HTTP=allow."""

import asyncio
import hashlib

from http1 import pattern
from rows_http1 import GET
from table import H2, ONE, PLAIN, TLS, Table, all_of, answers, asks, drain, within
from wire import Ended, Tls

TABLE = Table("other")
EXTRA_TLS, EXTRA_PLAIN, SMTP = 8443, 8081, 2525


def add(name, transports, ask, serve, **options):
    TABLE.add(name, transports, ask, serve, raw=True, **options)


for name, transport, port in (("HTTPS", TLS, EXTRA_TLS), ("HTTP/2", H2, EXTRA_TLS), ("HTTP", PLAIN, EXTRA_PLAIN)):
    TABLE.add("%s on a port of its own" % name, transport, asks("POST", body=b"x" * 1000), answers(), port=port)


async def mail(run):
    pipe = await run.tcp()
    said = []
    for line in (None, b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\n", b"QUIT\r\n"):
        if line:
            await pipe.send(line)
        said.append(str(await within(4, pipe.receive())))
    run.see("said", said)
    run.see("end", (await all_of(pipe, 2))[1])


async def mail_server(run, pipe, number):
    heard = []
    run.saw("heard", heard)
    await pipe.send(b"220 mail.test ESMTP\r\n")
    while True:
        line = await pipe.receive()
        heard.append(line.decode())
        await pipe.send(b"221 bye\r\n" if line == b"QUIT\r\n" else b"250 ok\r\n")
        if line == b"QUIT\r\n":
            await pipe.close()
            return


add("SMTP: the server speaks first", PLAIN, mail, mail_server, port=SMTP)
add("SMTP on port 80", PLAIN, mail, mail_server)


async def starts_tls(run):
    """TLS that begins in the middle of a connection."""
    pipe = await run.tcp()
    run.see("banner", str(await within(4, pipe.receive())))
    await pipe.send(b"STARTTLS\r\n")
    run.see("go", str(await within(4, pipe.receive())))
    context = run.context([])
    # Nobody but the origin can have answered here, whichever way it was.
    context.load_verify_locations(run.stage.pki + "/private-ca.crt")
    tls = await Tls(pipe, context, False, run.name).handshake()
    await tls.send(b"EHLO again\r\n")
    run.see("inside", str(await within(4, tls.receive())))
    await tls.close()


async def starts_tls_server(run, pipe, number):
    await pipe.send(b"220 mail.test\r\n")
    run.saw("asked", str(await pipe.receive()))
    await pipe.send(b"220 go ahead\r\n")
    tls = await Tls(pipe, run.stage.server(alpn=()), True).handshake()
    run.saw("inside", str(await tls.receive()))
    await tls.send(b"250 inside\r\n")
    await drain(tls)


add("SMTP with STARTTLS", PLAIN, starts_tls, starts_tls_server, port=SMTP)


async def connected(run):
    """A connection as the row's transport has it, without a protocol chosen."""
    if run.row.transport.tls:
        return await Tls(await run.tcp(), run.context([]), False, run.name).handshake()
    return await run.tcp()


async def taken(run, pipe):
    return await Tls(pipe, run.stage.server(alpn=()), True).handshake() if run.row.transport.tls else pipe


async def binary(run):
    pipe = await connected(run)
    for number in range(10):
        await pipe.send(b"\0\1\2ping%d" % number)
        run.see("answer %d" % number, str(await within(3, pipe.receive())))
    await pipe.close()


async def echo(run, pipe, number):
    pipe = await taken(run, pipe)
    heard = b""
    try:
        while True:
            data = await pipe.receive()
            heard += data
            await pipe.send(data.replace(b"ping", b"pong"))
    except Ended as ended:
        run.saw("heard", hashlib.sha256(heard).hexdigest()[:12])
        run.saw("end", str(ended))
        raise


async def banner(run, pipe, number):
    pipe = await taken(run, pipe)
    await pipe.send(b"welcome\n")
    await echo_on(run, pipe)


async def echo_on(run, pipe):
    while True:
        await pipe.send(b"you said " + await pipe.receive())


async def waits_for_banner(run):
    pipe = await connected(run)
    run.see("banner", str(await within(4, pipe.receive())))
    await pipe.send(b"hello")
    run.see("then", str(await within(3, pipe.receive())))
    await pipe.close()


async def half_closes(run):
    """All is sent, then the end of it; what the server says after that must arrive."""
    pipe = await connected(run)
    for piece in pattern(3 << 20):
        await pipe.send(piece)
    await pipe.finish()
    data, end = await all_of(pipe, 4)
    run.see("received", data[:60].decode("latin-1"))
    run.see("end", end)


async def sums_up(run, pipe, number):
    pipe = await taken(run, pipe)
    digest, end = hashlib.sha256(), None
    try:
        while True:
            digest.update(await pipe.receive())
    except Ended as ended:
        end = str(ended)
    run.saw("end", end)
    await asyncio.sleep(0.3)
    await pipe.send(digest.hexdigest().encode())
    await pipe.close()


async def server_half_closes(run, pipe, number):
    pipe = await taken(run, pipe)
    await pipe.receive()
    await pipe.send(b"my last word")
    await pipe.finish()
    heard = b""
    try:
        while True:
            heard += await pipe.receive()
    except Ended as ended:
        run.saw("heard after that", heard.decode())
        run.saw("end", str(ended))


async def speaks_after_end(run):
    pipe = await connected(run)
    await pipe.send(b"\0hello")
    data, end = await all_of(pipe, 3)
    run.see("received", data.decode())
    run.see("end", end)
    for _ in range(3):
        await pipe.send(b"more")
        await asyncio.sleep(0.1)
    await pipe.close()
    await asyncio.sleep(0.3)


def ends_raw(how):
    async def ask(run):
        pipe = await connected(run)
        await pipe.send(b"\0hello")
        data, end = await all_of(pipe, 3)
        run.see("received", data.decode())
        run.see("end", end)

    async def serve(run, pipe, number):
        pipe = await taken(run, pipe)
        await pipe.receive()
        await pipe.send(b"bye")
        await asyncio.sleep(0.2)
        pipe.reset() if how == "reset" else pipe.cut() if how == "cut" else await pipe.close()

    return ask, serve


def client_ends_raw(how):
    async def ask(run):
        pipe = await connected(run)
        await pipe.send(b"\0hello")
        await within(2, pipe.receive())
        pipe.reset() if how == "reset" else pipe.cut()
        run.saw("told within 2 s", await run.happens("told", 2))

    async def serve(run, pipe, number):
        pipe = await taken(run, pipe)
        await pipe.send(await pipe.receive())
        try:
            await drain(pipe)
        except Ended as ended:
            run.saw("how", str(ended))
            run.event("told").set()

    return ask, serve


add("bytes to and fro", ONE, binary, echo)
add("a banner", ONE, waits_for_banner, banner)
add("bytes, half-closed by the client", ONE, half_closes, sums_up)
add("bytes, half-closed by the server", ONE, speaks_after_end, server_half_closes)
for how in ("close", "reset"):
    add("bytes, ended by the server by %s" % how, ONE, *ends_raw(how), exact=True)
    add("bytes, ended by the client by %s" % how, ONE, *client_ends_raw(how), exact=True)


def downloads(size):
    async def ask(run):
        pipe = await connected(run)
        await pipe.send(b"\0go")
        data, end = await all_of(pipe, 5)
        run.see("received", "%d bytes, %s" % (len(data), hashlib.sha256(data).hexdigest()[:12]))
        run.see("end", end)

    async def serve(run, pipe, number):
        pipe = await taken(run, pipe)
        await pipe.receive()
        for piece in pattern(size):
            await pipe.send(piece)
        await pipe.close()

    return ask, serve


add("20 MiB of bytes", ONE, *downloads(20 << 20), heavy=True, limit=30)


async def redis(run):
    pipe = await run.tcp()
    await pipe.send(b"*1\r\n$4\r\nPING\r\n")
    run.see("answer", str(await within(3, pipe.receive())))


async def redis_server(run, pipe, number):
    run.saw("asked", str(await pipe.receive()))
    await pipe.send(b"+PONG\r\n")
    await drain(pipe)


add("Redis", PLAIN, redis, redis_server, port=SMTP)


async def ssh(run):
    pipe = await run.tcp()
    await pipe.send(b"SSH-2.0-client\r\n")
    run.see("banner", str(await within(3, pipe.receive())))


async def ssh_server(run, pipe, number):
    await pipe.send(b"SSH-2.0-server\r\n")
    run.saw("heard", str(await pipe.receive()))
    await drain(pipe)


add("SSH", PLAIN, ssh, ssh_server, port=SMTP)


async def first_byte_late(run):
    """A client that says its first byte after a while."""
    pipe = await connected(run)
    await asyncio.sleep(5)
    await pipe.send(b"\0late")
    run.see("answer", str(await within(3, pipe.receive())))


async def late_server(run, pipe, number):
    pipe = await taken(run, pipe)
    await pipe.send(await pipe.receive())
    await drain(pipe)


add("bytes that begin after 5 s", ONE, first_byte_late, late_server, limit=20)


async def late_request(run):
    pipe = await run.connect()
    await asyncio.sleep(5)
    await pipe.send(GET.replace(b"HOST", run.host.encode()))
    run.see("answer", str(await within(3, pipe.receive()))[:17])


TABLE.add("a request that begins after 5 s", ONE, late_request, answers(), limit=20)


async def quiet(run, pipe, number):
    pipe = await taken(run, pipe)
    data = await pipe.receive()
    await asyncio.sleep(20)
    await pipe.send(data)
    await drain(pipe)


async def waits_long(run):
    pipe = await connected(run)
    await pipe.send(b"\0one")
    run.see("answer", str(await within(25, pipe.receive())))


add("bytes, silent for 20 s", ONE, waits_long, quiet, limit=30, waits=True)
