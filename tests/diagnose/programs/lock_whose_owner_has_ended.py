"""A thread fails with a Lock taken and not released: others could release it, but none will."""

import threading

file_lock = threading.Lock()


def save():
    file_lock.acquire()
    raise ValueError("no room")
    file_lock.release()


def load():
    with file_lock:
        pass


saver = threading.Thread(target=save, name="saver")
saver.start()
saver.join()
loader = threading.Thread(target=load, name="loader")
loader.start()
loader.join()
print("done")
