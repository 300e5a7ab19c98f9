"""Two threads of many are deadlocked: others work on, wait for work, or are stuck behind the two."""

import queue
import threading

front_lock, back_lock = threading.Lock(), threading.Lock()
both_hold_one = threading.Barrier(2)
parcels = queue.Queue()
closed = threading.Event()


def cross(first_lock, second_lock):
    with first_lock:
        both_hold_one.wait()
        with second_lock:
            pass


def knock():
    eastward.join()
    with front_lock:
        pass


def carry():
    while parcels.get() is not None:
        pass


def bring():
    while not closed.wait(0.1):
        parcels.put("parcel")
    parcels.put(None)


eastward = threading.Thread(target=cross, args=(front_lock, back_lock), name="eastward")
westward = threading.Thread(target=cross, args=(back_lock, front_lock), name="westward")
visitor = threading.Thread(target=knock, name="visitor")
others = [threading.Thread(target=carry, name="carrier"), threading.Thread(target=bring, name="bringer")]
for thread in [eastward, westward, visitor, *others]:
    thread.start()
for thread in [eastward, westward, visitor]:
    thread.join()
closed.set()
print("done")
