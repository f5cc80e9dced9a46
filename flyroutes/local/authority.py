"""The local certificate authority: what Let's Encrypt is to `*.fly.dev`, for one local network."""

from __future__ import annotations

import ssl
from functools import cached_property
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyroutes.platform.model import TlsVersion

CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
"""The TLS 1.2 suites of docs networking/tls; TLS 1.3 has OpenSSL's default three, the same as Fly's."""
MOST_CONTEXTS = 256


class Authority:
    """A root certificate made on the spot; its key never leaves the process."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, tuple[str, ...], tuple[TlsVersion, ...]], ssl.SSLContext] = {}

    @cached_property
    def _root(self) -> trustme.CA:
        return trustme.CA(organization_name="flyroutes local network", organization_unit_name="authority")

    @property
    def pem(self) -> bytes:
        """The root certificate, for the trust store of Machines and clients."""
        return self._root.cert_pem.bytes()

    @cached_property
    def _nobody(self) -> trustme.CA:
        """A root that nobody trusts, which serves as a certificate signed by itself."""
        return trustme.CA(organization_name="flyroutes local network", organization_unit_name="self-signed")

    def context(
        self,
        sni: str,
        alpn: tuple[str, ...] = ("h2", "http/1.1"),
        versions: tuple[TlsVersion, ...] = ("TLSv1.2", "TLSv1.3"),
    ) -> ssl.SSLContext:
        """The server's TLS context for the name `sni`: its certificate (ECDSA) and what may be agreed on.

        Without a name, a self-signed certificate. At most `MOST_CONTEXTS` are kept for the next client.
        """
        found = self._contexts.get((sni, alpn, versions))
        if found is None:
            if len(self._contexts) >= MOST_CONTEXTS:
                self._contexts.clear()
            found = self._contexts[sni, alpn, versions] = server_context(versions)
            self._certify(found, sni)
            if alpn:
                found.set_alpn_protocols(list(alpn))
        return found

    def context_of(self, names: Sequence[str]) -> ssl.SSLContext:
        """Return a TLS context for HTTP/1.1 with one certificate for all of `names`, whichever is asked."""
        context = server_context()
        self._root.issue_cert(*names).configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _certify(self, context: ssl.SSLContext, sni: str) -> None:
        if sni:
            return self._root.issue_cert(sni).configure_cert(context)
        nobody = self._nobody
        with nobody.cert_pem.tempfile() as certificate, nobody.private_key_pem.tempfile() as key:
            context.load_cert_chain(certificate, key)


_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def server_context(versions: tuple[TlsVersion, ...] = ("TLSv1.2", "TLSv1.3")) -> ssl.SSLContext:
    """These versions with Fly's suites, and no certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min(versions)]
    context.maximum_version = _VERSIONS[max(versions)]
    context.set_ciphers(CIPHERS)
    return context
