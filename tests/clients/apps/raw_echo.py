"""Accepts any WebSocket handshake on 0.0.0.0:8080 and then sends every byte back as it came."""

import base64
import hashlib
import socketserver

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        lines = list(iter(lambda: self.rfile.readline().strip(), b""))
        (key,) = [line.split()[1] for line in lines if line.lower().startswith(b"sec-websocket-key:")]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        self.wfile.write(head + b"sec-websocket-accept: " + accept + b"\r\n\r\n")
        while data := self.rfile.read1(65536):
            self.wfile.write(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server(("0.0.0.0", 8080), Handler).serve_forever()
