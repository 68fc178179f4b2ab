"""A client without a pause: does anything get out that should not?

Usage: probe.py PAUSE PORT ADDRESS...

New connections, and UDP to port 443, to each address in turn, with PAUSE seconds after each
turn, until SIGTERM; then one line: "connected N refused N other N answered N". Meant for a pod in which nobody listens on the
proxy port: what is covered is refused at once, and who is connected has reached the origin.
(`answered`: UDP that was.)
"""

import collections
import errno
import signal
import socket
import sys
import time

counts = collections.Counter()
running = True


def stop(*_):
    global running
    running = False


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connect(address, port):
    client = socket.socket(family(address), socket.SOCK_STREAM)
    client.settimeout(1)
    try:
        client.connect((address, port))
        counts["connected"] += 1
    except ConnectionRefusedError:
        counts["refused"] += 1
    except OSError as error:
        counts["other"] += 1
        print(address, errno.errorcode.get(error.errno, error), flush=True)
    client.close()


def send(address):
    client = socket.socket(family(address), socket.SOCK_DGRAM)
    client.settimeout(0.02)
    client.connect((address, 443))
    try:
        client.send(b"?")
        client.recv(64)
        counts["answered"] += 1
    except OSError:
        pass
    client.close()


pause, port, targets = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
signal.signal(signal.SIGTERM, stop)
print("begin", flush=True)
while running:
    for target in targets:
        connect(target, port)
        connect(target, port)
        send(target)
    time.sleep(pause)
print(*("%s %d" % (name, counts[name]) for name in ("connected", "refused", "other", "answered")))
