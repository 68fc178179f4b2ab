"""HTTP/2 at both ends, by the h2 library; frames that it would not send are sent beside it."""

import asyncio
import struct

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from http1 import Digest, length_of, pieces_of, values
from wire import Ended

GOAWAY = 7
WINDOW = 1 << 20


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def text(fields):
    return [(as_text(name), as_text(value)) for name, value in fields]


def as_text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Stream:
    """What has come for one stream, in order."""

    def __init__(self, peer, number):
        self.peer, self.number, self.events = peer, number, asyncio.Queue()

    async def send(self, data, end=False):
        """Waits until the other end has room for it."""
        peer, view = self.peer, memoryview(data)
        while view:
            room = min(peer.http.local_flow_control_window(self.number), peer.http.max_outbound_frame_size)
            if room <= 0:
                peer.alive()
                peer.room.clear()
                await peer.room.wait()
                continue
            peer.do("send_data", self.number, bytes(view[:room]))
            view = view[room:]
            await peer.flush()
        if end:
            peer.do("send_data", self.number, b"", end_stream=True)
            await peer.flush()

    async def fields(self, fields, end=False):
        self.peer.do("send_headers", self.number, [f for f in fields], end_stream=end)
        await self.peer.flush()

    async def reset(self, code=h2.errors.ErrorCodes.CANCEL):
        self.peer.do("reset_stream", self.number, code)
        await self.peer.flush()

    async def took(self, count):
        if count and not self.peer.lost:
            try:
                self.peer.http.acknowledge_received_data(count, self.number)
            except h2.exceptions.ProtocolError:
                pass
            self.peer.flush_soon()


class Peer:
    """One end of a connection."""

    def __init__(self, pipe, client, settings=None):
        config = h2.config.H2Configuration(
            client_side=client, header_encoding=None, validate_outbound_headers=False,
            normalize_outbound_headers=False, validate_inbound_headers=False,
        )
        self.pipe, self.http, self.streams = pipe, h2.connection.H2Connection(config), {}
        self.room, self.lost, self.goaway, self.data, self.greeted = asyncio.Event(), None, None, bytearray(), False
        self.client, self.new, self.pongs, self.settled = client, asyncio.Queue(), asyncio.Queue(), asyncio.Event()
        # In force when the other end has taken note.
        self.chosen = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW, **(settings or {})}
        if client:
            self.chosen[h2.settings.SettingCodes.ENABLE_PUSH] = 0
        self.http.decoder.max_header_list_size = 1 << 22
        # The library needs minutes for a long field in Huffman's code.
        encode = self.http.encoder.encode
        self.http.encoder.encode = lambda fields, huffman=False: encode(fields, huffman)

    async def start(self):
        self.http.initiate_connection()
        self.http.update_settings(self.chosen)
        self.http.increment_flow_control_window(1 << 24)
        await self.flush()
        self.task = asyncio.create_task(self.pump())
        return self

    def alive(self):
        if self.lost:
            raise Ended(self.lost)

    def do(self, name, *arguments, **named):
        """A call of the library, which knows of a stream's end before its user does."""
        self.alive()
        try:
            getattr(self.http, name)(*arguments, **named)
        except h2.exceptions.StreamClosedError as error:
            raise Ended("stream closed") from error
        except h2.exceptions.ProtocolError as error:
            raise Ended("library: " + type(error).__name__) from error

    async def flush(self):
        if data := self.http.data_to_send():
            await self.pipe.send(data)

    def flush_soon(self):
        """Reading goes on while the other end does not read."""
        self.flushing = asyncio.gather(self.flush(), return_exceptions=True)

    async def pump(self):
        try:
            while True:
                self.data += await self.pipe.receive()
                await self.frames()
        except Ended as ended:
            self.lost = str(ended)
        except h2.exceptions.ProtocolError as error:
            self.lost = "broken: %s" % error
            try:
                await self.flush()
            except Ended:
                pass
            await self.pipe.close()
        except OSError as error:
            self.lost = type(error).__name__
        self.room.set()
        for stream in list(self.streams.values()):
            stream.events.put_nowait(("gone", self.goaway or self.lost))
        self.new.put_nowait(None)

    async def frames(self):
        """The library would take no more after a GOAWAY, which is not for it therefore."""
        if not self.client and not self.greeted:
            if len(self.data) < 24:
                return
            self.greeted = True
            self.feed(bytes(self.data[:24]))
            del self.data[:24]
        whole = bytearray()
        while len(self.data) >= 9 and len(self.data) >= 9 + (size := int.from_bytes(self.data[:3], "big")):
            one = self.data[: 9 + size]
            del self.data[: 9 + size]
            if one[3] == GOAWAY:
                last, code = struct.unpack("!II", one[9:17])
                self.goaway, self.last = "GOAWAY %d" % code, last
                for number, stream in list(self.streams.items()):
                    if self.client and number > last:
                        stream.events.put_nowait(("gone", "refused by " + self.goaway))
            else:
                whole += one
        self.feed(bytes(whole))
        self.flush_soon()

    def feed(self, data):
        for event in self.http.receive_data(data):
            self.take(event)

    def take(self, event):
        number = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(self, number)
            stream.events.put_nowait(("head", text(event.headers)))
            self.new.put_nowait(stream)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.put_nowait(event.ping_data)
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            self.room.set()
            if number is None:
                self.settled.set()
        elif stream := self.streams.get(number):
            self.give(stream.events, event)

    def give(self, events, event):
        if isinstance(event, h2.events.InformationalResponseReceived):
            events.put_nowait(("interim", text(event.headers)))
        elif isinstance(event, h2.events.ResponseReceived):
            events.put_nowait(("head", text(event.headers)))
        elif isinstance(event, h2.events.DataReceived):
            events.put_nowait(("data", event.data, event.flow_controlled_length))
        elif isinstance(event, h2.events.TrailersReceived):
            events.put_nowait(("trailers", text(event.headers)))
        elif isinstance(event, h2.events.StreamEnded):
            events.put_nowait(("end",))
        elif isinstance(event, h2.events.StreamReset) and event.remote_reset:
            self.room.set()
            events.put_nowait(("reset", int(event.error_code)))


