"""The only worker of each of two pools waits for a call that is queued in the other pool."""

import concurrent.futures
import threading

renderers = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="renderer")
loaders = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="loader")
both_run = threading.Barrier(2)


def render():
    both_run.wait()
    return loaders.submit(len, "picture").result()


def load():
    both_run.wait()
    return renderers.submit(len, "page").result()


rendered = renderers.submit(render)
loaded = loaders.submit(load)
print(rendered.result(), loaded.result())
print("done")
