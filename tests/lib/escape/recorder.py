"""Addon: writes down what it sees, and marks what it has seen.

Each request gets the header X-Seen in the hook `request`, in place of any that a client made
up: what comes to an origin without it has gone past that hook. Lines go to seen.jsonl in the
directory home beside that of this file.
"""

import hashlib
import itertools
import json
import os

LOG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "home", "seen.jsonl")
numbers = itertools.count(1)


def fields(flow, hook):
    request = flow.request
    body = request.raw_content
    return {
        "id": flow.metadata["seen"],
        "hook": hook,
        "method": request.data.method.decode("latin-1"),
        "authority": request.data.authority.decode("latin-1"),
        "scheme": request.data.scheme.decode("latin-1"),
        "path": request.data.path.decode("latin-1"),
        "version": request.data.http_version.decode("latin-1"),
        "headers": [[part.decode("latin-1") for part in field] for field in request.headers.fields],
        "streamed": bool(request.stream),
        "length": None if body is None else len(body),
        "sha256": None if body is None else hashlib.sha256(body).hexdigest(),
        "read": None if body is None else hashlib.sha256(request.get_content(strict=False)).hexdigest(),
    }


def note(line):
    with open(LOG, "a") as file:
        file.write(json.dumps(line) + "\n")


def requestheaders(flow):
    flow.metadata["seen"] = f"{os.getpid()}-{next(numbers)}"
    note(fields(flow, "requestheaders"))
    # Nobody else's, whatever becomes of the flow.
    flow.request.headers.pop("x-seen", None)


def request(flow):
    note(fields(flow, "request"))
    flow.request.headers["X-Seen"] = flow.metadata["seen"]
