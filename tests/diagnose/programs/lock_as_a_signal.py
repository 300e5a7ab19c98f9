"""A Lock serves as a signal: who has taken it waits for it again, and another thread releases it."""

import threading
import time

finished = threading.Lock()


def compute():
    time.sleep(1.5)
    finished.release()


finished.acquire()
computer = threading.Thread(target=compute, name="computer")
computer.start()
finished.acquire()
computer.join()
print("done")
