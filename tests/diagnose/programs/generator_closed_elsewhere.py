"""The `with` of a generator keeps a lock for the thread that started it; another thread ends the
generator.
"""

import threading
import time

file_lock = threading.Lock()


def lines():
    with file_lock:
        yield "first"
        yield "last"


def close(open_lines):
    time.sleep(1.5)
    open_lines.close()


open_lines = lines()
next(open_lines)
closer = threading.Thread(target=close, args=(open_lines,), name="closer")
closer.start()
with file_lock:
    closer.join()
print("done")
