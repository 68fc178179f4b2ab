"""Many clients at once, by wrk(1)."""

import re
import subprocess
import sys

UNITS = {"us": 0.001, "ms": 1, "s": 1000}


def on(port, clients, duration):
    """A new connection for each request: requests a second, and the 99th percentile in ms."""
    text = subprocess.run(
        ["wrk", "-t2", f"-c{clients}", f"-d{duration}", "--latency", "-H", "Connection: close",
         f"http://127.0.0.1:{port}/healthz"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    failed = re.search(r"Socket errors:.*|Non-2xx.*", text)
    if failed:
        print(f"port {port}: {failed.group()}", file=sys.stderr)
    late, unit = re.search(r"^ +99% +([0-9.]+)([a-z]+)$", text, re.MULTILINE).groups()
    rate = re.search(r"^Requests/sec: +([0-9.]+)$", text, re.MULTILINE).group(1)
    return float(rate), float(late) * UNITS[unit]
