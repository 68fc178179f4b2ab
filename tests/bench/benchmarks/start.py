"""mitmdump itself: as it comes, and by launch.py."""

import contextlib

import lab
from benchmarks import stock
from row import Row

ROWS = [Row("start of mitmdump by launch.py", "ms", at_most=0.6)]


@contextlib.contextmanager
def contenders():
    with stock.with_ca() as start:
        yield {
            "launch.py": lambda: start(lab.by_launcher()),
            stock.NAME: start,
        }
