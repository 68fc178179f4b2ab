"""Plays the rows twice each, past the proxy and through it, and says where the two differ.

Usage: play.py POD ORIGIN PKI PROXY_CA UID EXEMPT_UID TIER OUTPUT [PATTERN]

POD and ORIGIN are the namespaces, PKI the directory of the certificates, PROXY_CA what a client of
the proxy trusts; UID is intercepted, EXEMPT_UID not. OUTPUT gets one line of JSON a row: its name,
its group, what both ends saw past the proxy and through it, and the fields that differ. PATTERN is
looked for in "GROUP: NAME".
"""

import asyncio
import json
import re
import sys
import time
import traceback

import wire
from differs import DIFFERS
from http1 import Broken, Client1, Server1
from http2 import Client2, Server2
from rows import ROWS
from wire import Ended, Place, Tcp, Tls

# What may differ between the two: these fields of a request, as add_header.py adds them.
ADDED_TO_REQUESTS = {"x-opensandbox-egress"}
# Of these lists of exchanges each is compared by itself.
RECORDS = re.compile(r"^client\.answers$|^server\.requests\.")
AT_ONCE = 24
HEAVY_AT_ONCE = 2


class Run:
    """One row, played in one way."""

    def __init__(self, stage, row, way, number):
        self.stage, self.row, self.way, self.number = stage, row, way, number
        self.tasks, self.servers, self.opened, self.events = [], [], [], {}
        self.client, self.server, self.seen_header = {}, {}, 0
        self.records, self.requests, self.accepted = [], {}, 0
        transport = row.transport
        self.port, self.scheme = row.port or transport.port, "https" if transport.tls else "http"
        self.address = row.address(number) if row.address else "198.18.%d.%d" % (number >> 8, number & 255)
        # (A certificate for each name takes the proxy some time.)
        self.name = "n%d.through.test" % row.number if row.found else "r%d.through.test" % (row.number % 16)
        usual = self.port in (80, 443)
        self.host = self.name if usual else "%s:%d" % (self.name, self.port)
        self.trusted = stage.proxy_ca if way == "through" else stage.pki + "/private-ca.crt"

    # What was seen.

    def client_record(self):
        self.records.append({})
        return self.records[-1]

    def server_record(self, path):
        record = {}
        self.requests.setdefault(path, []).append(record)
        return record

    def see(self, name, value=True):
        """Of the client."""
        self.client[name] = value

    def saw(self, name, value=True):
        """Of the server."""
        self.server[name] = value

    def event(self, name):
        return self.events.setdefault(name, asyncio.Event())

    async def happens(self, name, seconds=3):
        """Does the other end say so in that time?"""
        try:
            await asyncio.wait_for(self.event(name).wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    # The client's end.

    async def tcp(self, address=None, port=None):
        uid = self.stage.uid if self.way == "through" else self.stage.exempt_uid
        sock = self.stage.pod.socket(address or self.address, uid)
        pipe = Tcp(sock)
        self.opened.append(pipe)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address or self.address, port or self.port))
        except OSError as error:
            raise Ended("connect: " + wire.kind(error)) from error
        return pipe

    def context(self, alpn=None):
        return wire.client_context(self.trusted, self.row.transport.alpn if alpn is None else alpn)

    async def connect(self, sni=None, context=None):
        """A connection as the row's transport has it."""
        pipe = await self.tcp()
        if self.row.transport.tls:
            pipe = await Tls(pipe, context or self.context(), False, sni or self.name).handshake()
        return pipe

    async def http(self, pipe=None, settings=None):
        pipe = pipe or await self.connect()
        if not self.row.transport.h2:
            return Client1(self, pipe)
        client = Client2(self, pipe, settings)
        await client.peer.start()
        self.tasks.append(client.peer.task)
        return client

    # The server's end.

    def start(self):
        for port in {self.port, *self.row.ports}:
            for address in [self.address] if isinstance(self.address, str) else self.address:
                listener = self.stage.origin.listen(address, port)
                self.servers.append(listener)
                self.tasks.append(asyncio.create_task(self.accept(listener, port)))

    async def accept(self, listener, port):
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listener)
            sock.setblocking(False)
            sock.setsockopt(wire.socket.IPPROTO_TCP, wire.socket.TCP_NODELAY, 1)
            self.opened.append(Tcp(sock))
            self.accepted += 1
            self.tasks.append(asyncio.create_task(self.one(self.opened[-1], self.accepted)))

    async def one(self, pipe, number):
        try:
            await self.row.serve(self, pipe, number)
        except Ended as ended:
            self.server.setdefault("ends", []).append(str(ended))
        except Broken as broken:
            self.server.setdefault("ends", []).append("broken: %s" % broken)
        except OSError as error:
            if error.errno != 9:  # closed by the row itself
                self.server.setdefault("ends", []).append(type(error).__name__)
        except asyncio.CancelledError:
            raise
        except Exception:
            self.server.setdefault("faults", []).append(traceback.format_exc())

    async def secure(self, pipe, context=None):
        """The server's side of TLS, if the transport has it."""
        if not self.row.transport.tls:
            return pipe
        return await Tls(pipe, context or self.stage.server(), True).handshake()

    async def serve_http(self, handle, pipe, number, settings=None, context=None):
        pipe = await self.secure(pipe, context)
        two = pipe.tls.selected_alpn_protocol() == "h2" if pipe.tls else self.row.transport.h2
        server = Server2(self, pipe, number, settings) if two else Server1(self, pipe, number)

        async def one(exchange):
            fields = [f for f in exchange.fields if f[0].lower() not in ADDED_TO_REQUESTS]
            self.seen_header += len(fields) != len(exchange.fields)
            exchange.record["fields"] = exchange.fields = fields
            await handle(self, exchange)

        await server.serve(one)

    # All of it.

    async def play(self):
        self.start()
        started = time.monotonic()
        try:
            await asyncio.wait_for(self.row.ask(self), self.row.limit)
        except Ended as ended:
            self.see("end", str(ended))
        except Broken as broken:
            self.see("end", "broken: %s" % broken)
        except asyncio.TimeoutError:
            self.see("end", "nothing")
        except Exception:
            self.see("fault", traceback.format_exc())
        # What the client has sent or closed may still be on its way.
        await self.settle()
        took = time.monotonic() - started
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for listener in self.servers:
            listener.close()
        for pipe in self.opened:
            pipe.cut()
        return self.outcome(), took

    async def settle(self):
        if self.row.settle:
            await asyncio.sleep(self.row.settle)
        last = None
        for _ in range(8):
            now = json.dumps(self.outcome(), sort_keys=True)
            if now == last:
                return
            last = now
            await asyncio.sleep(0.15)

    def outcome(self):
        server = dict(self.server)
        if "ends" in server and not self.row.ends:
            del server["ends"]
        elif "ends" in server:
            server["ends"] = sorted(server["ends"])
        server["requests"] = {path: [plain(record) for record in records] for path, records in self.requests.items()}
        both = {"client": dict(self.client, answers=[plain(record) for record in self.records]), "server": server}
        return both if self.row.exact else politely(both)


