"""An application without privileges that wants a connection past the proxy.

Usage: escape.py WAY OWN ORIGIN PORT SOURCE_PORT

The last connection of each way asks ORIGIN (an address) at PORT over TLS, from SOURCE_PORT of the
pod's address OWN unless the way has another. Prints what became of it: "intercepted" (the request
arrived with the header that the proxy's addon adds), "refused" with the reason, or "ESCAPED".
"""

import signal
import socket
import ssl
import struct
import sys
import time

way, own, origin, port, source_port = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
FAMILY = socket.AF_INET6 if ":" in origin else socket.AF_INET
IPPROTO_MPTCP = 262
IP_MINTTL, IPV6_MINHOPCOUNT, TCP_FASTOPEN_NO_COOKIE = 21, 73, 34
IP_FREEBIND, IPV6_FREEBIND, IP_UNICAST_IF, IPV6_UNICAST_IF = 15, 78, 50, 76
REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example.test\r\nConnection: close\r\n\r\n"
SHORT, LONG, PATIENCE, FORGOTTEN = 0.3, 2, 10, 6
kept = []


def new(device=None, family=FAMILY, protocol=0, anywhere=False):
    sock = socket.socket(family, socket.SOCK_STREAM, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.settimeout(LONG)
    address = own if family == FAMILY else "::ffff:" + own
    sock.bind(("" if anywhere else address, source_port))
    if device is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return sock


def connect(sock, address=origin):
    sock.connect((address, port))
    return sock


def knock(sock, address=origin):
    """Begins a connection, and does not wait for long."""
    sock.settimeout(SHORT)
    try:
        connect(sock, address)
    except OSError:
        pass
    return sock


def judge(sock):
    if sock.gettimeout() is not None:  # else the request is under way
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock.settimeout(PATIENCE)
        sock = context.wrap_socket(sock, server_hostname="shop.example.test")
        sock.sendall(REQUEST)
    answer = b""
    while piece := sock.recv(65536):
        answer += piece
    return "intercepted" if b"\nX-OpenSandbox-Egress: 1\n" in answer else "ESCAPED"


def plain():
    return connect(new())


def after_loopback():
    """The first connection leaves by lo, as if it stayed inside the pod, and is given up."""
    knock(new("lo")).close()
    return plain()


def beside_loopback():
    """The same, and the first socket is kept."""
    kept.append(knock(new("lo")))
    return plain()


def after_listening():
    """From a port at which the application listens as well."""
    listener = new()
    listener.listen()
    kept.append(listener)
    return after_loopback()


def by_loopback():
    return connect(new("lo"))


def by_loopback_from_anywhere():
    return connect(new("lo", anywhere=True))


def by_device():
    return connect(new("eth0"))


def to_loopback_by_device():
    """An address of the pod's own, which a socket bound to a device takes out of it."""
    return connect(new("eth0"), "127.0.0.1" if FAMILY == socket.AF_INET else "::1")


def to_own_by_other_device():
    """ORIGIN is the pod's address at eth0, and the socket is bound to eth1."""
    sock = new("eth1", anywhere=True)
    scope = () if FAMILY == socket.AF_INET else (0, socket.if_nametoindex("eth1"))
    sock.connect((origin, port, *scope))
    return sock


def fast_open():
    """The request goes with the SYN: plain HTTP."""
    sock = new()
    sock.settimeout(None)
    sock.sendto(REQUEST, socket.MSG_FASTOPEN, (origin, 80))
    return sock


def fast_open_after_loopback():
    first = new("lo")
    first.settimeout(SHORT)
    try:
        first.sendto(REQUEST, socket.MSG_FASTOPEN, (origin, 80))
    except OSError:
        pass
    first.close()
    return fast_open()


def fast_open_by_device():
    """nat gives the SYN the proxy's address, and the device takes it out of the pod all the same."""
    sock = new("eth0")
    sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)
    sock.sendto(REQUEST, socket.MSG_FASTOPEN, (origin, 80))
    sock.recv(1)
    return sock


def forgotten():
    """The proxy closes; its reset is not heard. What is sent again has no owner when connection
    tracking has forgotten the connection, and begins none, because a FIN goes with it."""
    sock = plain()
    sock.sendall(b"\x01\n")
    while sock.recv(65536):
        pass
    if FAMILY == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, 255)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(REQUEST)
    sock.close()
    time.sleep(FORGOTTEN)
    raise OSError("nobody answers")


def multipath():
    return connect(new(protocol=IPPROTO_MPTCP))


def multipath_after_loopback():
    knock(new("lo", protocol=IPPROTO_MPTCP)).close()
    return multipath()


def mapped():
    return connect(new(family=socket.AF_INET6), "::ffff:" + origin)


def mapped_after_loopback():
    knock(new("lo", family=socket.AF_INET6), "::ffff:" + origin).close()
    return mapped()


def half_way():
    """Of the proxy's user: a connection that is given up before it stands."""
    knock(new()).close()
    raise TimeoutError("given up")


def meet():
    """Two that connect to each other at once: run it at both ends, the addresses exchanged."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        with new() as sock:
            sock.settimeout(0.02)
            try:
                connect(sock).settimeout(LONG)
                sock.sendall(b"we have met\n")
                if sock.recv(64) == b"we have met\n":
                    print("ESCAPED")
                    sys.exit()
            except OSError:
                pass
    raise TimeoutError("nobody met")


def after_free_bind():
    """A connection to the pod that claims to come from ORIGIN: its answers would go there."""
    false = socket.socket(FAMILY, socket.SOCK_STREAM)
    if FAMILY == socket.AF_INET:
        false.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    else:
        false.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    false.bind((origin, port))
    false.settimeout(SHORT)
    try:
        false.connect((own, source_port))
    except OSError:
        pass
    kept.append(false)
    return plain()


def as_the_origin():
    """Plays the origin's part as well, at a redirected port, to a socket of its own that listens."""
    listener = new()
    listener.listen()
    listener.settimeout(SHORT)
    false = socket.socket(FAMILY, socket.SOCK_STREAM)
    if FAMILY == socket.AF_INET:
        false.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    else:
        false.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    false.bind((origin, 9443))
    false.settimeout(SHORT)
    try:
        false.connect((own, source_port))
    except OSError:
        pass
    return listener.accept()[0]


def by_unicast_interface():
    sock = new()
    interface = struct.pack("!I", socket.if_nametoindex("lo"))
    if FAMILY == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, interface)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_UNICAST_IF, interface)
    return connect(sock)


def source_routed(hop):
    """The packets' destination is the hop; ORIGIN stands in an option."""
    sock = new()
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x83\x07\x04" + socket.inet_aton(hop) + b"\0")
    return connect(sock)


def by_own_address():
    return source_routed(own)


def by_gateway():
    return source_routed("10.77.0.1")


def give_up(*_):
    raise TimeoutError("no answer")


signal.signal(signal.SIGALRM, give_up)
signal.alarm(PATIENCE)
try:
    print(judge(globals()[way]()))
except OSError as error:
    print("refused:", error)
