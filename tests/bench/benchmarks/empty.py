"""From empty volumes to CA, bundle, trust store and rules."""

import contextlib
import shutil
import time

import lab
from benchmarks import rivals
from row import Row

ROWS = [Row("setup on empty volumes: CA, bundle, trust store, rules", "ms", at_most=0.05)]
ROUNDS_MAX = 6


def by_setup():
    with lab.volumes() as ours, lab.in_namespace():
        return lab.milliseconds(["setup"], environment=ours.environment)


def make_ca(confdir):
    """mitmdump makes its CA when it starts. Tells when the last of its files was there."""
    command = [
        lab.MITMDUMP, "--mode", f"transparent@127.0.0.1:{lab.PROXY_PORT}",
        "--set", f"confdir={confdir}",
    ]  # fmt: skip
    with lab.running(command):
        return lab.wait_for((confdir / "mitmproxy-dhparam.pem").exists, "mitmdump's CA")


def by_hand():
    """With OpenSSL's trust store, not keytool's, which takes a Java to start."""
    with lab.volumes() as theirs, lab.in_namespace():
        etc, local, hooks = (theirs.directory / name for name in ("etc", "local", "hooks"))
        shutil.copytree("/etc/ssl/certs", etc, symlinks=True)
        local.mkdir()
        hooks.mkdir()
        started = time.perf_counter()
        took = make_ca(theirs.confdir) - started
        shutil.copy(theirs.confdir / "mitmproxy-ca-cert.pem", local / "mitmproxy.crt")
        update = "update-ca-certificates --localcertsdir {} --etccertsdir {} --hooksdir {}"
        store = "openssl pkcs12 -export -nokeys -passout pass:changeit -in {} -out {}"
        took += lab.seconds(
            update.format(local, etc, hooks).split(),
            store.format(etc / "ca-certificates.crt", theirs.directory / "store.p12").split(),
            *rivals.two_commands("iptables-legacy"),
        )
        return took * 1000


@contextlib.contextmanager
def contenders():
    yield {
        "setup": by_setup,
        "mitmdump's CA, update-ca-certificates, openssl pkcs12, iptables -A twice": by_hand,
    }
