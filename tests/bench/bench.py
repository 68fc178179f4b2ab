"""Run the benchmarks: ours and its rivals alternately, round after round.

A benchmark is a file in benchmarks/ with

    ROWS          what it measures, a row.Row each
    contenders()  a context manager; prepares, and gives a dictionary of
                  contenders: the first is ours, the others are rivals. Each is
                  called once a sample and returns a number for each row.
    ALSO          names of contenders that are shown only, and judge nothing
    SAMPLES       how many samples a round has (1)
    ROUNDS_MAX    rounds that are enough, for slow ones
"""

import gc
import importlib
import os
import pathlib
import sys

import lab
import machine
import report
import steps
from row import Result

ORDER = (
    "requests tls workers start ready restart private health memory size wakeups redirect minimum "
    "growth empty"
).split()
STEPS = "steps"  # a table of its own: steps.py


def measure(contenders, rounds, samples):
    """Every contender's samples, as name -> list of tuples."""
    names = list(contenders)
    values = {name: [] for name in names}
    for number in range(rounds):
        # Nobody is always the first.
        first = number % len(names)
        for _ in range(samples):
            for name in names[first:] + names[:first]:
                sample = contenders[name]()
                values[name].append(sample if isinstance(sample, tuple) else (sample,))
    return values


def run(name, rounds):
    """The results of one benchmark, one for each of its rows."""
    benchmark = importlib.import_module(f"benchmarks.{name}")
    samples = getattr(benchmark, "SAMPLES", 1)
    rounds = min(rounds, getattr(benchmark, "ROUNDS_MAX", rounds))
    with lab.in_namespace(), benchmark.contenders() as contenders:
        if not lab.quick:
            measure(contenders, 1, 1)  # warm up
        gc.collect()
        values = measure(contenders, rounds, 1 if lab.quick else samples)
    also = getattr(benchmark, "ALSO", ())
    return [
        Result(name, row, {who: [v[i] for v in all_] for who, all_ in values.items()}, also)
        for i, row in enumerate(benchmark.ROWS)
    ]


def main():
    known = [*ORDER, STEPS]
    names = os.environ["BENCH"].split() or known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no such benchmark: {' '.join(unknown)}; there are: {' '.join(known)}")
    rounds = int(os.environ["ROUNDS"])
    gc.disable()
    results = []
    about = machine.describe()
    found = {}
    for name in names:
        if name == STEPS:
            found = steps.measure(rounds)
            continue
        for result in run(name, rounds):
            results.append(result)
            print(result.line(), flush=True)
    about["load_after"] = os.getloadavg()[0]
    report.write(pathlib.Path(os.environ["OUT"]), results, found, about)


if __name__ == "__main__":
    main()
