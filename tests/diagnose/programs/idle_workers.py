"""The workers of a pool and of a queue have nothing to do, while the main thread is busy elsewhere."""

import concurrent.futures
import functools
import queue
import threading
import time

jobs, results = queue.Queue(), []


def work():
    while (job := jobs.get()) is not None:
        job()
        jobs.task_done()


workers = [threading.Thread(target=work, name=f"worker {number}") for number in range(3)]
for worker in workers:
    worker.start()
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    for result in pool.map(pow, [2, 3, 5], [5, 3, 2]):
        jobs.put(functools.partial(results.append, result))
    jobs.join()
    time.sleep(1.5)  # all six have nothing to do
for _ in workers:
    jobs.put(None)
for worker in workers:
    worker.join()
assert sorted(results) == [25, 27, 32]
print("done")
