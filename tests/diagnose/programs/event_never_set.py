"""The thread that should set an event fails before it does."""

import threading

ready = threading.Event()


def prepare():
    raise OSError("no such device")
    ready.set()


preparer = threading.Thread(target=prepare, name="preparer")
preparer.start()
ready.wait()
print("done")
