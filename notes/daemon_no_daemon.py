"""What the daemon flag decides: whether the interpreter waits for a thread before it exits."""

import atexit
import logging
import time
from threading import Event, Thread


def work(seconds, begun):
    logging.info("begins %g s of work", seconds)
    begun.set()
    try:
        time.sleep(seconds)
        logging.info("ends its work")
    finally:
        # A daemon thread that is abandoned does not get even this far. That is why a daemon
        # should hold nothing that needs closing: a file half written stays half written.
        logging.info("cleans up")


def start(name, seconds, daemon):
    begun = Event()
    thread = Thread(target=work, args=(seconds, begun), name=name, daemon=daemon)
    thread.start()
    begun.wait()
    return thread


def report(threads):
    for thread in threads:
        logging.info("at exit: the %s thread is alive: %s", thread.name, thread.is_alive())


def main():
    logging.basicConfig(format="%(asctime)s %(threadName)s: %(message)s", level=logging.INFO)

    # A minute of work in the daemon thread, yet the program takes less than a second.
    daemon = start("daemon", 60, daemon=True)
    non_daemon = start("non-daemon", 0.4, daemon=False)

    # Exit functions are called after threading._shutdown() has joined the non-daemon threads.
    atexit.register(report, [daemon, non_daemon])

    # Nothing is joined here. The interpreter waits for the non-daemon thread by itself.
    logging.info("main() returns")


if __name__ == "__main__":
    main()
