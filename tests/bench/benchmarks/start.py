"""mitmdump itself: as it comes, and by quick_start.py."""

import contextlib

import lab
from benchmarks import stock
from row import Row

ROWS = [Row("start of mitmdump by quick_start.py", "ms", at_most=0.6)]


@contextlib.contextmanager
def contenders():
    with stock.with_ca() as start:
        yield {
            "quick_start.py": lambda: start(lab.by_quick_start()),
            stock.NAME: start,
        }