class End:
    """What either end does in a stream: a body is read, and one is written."""

    def __init__(self, stream, record):
        self.stream, self.record, self.digest, self.done = stream, record, Digest(), False

    async def piece(self):
        while not self.done:
            name, *rest = await self.stream.events.get()
            if name == "data":
                await self.stream.took(rest[1])
                if not rest[0]:
                    continue
                self.digest.take(rest[0])
                self.note()
                return rest[0]
            if name == "trailers":
                self.record["trailers"] = rest[0]
            elif name == "end":
                self.done = True
            elif name in ("reset", "gone"):
                raise Ended("RST_STREAM %d" % rest[0] if name == "reset" else rest[0])
        self.note()
        return b""

    def note(self):
        self.record.update(body=str(self.digest), complete=self.done)
        self.record.setdefault("trailers", [])
        # Streams of HTTP/2 end by themselves: a length that is true says nothing more.
        if self.done and "fields" in self.record:
            true = ("content-length", str(self.digest.size))
            self.record["fields"] = [field for field in self.record["fields"] if field != true]

    async def rest(self):
        while await self.piece():
            pass
        return self

    async def write(self, data):
        await self.stream.send(data)

    async def end(self, trailers=()):
        if trailers:
            await self.stream.fields(lower(trailers), True)
        else:
            await self.stream.send(b"", True)


