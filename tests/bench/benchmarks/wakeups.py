"""How often it wakes up when nothing happens, by the kernel's count."""

import contextlib
import pathlib
import re
import time

import lab
from row import Row

ROWS = [
    Row("wake-ups of an idle healthd", "/s", below=2),
    Row("wake-ups of all processes, one worker", "/s", below=4),
]
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
        processes = lab.Processes(healthd)
        two = [healthd.pid, processes.runner]

        def idle():
            before = switches(two), switches(processes.mitmproxy)
            time.sleep(SECONDS)
            ours = (switches(two) - before[0]) / SECONDS
            return ours, ours + (switches(processes.mitmproxy) - before[1]) / SECONDS

        yield {"healthd": idle}
