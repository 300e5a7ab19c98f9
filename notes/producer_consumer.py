"""A producer and a consumer joined by a bounded queue, and an end that always comes."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event

# Put on the queue after the last message. `is` tells it from any message whatever.
END = object()


def producer(pipeline, stop):
    produced = 0
    while not stop.is_set():
        pipeline.put(produced)  # waits while the queue is full, so the producer can't run away
        produced += 1
    pipeline.put(END)
    logging.info("the producer has stopped")
    return produced


def consumer(pipeline):
    # It is tempting to loop `while not (stop.is_set() and pipeline.empty())` and call get() inside.
    # That can block for ever: the consumer sees that stop is not set yet, then the producer sees
    # that it is and returns, and the get() that follows waits for a message nobody will put.
    # It can also lose a message, put after empty() was true. The queue itself must carry the
    # news of the end: behind the last message, where it can come neither too early nor too late.
    consumed = 0
    in_order = True
    while (message := pipeline.get()) is not END:
        in_order = in_order and message == consumed
        consumed += 1
    logging.info("the consumer has seen the end")
    return consumed, in_order


def main():
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    pipeline = Queue(maxsize=10)
    stop = Event()
    with ThreadPoolExecutor(max_workers=2) as executor:
        producing = executor.submit(producer, pipeline, stop)
        consuming = executor.submit(consumer, pipeline)
        try:
            logging.info("main lets them work for a while")
            time.sleep(0.3)
        finally:
            # In a `finally`, because leaving the `with` waits for both tasks: after Ctrl-C in the
            # sleep, a producer that was never told to stop would keep the program alive for ever.
            stop.set()

    # result() also raises what the task raised; without it an error would go unseen.
    produced = producing.result()
    consumed, in_order = consuming.result()
    # How many there were is a matter of timing, so only the comparison is logged.
    logging.info("every message arrived, once and in order: %s", in_order and consumed == produced)
    logging.info("the queue is empty: %s", pipeline.empty())


if __name__ == "__main__":
    main()
