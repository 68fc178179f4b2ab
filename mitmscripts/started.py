"""Say when the start of mitmdump is over.

mitmdump listens before its addons have all been started, and ends for an error
that one of them logs meanwhile: it watches its log for as long as it starts.
What is written here when it no longer does is for healthd (healthd/runner/output.c),
which does not call a mitmdump ready before.
"""

import asyncio
import logging
import os
import sys

STARTED = b"opensandbox-egress: mitmdump has started"


def is_watching():
    return any(type(handler).__name__ == "ErrorCheckHandler" for handler in logging.root.handlers)


def write(line):
    """On a line of its own, whatever an addon has printed, and whereto others may print now."""
    sys.stdout.flush()
    os.write(1, b"\n" + line + b"\n")


async def say():
    while is_watching():
        await asyncio.sleep(0.001)
    write(STARTED)


class Started:
    def running(self):
        self.task = asyncio.get_running_loop().create_task(say())


addons = [Started()]
