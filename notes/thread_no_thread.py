"""A long task, first called by the main thread, then run by a thread of its own."""

import logging
import time
from threading import Thread


def long_task():
    logging.info("the long task begins")
    time.sleep(0.4)  # stands for work that mostly waits: a download, a query, a file on a slow disk
    logging.info("the long task ends")


def without_thread():
    logging.info("without a thread: main calls the task")
    long_task()
    # A call returns when the task is over, so there is no "meanwhile" to make use of.
    logging.info("without a thread: main goes on only now")


def with_thread():
    logging.info("with a thread: main starts the task")
    thread = Thread(target=long_task)
    thread.start()
    # start() returns at once: from here to join(), both flows of execution are under way.
    logging.info("with a thread: main goes on at once")
    thread.join()
    # join() waits for the end of the thread, so what the task did can be relied on from here.
    logging.info("with a thread: main has waited for the task")


def main():
    logging.basicConfig(format="%(asctime)s %(threadName)s: %(message)s", level=logging.INFO)
    without_thread()
    with_thread()


if __name__ == "__main__":
    main()
