"""mitmdump as it comes, with a CA that it has made before."""

import contextlib
import time

import lab

NAME = "mitmdump alone, until it listens"


def command(confdir):
    return [
        lab.MITMDUMP, "--mode", f"transparent@127.0.0.1:{lab.PROXY_PORT}",
        "--set", f"confdir={confdir}",
    ]  # fmt: skip


def start(confdir, by=()):
    """Start it, by another program perhaps, and tell after how many milliseconds it listened."""
    with lab.in_namespace():
        started = time.perf_counter()
        with lab.running([*by, *command(confdir)]):
            listening = lab.wait_for(lambda: lab.listens(lab.PROXY_PORT), "mitmdump listens")
        return (listening - started) * 1000


@contextlib.contextmanager
def with_ca():
    """Gives a function that starts it once, by another program if one is given."""
    with lab.volumes() as theirs:
        start(theirs.confdir)
        yield lambda by=(): start(theirs.confdir, by)
