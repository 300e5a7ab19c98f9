"""A signal comes while the main thread holds a lock that the handler takes, too, on top of the main
thread.
"""

import signal
import threading

log_lock = threading.Lock()
log = []


def on_signal(_number, _frame):
    with log_lock:
        log.append("reload")


def write(text):
    with log_lock:
        signal.raise_signal(signal.SIGUSR1)
        log.append(text)


signal.signal(signal.SIGUSR1, on_signal)
write("started")
print("done")
