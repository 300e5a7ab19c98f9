"""Each of two threads has one of the two permits of a semaphore, and asks for a second one."""

import threading

database = threading.Semaphore(2)
both_hold_one = threading.Barrier(2)


def copy_rows():
    with database:  # to read
        both_hold_one.wait()
        with database:  # to write
            pass


copiers = [threading.Thread(target=copy_rows, name=f"copier {letter}") for letter in "AB"]
for copier in copiers:
    copier.start()
for copier in copiers:
    copier.join()
print("done")
