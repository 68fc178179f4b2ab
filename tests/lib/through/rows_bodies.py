"""Bodies of every size, up and down, however they are framed."""

import asyncio

from http1 import pattern
from table import EVERY, ONE, PLAIN, TLS, Table, answers, asks
from wire import Ended

TABLE = Table("bodies")
add = TABLE.add
KIB, MIB = 1 << 10, 1 << 20
SIZES = {"0 B": 0, "1 B": 1, "64 kB": 64 * KIB, "10 MiB": 10 * MIB}

for name, size in SIZES.items():
    heavy = {"heavy": size > MIB, "limit": 40}
    add("download of %s with a length" % name, EVERY, asks(), answers(body=size), **heavy)
    add("download of %s in chunks" % name, EVERY, asks(), answers(body=size, framing="chunked"), **heavy)
    add("download of %s until close" % name, ONE, asks(), answers(body=size, framing="close"), **heavy)
    add("upload of %s with a length" % name, EVERY, asks("POST", body=size), answers(), **heavy)
    add("upload of %s in chunks" % name, EVERY, asks("POST", body=size, framing="chunked"), answers(), **heavy)
for transport in EVERY:
    # (HTTP/2 takes Python, at four ends, a long time.)
    tier = {"tier": "long" if transport.h2 else "short", "heavy": True, "limit": 90}
    add("download of 100 MiB with a length", transport, asks(), answers(body=100 * MIB), **tier)
    add("upload of 100 MiB with a length", transport, asks("POST", body=100 * MIB), answers(), **tier)
add("download of 100 MiB in chunks", PLAIN, asks(), answers(body=100 * MIB, framing="chunked"), heavy=True, limit=60)
add("upload of 100 MiB in chunks", TLS, asks("POST", body=100 * MIB, framing="chunked"), answers(), heavy=True, limit=60)
for transport in EVERY:
    add("download of 2 GiB with a length", transport, asks(), answers(body=2048 * MIB), heavy=True, limit=600, tier="long")
    add("upload of 2 GiB with a length", transport, asks("POST", body=2048 * MIB), answers(), heavy=True, limit=600, tier="long")


async def mirrors(run, exchange):
    """Gives back what comes, as it comes."""
    length = [field for field in exchange.fields if field[0].lower() == "content-length"]
    await exchange.answer(200, length, None, end=False)
    while piece := await exchange.piece():
        await exchange.write(piece)
    await exchange.end()


async def up_and_down(run):
    http = await run.http()
    answer = await http.ask("POST", "/", [("Content-Length", str(20 * MIB))], end=False)

    async def write():
        for piece in pattern(20 * MIB):
            await answer.write(piece)
        await answer.end()

    writing = asyncio.ensure_future(write())
    await answer.head()
    await answer.rest()
    await writing


add("20 MiB up and down at once", EVERY, up_and_down, mirrors, heavy=True, limit=40)

# What is shorter or longer than it says.


async def asks_for_short(run):
    http = await run.http()
    answer = await http.ask("GET")
    await answer.head()
    await answer.rest()


def short(framing):
    """An answer that breaks off."""

    async def handle(run, exchange):
        await exchange.rest()
        if framing == "length":
            await exchange.answer(200, [("Content-Length", "1000")], None, end=False)
            await exchange.write(b"x" * 500)
        else:
            await exchange.answer(200, (), None, end=False, framing="chunked")
            await exchange.write(b"x" * 500)
        await asyncio.sleep(0.2)
        await exchange.pipe.close()
        raise Ended("done")

    return handle


add("an answer that ends before its length", ONE, asks_for_short, short("length"))
add("an answer without its last chunk", ONE, asks_for_short, short("chunked"))


def slow_reader(size):
    """The server cannot send all while nobody reads: something holds it back."""

    async def ask(run):
        http = await run.http()
        answer = await http.ask("GET")
        await answer.head()
        await asyncio.sleep(4)
        run.saw("all was sent while the client did not read", run.event("all sent").is_set())
        await answer.rest()

    async def handle(run, exchange):
        await exchange.answer(200, [("Content-Length", str(size))], None, end=False)
        for piece in pattern(size):
            await exchange.write(piece)
        run.event("all sent").set()
        await exchange.end()

    return ask, handle


add("30 MiB that the client does not read for a while", EVERY, *slow_reader(30 * MIB), heavy=True, limit=40)


async def pushes(run):
    http = await run.http()
    answer = await http.ask("POST", "/", [("Content-Length", str(30 * MIB))], end=False)
    for piece in pattern(30 * MIB):
        await answer.write(piece)
    run.event("all sent").set()
    await answer.end()
    await answer.head()
    await answer.rest()


async def reads_late(run, exchange):
    await asyncio.sleep(4)
    run.saw("all was sent while the server did not read", run.event("all sent").is_set())
    await exchange.rest()
    await exchange.answer(200, (), b"ok")


add("30 MiB that the server does not read for a while", EVERY, pushes, reads_late, heavy=True, limit=40)
