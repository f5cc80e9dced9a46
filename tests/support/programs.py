"""Servers for scratch Machines, as Python text: each binds as its caller says, right or wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HTTP = """
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.{family}
    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, {v6only})
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = "scratch", {port}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = {body!r}.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
    do_HEAD = do_GET
host = {host!r}
Server((host, {port}), Handler).serve_forever()
"""
_ROUTER = """
import http.server, json, os
ORDERS = {orders!r}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        length = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        path = self.path.partition("?")[0]
        order, text = ORDERS.get(path, ({{}}, "")) if "fly-replay-failed" not in self.headers else ({{}}, "")
        seen = {{"app": os.environ["FLY_APP_NAME"], "machine": os.environ["FLY_MACHINE_ID"],
                "path": self.path, "length": length,
                "headers": {{name.lower(): value for name, value in self.headers.items()}}}}
        body = (text or json.dumps(seen)).encode()
        self.send_response(307 if order else 200)
        for name, value in order.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
_UDP = """
import socket
sock = socket.socket(socket.{family}, socket.SOCK_DGRAM)
sock.bind(({host!r}, {port}))
while True:
    data, client = sock.recvfrom(2048)
    open("/tmp/seen-{tag}", "w").write(client[0])
    sock.sendto(client[0].encode() if data == b"who" else data, client)
"""


def http_server(host: str, port: int = 8080, *, v6only: bool = False, body: str = "scratch") -> str:
    """An HTTP server bound to `host`: an address, or a name from the Machine's /etc/hosts."""
    six = ":" in host or host == "fly-local-6pn"
    family = "AF_INET6" if six else "AF_INET"
    return _HTTP.format(family=family, v6only=int(v6only), port=port, host=host, body=body)


def router(orders: Mapping[str, tuple[Mapping[str, str], str]] | None = None) -> str:
    """An HTTP server on 0.0.0.0:8080. `orders`: to each path the headers and the body of a 307.

    Any other path is answered with JSON of what came in, and so is a request that fell back.
    """
    return _ROUTER.format(orders=dict(orders or {}))


def udp_server(host: str, port: int, tag: str = "") -> str:
    """A UDP echo on `host` that answers `who` with the client's address, and notes it in /tmp/seen-TAG."""
    six = ":" in host or host == "fly-local-6pn"
    return _UDP.format(family="AF_INET6" if six else "AF_INET", host=host, port=port, tag=tag)


def service(
    internal_port: int, port: int, *handlers: str, protocol: str = "tcp", force_https: bool = False
) -> dict[str, object]:
    """One entry of a Machine's `services`, in the API's spelling."""
    entry: dict[str, object] = {"port": port}
    if handlers:
        entry["handlers"] = list(handlers)
    if force_https:
        entry["force_https"] = True
    return {"protocol": protocol, "internal_port": internal_port, "ports": [entry]}


SLEEP = "import time\nwhile True: time.sleep(3600)"
"""A program that does nothing."""

_SHOW = """
import http.server, json, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(float(self.path.partition("sleep=")[2] or 0))
        seen = [[name.lower(), value] for name, value in self.headers.items()]
        body = json.dumps({"seen": seen, "filler": "x" * 20000}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-App", "1")
        if "plain" in self.path:
            self.send_header("Content-Encoding", "none")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
_FIRST_BYTES = """
import socket
server = socket.create_server(("0.0.0.0", 8080))
while True:
    client, _ = server.accept()
    with client:
        client.sendall(client.recv(1000).hex().encode())
"""


def show_request() -> str:
    """An HTTP server on 0.0.0.0:8080 that answers the request's headers in long JSON.

    `plain` in the path: it says `Content-Encoding: none`. `sleep=S`: it takes S seconds.
    """
    return _SHOW


def first_bytes() -> str:
    """A TCP server on 0.0.0.0:8080 that answers the first bytes of each connection in hex."""
    return _FIRST_BYTES
