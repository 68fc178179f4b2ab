"""On what it was measured."""

import os
import platform
import subprocess
import time


def version(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def describe():
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "rounds": int(os.environ["ROUNDS"]),
        "load_before": os.getloadavg()[0],
        "versions": {
            "setup": version("setup", "--version"),
            "mitmdump": "Mitmproxy: " + os.environ["MITMDUMP_VERSION"],
            "iptables": version("iptables-legacy", "--version"),
            "nginx": version("nginx", "-v"),
            "go": version("go", "version"),
            "openssl": version("openssl", "version"),
        },
    }
