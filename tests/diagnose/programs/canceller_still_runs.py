"""The only worker of a pool waits for a call that is queued behind it; somebody who still runs cancels that
call.
"""

import concurrent.futures
import threading
import time

pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="builder")
is_queued = threading.Event()
parts = []


def build():
    parts.append(pool.submit(len, "part"))
    is_queued.set()
    try:
        return parts[0].result()
    except concurrent.futures.CancelledError:
        return None


house = pool.submit(build)
is_queued.wait()
time.sleep(1.5)  # as one who watches the clock
assert parts[0].cancel()
assert house.result() is None
pool.shutdown()
print("done")
