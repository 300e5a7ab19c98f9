"""Two threads take two locks in opposite order, by acquire() and release(): others could release these
locks.
"""

import threading

stock_lock = threading.Lock()
order_lock = threading.Lock()
both_hold_one = threading.Barrier(2)


def sell():
    stock_lock.acquire()
    both_hold_one.wait()
    order_lock.acquire()
    order_lock.release()
    stock_lock.release()


def cancel():
    order_lock.acquire()
    both_hold_one.wait()
    stock_lock.acquire()
    stock_lock.release()
    order_lock.release()


seller = threading.Thread(target=sell, name="seller")
canceller = threading.Thread(target=cancel, name="canceller")
seller.start()
canceller.start()
seller.join()
canceller.join()
print("done")
