"""How large healthd is without symbols."""

import contextlib
import subprocess
import tempfile

import lab
from row import Row

ROWS = [Row("size of healthd, stripped", "KB", below=100)]
ROUNDS_MAX = 1


def stripped(path):
    with tempfile.NamedTemporaryFile(dir=lab.VOLUMES) as copy:
        subprocess.run(["strip", "-o", copy.name, path], check=True)
        return copy.seek(0, 2) / 1000


@contextlib.contextmanager
def contenders():
    yield {
        "healthd": lambda: stripped(lab.BUILD / "healthd"),
        "Go net/http": lambda: stripped(lab.BUILD / "bench" / "health-go"),
    }
