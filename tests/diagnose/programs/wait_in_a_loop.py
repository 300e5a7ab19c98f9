"""A thread asks again and again, with a time-out, whether it should stop; at the third time it stops by
itself.
"""

import threading

stop = threading.Event()


def tick():
    ticks = 0
    while not stop.wait(0.6):
        ticks += 1
        if ticks == 3:
            stop.set()


ticker = threading.Thread(target=tick, name="ticker")
ticker.start()
ticker.join()
print("done")
