"""All rows, with a number each: an address of the origin is made of it."""

import importlib

GROUPS = ("http", "bodies", "http1", "http2", "websocket", "grpc", "ends", "origin", "other")
ROWS = [row for group in GROUPS for row in importlib.import_module("rows_" + group).TABLE.rows]
for number, row in enumerate(ROWS):
    row.number = number + 1
assert len({(row.group, row.name) for row in ROWS}) == len(ROWS), [row.name for row in ROWS]
