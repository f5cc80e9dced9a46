"""The server of a scratch Machine: HTTP, a WebSocket's beginning, replays, UDP, and ways to answer badly.

It is handed to a Machine as text, so it needs nothing but the standard library.
"""

import base64
import contextlib
import hashlib
import http.server
import os
import socket
import threading
import time

HTTP_PORT, UDP_PORT = 8080, 6000
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Server(http.server.ThreadingHTTPServer):
    """Over IPv4 for Fly Proxy, over IPv6 for 6PN; one client's misfortune is worth no line."""

    address_family = socket.AF_INET6
    request_queue_size = 128

    def server_bind(self):  # noqa: ANN201
        """Bind without asking DNS for our own name."""
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "scratch", HTTP_PORT

    def handle_error(self, request, client_address):  # noqa: ANN001, ANN201
        """Say nothing."""


class Handler(http.server.BaseHTTPRequestHandler):
    """`/WAY/VALUE` chooses how to answer; any other path is answered plainly."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: ANN201
        """Read the body, then go the way that the path names."""
        length = len(self.rfile.read(int(self.headers.get("content-length") or 0)))
        way, _, value = self.path[1:].partition("/")
        getattr(self, f"way_{way}", self.plain)(value or str(length))

    do_POST = do_PUT = do_GET

    def plain(self, text, status=200, **headers):  # noqa: ANN001, ANN003, ANN201
        """A whole answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def way_sleep(self, value):  # noqa: ANN001, ANN201
        """Late."""
        time.sleep(float(value))  # noqa: TID251
        self.plain("late")

    def way_big(self, value):  # noqa: ANN001, ANN201
        """Many bytes."""
        self.plain("x" * int(value))

    def way_replay(self, value):  # noqa: ANN001, ANN201
        """By another one."""
        if "fly-replay-src" in self.headers:
            return self.plain("replayed")
        return self.plain("", 307, fly_replay=value)

    def way_mute(self, value):  # noqa: ANN001, ANN201
        """Not at all."""
        time.sleep(float(value))  # noqa: TID251
        self.close_connection = True

    def way_half(self, _value):  # noqa: ANN001, ANN201
        """Less than announced."""
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def way_crash(self, _value):  # noqa: ANN001, ANN201
        """Never again."""
        os._exit(3)

    def way_ws(self, _value):  # noqa: ANN001, ANN201
        """As a WebSocket: the handshake, then bytes as they come."""
        key = self.headers.get("sec-websocket-key", "").encode()
        self.send_response(101)
        self.send_header("connection", "upgrade")
        self.send_header("upgrade", "websocket")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        self.send_header("sec-websocket-accept", accept)
        self.end_headers()
        while data := self.connection.recv(65536):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, *_words):  # noqa: ANN002, ANN201
        """Say nothing."""


def echo(family, host):  # noqa: ANN001, ANN201
    """Echo datagrams for ever."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, UDP_PORT))
        while True:
            with contextlib.suppress(OSError):
                sock.sendto(*sock.recvfrom(2048))


if __name__ == "__main__":
    for place in ((socket.AF_INET, "fly-global-services"), (socket.AF_INET6, "fly-local-6pn")):
        threading.Thread(target=echo, args=place, daemon=True).start()
    Server(("::", HTTP_PORT), Handler).serve_forever()
