"""What 990 more rules of others cost."""

import contextlib
import subprocess

import lab
from benchmarks import rivals
from row import Row

ROWS = [Row("1,000 rules of others: growth of setup redirect", "ms", at_most=1)]
SAMPLES = 2
FEW, MANY = 10, 1000


def others(program, count):
    """Rules as a service mesh or kube-proxy has them, half in nat and half in filter."""
    network = "10.{}.{}.1/32" if program == "iptables" else "fd00:{}:{}::1/128"
    lines = []
    for table in "nat", "filter":
        lines += [f"*{table}", ":OTHERS - [0:0]", "-A OUTPUT -j OTHERS"]
        for i in range(count // 4 or 1):
            address = network.format(i // 250, i % 250)
            lines.append(f"-A OTHERS -d {address} -p tcp -m tcp --dport {1000 + i} -j RETURN")
        lines.append("COMMIT")
    subprocess.run(
        [f"{program}-legacy-restore"], input="\n".join(lines) + "\n", text=True, check=True
    )


@contextlib.contextmanager
def contenders():
    with lab.volumes() as ours:
        script = rivals.Script(ours)

        def time_among(count, commands):
            with lab.in_namespace():
                others("iptables", count)
                others("ip6tables", count)
                return lab.milliseconds(*commands, environment=ours.environment)

        def growth(*commands):
            return time_among(MANY, commands) - time_among(FEW, commands)

        yield {
            "setup redirect": lambda: growth(["setup", "redirect"]),
            "iptables-legacy-restore --noflush": lambda: growth(*script.commands),
        }
