"""The consumer of a full queue fails, and the producer waits for room in the queue."""

import queue
import threading

orders = queue.Queue(maxsize=2)


def produce():
    for number in range(5):
        orders.put(number)


def consume():
    number = orders.get()
    raise KeyError(number)


producer = threading.Thread(target=produce, name="producer")
consumer = threading.Thread(target=consume, name="consumer")
producer.start()
consumer.start()
producer.join()
print("done")
