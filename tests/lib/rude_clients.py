"""Clients without manners, all at once, until standard input ends.

Usage: rude_clients.py HOST PORT COUNT. COUNT stay connected and send a byte of a request now and
then (whoever is dropped comes back); meanwhile others reset the connection, close half of it
before or after they have asked, ask and do not read, or say nothing. Prints "holding" when COUNT
are connected, and at the end how many have come and gone.
"""

import itertools
import random
import resource
import select
import socket
import struct
import sys
import time

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 300, count + 300))
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: rude\r\n\r\n"
RESET = struct.pack("ii", 1, 0)


def connect():
    client = socket.create_connection((host, port), timeout=2)
    client.setblocking(False)
    return client


def slow():
    client = connect()
    client.send(REQUEST[:1])
    return client


def reset(sent):
    client = connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if sent:
        client.send(REQUEST[:sent])
    client.close()


def half_close(sent):
    client = connect()
    client.send(REQUEST[:sent])
    client.shutdown(socket.SHUT_WR)
    return client


def never_read():
    client = connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.send(REQUEST)
    return client


KINDS = [
    lambda: reset(0),
    lambda: reset(7),
    lambda: reset(len(REQUEST)),
    lambda: half_close(0),
    lambda: half_close(7),
    lambda: half_close(len(REQUEST)),
    never_read,
    connect,
]

held = [slow() for _ in range(count)]
print("holding", flush=True)
guests, came = [], 0
kinds = itertools.cycle(KINDS)
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(20):
        try:
            guest = next(kinds)()
        except OSError:
            guest = None
        came += 1
        if guest is not None:
            guests.append(guest)
    while len(guests) > 200:
        guests.pop(0).close()
    for index in random.sample(range(count), 50):
        try:
            held[index].send(b"x")
        except OSError:
            held[index].close()
            try:
                held[index] = slow()
            except OSError:
                pass
    time.sleep(0.01)
print("%d came and went" % came)
