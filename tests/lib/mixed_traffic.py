"""Traffic that ends in every way that TCP has.

Usage: mixed_traffic.py serve ADDRESS PORT      a server that resets each connection once it has
                                                been asked something
       mixed_traffic.py ask ROUNDS ADDRESS PORT ask the origin at ADDRESS, and that server

A round is one connection, of one of the kinds below. Prints "round N" after each, and at the end
"answered N of N".
"""

import socket
import ssl
import struct
import sys
import time

RESET = struct.pack("ii", 1, 0)
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example.test\r\n\r\n"
LAST_REQUEST = REQUEST[:-2] + b"Connection: close\r\n\r\n"


def serve(address, port):
    server = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    while True:
        client = server.accept()[0]
        client.recv(4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()


def tls(sock):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname="shop.example.test")


def ask(sock, request):
    sock.sendall(request)
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
        if request == REQUEST and b"X-OpenSandbox-Egress: " in answer:
            break
    return b" 200 OK\r\n" in answer


def keep_alive(connect):
    with connect(80) as sock:
        return ask(sock, REQUEST) and ask(sock, REQUEST) and ask(sock, LAST_REQUEST)


def keep_alive_tls(connect):
    with tls(connect(443)) as sock:
        return ask(sock, REQUEST) and ask(sock, LAST_REQUEST)


def half_closed(connect):
    with connect(80) as sock:
        sock.sendall(LAST_REQUEST)
        sock.shutdown(socket.SHUT_WR)
        return b" 200 OK\r\n" in sock.recv(65536)


def reset_by_client(connect):
    with connect(443) as plain, tls(plain) as sock:
        sock.sendall(REQUEST)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return True


def reset_at_once(connect):
    with connect(80) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return True


def reset_by_server(connect):
    with connect(resetting_port) as sock:
        return not ask(sock, LAST_REQUEST)


def left_open(connect):
    left.append(connect(443))
    del left[:-5]
    return True


KINDS = (keep_alive, keep_alive_tls, half_closed, reset_by_client, reset_at_once, reset_by_server, left_open)

if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
rounds, address, resetting_port = int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
left, answered = [], 0
for number in range(rounds):
    try:
        answered += KINDS[number % len(KINDS)](lambda port: socket.create_connection((address, port), timeout=5))
    except OSError:
        # The proxy is down: it takes a while until it is back.
        time.sleep(0.3)
    time.sleep(0.02)
    print("round", number + 1, flush=True)
print("answered %d of %d" % (answered, rounds))
