"""Connections are taken from a LifoQueue, and not given back when a request fails; then there is
none left.
"""

import queue
import threading

connections = queue.LifoQueue()
for number in range(2):
    connections.put(f"connection {number}")


def request(page):
    connection = connections.get()
    if page.startswith("missing"):
        raise LookupError(page)
    connections.put(connection)


for page in ["index", "missing one", "news", "missing two", "contact"]:
    client = threading.Thread(target=request, args=(page,), name=f"client of {page}")
    client.start()
    client.join()
print("done")
