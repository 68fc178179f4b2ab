"""WebSockets, frame by frame."""

import asyncio
import base64
import hashlib
import struct
import zlib

from http1 import Buffer
from table import ONE, PLAIN, TLS, Table, head_of, within
from wire import Ended

TABLE = Table("WebSocket")
CONTINUE, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {CONTINUE: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE = "permessage-deflate"
MASK = b"\x11\x22\x33\x44"


def masked(data):
    key = int.from_bytes((MASK * (len(data) // 4 + 1))[: len(data)], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")


class Socket:
    """One end of a WebSocket, after the handshake."""

    def __init__(self, run, buffer, client):
        self.run, self.buffer, self.pipe, self.client = run, buffer, buffer.pipe, client
        self.kind, self.parts, self.packed_now = None, [], False
        self.deflate = self.inflate = None

    async def frame(self, kind, data=b"", fin=True, rsv=0, mask=None):
        size = len(data)
        mask = self.client if mask is None else mask
        head = bytes([(0x80 if fin else 0) | rsv << 4 | kind])
        bit = 0x80 if mask else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", size)
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", size)
        await self.pipe.send(head + MASK + masked(data) if mask else head + data)

    async def next_frame(self):
        first, second = await self.buffer.exactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", await self.buffer.exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", await self.buffer.exactly(8))[0]
        key = await self.buffer.exactly(4) if second & 0x80 else None
        data = await self.bytes(size)
        if key:
            key = int.from_bytes((key * (size // 4 + 1))[:size], "big")
            data = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
        return first & 15, bool(first & 0x80), first >> 4 & 7, data, bool(second & 0x80)

    async def bytes(self, size):
        pieces, left = [], size
        while left:
            pieces.append(await self.buffer.some(left))
            left -= len(pieces[-1])
        return b"".join(pieces)

    async def message(self):
        """The next message or control frame, as (name, data); a message in fragments is one."""
        while True:
            code, fin, rsv, data, _ = await self.next_frame()
            if code >= CLOSE:
                return NAMES.get(code, code), data
            if code != CONTINUE:
                self.kind, self.packed_now = code, bool(rsv & 4)
            self.parts.append(data)
            if fin:
                data, self.parts = b"".join(self.parts), []
                if self.packed_now:
                    data = self.unpack(data)
                return NAMES.get(self.kind, self.kind), data

    def unpack(self, data):
        self.inflate = self.inflate or zlib.decompressobj(-15)
        return self.inflate.decompress(data + b"\0\0\xff\xff")

    async def packed(self, kind, data):
        self.deflate = self.deflate or zlib.compressobj(6, zlib.DEFLATED, -15)
        await self.frame(kind, (self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=4)


def short(data):
    return data.decode("latin-1") if len(data) < 100 else "%d bytes, %s" % (len(data), hashlib.sha256(data).hexdigest()[:12])


async def opened(run, fields=(), path="/ws"):
    """The client's handshake."""
    pipe = await run.connect()
    key = base64.b64encode(b"0123456789abcdef")
    lines = ["GET %s HTTP/1.1" % path, "Host: " + run.host, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key.decode()]
    await pipe.send("\r\n".join([*lines, *("%s: %s" % field for field in fields)]).encode() + b"\r\n\r\n")
    buffer = Buffer(pipe)
    run.see("status", (await buffer.line()).decode())
    answered = sorted((name.lower(), value) for name, value in await buffer.fields())
    run.see("fields", answered)
    return Socket(run, buffer, True)


def serves(play, fields=(), status=101):
    """The server's handshake, and what it does after."""

    async def serve(run, pipe, number):
        pipe = await run.secure(pipe)
        head = await head_of(pipe)
        head, _, rest = head.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:]]
        asked = {name.lower(): value for name, _, value in lines}
        run.saw("handshake", sorted(item for item in asked.items() if item[0] != "x-opensandbox-egress"))
        accept = base64.b64encode(hashlib.sha1(asked["sec-websocket-key"].encode() + GUID).digest()).decode()
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: " + accept]
        await pipe.send("\r\n".join([*answer, *("%s: %s" % field for field in fields)]).encode() + b"\r\n\r\n")
        buffer = Buffer(pipe)
        buffer.data += rest
        await play(run, Socket(run, buffer, False))

    return serve


async def hears(run, socket, see, count=None, close=True):
    """Notes what comes until the end; answers pings, and a close."""
    heard = []
    try:
        while count is None or len(heard) < count:
            name, data = await socket.message()
            heard.append([name, short(data)] if name != "close" or len(data) < 2 else [name, struct.unpack("!H", data[:2])[0], short(data[2:])])
            if name == "ping":
                await socket.frame(PONG, data)
            if name == "close":
                if close:
                    await socket.frame(CLOSE, data)
                if not socket.client:
                    await socket.pipe.close()
                    break
    except Ended as ended:
        # After a close it makes no difference whether what came later was read.
        closed = heard and heard[-1][0] == "close"
        heard.append(["end", "after a close" if closed else str(ended)])
    see("heard", heard)
    return heard


async def listens(run, socket):
    await hears(run, socket, run.saw)


async def echoes(run, socket):
    heard = []
    run.saw("heard", heard)
    while True:
        name, data = await socket.message()
        heard.append([name, short(data)])
        if name == "close":
            await socket.frame(CLOSE, data)
            await socket.pipe.close()
            return
        await socket.frame({"text": TEXT, "binary": BINARY, "ping": PONG, "pong": PONG}[name], data)


def says(*frames, fields=(), code=1000, pause=0):
    """A client that sends these frames (kind, data, fin), and then a close."""

    async def ask(run):
        socket = await opened(run, fields)
        for kind, data, *fin in frames:
            await socket.frame(kind, data, *fin)
            await asyncio.sleep(pause)
        # What is answered comes before the close.
        heard = []
        try:
            for _ in [frame for frame in frames if len(frame) == 2 or frame[2]]:
                one = await within(15, socket.message())
                heard.append(one if one == "nothing" else [one[0], short(one[1])])
                if one == "nothing":
                    break
            await socket.frame(CLOSE, struct.pack("!H", code) + b"bye")
        except Ended as ended:
            heard.append(str(ended))
        run.see("echoed", heard)
        await hears(run, socket, run.see, close=False)

    return ask


def add(name, ask, serve, transports=ONE, **options):
    TABLE.add(name, transports, ask, serve, raw=True, **options)


add("text", says((TEXT, b"hello"), (TEXT, "\u20ac\u00fc".encode())), serves(echoes))
add("binary", says((BINARY, bytes(range(256)))), serves(echoes))
add("empty messages", says((TEXT, b""), (BINARY, b"")), serves(echoes))
add("a message in three fragments", says((TEXT, b"one,", False), (CONTINUE, b"two,", False), (CONTINUE, b"three", True)), serves(echoes))
add("fragments with a ping between", says((TEXT, b"one,", False), (PING, b""), (CONTINUE, b"two", True)), serves(echoes))
add("an empty first fragment", says((TEXT, b"", False), (CONTINUE, b"two", True)), serves(echoes))
add("a ping with a payload", says((PING, b"payload")), serves(echoes))
add("an empty ping", says((PING, b"")), serves(echoes))
add("five pings", says(*[(PING, b"%d" % n) for n in range(5)]), serves(echoes))
add("a pong that nobody has asked for", says((PONG, b"beat"), (TEXT, b"x")), serves(echoes))
add("200 small messages", says(*[(TEXT, b"message %d" % n) for n in range(200)]), serves(echoes), limit=40)
add("a message of 64 kB", says((BINARY, bytes(range(256)) * 256)), serves(echoes))
add("a message of 8 MiB", says((BINARY, bytes(range(256)) * (32 << 10))), serves(echoes), limit=30, heavy=True)
add("a message of 20 MiB", says((BINARY, bytes(range(256)) * (80 << 10))), serves(echoes), PLAIN, limit=30, heavy=True)
for code in (1000, 1001, 1008, 1011, 3000, 4999):
    add("closed by the client with %d" % code, says((TEXT, b"x"), code=code), serves(echoes), (PLAIN,) if code > 1000 else ONE)


def closes(data=None, how="close"):
    async def play(run, socket):
        await socket.frame(TEXT, b"welcome")
        await asyncio.sleep(0.2)
        if data is not None:
            await socket.frame(CLOSE, data)
            await hears(run, socket, run.saw, close=False)
        elif how == "reset":
            socket.pipe.reset()
        elif how == "cut":
            socket.pipe.cut()
        else:
            await socket.pipe.close()

    return play


async def is_closed(run):
    """Answers a close with the same code."""
    socket = await opened(run)
    await hears(run, socket, run.see)


for name, data in {"1000": b"\x03\xe8done", "1001": b"\x03\xe9", "1012 and a reason": b"\x03\xf4" + "neu \u00fc".encode(), "4321": b"\x10\xe1x", "no code": b""}.items():
    add("closed by the server with " + name, is_closed, serves(closes(data)), (PLAIN,) if "100" not in name else ONE)
add("ended by the server without a close", is_closed, serves(closes()))
add("reset by the server", is_closed, serves(closes(how="reset")))


def vanishes(how):
    async def ask(run):
        socket = await opened(run)
        await socket.frame(TEXT, b"x")
        await within(2, socket.message())
        if how == "reset":
            socket.pipe.reset()
        else:
            await socket.pipe.close()

    return ask


async def echoes_until_end(run, socket):
    try:
        await echoes(run, socket)
    except Ended as ended:
        run.saw("end", str(ended))


add("ended by the client without a close", vanishes("close"), serves(echoes_until_end))
add("reset by the client", vanishes("reset"), serves(echoes_until_end), settle=0.5)


async def speaks_first(run, socket):
    await socket.frame(TEXT, b"one")
    await socket.frame(BINARY, b"two")
    await hears(run, socket, run.saw)


async def hears_first(run):
    socket = await opened(run)
    heard = [await within(2, socket.message()), await within(2, socket.message())]
    run.see("first", str(heard))
    await socket.frame(TEXT, b"three")
    await socket.frame(CLOSE, b"\x03\xe8")
    await hears(run, socket, run.see, close=False)


add("the server speaks first", hears_first, serves(speaks_first))


async def at_once(run, pipe, number):
    """Its first frame comes in the same write as the handshake's answer."""
    pipe = await run.secure(pipe)
    head = await head_of(pipe)
    key = head.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
    key = head[head.lower().find(key) :][: len(key)]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    await pipe.send(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x03one\x82\x03two")
    await hears(run, Socket(run, Buffer(pipe), False), run.saw)


add("the server's first frames with the handshake", hears_first, at_once)


async def pinged(run, socket):
    await socket.frame(PING, b"are you there")
    run.saw("answer", str(await within(3, socket.message())))
    await socket.frame(CLOSE, b"\x03\xe8")
    await hears(run, socket, run.saw, close=False)


add("a ping of the server", is_closed, serves(pinged))


async def both_pingpong(run, count=20):
    """Each message is sent when the one before is answered."""
    socket = await opened(run)
    got = []
    for number in range(count):
        await socket.frame(TEXT, b"ping %d" % number)
        got.append((await within(2, socket.message()))[1].decode())
    run.see("got", got)
    await socket.frame(CLOSE, b"\x03\xe8")
    await hears(run, socket, run.see, close=False)


add("20 messages, each after an answer", both_pingpong, serves(echoes))


async def pushed(run, socket):
    """Does each message arrive before the next is sent?"""
    arrived = []
    for number in range(3):
        await socket.frame(TEXT, b"push %d" % number)
        arrived.append(await run.happens("got %d" % number, 2))
    run.saw("each message had arrived before the next was sent", arrived)
    await socket.frame(CLOSE, b"\x03\xe8")
    await hears(run, socket, run.saw, close=False)


async def takes_pushed(run):
    socket = await opened(run)
    for number in range(3):
        run.see("message %d" % number, str(await socket.message()))
        run.event("got %d" % number).set()
    await hears(run, socket, run.see)


add("messages that the server pushes", takes_pushed, serves(pushed))


async def part_of_a_message(run, socket):
    """A fragment is passed on before the next comes."""
    await socket.frame(TEXT, b"begin", False)
    run.saw("the first fragment had arrived before the second was sent", await run.happens("begin", 2))
    await socket.frame(CONTINUE, b", end", True)
    await socket.frame(CLOSE, b"\x03\xe8")
    await hears(run, socket, run.saw, close=False)


async def takes_part(run):
    socket = await opened(run)
    kind, fin, _, data, _ = await socket.next_frame()
    run.see("begins with", data.decode()[:5])
    run.event("begin").set()
    rest = data
    while not fin:
        _, fin, _, data, _ = await socket.next_frame()
        rest += data
    run.see("whole", rest.decode())
    await hears(run, socket, run.see)


add("a fragment as it comes", takes_part, serves(part_of_a_message))


# Extensions and subprotocols.
async def deflating(run, socket):
    heard = []
    run.saw("heard", heard)
    while True:
        name, data = await socket.message()
        heard.append([name, short(data)])
        if name == "close":
            await socket.frame(CLOSE, data)
            await socket.pipe.close()
            return
        await socket.packed(TEXT, data.upper())


def deflated():
    async def ask(run):
        socket = await opened(run, [("Sec-WebSocket-Extensions", DEFLATE + "; client_max_window_bits")])
        for number in range(4):
            await socket.packed(TEXT, b"some text, " * 50 + b"%d" % number)
            name, data = await within(3, socket.message())
            run.see("echo %d" % number, [name, short(data)])
        await socket.frame(CLOSE, b"\x03\xe8")
        await hears(run, socket, run.see, close=False)

    return ask


add("permessage-deflate", deflated(), serves(deflating, [("Sec-WebSocket-Extensions", DEFLATE)]))
add("permessage-deflate, offered and declined", says((TEXT, b"x"), fields=[("Sec-WebSocket-Extensions", DEFLATE)]), serves(echoes))
add("an extension that nobody knows, declined", says((TEXT, b"x"), fields=[("Sec-WebSocket-Extensions", "x-own; a=1")]), serves(echoes))
add("a subprotocol", says((TEXT, b"x"), fields=[("Sec-WebSocket-Protocol", "mqtt, chat")]), serves(echoes, [("Sec-WebSocket-Protocol", "chat")]))
add("Origin, Cookie and a field of one's own", says((TEXT, b"x"), fields=[("Origin", "http://a"), ("Cookie", "a=1"), ("X-Own", "1"), ("Authorization", "Bearer t")]), serves(echoes, [("Set-Cookie", "b=2"), ("X-Own", "2")]))


# What breaks the rules.
async def sees_violation(run):
    socket = await opened(run)
    await hears(run, socket, run.see)


def violates(kind, data, **options):
    async def play(run, socket):
        await socket.frame(kind, data, **options)
        await within(1, hears(run, socket, run.saw, close=False))
        await socket.pipe.close()

    return play


add("text that is no UTF-8", sees_violation, serves(violates(TEXT, b"\xff\xfe")))
add("an unknown opcode", sees_violation, serves(violates(3, b"x")))
add("a masked frame of the server", sees_violation, serves(violates(TEXT, b"x", mask=True)))


def silent(seconds):
    async def ask(run):
        socket = await opened(run)
        await socket.frame(TEXT, b"one")
        run.see("one", str(await within(2, socket.message())))
        await asyncio.sleep(seconds)
        await socket.frame(TEXT, b"two")
        run.see("two", str(await within(2, socket.message())))
        await socket.frame(CLOSE, b"\x03\xe8")
        await hears(run, socket, run.see, close=False)

    return ask


add("silence of 25 s", silent(25), serves(echoes), (TLS,), limit=40, waits=True)
add("silence of 700 s", silent(700), serves(echoes), ONE, limit=720, waits=True, tier="long")


async def many_sockets(run):
    """50 at once, each with ten messages to and fro."""

    async def one(number):
        socket = await opened(run, path="/%d" % number)
        for turn in range(10):
            await socket.frame(TEXT, b"%d/%d" % (number, turn))
            if (await socket.message())[1] != b"%d/%d" % (number, turn):
                return "wrong"
        await socket.frame(CLOSE, b"\x03\xe8")
        return (await socket.message())[0]

    outcomes = await asyncio.gather(*(one(number) for number in range(50)))
    run.see("outcomes", {outcome: outcomes.count(outcome) for outcome in set(outcomes)})


async def not_noted(run, socket):
    run.server.pop("handshake", None)
    await echoes(run, socket)
    run.server.pop("heard", None)


add("50 at once", many_sockets, serves(not_noted), (TLS,), limit=30)
