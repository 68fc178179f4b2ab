"""Two workers beside one: what a second processor is good for."""

import contextlib
import os
import re
import subprocess

import lab
from row import Row

ROWS = [
    Row("requests a second, two workers", "/s", at_least=1.5),
    Row("processor time per request, two workers", "ms", at_most=1.05),
]
ROUNDS_MAX = 5
SECONDS = 1 if lab.quick else 5
CLIENTS = 32


def load():
    """Requests that were answered, of clients that keep their connections."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "http://203.0.113.10/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        raise RuntimeError(text)
    return int(re.search(r"(\d+) requests in", text).group(1))


def with_workers(count):
    with lab.volumes() as ours:
        ours.environment[lab.PREFIX + "MITMPROXY_WORKERS"] = str(count)
        with lab.ready_healthd(ours) as healthd:
            pids = lab.Processes(healthd).mitmproxy
            load()  # warm
            before = lab.processor_seconds(*pids)
            requests = load()
            used = lab.processor_seconds(*pids) - before
    return requests / SECONDS, 1000 * used / requests


@contextlib.contextmanager
def contenders():
    with lab.in_namespace(os.environ["POD"]):
        yield {"two workers": lambda: with_workers(2), "one worker": lambda: with_workers(1)}
