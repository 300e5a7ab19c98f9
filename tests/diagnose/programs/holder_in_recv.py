"""A thread reads from a socket with a lock taken, others wait for the lock, and the answer comes from
outside.
"""

import socket
import subprocess
import sys
import threading

PEER = """
import socket, sys, time
time.sleep(1.5)
socket.socket(fileno=int(sys.argv[1])).sendall(b"answer")
"""
ours, theirs = socket.socketpair()
connection_lock = threading.Lock()
is_held = threading.Event()


def ask():
    with connection_lock:
        is_held.set()
        answers.append(ours.recv(100))


def count():
    is_held.wait()
    with connection_lock:
        answers.append(b"counted")


answers = []
asker = threading.Thread(target=ask, name="asker")
counter = threading.Thread(target=count, name="counter")
asker.start()
counter.start()
peer = subprocess.Popen([sys.executable, "-c", PEER, str(theirs.fileno())], pass_fds=[theirs.fileno()])
asker.join()
counter.join()
peer.wait()
assert answers == [b"answer", b"counted"]
print("done")
