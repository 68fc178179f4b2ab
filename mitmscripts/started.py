"""Say when the start of mitmdump is over.

mitmdump listens before its addons have all been started, and ends for an error
that one of them logs meanwhile: it watches its log for as long as it starts.
What is printed here when it no longer does is for healthd, which does not call
a mitmdump ready before.
"""

import asyncio
import logging

LINE = "opensandbox-egress: mitmdump has started"


def is_watching():
    return any(type(handler).__name__ == "ErrorCheckHandler" for handler in logging.root.handlers)


async def say():
    if not is_watching():
        await asyncio.sleep(0.1)  # mitmproxy before version 9 looks once, in a moment
    while is_watching():
        await asyncio.sleep(0.001)
    print(LINE, flush=True)


class Started:
    def running(self):
        self.task = asyncio.get_running_loop().create_task(say())


addons = [Started()]
