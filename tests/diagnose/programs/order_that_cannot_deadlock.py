"""Locks are taken in both orders where that is safe: under a third lock, by one thread only, and with new
locks that may have the addresses of old ones.
"""

import threading
import time

gate, red, green, mine, yours = (threading.Lock() for _ in range(5))
end = time.monotonic() + 1.6


def under_the_gate(first, second):
    while time.monotonic() < end:
        with gate, first, second:
            time.sleep(0.001)


def alone():
    while time.monotonic() < end:
        with mine, yours:
            time.sleep(0.001)
        with yours, mine:
            time.sleep(0.001)


def with_new_locks(is_reversed):
    while time.monotonic() < end:
        pair = [threading.Lock(), threading.Lock()]
        if is_reversed:
            pair.reverse()
        with pair[0], pair[1]:
            time.sleep(0.001)


threads = [
    threading.Thread(target=under_the_gate, args=(red, green), name="red first"),
    threading.Thread(target=under_the_gate, args=(green, red), name="green first"),
    threading.Thread(target=alone, name="alone"),
    threading.Thread(target=with_new_locks, args=(False,), name="new locks"),
    threading.Thread(target=with_new_locks, args=(True,), name="new locks, reversed"),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
