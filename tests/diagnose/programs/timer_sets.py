"""The main thread waits without a time-out, for a timer, which is a thread that waits with one."""

import threading

is_over = threading.Event()
egg_timer = threading.Timer(1.5, is_over.set)
egg_timer.start()
is_over.wait()
egg_timer.join()
print("done")
