"""A web server that answers at once: a slow query runs in a thread, and clients poll for results."""

import json
import logging
import sys
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from queue import Empty, Queue
from threading import Thread


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # clients that may wait to be accepted; the default is 5
    numbers, results = count(1), Queue()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        number = next(self.server.numbers)  # one step in C: no two requests get the same number
        Thread(target=self.query, args=(number,), daemon=True).start()
        self.answer(202, number)  # 202: accepted, and not done yet

    def do_GET(self):
        # Not `while not empty()`: another poll may take the last result between empty() and get().
        results = []
        try:
            while True:
                results.append(self.server.results.get_nowait())
        except Empty:
            self.answer(200, results)

    def query(self, number):
        time.sleep(0.5)  # stands for the wait for a slow database
        self.server.results.put([number, number * number])

    def answer(self, status, content):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *args): ...  # else a line for every request would hide what is to be seen


def ask(server, method):
    connection = HTTPConnection(*server.server_address, timeout=10)
    connection.request(method, "/")
    return json.load(connection.getresponse())


def demonstrate(server):
    Thread(target=server.serve_forever, daemon=True).start()  # it starts one for each connection
    logging.info("these queries are under way: %s", [ask(server, "POST") for _ in range(5)])
    logging.info("the first poll finds: %s", results := ask(server, "GET"))
    while len(results) < 5:
        time.sleep(0.05)  # between two polls a client has other things to do
        results += ask(server, "GET")
    logging.info("number and answer of each: %s", sorted(results))
    server.shutdown()  # lets serve_forever() return


def main(port):
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    with Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever() if port else demonstrate(server)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)  # with a port: serves until Ctrl-C
