"""mitmdump is killed: how long until /healthz is 200 again?"""

import contextlib
import os
import signal
import time

import lab
from benchmarks import stock
from row import Row

ROWS = [Row("mitmdump killed to 200 again", "ms", at_most=0.3)]


def kill_and_wait():
    # A healthd for each sample: after a second failure it waits on purpose.
    with lab.volumes() as ours, lab.in_namespace(), lab.ready_healthd(ours) as healthd:
        (worker,) = lab.Processes(healthd).workers
        os.kill(worker, signal.SIGKILL)
        killed = time.perf_counter()
        lab.wait_for(lambda: lab.Processes(healthd).workers not in ([worker], []), "another worker")
        return (lab.wait_for(lab.is_healthy, "ready again") - killed) * 1000


@contextlib.contextmanager
def contenders():
    with stock.with_ca() as start:
        yield {"healthd": kill_and_wait, stock.NAME: start}
