"""The only Python thread waits without a time-out, and a thread of native code, here of a timer of the C
library, will call back.
"""

import ctypes
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
answered = threading.Event()


class SignalEvent(ctypes.Structure):
    """The `struct sigevent` of 64-bit Linux."""

    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("attributes", ctypes.c_void_p),
        ("rest", ctypes.c_char * 32),
    ]


SIGEV_THREAD = 2
callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: answered.set())
how = SignalEvent(notify=SIGEV_THREAD, function=callback)
timer = ctypes.c_void_p()
interval_and_start = (ctypes.c_long * 4)(0, 0, 1, 600_000_000)  # seconds, nanoseconds: once, after 1.6 s
assert libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(how), ctypes.byref(timer)) == 0
assert libc.timer_settime(timer, 0, interval_and_start, None) == 0
answered.wait()
print("done")
