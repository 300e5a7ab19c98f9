"""The only thread waits without a time-out, and a signal handler will end the wait."""

import signal
import threading

alarm = threading.Event()
signal.signal(signal.SIGALRM, lambda _number, _frame: alarm.set())
signal.setitimer(signal.ITIMER_REAL, 1.5)
alarm.wait()
print("done")
