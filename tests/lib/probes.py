"""Probe as kubelet does, and say how it went.

Usage: probes.py HOST PORT [--count N] [--interval S] [--metrics-every N] [--expect CODE]

A connection each: GET /healthz, one second for all of it from connect to the end of the
answer. Without --count it goes on until standard input ends. With --metrics-every, each
Nth request is GET /metrics. Prints "begin", then every failure (the first 20), at the
end one line: "N probes, N failed, median N us, slowest N ms". Status 1 if one failed.
"""

import argparse
import select
import socket
import sys
import time

LIMIT = 1.0  # kubelet's timeoutSeconds


def request(host, port, path):
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe/1.31\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode()


def probe(host, port, message):
    """The whole answer; an exception if it is not there, and over, in time."""
    deadline = time.monotonic() + LIMIT
    with socket.create_connection((host, port), timeout=LIMIT) as connection:
        connection.sendall(message)
        answer = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("not over in time, got %r" % answer[:100])
            connection.settimeout(left)
            piece = connection.recv(65536)
            if not piece:
                return answer
            answer += piece


def fault_of(answer, expected):
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 %d " % expected):
        return "answered %r" % answer[:300]
    lengths = [line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    if lengths != [b" %d" % len(body)]:
        return "body has %d bytes, Content-Length %r" % (len(body), lengths)
    return None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("host")
    options.add_argument("port", type=int)
    options.add_argument("--count", type=int, default=0)
    options.add_argument("--interval", type=float, default=0)
    options.add_argument("--metrics-every", type=int, default=0)
    options.add_argument("--expect", type=int, default=200)
    given = options.parse_args()
    healthz = request(given.host, given.port, "/healthz")
    metrics = request(given.host, given.port, "/metrics")
    print("begin", flush=True)
    took, failed = [], 0
    begun = time.monotonic()
    while not given.count or len(took) < given.count:
        if not given.count and select.select([sys.stdin], [], [], given.interval)[0]:
            break
        if given.count and given.interval:
            time.sleep(given.interval)
        scrape = given.metrics_every and len(took) % given.metrics_every == given.metrics_every - 1
        started = time.monotonic()
        try:
            answer = probe(given.host, given.port, metrics if scrape else healthz)
            fault = fault_of(answer, 200 if scrape else given.expect)
        except OSError as error:
            fault = repr(error)
        took.append(time.monotonic() - started)
        if fault:
            failed += 1
            if failed <= 20:
                print("after %.2f s, took %.0f ms: %s" % (started - begun, took[-1] * 1000, fault), flush=True)
    took.sort()
    print(
        "%d probes, %d failed, median %.0f us, slowest %.0f ms"
        % (len(took), failed, took[len(took) // 2] * 1e6, took[-1] * 1000)
    )
    return failed > 0


sys.exit(main())
