"""Three threads should meet at a barrier; one of them fails on its way."""

import threading

start_line = threading.Barrier(3)


def run(runner):
    if runner == "lame":
        raise RuntimeError("stays at home")
    start_line.wait()


runners = [threading.Thread(target=run, args=(name,), name=name) for name in ["fast", "slow", "lame"]]
for runner in runners:
    runner.start()
for runner in runners:
    runner.join()
print("done")
