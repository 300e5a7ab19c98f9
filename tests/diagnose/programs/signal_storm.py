"""Signals come all the time, and each interrupts the wait of the main thread for a moment; the holder is
asleep.
"""

import signal
import threading
import time

seat_lock, ticket_lock = threading.Lock(), threading.Lock()
seat_is_taken, ticket_is_taken = threading.Event(), threading.Event()


def hold_seat():
    with seat_lock:
        seat_is_taken.set()
        time.sleep(1.6)
        while len(signals) <= 10:  # on a busy machine
            time.sleep(0.01)


def hold_ticket():
    seat_is_taken.wait()
    with ticket_lock:
        ticket_is_taken.set()
        with seat_lock:
            pass


signals = []
signal.signal(signal.SIGALRM, lambda number, _frame: signals.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
holders = [
    threading.Thread(target=hold_seat, name="seat"),
    threading.Thread(target=hold_ticket, name="ticket"),
]
for holder in holders:
    holder.start()
ticket_is_taken.wait()
with ticket_lock:
    pass
for holder in holders:
    holder.join()
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(signals) > 10
print("done")
