"""Two threads take the same two locks in opposite order, and each keeps its first while it asks for its
second.
"""

import threading


class Account:
    def __init__(self, balance):
        self.balance = balance
        self.lock = threading.Lock()


savings, checking = Account(100), Account(100)
both_hold_one = threading.Barrier(2)


def pay(amount):
    with savings.lock:
        both_hold_one.wait()
        with checking.lock:
            savings.balance -= amount
            checking.balance += amount


def refund(amount):
    with checking.lock:
        both_hold_one.wait()
        with savings.lock:
            checking.balance -= amount
            savings.balance += amount


payer = threading.Thread(target=pay, args=(10,), name="payer")
refunder = threading.Thread(target=refund, args=(5,), name="refunder")
payer.start()
refunder.start()
payer.join()
refunder.join()
print("done")
