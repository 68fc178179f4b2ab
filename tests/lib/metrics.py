"""Read the text that /metrics answers, strictly, as the Prometheus text format 0.0.4 is described.

Usage: metrics.py < TEXT. Prints one line per sample, "NAME{label="value",...} VALUE", without the
prefix of the project, and one "# TYPE NAME KIND" per family; status 1 with the faults if there are
any: HELP and TYPE once per family and before it, a family in one piece, no sample twice, names,
labels and escapes as they must be, values that are numbers, counters that are not negative and
whose names end in _total, a line feed at the end of every line.
"""

import math
import re
import sys

PREFIX = "opensandbox_egress_"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
KINDS = ("counter", "gauge", "histogram", "summary", "untyped")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')

faults = []


def fault(line, text):
    faults.append("line %d: %s" % (line, text))


def labels_of(text, number):
    """A sorted tuple of pairs."""
    labels, at = [], 0
    while at < len(text):
        found = LABEL.match(text, at)
        if not found:
            fault(number, "labels: %r" % text)
            break
        labels.append((found.group(1), found.group(2)))
        at = found.end()
        if found.group(3) == "," and at == len(text):
            fault(number, "comma at the end of labels")
    names = [name for name, _ in labels]
    if len(set(names)) != len(names):
        fault(number, "a label twice: %r" % text)
    if any(name.startswith("__") for name in names):
        fault(number, "a reserved label: %r" % text)
    return tuple(sorted(labels))


class Reader:
    def __init__(self):
        self.helps, self.kinds, self.samples = {}, {}, {}
        self.closed, self.current = set(), None

    def enter(self, name, number):
        if name != self.current:
            if self.current:
                self.closed.add(self.current)
            if name in self.closed:
                fault(number, "%s is not in one piece" % name)
            self.current = name

    def comment(self, line, number):
        found = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        if not found:
            fault(number, "neither HELP nor TYPE: %r" % line)
            return
        word, name, rest = found.groups()
        self.enter(name, number)
        table = self.helps if word == "HELP" else self.kinds
        if name in table:
            fault(number, "%s twice for %s" % (word, name))
        if word == "TYPE" and rest not in KINDS:
            fault(number, "no such type: %r" % rest)
        if word == "HELP" and re.search(r"\\(?![\\n])", rest):
            fault(number, "escape in HELP: %r" % rest)
        if any(key[0] == name for key in self.samples):
            fault(number, "%s after a sample of %s" % (word, name))
        table[name] = rest

    def sample(self, line, number):
        found = SAMPLE.fullmatch(line)
        if not found:
            fault(number, "no sample: %r" % line)
            return
        name, labels, text = found.groups()
        self.enter(name, number)
        if not name.startswith(PREFIX):
            fault(number, "not ours: %s" % name)
        key = (name, labels_of(labels or "", number))
        if key in self.samples:
            fault(number, "twice: %r" % line)
        try:
            value = float(text)
        except ValueError:
            fault(number, "no number: %r" % text)
            return
        if self.kinds.get(name) == "counter" and not (value >= 0 and math.isfinite(value)):
            fault(number, "a counter that is %r" % text)
        self.samples[key] = text

    def end(self):
        for name in sorted({name for name, _ in self.samples} | set(self.helps) | set(self.kinds)):
            if name not in self.helps or name not in self.kinds:
                faults.append("%s without HELP or TYPE" % name)
            if (self.kinds.get(name) == "counter") != name.endswith("_total"):
                faults.append("%s is a %s" % (name, self.kinds.get(name)))


def main():
    text = sys.stdin.buffer.read().decode("utf-8", "strict")
    if not text.endswith("\n"):
        faults.append("no line feed at the end")
    if "\r" in text or "\0" in text:
        faults.append("control characters")
    reader = Reader()
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("#"):
            reader.comment(line, number)
        elif line:
            reader.sample(line, number)
    reader.end()
    for name, kind in reader.kinds.items():
        print("# TYPE", name.removeprefix(PREFIX), kind)
    for (name, labels), value in reader.samples.items():
        inside = ",".join('%s="%s"' % label for label in labels)
        print(name.removeprefix(PREFIX) + ("{%s}" % inside if inside else ""), value)
    for text in faults:
        print("FAULT", text)
    return bool(faults)


sys.exit(main())
