"""Each of two threads waits for the end of the other."""

import threading


def read():
    both_started.wait()
    writer.join()


def write():
    both_started.wait()
    reader.join()


both_started = threading.Barrier(2)
reader = threading.Thread(target=read, name="reader")
writer = threading.Thread(target=write, name="writer")
reader.start()
writer.start()
while reader.is_alive():  # a third join, with a time-out
    reader.join(0.5)
writer.join()
print("done")
