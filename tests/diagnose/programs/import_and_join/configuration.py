"""A module that has its settings read by a thread, and waits for the thread before its own import has
ended.
"""

import settings_reader

settings = {}
settings_reader.thread.start()
settings_reader.thread.join()
