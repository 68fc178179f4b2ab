"""Clients that mean no good, many at once.

Usage: load.py HOST PORT SOURCE[,SOURCE...] KIND=COUNT... [rate=N] [turnover=N]

Keeps COUNT connections of each kind open, from the source addresses in turn, and opens
another one for each that has ended, N per second (1000) in all. Once all have been opened
it is "turnover" per second (the same as "rate"). Kinds:

  idle     says nothing, and does not close when healthd does: the oldest ones are replaced
  half     the same after half a request
  slow     sends a request, a byte a second
  deaf     asks for /metrics through the smallest window, and never reads
  shut     half a request, then half-closed
  reset    half a request, then a reset, again and again
  flood    a whole request, read to its end, again and again
  syn      (from a raw socket) a SYN and nothing else; the sources are not ours, so nobody
           resets what comes back: COUNT per second

Prints "holding" when all have been opened once; until standard input ends; then one line
of figures.
"""

import collections
import errno
import os
import select
import socket
import struct
import sys
import time

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: pod\r\nUser-Agent: load\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: pod\r\n\r\n"
HALF = REQUEST[:30]
KEPT = ("idle", "half")

counts = collections.Counter()


class Client:
    """One connection: what it sends when it is open, and what it does when it can read."""

    def __init__(self, kind, source, target):
        self.kind, self.sent, self.open = kind, 0, False
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if kind == "deaf":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.socket.bind((source, 0))
        if self.socket.connect_ex(target) not in (0, errno.EINPROGRESS):
            counts["refused"] += 1

    def begin(self):
        """Connected. False if this client is done already."""
        self.open = True
        counts["opened"] += 1
        message = {"deaf": SCRAPE, "flood": REQUEST, "half": HALF, "shut": HALF, "reset": HALF}.get(self.kind, b"")
        if message:
            self.socket.send(message)
        if self.kind == "shut":
            self.socket.shutdown(socket.SHUT_WR)
        if self.kind == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self.kind != "reset"

    def readable(self):
        """False at the end."""
        if self.kind == "deaf":
            return True
        piece = self.socket.recv(4096)
        if piece.startswith(b"HTTP/1.1 "):
            counts["answered " + piece[9:12].decode()] += 1
        return bool(piece)

    def drip(self):
        if self.open and self.sent < len(REQUEST) - 1:
            self.socket.send(REQUEST[self.sent : self.sent + 1])
            self.sent += 1


class Load:
    def __init__(self, target, sources, wanted, rate, turnover):
        self.target, self.sources, self.wanted = target, sources, wanted
        self.rate, self.turnover = rate, turnover
        self.epoll, self.clients = select.epoll(), {}
        self.kept = collections.deque()
        self.missing = collections.deque()
        for kind, count in wanted.items():
            self.missing.extend([kind] * count)
        self.total, self.made, self.announced = len(self.missing), 0, False

    def add(self):
        kind = self.missing.popleft()
        try:
            client = Client(kind, self.sources[self.made % len(self.sources)], self.target)
        except OSError as error:
            counts[errno.errorcode.get(error.errno, "?")] += 1
            self.missing.append(kind)
            return
        self.made += 1
        self.clients[client.socket.fileno()] = client
        if kind in KEPT:
            self.kept.append(client)
        events = select.EPOLLOUT if kind == "deaf" else select.EPOLLOUT | select.EPOLLIN
        self.epoll.register(client.socket, events | select.EPOLLRDHUP)

    def remove(self, client):
        del self.clients[client.socket.fileno()]
        if client.kind in KEPT:
            self.kept.remove(client)
        client.socket.close()
        self.missing.append(client.kind)

    def await_next(self, client):
        """What is there to hear from it: an error always is."""
        events = select.EPOLLIN | select.EPOLLRDHUP
        if client.kind == "deaf":
            events = select.EPOLLRDHUP
        elif client.kind in KEPT:
            events = 0
        self.epoll.modify(client.socket, events)

    def replace_oldest(self):
        counts["replaced"] += 1
        self.remove(self.kept[0])

    def handle(self, descriptor, events):
        client = self.clients[descriptor]
        try:
            stays = True
            if not client.open and events & select.EPOLLOUT:
                stays = client.begin()
                if stays:
                    self.await_next(client)
            elif events & select.EPOLLIN:
                stays = client.readable()
            elif events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                stays = False
        except OSError as error:
            counts[errno.errorcode.get(error.errno, "?")] += 1
            stays = False
        if not stays:
            counts["closed"] += 1
            self.remove(client)

    def drip(self):
        for client in [c for c in self.clients.values() if c.kind == "slow"]:
            try:
                client.drip()
            except OSError:
                self.remove(client)

    def run(self):
        next_drip = started = time.monotonic()
        budget = 0.0
        self.epoll.register(0, select.EPOLLIN)
        while True:
            now = time.monotonic()
            budget = min(budget + (now - started) * self.rate, self.rate / 10)
            started = now
            while budget >= 1 and (self.missing or self.kept):
                if not self.missing:
                    self.replace_oldest()
                self.add()
                budget -= 1
            if now >= next_drip:
                next_drip = now + 1
                self.drip()
            for descriptor, events in self.epoll.poll(0.01, 1024):
                if descriptor == 0:
                    return
                if descriptor in self.clients:
                    self.handle(descriptor, events)
            counts["most"] = max(counts["most"], len(self.clients))
            counts["open"] = len(self.clients)
            if not self.announced and self.made >= self.total:
                self.announced, self.rate = True, self.turnover
                print("holding", flush=True)


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(source, target, port):
    """A segment with SYN alone, as it goes into a raw socket (the kernel makes the rest)."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    segment = struct.pack("!HHIIBBHHH", 1024 + port % 60000, 18080, port * 7919 % 2**32, 0, 5 << 4, 2, 1024, 0, 0)
    segment = segment[:2] + struct.pack("!H", int(sys.argv[2])) + segment[4:]
    total = checksum(ends + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment)) + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def send_syns(target, sources, rate):
    raw = {}
    for source in sources:
        raw[source] = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
        raw[source].setsockopt(socket.IPPROTO_IP, socket.IP_TRANSPARENT, 1)
        raw[source].bind((source, 0))
    print("holding", flush=True)
    while not select.select([0], [], [], 0.02)[0]:
        for _ in range(rate // 50):
            source = sources[counts["SYN"] % len(sources)]
            raw[source].sendto(syn(source, target[0], counts["SYN"]), target)
            counts["SYN"] += 1


def main():
    target, sources = (sys.argv[1], int(sys.argv[2])), sys.argv[3].split(",")
    wanted = {key: int(value) for key, value in (word.split("=") for word in sys.argv[4:])}
    rate = wanted.pop("rate", 1000)
    turnover = wanted.pop("turnover", rate)
    try:
        if "syn" in wanted:
            send_syns(target, sources, wanted["syn"])
        else:
            Load(target, sources, wanted, rate, turnover).run()
    finally:
        print(", ".join("%s %d" % item for item in sorted(counts.items())), flush=True)
        os._exit(0)


main()
