"""Memory that nobody else uses: responder and runner, beside the smallest server in Go."""

import contextlib
import pathlib
import re

import lab
from benchmarks import load
from row import Row

ROWS = [Row("private dirty memory of responder and runner", "KB", below=500)]
ROUNDS_MAX = 3
GO_PORT = 18090
CLIENTS = 32


def private_dirty(*pids):
    """In KB, as the kernel tells it."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total += int(re.search(r"^Private_Dirty: +(\d+) kB$", text, re.MULTILINE).group(1))
    return total


def after_load(port, *pids):
    """A server that nobody has asked anything has not touched its buffers yet."""
    load.on(port, CLIENTS, "1s")
    return private_dirty(*pids)


def ours():
    with lab.volumes() as pod, lab.in_namespace(), lab.ready_healthd(pod) as healthd:
        return after_load(lab.HEALTH_PORT, healthd.pid, *lab.children(healthd.pid))


def theirs():
    with lab.in_namespace(), lab.running([str(lab.BUILD / "bench" / "health-go")]) as server:
        lab.wait_for(lambda: lab.http_status(GO_PORT) == 200, "the Go server answers")
        return after_load(GO_PORT, server.pid)


@contextlib.contextmanager
def contenders():
    yield {"healthd": ours, "Go net/http": theirs}
