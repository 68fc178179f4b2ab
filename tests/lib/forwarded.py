"""What somebody behind the pod gets for an ordinary connection, and an ordinary datagram.

Usage: forwarded.py ADDRESS PORT...   a line for each port: "tcp PORT: WORD" and "udp PORT: WORD", where
WORD is "connected" or "answered", "refused", or "silence"
"""

import socket
import sys


def tried(kind, address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    sock.settimeout(1)
    try:
        sock.connect((address, port))
        if kind == socket.SOCK_STREAM:
            return "connected"
        sock.send(b"?")
        sock.recv(64)
        return "answered"
    except TimeoutError:
        return "silence"
    except OSError:
        return "refused"


for port in map(int, sys.argv[2:]):
    print("tcp %d: %s" % (port, tried(socket.SOCK_STREAM, sys.argv[1], port)))
    print("udp %d: %s" % (port, tried(socket.SOCK_DGRAM, sys.argv[1], port)))
