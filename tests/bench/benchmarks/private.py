"""Memory of mitmproxy's processes that nobody else uses, after a start."""

import contextlib

import lab
from benchmarks import memory, stock
from row import Row

ROWS = [
    Row("private memory: launcher and one worker", "MB", at_most=1.15),
]
ALSO = ["each further worker"]
ROUNDS_MAX = 3


def private(*pids):
    return memory.private_dirty(*pids) / 1024


def ours(count):
    with lab.volumes() as pod, lab.in_namespace():
        pod.environment[lab.PREFIX + "MITMPROXY_WORKERS"] = str(count)
        with lab.ready_healthd(pod) as healthd:
            return private(*lab.Processes(healthd).mitmproxy)


def theirs():
    with lab.volumes() as pod, lab.in_namespace():
        with lab.running(stock.command(pod.confdir)) as mitmdump:
            lab.wait_for(lambda: lab.listens(lab.PROXY_PORT), "mitmdump listens")
            return private(mitmdump.pid)


@contextlib.contextmanager
def contenders():
    yield {
        "healthd": lambda: ours(1),
        "mitmdump alone": theirs,
        ALSO[0]: lambda: (ours(3) - ours(1)) / 2,
    }
