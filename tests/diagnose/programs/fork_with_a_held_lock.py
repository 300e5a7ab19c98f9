"""A process is forked while another thread holds a lock: in the child nobody is there to release it."""

import os
import sys
import threading

cache_lock = threading.Lock()
is_held = threading.Event()
forked = threading.Event()


def fill_cache():
    with cache_lock:
        is_held.set()
        forked.wait()


filler = threading.Thread(target=fill_cache, name="filler")
filler.start()
is_held.wait()
child = os.fork()
if child == 0:
    with cache_lock:
        sys.exit(0)
forked.set()
filler.join()
_, status = os.waitpid(child, 0)
print("done")
sys.exit(os.waitstatus_to_exitcode(status))
