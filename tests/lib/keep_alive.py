"""Hold COUNT TLS connections to NAME at ADDRESS at once. Usage: keep_alive.py ADDRESS NAME CA_FILE COUNT [MORE].

Each makes a request when it is open; when all are, MORE others come, which send nothing. 5 s later each
makes a second one. Prints "N of COUNT" connections on which both were answered with 200, and ends
with 0 if that is all of them.
"""

import resource
import socket
import ssl
import sys
import time

address, name, ca_file, count, more = *sys.argv[1:4], int(sys.argv[4]), int((sys.argv + ["0"])[5])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + more + 64,) * 2)
context = ssl.create_default_context(cafile=ca_file)


def get(connection):
    """The status of the answer to a request, read to its end."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in fields:
        while len(body) < int(fields[b"content-length"]):
            body += receive(connection)
    else:
        while not body.endswith(b"0\r\n\r\n"):
            body += receive(connection)
    return head.split()[1]


def receive(connection):
    data = connection.recv(65536)
    if not data:
        raise OSError("closed")
    return data


def attempt(connection, what):
    try:
        status = get(connection)
        if status != b"200":
            print(f"{what}: {status.decode()}")
        return status == b"200"
    except OSError as error:
        print(f"{what}: {error}")
        return False


held = []
for number in range(count):
    try:
        raw = socket.create_connection((address, 443), timeout=10)
        connection = context.wrap_socket(raw, server_hostname=name)
    except OSError as error:
        print(f"connection {number}: {error}")
        break
    if not attempt(connection, f"first request of {number}"):
        break
    held.append(connection)
print(f"{len(held)} are held", flush=True)
if more:
    silent = [socket.create_connection((address, 443), timeout=10) for _ in range(more)]
    time.sleep(5)
alive = sum(attempt(connection, f"second request of {number}") for number, connection in enumerate(held))
print(f"{alive} of {count}")
sys.exit(alive != count)
