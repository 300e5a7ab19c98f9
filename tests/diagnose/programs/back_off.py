"""Two threads ask for each other's lock, but only for a while; then they let go and take both in
one order.
"""

import threading

disk_lock, network_lock = threading.Lock(), threading.Lock()
both = threading.Barrier(2)


def copy(first_lock, second_lock):
    for _ in range(3):
        with first_lock:
            both.wait()
            got_second = second_lock.acquire(timeout=0.6)
            both.wait()  # nobody lets go before the other has given up, too
        assert not got_second
    with disk_lock, network_lock:
        pass


uploader = threading.Thread(target=copy, args=(disk_lock, network_lock), name="uploader")
downloader = threading.Thread(target=copy, args=(network_lock, disk_lock), name="downloader")
uploader.start()
downloader.start()
uploader.join()
downloader.join()
print("done")
