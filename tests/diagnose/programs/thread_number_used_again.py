"""A thread has the number (get_ident) of one that has ended, and waits for a lock which that one
had taken.
"""

import threading
import time

baton = threading.Lock()


def take():
    baton.acquire()
    idents.append(threading.get_ident())


def take_over():
    if threading.get_ident() == idents[0]:
        found.append(threading.current_thread())
        with baton:
            pass


idents, found = [], []
first = threading.Thread(target=take, name="first")
first.start()
first.join()
while not found:
    runner = threading.Thread(target=take_over, name="second")
    runner.start()
    runner.join(0.1)
time.sleep(1.5)
baton.release()
found[0].join()
print("done")
