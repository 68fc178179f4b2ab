"""Send standard input as it stands to HOST PORT, print all that comes back.

Usage: raw_http.py HOST PORT [DRIP]. With DRIP, one byte every DRIP seconds.
The last line says how it ended: "closed after N ms" or "reset after N ms".
"""

import select
import socket
import sys
import time

host, port = sys.argv[1], int(sys.argv[2])
drip = float(sys.argv[3]) if len(sys.argv) > 3 else 0
data = sys.stdin.buffer.read()
started = time.monotonic()
ending, answer = "open", b""
with socket.create_connection((host, port), timeout=10) as connection:
    try:
        if drip:
            for byte in data:
                connection.sendall(bytes([byte]))
                if select.select([connection], [], [], drip)[0]:
                    break
        else:
            connection.sendall(data)
    except OSError:
        pass  # answered and closed meanwhile: the answer is what counts
    try:
        while piece := connection.recv(65536):
            answer += piece
        ending = "closed"
    except ConnectionResetError:
        ending = "reset"
    except TimeoutError:
        pass
sys.stdout.buffer.write(answer)
print("\n%s after %d ms" % (ending, (time.monotonic() - started) * 1000))
