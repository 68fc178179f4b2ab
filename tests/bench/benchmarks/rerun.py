"""Everything is there already."""

import contextlib

import lab
from benchmarks import rivals
from row import Row

ROWS = [Row("setup again, nothing to change", "ms", at_most=0.7)]
SAMPLES = 10
ALSO = ["setup redirect", "iptables-legacy-restore (IPv4 alone)"]


@contextlib.contextmanager
def contenders():
    with lab.volumes() as ours:
        lab.seconds(["setup"], environment=ours.environment)
        script = rivals.Script(ours)

        def again(*commands):
            return lab.milliseconds(*commands, environment=ours.environment)

        yield {
            "setup": lambda: again(["setup"]),
            "iptables-legacy-restore and ip6tables-": lambda: again(*script.commands),
            "setup redirect": lambda: again(["setup", "redirect"]),
            "iptables-legacy-restore (IPv4 alone)": lambda: again(script.commands[0]),
        }
