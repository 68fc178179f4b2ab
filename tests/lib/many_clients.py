"""Open COUNT connections to HOST PORT and keep them. Usage: many_clients.py HOST PORT COUNT.

They send half a request. Prints "holding" when all are open; ends when standard input ends.
"""

import resource
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, count + 64))
held = []
for _ in range(count):
    held.append(socket.create_connection((host, port), timeout=5))
    try:
        held[-1].sendall(b"GET /healthz HTTP/1.1\r\n")
    except OSError:
        pass  # dropped already
print("holding", flush=True)
sys.stdin.read()
