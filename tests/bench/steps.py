"""Where the time goes from the start of a container until it is ready.

The bounds between the steps are lines of the log, with the time that they bear.
"""

import datetime
import statistics
import time

import lab

PREPARE = "entrypoint.sh, setup prepare: CA, bundle, trust store"
MITMDUMP = "a worker, from the fork until it listens and its addons have started"
REDIRECT = "meanwhile setup redirect, as soon as it listens: rules and proof"
LAST = "healthd, asked every millisecond, says 200"


def stamp(log, words):
    """When the line with these words came, in seconds since 1970."""
    line = next(line for line in log.splitlines() if words in line)
    return datetime.datetime.fromisoformat(line.split()[0]).timestamp()


def sample():
    """Milliseconds for each step."""
    with lab.volumes() as ours, lab.in_namespace():
        path = ours.directory / "log"
        begin = time.time()
        with lab.running(["entrypoint.sh"], ours.environment, path):
            lab.wait_for(lab.is_healthy, "ready")
            ready = time.time()
            log = path.read_text(encoding="utf-8")
    started = stamp(log, "started mitmdump")
    listens = stamp(log, "mitmdump listens on port")
    steps = {
        PREPARE: started - begin,
        MITMDUMP: listens - started,
        REDIRECT: stamp(log, "canary proved") - stamp(log, "setup: backend"),
        LAST: ready - listens,
        "together": ready - begin,
    }
    return {name: seconds * 1000 for name, seconds in steps.items()}


def parts_of_mitmdump():
    """Programs that do a part of what mitmdump does in its start, and no more."""
    version = [lab.MITMDUMP, "--version"]
    return {
        "of it imports and options (--version), by launch.py": [*lab.by_launcher(), *version],
        "the same without launch.py": version,
    }


def measure(rounds):
    """Medians in milliseconds, by step, in their order."""
    samples = [sample() for _ in range(rounds)]
    steps = {}
    for name in samples[0]:
        steps[name] = statistics.median(one[name] for one in samples)
        if name == MITMDUMP:
            for part, command in parts_of_mitmdump().items():
                taken = [lab.milliseconds(command) for _ in range(rounds)]
                steps[part] = statistics.median(taken)
    return steps
