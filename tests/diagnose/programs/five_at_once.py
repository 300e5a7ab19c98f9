"""Five pairs of threads are deadlocked at once, each pair for itself."""

import threading


class Pair:
    def __init__(self, name):
        self.upper, self.lower = threading.Lock(), threading.Lock()
        self.threads = [
            threading.Thread(target=self.cross, args=(self.upper, self.lower), name=f"{name} down"),
            threading.Thread(target=self.cross, args=(self.lower, self.upper), name=f"{name} up"),
        ]

    def cross(self, near, far):
        with near:
            all_hold_one.wait()
            with far:
                pass


names = ["red", "green", "blue", "white", "black"]
all_hold_one = threading.Barrier(2 * len(names))
threads = [thread for name in names for thread in Pair(name).threads]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
