"""Beside a program that only installs the rules."""

import contextlib

import lab
from row import Row

ROWS = [Row("setup redirect beside the bare minimum", "ms", at_most=2)]
SAMPLES = 10


@contextlib.contextmanager
def contenders():
    minimum = [str(lab.BUILD / "bench" / "minimum"), str(lab.MITM_UID)]
    with lab.volumes() as ours:

        def fresh(command):
            with lab.in_namespace():
                return lab.milliseconds(command, environment=ours.environment)

        yield {
            "setup redirect": lambda: fresh(["setup", "redirect"]),
            "init, entries, commit": lambda: fresh(minimum),
        }
