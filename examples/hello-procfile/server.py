"""Says hello; nothing has to be built to run it."""

import os
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler

greeting = os.environ.get("GREETING", "Hello")
under_way = set()


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        under_way.add(self)
        body = f"{greeting} from a Procfile, version 1\n".encode()
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


port = int(os.environ.get("PORT", "5000"))
server = Server(("", port), Hello)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on port {port}", flush=True)
server.serve_forever(poll_interval=0.05)
while under_way:
    time.sleep(0.01)
