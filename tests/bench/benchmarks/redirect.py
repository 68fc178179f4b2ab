"""Install and prove the redirect in a fresh namespace."""

import contextlib

import lab
from benchmarks import rivals
from row import Row

ROWS = [Row("setup redirect: both families, guard, proof", "ms", at_most=0.5)]
SAMPLES = 5


@contextlib.contextmanager
def contenders():
    with lab.volumes() as ours:

        def fresh(*commands):
            with lab.in_namespace():
                return lab.milliseconds(*commands, environment=ours.environment)

        yield {
            "setup redirect": lambda: fresh(["setup", "redirect"]),
            "iptables-nft -A, twice": lambda: fresh(*rivals.two_commands("iptables-nft")),
            "iptables-legacy -A, twice": lambda: fresh(*rivals.two_commands("iptables-legacy")),
        }
