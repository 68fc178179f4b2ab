"""Watch healthd and mitmdump's listeners from inside the pod, without a pause.

Usage: observer.py HEALTH_PORT PROXY_PORT FAMILIES INTERVAL   (FAMILIES: "4" or "46")

A line for each change, until SIGTERM: "MICROSECONDS WHAT", the time since the epoch, where WHAT
is "listener up", "listener down" or healthd's answer ("200 ok", "503 mitm not ready: ...",
"none: ..." where there was none). The listeners are looked at before each question, so an
answer is never older than the listener that it is about.
"""

import os
import signal
import socket
import sys
import time

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: observer\r\nConnection: close\r\n\r\n"
TABLES = {"4": ("/proc/self/net/tcp", "0100007F"), "6": ("/proc/self/net/tcp6", "0" * 24 + "01000000")}


def listens(family, port):
    """Listeners stand first in the table: the beginning of it is enough, whatever else is in it."""
    path, address = TABLES[family]
    table = os.open(path, os.O_RDONLY)
    try:
        text = os.read(table, 4096).decode()
    finally:
        os.close(table)
    return any(
        fields[1] == "%s:%04X" % (address, port) and fields[3] == "0A"
        for fields in map(str.split, text.splitlines()[1:])
        if len(fields) > 3
    )


def ask(port):
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(REQUEST)
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.decode().partition("\r\n\r\n")
        return "%s %s" % (head.split()[1], body.strip())
    except (OSError, IndexError) as error:
        return "none: %s" % error


health_port, proxy_port, families = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
interval = float(sys.argv[4])
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
seen = {}
while running:
    for what, look in (
        ("listener", lambda: "listener up" if all(listens(f, proxy_port) for f in families) else "listener down"),
        ("healthz", lambda: ask(health_port)),
    ):
        now = look()
        if seen.get(what) != now:
            seen[what] = now
            print(time.time_ns() // 1000, now, flush=True)
    time.sleep(interval)
