"""A worker fails between get() and task_done(): the join() of the queue waits for the call that never
comes.
"""

import queue
import threading

jobs = queue.Queue()


def work():
    while True:
        text = jobs.get()
        int(text)
        jobs.task_done()


for text in ["1", "2", "three", "4"]:
    jobs.put(text)
worker = threading.Thread(target=work, name="worker", daemon=True)
worker.start()
jobs.join()
print("done")
