"""From empty volumes to /healthz 200."""

import contextlib
import time

import lab
from benchmarks import stock
from row import Row

ROWS = [Row("empty volumes to /healthz 200", "ms", at_most=0.55)]
ALSO = ["setup, then healthd"]


def one_container():
    with lab.volumes() as ours, lab.in_namespace():
        started = time.perf_counter()
        with lab.running(["entrypoint.sh"], ours.environment):
            return (lab.wait_for(lab.is_healthy, "ready") - started) * 1000


def pod():
    with lab.volumes() as ours, lab.in_namespace():
        started = time.perf_counter()
        with lab.ready_healthd(ours):
            return (time.perf_counter() - started) * 1000


@contextlib.contextmanager
def contenders():
    with stock.with_ca() as start:
        yield {"entrypoint.sh": one_container, stock.NAME: start, "setup, then healthd": pod}
