"""Native code sleeps and does not give up the GIL, so that no Python code can run, and a lock stays held."""

import ctypes
import threading

device_lock = threading.Lock()


def poll():
    with device_lock:
        pass


poller = threading.Thread(target=poll, name="poller")
native = ctypes.PyDLL(None)  # unlike CDLL, it keeps the GIL
with device_lock:
    poller.start()
    native.sleep(600)
poller.join()
print("done")
