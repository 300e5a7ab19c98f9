"""A log handler with the interpreter's own RLock, which oxthreads does not replace: one thread logs with a
lock of the program taken, another one logs an object whose text takes that lock.
"""

import _thread
import logging
import threading


class PlainHandler(logging.StreamHandler):
    def createLock(self):  # noqa: N802 - the name of logging
        self.lock = _thread.RLock()


class Basket:
    def __init__(self):
        self.lock = threading.Lock()

    def __str__(self):
        both_hold_one.wait()
        with self.lock:
            return "a basket"

    def empty(self):
        with self.lock:
            both_hold_one.wait()
            log.warning("emptied")


log = logging.getLogger("shop")
log.addHandler(PlainHandler())
basket = Basket()
both_hold_one = threading.Barrier(2)
emptier = threading.Thread(target=basket.empty, name="emptier")
shower = threading.Thread(target=log.warning, args=("%s", basket), name="shower")
emptier.start()
shower.start()
emptier.join()
shower.join()
print("done")
