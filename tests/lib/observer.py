"""Ask healthd without a pause, from inside the pod.

Usage: observer.py HEALTH_PORT INTERVAL

A line for each change, until SIGTERM: "MICROSECONDS ANSWER", the time since the epoch, and healthd's
answer ("200 ok", "503 mitm not ready: ...", "none: ..." where there was none).
"""

import signal
import socket
import sys
import time

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: observer\r\nConnection: close\r\n\r\n"


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


health_port, interval = int(sys.argv[1]), float(sys.argv[2])
running = True


def stop(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, stop)
seen = None
while running:
    now = ask(health_port)
    if seen != now:
        seen = now
        print(time.time_ns() // 1000, now, flush=True)
    time.sleep(interval)
