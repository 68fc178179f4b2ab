"""New TLS connections through the proxy: our CA, and the one that mitmdump makes itself.

Two mitmdumps with the same command line but for confdir and port run side by
side; the destination decides which of them a connection comes to.
"""

import contextlib
import os
import pathlib
import re
import socket
import ssl
import threading
import time

import lab
from row import Row

ROWS = [Row("new TLS connections through the proxy", "/s", at_least=1.15)]
# With a request, most of a connection's price is that of the one to the origin.
ALSO = ["our CA, with a request", "mitmdump's own CA, with a request"]
THREADS = 4
SECONDS = 0.5 if lab.quick else 3
OURS, THEIRS = ("203.0.113.10", "shop.example.test"), ("203.0.113.11", "api.example.test")
THEIR_PORT = 18082


def connect(address, name, context, with_request):
    """One connection, and one request over it if that is wanted."""
    request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection((address, 443), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as connection:
            if not with_request:
                return
            connection.sendall(request)
            answer = connection.recv(64)
            while connection.recv(65536):
                pass
    if b" 200 " not in answer:
        raise RuntimeError(f"{name}: {answer!r}")


def rate(destination, roots, with_request=False):
    """Connections a second of some clients at once, each of which verifies what it is shown."""
    context = ssl.create_default_context(cafile=roots)
    counts, failures = [], []

    def client():
        count, ends = 0, time.perf_counter() + SECONDS
        try:
            while time.perf_counter() < ends:
                connect(*destination, context, with_request)
                count += 1
        except (OSError, RuntimeError) as failure:
            failures.append(failure)
        counts.append(count)

    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts) / (time.perf_counter() - started)


def same_command(healthd, confdir, port):
    """The command line of the mitmdump that healthd runs, as it comes: with its own start, another
    confdir and port, and without what makes it a worker."""
    (worker,) = lab.Processes(healthd).workers
    words = pathlib.Path(f"/proc/{worker}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    text = "\0".join(words[words.index(lab.MITMDUMP) :])
    text = text.replace("\0--set\0server=false", "").replace(f":{lab.PROXY_PORT}", f":{port}")
    text = re.sub(r"\0-s\0[^\0]*/worker\.py", "", text)
    return re.sub(r"\0confdir=[^\0]*", f"\0confdir={confdir}", text).split("\0")


def send_to(port, address):
    lab.seconds(
        f"iptables-legacy -t nat -I OUTPUT -p tcp -d {address} --dport 443 -m owner "
        f"! --uid-owner {lab.MITM_UID} -j REDIRECT --to-ports {port}".split()
    )


def as_mitmproxy(command):
    ids = ["--reuid", str(lab.MITM_UID), "--regid", str(lab.MITM_UID), "--clear-groups"]
    return ["setpriv", *ids, *command]


@contextlib.contextmanager
def contenders():
    with lab.in_namespace(os.environ["POD"]), lab.volumes() as ours, lab.volumes() as theirs:
        trust = f"{os.environ['STAGE']}/pki/trust"
        ours.environment[lab.PREFIX + "MITMPROXY_UPSTREAM_TRUST_DIR"] = trust
        with lab.ready_healthd(ours) as healthd:
            command = same_command(healthd, theirs.confdir, THEIR_PORT)
            with lab.running(as_mitmproxy(command), log=theirs.directory / "log"):
                lab.wait_for(lambda: lab.listens(THEIR_PORT), "the other mitmdump listens")
                send_to(THEIR_PORT, THEIRS[0])
                our_roots = ours.export / "mitmproxy-ca-cert.pem"
                their_roots = theirs.confdir / "mitmproxy-ca-cert.pem"
                yield {
                    "our CA (ECDSA P-256)": lambda: rate(OURS, our_roots),
                    "mitmdump's own CA (RSA-2048)": lambda: rate(THEIRS, their_roots),
                    ALSO[0]: lambda: rate(OURS, our_roots, with_request=True),
                    ALSO[1]: lambda: rate(THEIRS, their_roots, with_request=True),
                }
