"""Connections that somebody keeps, and what has become of them.

Usage: kept.py [COUNTx][multipath+|ofUID+]ADDRESS/PORT...

Connects to each (so many times), gives it to another user if there is one, prints "connected", and at each SIGUSR1 a line for each: "ADDRESS/PORT:
alive" if a request is answered, or how it failed; of many, how many are alive.
"""

import errno
import os
import resource
import signal
import socket
import sys

IPPROTO_MPTCP = 262
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example.test\r\n\r\n"


def connected(row):
    way, _, place = row.rpartition("+")
    address, _, port = place.rpartition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if way == "multipath" else 0)
    sock.settimeout(2)
    sock.connect((address, int(port)))
    if way.startswith("of"):
        os.fchown(sock.fileno(), int(way[2:]), -1)
    return sock


def state(sock):
    try:
        sock.sendall(REQUEST)
        return "alive" if sock.recv(4096) else "ended"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return errno.errorcode[error.errno]


resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
kept = []
for argument in sys.argv[1:]:
    count, times, row = argument.partition("x")
    many = times and count.isdigit()
    kept.append((row, [connected(row) for _ in range(int(count))]) if many else (argument, [connected(argument)]))
print("connected", flush=True)
while True:
    signal.sigwait({signal.SIGUSR1})
    for row, sockets in kept:
        states = [state(sock) for sock in sockets]
        print(row + ":", states[0] if len(states) == 1 else "%d alive" % states.count("alive"))
    print("done", flush=True)
