"""Asks HOST PORT COUNT times with urllib and with http.client, which keeps a connection if it may.

Usage: probe_clients.py HOST PORT COUNT. Fails unless all answers are ok.
"""

import http.client
import sys
import urllib.request

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for _ in range(count):
    with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"ok\n")
connection = http.client.HTTPConnection(host, port, timeout=10)
for method, body in [("GET", b"ok\n"), ("HEAD", b"")] * count:
    connection.request(method, "/healthz")
    answer = connection.getresponse()
    assert (answer.status, answer.read(), answer.getheader("Content-Length")) == (200, body, "3")
print(3 * count, "answers")
