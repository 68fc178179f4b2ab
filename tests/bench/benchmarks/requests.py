"""What a request, a connection and a byte through the proxy cost in processor time.

Ours, as healthd runs it, beside the same mitmproxy as it comes: its own start, its own CA, the same
options and shipped addons. Both run side by side; the destination decides to which a client comes.
"""

import contextlib
import os
import ssl
import subprocess

import lab
from benchmarks import tls
from row import Row

ROWS = [
    Row("processor time per request, HTTP/1.1 kept alive", "ms", at_most=1 / 2.2),
    Row("processor time per request, HTTP/2", "ms", at_most=1 / 1.6),
    Row("processor time per new TLS connection with a request", "ms", at_most=1 / 1.8),
    Row("processor time per GiB, download over HTTPS", "s", at_most=1, slack=0.1),
    Row("processor time per GiB, upload over HTTPS", "s", at_most=1, slack=0.1),
]
ROUNDS_MAX = 5
REQUESTS = 20 if lab.quick else 600
CONNECTIONS = 5 if lab.quick else 100
MIB = 16 if lab.quick else 128  # a multiple of the origin's 16


class Contender:
    def __init__(self, destination, roots, pids, upload):
        self.destination, self.roots, self.pids, self.upload = destination, roots, pids, upload
        self.url = f"https://{destination[1]}"
        self.context = ssl.create_default_context(cafile=roots)

    def curl(self, *arguments):
        address, name = self.destination
        command = ["curl", "-sS", "-o", "/dev/null", "--cacert", str(self.roots), "--max-time", "120"]
        command += ["--resolve", f"{name}:443:{address}", *arguments]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def cost(self, count, work):
        before = lab.processor_seconds(*self.pids)
        work()
        return (lab.processor_seconds(*self.pids) - before) / count

    def connections(self):
        for _ in range(CONNECTIONS):
            tls.connect(*self.destination, self.context, with_request=True)

    def __call__(self):
        requests = f"{self.url}/[1-{REQUESTS}]"
        large = f"{self.url}/large?[1-{MIB // 16}]"
        return (
            1000 * self.cost(REQUESTS, lambda: self.curl("--http1.1", requests)),
            1000 * self.cost(REQUESTS, lambda: self.curl("--http2", requests)),
            1000 * self.cost(CONNECTIONS, self.connections),
            1024 / MIB * self.cost(1, lambda: self.curl("--http1.1", large)),
            1024 / MIB * self.cost(1, lambda: self.curl("--http1.1", "-T", self.upload, self.url)),
        )


@contextlib.contextmanager
def contenders():
    with lab.in_namespace(os.environ["POD"]), lab.volumes() as ours, lab.volumes() as theirs:
        trust = f"{os.environ['STAGE']}/pki/trust"
        ours.environment[lab.PREFIX + "MITMPROXY_UPSTREAM_TRUST_DIR"] = trust
        ours.environment[lab.PREFIX + "MITMPROXY_SCRIPT"] = str(lab.ROOT / "mitmscripts/add_header.py")
        upload = ours.directory / "upload"
        with open(upload, "wb") as file:
            file.truncate(MIB << 20)
        with lab.ready_healthd(ours) as healthd:
            command = tls.same_command(healthd, theirs.confdir, tls.THEIR_PORT)
            with lab.running(tls.as_mitmproxy(command), log=theirs.directory / "log") as stock:
                lab.wait_for(lambda: lab.listens(tls.THEIR_PORT), "the other mitmdump listens")
                tls.send_to(tls.THEIR_PORT, tls.THEIRS[0])
                yield {
                    "healthd's worker": Contender(
                        tls.OURS, ours.export / "mitmproxy-ca-cert.pem",
                        lab.Processes(healthd).mitmproxy, upload,
                    ),
                    "mitmdump alone": Contender(
                        tls.THEIRS, theirs.confdir / "mitmproxy-ca-cert.pem", [stock.pid], upload
                    ),
                }  # fmt: skip
