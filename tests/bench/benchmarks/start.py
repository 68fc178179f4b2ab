"""mitmdump itself: as it comes, and by quick_start.py."""

import contextlib

import lab
from benchmarks import stock
from row import Row

ROWS = [Row("start of mitmdump by quick_start.py", "ms", at_most=0.6)]


def interpreter():
    """The one in the first line of the mitmdump script."""
    with open(lab.MITMDUMP, "rb") as script:
        return script.readline()[2:].decode().strip()


@contextlib.contextmanager
def contenders():
    quick_start = str(lab.ROOT / "mitmscripts" / "quick_start.py")
    with stock.with_ca() as start:
        yield {
            "quick_start.py": lambda: start([interpreter(), quick_start]),
            stock.NAME: start,
        }
