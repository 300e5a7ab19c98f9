"""A reader asks once more for a lock that it shares, and is put behind a writer, who waits for the reader."""

import threading


class ReadWriteLock:
    def __init__(self):
        self.readers = self.waiting_writers = 0
        self.state_changed = threading.Condition()

    def acquire_read(self):
        with self.state_changed:
            while self.waiting_writers:  # writers come first
                self.state_changed.wait()
            self.readers += 1

    def acquire_write(self):
        with self.state_changed:
            self.waiting_writers += 1
            while self.readers:
                self.state_changed.wait()
            self.waiting_writers -= 1


def read():
    catalogue.acquire_read()
    is_reading.set()
    while not catalogue.waiting_writers:
        pass
    catalogue.acquire_read()


def write():
    is_reading.wait()
    catalogue.acquire_write()


catalogue = ReadWriteLock()
is_reading = threading.Event()
reader = threading.Thread(target=read, name="reader")
writer = threading.Thread(target=write, name="writer")
reader.start()
writer.start()
reader.join()
writer.join()
print("done")
