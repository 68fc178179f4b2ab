"""What people run instead."""

import subprocess

import lab

# The two rules by which a proxy's own traffic passes and the rest is redirected.
TWO_RULES = (
    f"-m owner --uid-owner {lab.MITM_UID} -j RETURN",
    f"-p tcp -m multiport --dports 80,443 -j REDIRECT --to-ports {lab.PROXY_PORT}",
)


def two_commands(program):
    return [[program, "-t", "nat", "-A", "OUTPUT", *rule.split()] for rule in TWO_RULES]


class Script:
    """Our rules as a script for iptables-legacy-restore, and one for ip6tables-legacy-restore."""

    def __init__(self, of):
        text = subprocess.run(
            ["setup", "redirect", "--dry-run"],
            env=of.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        text = text.partition("# nft -f - ")[0]  # the gate is another program's
        at = text.index("# ip6tables-legacy-restore")
        self.commands = []
        for program, part in ("iptables", text[:at]), ("ip6tables", text[at:]):
            path = of.directory / f"{program}.rules"
            path.write_text(part)
            self.commands.append([f"{program}-legacy-restore", "--noflush", str(path)])
