"""Counts its visits in a file on a volume, which it has for itself.

    slipway volumes add data web=/data

Without the volume it does not start; with another process on it neither, and
then it says so there.
"""

import fcntl
import os
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

version = "1"
data = os.environ.get("DATA", "/data")
lock = open(os.path.join(data, "lock"), "a")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    with open(os.path.join(data, "overlaps"), "a") as file:
        file.write(f"{time.time()} version {version}\n")
    raise SystemExit("another process writes to the volume")

path = os.path.join(data, "visits")
visits = int(open(path).read()) if os.path.exists(path) else 0
counting = threading.Lock()
under_way = set()


def count():
    """Counts one visit, on the disk before it is told."""
    global visits
    with counting:
        visits += 1
        with open(path + ".new", "w") as file:
            file.write(str(visits))
        os.rename(path + ".new", path)
        return visits


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        under_way.add(self)
        body = f"visit {count()}, version {version}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        under_way.discard(self)

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True  # idle connections do not keep the process
    request_queue_size = 128


server = Server(("", int(os.environ.get("PORT", "5000"))), Hello)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever(poll_interval=0.05)
while under_way:
    time.sleep(0.01)
