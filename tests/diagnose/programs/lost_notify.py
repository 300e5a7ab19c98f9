"""A condition is notified before anybody waits for it, and who comes later looks at nothing but the
notification.
"""

import threading

delivered = threading.Condition()


def deliver():
    with delivered:
        delivered.notify_all()


def receive():
    courier.join()
    with delivered:
        delivered.wait()  # without a look at what has happened already


courier = threading.Thread(target=deliver, name="courier")
receiver = threading.Thread(target=receive, name="receiver")
courier.start()
receiver.start()
receiver.join()
print("done")
