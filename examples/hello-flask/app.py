"""Counts visits in Redis and tells Prometheus about them.

With MAX_REQUESTS set, a process answers so many requests, says so, and exits.
"""

import os
import signal
import threading
import time

import prometheus_client
import redis
from flask import Flask, Response
from werkzeug.serving import WSGIRequestHandler, make_server

app = Flask(__name__)
store = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), socket_timeout=2)
visits = prometheus_client.Counter("hello_visits", "Visits answered by this process.")
limit = int(os.environ.get("MAX_REQUESTS", "0"))
answered = 0
lock = threading.Lock()


@app.route("/")
def hello():
    visits.inc()
    try:
        total = store.incr("hello-flask:visits")
    except redis.RedisError as error:
        return f"Redis does not answer: {error}\n", 503
    return f"Hello from Flask, visit {total}\n"


@app.route("/metrics")
def metrics():
    return Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


@app.after_request
def count(response):
    global answered
    with lock:
        answered += 1
        if answered == limit:
            response.call_on_close(give_up)
    return response


def give_up():
    print(f"answered {answered} requests, MAX_REQUESTS is {limit}: exiting with code 3", flush=True)
    threading.Timer(0.2, os._exit, [3]).start()


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    under_way = set()

    def run_wsgi(self):
        self.under_way.add(self)
        try:
            super().run_wsgi()
        finally:
            self.under_way.discard(self)

    def log_request(self, *args):
        pass


def main():
    port = int(os.environ.get("PORT", "5000"))
    server = make_server("0.0.0.0", port, app, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # idle connections do not keep the process
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    while Handler.under_way:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
