"""Holds what play.py has written against the table of known differences.

Usage: judge.py RESULTS GROUP. Prints what is wrong of the group's rows; status 1 if anything is.
"""

import json
import sys

from differs import DIFFERS


def wrong(row):
    """What is wrong with a row, as lines."""
    name = "%s: %s" % (row["group"], row["row"])
    differ, known = row["differ"], DIFFERS.get(name)
    for way in ("direct", "through"):
        for side in row[way].values():
            if fault := side.get("fault") or side.get("faults"):
                yield "%s, %s: the row itself fails: %s" % (name, way, fault)
    if row["direct_header"]:
        yield "%s: the direct way went through the proxy" % name
    if row["through"]["server"]["requests"] and not row["through_header"] and not row["raw"]:
        yield "%s: the way through did not go through the proxy" % name
    if differ and not known:
        yield "%s: differs" % name
        for path, one, other in differ:
            yield "    %s: direct %s, through %s" % (path, brief(one), brief(other))
    if known and not differ:
        yield "%s: differs no longer: it has to leave DIFFERS" % name


def brief(value):
    text = json.dumps(value)
    return text if len(text) < 300 else text[:300] + "..."


def main(results, group):
    with open(results) as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if row["group"] == group]
    lines = [line for row in rows for line in wrong(row)]
    print("\n".join(lines))
    print("%d rows, %d of them known to differ" % (len(rows), sum(bool(row["differ"]) for row in rows)))
    return bool(lines) or not rows


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
