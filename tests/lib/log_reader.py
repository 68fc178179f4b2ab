"""Are these lines whole, and valid JSON? Usage: log_reader.py < LOG

Prints "N lines, N of them mitmdump's" if each line is a JSON object in valid UTF-8 with a string
for time, level and message, else what is wrong and status 1.
"""

import json
import sys

lines = sys.stdin.buffer.read().split(b"\n")
faults = []
if lines.pop() != b"":
    faults.append("the last line has no end")
foreign = 0
for number, line in enumerate(lines, 1):
    try:
        record = json.loads(line.decode("utf-8", "strict"), object_pairs_hook=lambda pairs: pairs)
        keys = [key for key, _ in record]
        if len(set(keys)) != len(keys) or not all(isinstance(value, (str, int)) for _, value in record):
            faults.append("line %d: %r" % (number, line[:200]))
        foreign += any(value == "mitmdump" for _, value in record)
    except (ValueError, TypeError) as error:
        faults.append("line %d: %s: %r" % (number, error, line[:200]))
print("%d lines, %d of them mitmdump's" % (len(lines), foreign))
print("\n".join(faults[:20]))
sys.exit(bool(faults))
