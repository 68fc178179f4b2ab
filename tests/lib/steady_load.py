"""New connections at a steady rate, and what became of each.

Usage: steady_load.py ADDRESS PORT HOST RATE SECONDS
Prints a line for each: when it began (seconds since the epoch), how many milliseconds it took,
and "ok", or how it failed: "refused" or "reset" (while connecting, or later), or the error's name.
"""

import asyncio
import sys
import time


async def ask(address, port, host):
    began = time.time()
    outcome = "ok"
    try:
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), 15)
            if not answer.startswith(b"HTTP/1.1 200"):
                outcome = answer[:20].decode("latin-1").strip() or "closed"
        finally:
            writer.close()
    except ConnectionRefusedError:
        outcome = "refused"
    except ConnectionResetError:
        outcome = "reset"
    except (OSError, asyncio.TimeoutError) as error:
        outcome = type(error).__name__
    print(f"{began:.4f} {(time.time() - began) * 1000:.0f} {outcome.replace(' ', '_')}", flush=True)


async def main():
    address, port, host, rate, seconds = sys.argv[1:]
    tasks = []
    began = time.monotonic()
    for n in range(int(float(rate) * float(seconds))):
        await asyncio.sleep(max(0, began + n / float(rate) - time.monotonic()))
        tasks.append(asyncio.create_task(ask(address, int(port), host)))
    await asyncio.gather(*tasks)


asyncio.run(main())
