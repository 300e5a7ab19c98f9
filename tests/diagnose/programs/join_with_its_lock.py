"""A service is stopped with its lock taken: its thread cannot end before it has taken the lock once more."""

import threading


class Service:
    def __init__(self):
        self.lock = threading.Lock()
        self.running = True
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.serve, name="server")

    def serve(self):
        self.stopping.wait()
        with self.lock:
            self.running = False

    def stop(self):
        with self.lock:
            self.stopping.set()
            self.thread.join()


service = Service()
service.thread.start()
service.stop()
print("done")
