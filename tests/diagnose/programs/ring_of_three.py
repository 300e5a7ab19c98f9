"""Three philosophers sit at a round table: each takes the fork at the left, and then none gets the one at
the right.
"""

import threading

forks = [threading.Lock() for _ in range(3)]
all_took_one = threading.Barrier(3)


def dine(seat):
    left_fork, right_fork = forks[seat], forks[(seat + 1) % 3]
    with left_fork:
        all_took_one.wait()
        with right_fork:
            meals.append(seat)


meals = []
philosophers = [
    threading.Thread(target=dine, args=(seat,), name=name)
    for seat, name in enumerate(["Plato", "Hypatia", "Confucius"])
]
for philosopher in philosophers:
    philosopher.start()
for philosopher in philosophers:
    philosopher.join()
print("done")
