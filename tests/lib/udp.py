"""UDP over connected sockets, which are told at once when they are refused.

Usage: udp.py serve PORT ADDRESS...   answer "ADDRESS PORT" to whatever comes
       udp.py ask ADDRESS PORT        print what became of a datagram: the answer, or
                                      "refused" ("late" if that took longer than 300 ms),
                                      or "silence"
"""

import errno
import selectors
import socket
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(port, addresses):
    ready = selectors.DefaultSelector()
    for address in addresses:
        server = socket.socket(family(address), socket.SOCK_DGRAM)
        server.bind((address, port))
        ready.register(server, selectors.EVENT_READ, ("%s %d" % (address, port)).encode())
    while True:
        for key, _ in ready.select():
            _, client = key.fileobj.recvfrom(64)
            key.fileobj.sendto(key.data, client)


def ask(address, port):
    client = socket.socket(family(address), socket.SOCK_DGRAM)
    client.settimeout(2)
    client.connect((address, port))
    started = time.monotonic()
    try:
        client.send(b"?")
    except PermissionError:
        pass  # the verdict on the packet; the refusal is what is received
    try:
        return client.recv(64).decode()
    except TimeoutError:
        return "silence"
    except OSError as error:
        if error.errno != errno.ECONNREFUSED:
            return errno.errorcode[error.errno]
    return "refused" if time.monotonic() - started < 0.3 else "late"


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), sys.argv[3:])
else:
    print(ask(sys.argv[2], int(sys.argv[3])))
