"""A small reverse proxy, run as a process before a studio:
it passes requests on and buffers what comes back."""

import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy(BaseHTTPRequestHandler):
    """Passes ``/studio/…`` on and keeps answers back until they are whole, unless the server forbids it."""

    protocol_version = "HTTP/1.1"
    port = 0

    def pass_on(self) -> None:
        """One request there, its answer back."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        asked = HTTPConnection("127.0.0.1", self.port)
        asked.request(self.command, self.path, body, dict(self.headers))
        answer = asked.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        whole = b""
        while part := answer.read1():
            if answer.getheader("x-accel-buffering") == "no":
                self.wfile.write(part)
            else:
                whole += part
        self.wfile.write(whole)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        """A browser that goes away in the middle is no fault."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True


if __name__ == "__main__":
    Proxy.port = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
