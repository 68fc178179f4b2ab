"""How often an idle healthd wakes up: both processes, by the kernel's count."""

import contextlib
import pathlib
import re
import time

import lab
from row import Row

ROWS = [Row("wake-ups of an idle healthd", "/s", below=1)]
ROUNDS_MAX = 2
SECONDS = 2 if lab.quick else 30


def switches(pids):
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", text, re.MULTILINE).group(1))
    return total


@contextlib.contextmanager
def contenders():
    with lab.volumes() as ours, lab.ready_healthd(ours) as healthd:
        pids = [healthd.pid, *lab.children(healthd.pid)]

        def idle():
            before = switches(pids)
            time.sleep(SECONDS)
            return (switches(pids) - before) / SECONDS

        yield {"healthd": idle}
