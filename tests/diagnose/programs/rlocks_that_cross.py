"""Two nodes call each other, each with its own RLock taken, twice: the other's is never free."""

import threading


class Node:
    def __init__(self):
        self.lock = threading.RLock()
        self.seen = []

    def send(self, message, peer):
        with self.lock:
            self.remember(message)
            both_send.wait()
            peer.receive(message)

    def receive(self, message):
        with self.lock:
            self.remember(message)

    def remember(self, message):
        with self.lock:  # a second time, which an RLock allows
            self.seen.append(message)


north, south = Node(), Node()
both_send = threading.Barrier(2)
to_south = threading.Thread(target=north.send, args=("rain", south), name="to south")
to_north = threading.Thread(target=south.send, args=("sun", north), name="to north")
to_south.start()
to_north.start()
to_south.join()
to_north.join()
print("done")