class Client2:
    """A connection of a client."""

    version = "2"

    def __init__(self, run, pipe, settings=None):
        self.run, self.pipe, self.peer = run, pipe, Peer(pipe, True, settings)

    async def ask(self, method, path="/", fields=(), body=None, framing=None, end=True, trailers=(), pseudo=()):
        self.peer.alive()
        if self.peer.goaway:
            raise Ended("refused by " + self.peer.goaway)
        stream = Stream(self.peer, self.peer.http.get_next_available_stream_id())
        self.peer.streams[stream.number] = stream
        fields = [(name.lower(), value) for name, value in fields]
        authority = (values(fields, "host") or [self.run.host])[0]
        head = [(":method", method), (":scheme", self.run.scheme), (":authority", authority), (":path", path), *pseudo]
        head += [field for field in fields if field[0] != "host"]
        if framing is None and body is not None and not values(fields, "content-length"):
            head.append(("content-length", str(length_of(body))))
        await stream.fields(head, end and body is None and not trailers)
        answer = Answer2(self, stream)
        if end and (body is not None or trailers):
            for piece in pieces_of(body):
                await answer.write(piece)
            await answer.end(trailers)
        return answer

    async def close(self):
        self.peer.task.cancel()
        await self.pipe.close()


class Answer2(End):
    def __init__(self, client, stream):
        super().__init__(stream, client.run.client_record())
        self.client = client

    async def head(self):
        while True:
            name, *rest = await self.stream.events.get()
            if name == "interim":
                self.record.setdefault("interim", []).append(split_status(rest[0]))
            elif name == "head":
                status, fields = split_status(rest[0])
                self.record.update(status=status, fields=fields)
                return status
            elif name == "reset":
                raise Ended("RST_STREAM %d" % rest[0])
            elif name == "gone":
                raise Ended(rest[0])


def split_status(fields):
    return int(values(fields, ":status")[0]), [f for f in fields if f[0] != ":status"]


class Server2:
    """A connection of a server: each stream is served by a task."""

    def __init__(self, run, pipe, number, settings=None):
        self.run, self.pipe, self.number, self.peer = run, pipe, number, Peer(pipe, False, settings)
        self.count = 0

    async def serve(self, handle):
        await self.peer.start()
        tasks = set()
        try:
            while stream := await self.peer.new.get():
                self.count += 1
                task = asyncio.create_task(self.one(handle, stream, self.count))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if tasks:
                await asyncio.wait(tasks, timeout=2)
            raise Ended(self.peer.goaway or self.peer.lost)
        finally:
            for task in tasks:
                task.cancel()
            self.peer.task.cancel()

    async def one(self, handle, stream, count):
        exchange = Exchange2(self, stream, (await stream.events.get())[1], count)
        try:
            await handle(exchange)
            await exchange.rest()
        except Ended as ended:
            exchange.record["ended"] = str(ended)

    async def goaway(self, last, code=0):
        await self.pipe.send(frame(GOAWAY, 0, 0, struct.pack("!II", last, code)))


class Exchange2(End):
    version = "HTTP/2"

    def __init__(self, server, stream, head, count):
        self.server, self.run, self.pipe, self.count = server, server.run, server.pipe, count
        self.fields = [field for field in head if not field[0].startswith(":")]
        self.pseudo = {name: value for name, value in head if name.startswith(":")}
        self.method, self.path = self.pseudo.get(":method"), self.pseudo.get(":path")
        super().__init__(stream, self.run.server_record(self.path))
        self.record.update(line=" ".join("%s=%s" % item for item in sorted(self.pseudo.items())), fields=self.fields)

    async def interim(self, status, fields=()):
        await self.stream.fields([(":status", str(status)), *lower(fields)])

    async def answer(self, status, fields=(), body=None, framing=None, end=True, trailers=()):
        fields = lower(fields)
        if framing is None and body is not None and not values(fields, "content-length"):
            fields.append(("content-length", str(length_of(body))))
        bare = end and not trailers and (body is None or self.method == "HEAD")
        await self.stream.fields([(":status", str(status)), *fields], bare)
        if end and not bare:
            for piece in pieces_of(body if self.method != "HEAD" else None):
                await self.write(piece)
            await self.end(trailers)

    async def reset(self, code=h2.errors.ErrorCodes.CANCEL):
        await self.stream.reset(code)


def lower(fields):
    return [(name.lower(), value) for name, value in fields]

