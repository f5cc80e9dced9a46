"""The local certificate authority: what Let's Encrypt is to `*.fly.dev`, for one local network."""

from __future__ import annotations

import ssl
from functools import cached_property

import trustme

CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
"""The TLS 1.2 suites of docs networking/tls; TLS 1.3 has OpenSSL's default three, the same as Fly's."""


class Authority:
    """A root certificate made on the spot; its key never leaves the process."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, tuple[str, ...]], ssl.SSLContext] = {}

    @cached_property
    def _root(self) -> trustme.CA:
        return trustme.CA(organization_name="flyroutes local network", organization_unit_name="authority")

    @property
    def pem(self) -> bytes:
        """The root certificate, for the trust store of Machines and clients."""
        return self._root.cert_pem.bytes()

    def context(self, sni: str, alpn: tuple[str, ...] = ("h2", "http/1.1")) -> ssl.SSLContext:
        """The server's TLS context for the name `sni`: its certificate (ECDSA) and what ALPN may agree on.

        Cached without bound: the caller asks only for names of apps that exist.
        """
        found = self._contexts.get((sni, alpn))
        if found is None:
            found = self._contexts[sni, alpn] = server_context()
            self._root.issue_cert(sni).configure_cert(found)
            if alpn:
                found.set_alpn_protocols(list(alpn))
        return found


def server_context() -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with Fly's suites, and no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    return context
