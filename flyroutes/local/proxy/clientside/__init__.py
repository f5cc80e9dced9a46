"""Fly Proxy towards its clients: TLS, HTTP/1.1 and HTTP/2."""
