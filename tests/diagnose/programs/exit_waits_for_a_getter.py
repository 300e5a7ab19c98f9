"""The program has come to its end, and a thread that is no daemon still waits for an item."""

import queue
import threading

mails = queue.Queue()


def send_mails():
    while True:
        mail = mails.get()
        sent.append(mail)
        all_sent.set()


sent = []
all_sent = threading.Event()
threading.Thread(target=send_mails, name="mailer").start()
mails.put("hello")
all_sent.wait()
print("done")
