"""A server whose main thread waits for Ctrl-C, which comes after a while, and whose workers have nothing to
do.
"""

import os
import queue
import signal
import subprocess
import threading

requests = queue.Queue()


def serve():
    while True:
        requests.get()
        requests.task_done()


signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background may ignore it
for number in range(2):
    threading.Thread(target=serve, name=f"server {number}", daemon=True).start()
user = subprocess.Popen(["/bin/sh", "-c", f"sleep 1.6; kill -INT {os.getpid()}"])
try:
    threading.Event().wait()
except KeyboardInterrupt:
    user.wait()
    print("done")
