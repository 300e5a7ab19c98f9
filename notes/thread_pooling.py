"""Three workers share the tasks: executor.map hands them out and returns the results in order."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

PAGES = ["index", "news", "about", "search", "images", "contact"]
SECONDS = [0.3, 0.2, 0.1, 0.3, 0.2, 0.1]


def fetch(page, seconds):
    logging.info("%s: begins", page)
    time.sleep(seconds)  # stands for the wait for a server
    logging.info("%s: ends", page)
    return f"<h1>{page}</h1>"


def square(number):
    return number * number


def main():
    # Which worker runs which task is a matter of timing, so the worker's name is not logged.
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)

    # Leaving the with block waits for the tasks and ends the workers.
    with ThreadPoolExecutor(max_workers=3) as executor:
        # Tasks that wait: 1.2 s of waiting takes three workers 0.4 s.
        # "about" is the first to end, and still its result comes third, as its argument did.
        for text in executor.map(fetch, PAGES, SECONDS):
            logging.info("main has %s", text)

        # Tasks that do next to nothing: the time goes into handing them out and waking the
        # workers, so a plain loop would win. It is here to show what a pool costs per task.
        total = sum(executor.map(square, range(10_000)))
        logging.info("the sum of the first 10,000 squares is %d", total)


if __name__ == "__main__":
    main()
