"""A lost update, a lock that does not prevent it, and a lock that does."""

import logging
import time
from threading import Lock, Thread


class Counter:
    def __init__(self):
        self.value = 0
        self.lock = Lock()

    def update(self):
        local = self.value
        # Between reading and writing, another thread may run. The wait is here so that it always
        # does; without it the update would still be lost, only once in a long while.
        time.sleep(0.2)
        self.value = local + 1
        logging.info("read %d, wrote %d", local, local + 1)

    def update_with_own_lock(self):
        # Every call makes a new lock, which nobody else can be holding: it keeps no one out.
        with Lock():  # noqa: PLW2101 (linters report this mistake, which is here to be seen)
            self.update()

    def update_with_shared_lock(self):
        # One lock for all the threads that touch the value: the second reads what the first wrote.
        with self.lock:
            self.update()


def run(title, method_name):
    counter = Counter()
    threads = [Thread(target=getattr(counter, method_name)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logging.info("%s: 3 updates, the value is %d", title, counter.value)


def main():
    # The order in which the threads get the lock is not promised, so their names are not logged.
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    run("without a lock", "update")
    run("with a lock made in each call", "update_with_own_lock")
    run("with a shared lock", "update_with_shared_lock")


if __name__ == "__main__":
    main()
