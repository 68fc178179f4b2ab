"""What is measured and what must come out: a row of the table."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One of: at_most (times the best rival, plus slack in the row's unit), at_least
    (times the best rival), below (in the row's unit, whatever the rivals do)."""

    what: str
    unit: str
    at_most: float = None
    slack: float = 0
    at_least: float = None
    below: float = None

    def best(self, medians):
        return (max if self.at_least else min)(medians, key=medians.get)

    def required(self):
        if self.at_most:
            slack = f" + {self.slack:g} {self.unit}" if self.slack else ""
            return f"≤ {self.at_most:g}×{slack}"
        return f"≥ {self.at_least:g}×" if self.at_least else f"≤ {self.below:g} {self.unit}"

    def used(self, ours, rival):
        """How much of what is allowed is used: met up to 1."""
        if self.below:
            return ours / self.below
        if self.at_least:
            return self.at_least * rival / max(ours, 1e-9)
        return ours / max(self.at_most * rival + self.slack, 1e-9)


def spread(values):
    """Median, quartiles, extremes."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {
        "median": statistics.median(values),
        "quartiles": [low, high],
        "min": min(values),
        "max": max(values),
        "samples": len(values),
    }


def number(value):
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


class Result:
    """What came out for one row."""

    def __init__(self, name, row, values, also):
        self.name = name
        self.row = row
        self.values = values
        self.spreads = {who: spread(numbers) for who, numbers in values.items()}
        self.ours, *others = values
        self.also = [who for who in others if who in also]
        medians = {who: self.spreads[who]["median"] for who in others if who not in also}
        self.rival = row.best(medians) if medians else None
        self.our_median = self.spreads[self.ours]["median"]
        self.rival_median = medians[self.rival] if medians else None
        self.ratio = self.our_median / self.rival_median if self.rival_median else None
        self.used = row.used(self.our_median, self.rival_median)
        self.met = self.used <= 1

    def with_spread(self, who):
        of = self.spreads[who]
        low, high = of["quartiles"]
        return f"{number(of['median'])} {self.row.unit} ({number(low)} to {number(high)})"

    def ratio_text(self):
        return f"{self.ratio:.2f}×" if self.ratio is not None else "–"

    def line(self):
        verdict = "ok  " if self.met else "MISS"
        rival = f" beside {self.rival} {self.with_spread(self.rival)}" if self.rival else ""
        return (
            f"{verdict} {self.row.what}: {self.with_spread(self.ours)}{rival}: "
            f"{self.ratio_text()}, must be {self.row.required()}"
        )

    def as_dict(self):
        return {
            "benchmark": self.name,
            "what": self.row.what,
            "unit": self.row.unit,
            "required": self.row.required(),
            "ours": self.ours,
            "rival": self.rival,
            "also": self.also,
            "ratio": self.ratio,
            "allowance_used": self.used,
            "met": self.met,
            "contenders": {
                who: {**self.spreads[who], "values": self.values[who]} for who in self.values
            },
        }
