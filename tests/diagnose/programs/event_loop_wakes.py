"""Threads wait for what an event loop will do; the loop sleeps in select(), and waits for the threads."""

import asyncio
import threading

is_open = threading.Event()


async def fetch():
    await asyncio.sleep(1.5)
    return "page"


def read(loop):
    return asyncio.run_coroutine_threadsafe(fetch(), loop).result()


async def main():
    loop = asyncio.get_running_loop()
    loop.call_later(1.7, is_open.set)
    await asyncio.gather(asyncio.to_thread(read, loop), asyncio.to_thread(is_open.wait))


asyncio.run(main())
print("done")