def politely(seen):
    """An end is an end, with or without close_notify before it."""
    if isinstance(seen, dict):
        return {key: politely(value) for key, value in seen.items()}
    if isinstance(seen, (list, tuple)):
        return [politely(value) for value in seen]
    return "FIN" if seen == "close_notify" else seen


def plain(record):
    """Fields in the order of their names, which is all that order means to HTTP."""
    record = dict(record)
    for name in ("fields", "trailers"):
        if name in record:
            record[name] = sorted(([key.lower(), value] for key, value in record[name]), key=lambda field: field[0])
    if "interim" in record:
        record["interim"] = [[status, sorted([key.lower(), value] for key, value in fields)] for status, fields in record["interim"]]
    return record


def differences(one, other, path=""):
    """The places at which two outcomes differ, each with both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(set(one) | set(other)):
            yield from differences(one.get(key), other.get(key), "%s.%s" % (path, key) if path else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other) and RECORDS.search(path):
        for number, pair in enumerate(zip(one, other)):
            yield from differences(*pair, "%s.%d" % (path, number))
    elif one != other:
        yield path, one, other


class Stage:
    def __init__(self, pod, origin, pki, proxy_ca, uid, exempt_uid, tier, output, pattern=""):
        self.pod, self.origin, self.pki, self.proxy_ca = Place(pod), Place(origin), pki, proxy_ca
        self.uid, self.exempt_uid, self.tier, self.pattern = int(uid), int(exempt_uid), tier, pattern
        self.output = open(output, "w")
        self.few, self.heavy = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(HEAVY_AT_ONCE)
        self.contexts = {}

    def server(self, name="wild.through.test", alpn=("h2", "http/1.1")):
        key = name, tuple(alpn)
        if key not in self.contexts:
            self.contexts[key] = wire.server_context("%s/%s" % (self.pki, name), list(alpn))
        return self.contexts[key]

    async def play(self, row):
        gate = self.heavy if row.heavy else None if row.waits else self.few
        if gate:
            await gate.acquire()
        try:
            ways = {}
            pair = [Run(self, row, way, 2 * row.number + (way == "through")) for way in ("direct", "through")]
            if row.heavy:
                results = [await run.play() for run in pair]
            else:
                results = await asyncio.gather(*(run.play() for run in pair))
            for run, (outcome, took) in zip(pair, results):
                ways[run.way] = outcome
                ways[run.way + "_took"] = round(took, 2)
                ways[run.way + "_header"] = run.seen_header
        finally:
            if gate:
                gate.release()
        differ = list(differences(ways["direct"], ways["through"]))
        self.output.write(json.dumps(dict(ways, row=row.name, group=row.group, raw=row.raw, differ=differ)) + "\n")
        self.output.flush()

    async def play_all(self):
        rows = [row for row in ROWS if row.tier in ("short", self.tier) and re.search(self.pattern, row.group + ": " + row.name)]
        # Those that wait, and those that take long, first.
        rows.sort(key=lambda row: (not row.waits, not row.heavy))
        results = await asyncio.gather(*(self.play(row) for row in rows), return_exceptions=True)
        for row, result in zip(rows, results):
            if isinstance(result, Exception):
                print(row.name, "".join(traceback.format_exception(result)), file=sys.stderr)


if __name__ == "__main__":
    if unknown := set(DIFFERS) - {"%s: %s" % (row.group, row.name) for row in ROWS}:
        sys.exit("differs.py names rows that there are not: %s" % unknown)
    asyncio.run(Stage(*sys.argv[1:]).play_all())
