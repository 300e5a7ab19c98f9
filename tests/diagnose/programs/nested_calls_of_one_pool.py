"""Calls of a pool wait for other calls of the same pool, and there are workers enough to do them."""

import concurrent.futures
import time


def page(number):
    images = [pool.submit(image, number) for _ in range(2)]
    return sum(each.result() for each in images)


def image(number):
    time.sleep(0.8)
    return number


with concurrent.futures.ThreadPoolExecutor(3) as pool:
    pages = [pool.submit(page, number) for number in (1, 2)]
    assert [each.result() for each in pages] == [2, 4]
print("done")
