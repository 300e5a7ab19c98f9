"""The result of a call is waited for with a lock that the call needs, and a worker already runs the call."""

import concurrent.futures
import threading

table_lock = threading.Lock()
is_running = threading.Event()


def count_rows():
    is_running.set()
    with table_lock:
        return 3


def report():
    with table_lock:
        rows = pool.submit(count_rows)
        is_running.wait()
        return rows.result()


with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="counter") as pool:
    report()
print("done")
