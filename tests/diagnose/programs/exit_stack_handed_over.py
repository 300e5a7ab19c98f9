"""What a `with ExitStack()` has taken is handed to another thread, while the first is still in that
`with`.
"""

import contextlib
import threading
import time

buffer_lock = threading.Lock()


def write_out(kept):
    time.sleep(1.5)
    kept.close()


with contextlib.ExitStack() as stack:
    stack.enter_context(buffer_lock)
    writer = threading.Thread(target=write_out, args=(stack.pop_all(),), name="writer")
    writer.start()
    with buffer_lock:
        writer.join()
print("done")
