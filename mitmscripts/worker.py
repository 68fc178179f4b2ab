"""Make this mitmdump one of healthd's workers.

healthd has opened the sockets on which the proxy listens, and gives them to every
mitmdump that it starts as descriptors 4 and 5; 3 is where its pulse goes. So the
port is never free while mitmdump is started again, and several can share it.

mitmdump watches its log while it starts, and ends if an addon logs an error. When
that is over it begins to listen (healthd starts it with `server=false`), and to beat:
a line a second from its event loop, with what it has counted. healthd takes a mitmdump
for hung when its pulse is silent (healthd/runner/worker.c).
"""

import asyncio
import contextlib
import logging
import resource
import socket
import time

import mitmproxy_patches as patches
from mitmproxy import ctx
from mitmproxy.proxy import mode_servers

PULSE = 3
SOCKETS = (4, 5)
# Seconds after which a start has failed: an addon's `running` may never end. healthd waits 20 s.
START_MAX = 15
QUEUE = 4096
EPISODE = 60  # seconds without a failure after which the next one is another matter


class ListeningSocket(socket.socket):
    """What asyncio makes one of several workers' share of: it takes one connection each time it
    wakes, so that none takes all that come at once, and does not shorten the queue to that."""

    def listen(self, backlog):
        super().listen(QUEUE)


def handed_sockets():
    """The runner's sockets by their addresses."""
    found = {}
    for descriptor in SOCKETS:
        with contextlib.suppress(OSError):
            handed = ListeningSocket(fileno=descriptor)
            found[handed.getsockname()[:2]] = handed
    return found


def listen_on(sockets):
    """Have mitmproxy listen on these instead of opening its own."""
    patches.stock(mode_servers.AsyncioServerInstance, "listen", "self", "host", "port")

    async def listen(self, host, port):
        if (host, port) not in sockets:
            raise OSError(f"healthd has handed over no socket for {host}:{port}")
        # The runner's own descriptor stays open when this one is closed.
        handed = sockets[host, port]
        return [await asyncio.start_server(self.handle_stream, sock=handed, backlog=1)]

    mode_servers.AsyncioServerInstance.listen = listen


def say_once_when_full(loop):
    """asyncio tells of each connection that it cannot accept, and tries again a second later."""
    handle = loop.get_exception_handler()
    latest = -EPISODE

    def handle_or_say(loop, context):
        nonlocal latest
        if context.get("message") != "socket.accept() out of system resource":
            handle(loop, context)
            return
        if time.monotonic() - latest > EPISODE:
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            logging.error("no descriptors are left (the limit is %d): new connections wait", limit)
        latest = time.monotonic()

    loop.set_exception_handler(handle_or_say)


def is_listening():
    servers = list(ctx.master.addons.get("proxyserver").servers)
    return servers and all(server.is_running for server in servers)


class Pulse:
    def __init__(self, channel):
        self.channel = channel
        self.open = self.connections = self.requests = 0
        self.beats = False

    def client_connected(self, client):
        self.open += 1
        self.connections += 1

    def client_disconnected(self, client):
        self.open -= 1

    def requestheaders(self, flow):
        self.requests += 1

    def running(self):
        loop = asyncio.get_running_loop()
        say_once_when_full(loop)
        self.task = loop.create_task(self.beat())

    def done(self):
        if self.beats:
            self.say()

    async def beat(self):
        latest = time.monotonic() + START_MAX
        while patches.is_watching():
            if time.monotonic() > latest:
                patches.end(
                    f"has an addon that has not started within {START_MAX} s: what its hook "
                    "`running` does without an end belongs in a task of its own"
                )
            await asyncio.sleep(0.001)
        ctx.options.server = True
        while not is_listening():
            await asyncio.sleep(0.001)
        self.beats = True
        while True:
            self.say()
            await asyncio.sleep(1)

    def say(self):
        """In the order of enum count (healthd/link/pulse.h)."""
        counts = [self.open, self.connections, self.requests, *patches.refused.values()]
        with contextlib.suppress(OSError):  # nobody reads
            self.channel.send(b"beat " + " ".join(map(str, counts)).encode(), socket.MSG_DONTWAIT)


listen_on(handed_sockets())
addons = [Pulse(socket.socket(fileno=PULSE))]
