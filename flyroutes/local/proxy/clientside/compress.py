"""Response compression: a `Client` that passes everything on, its bodies compressed where that is due.

It holds back what fits in the compressor, as Fly's does (docs reference/content-encoding, "Streaming HTML").
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from flyroutes.platform.proxy.responses import choose_encoding, compressed_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flyroutes.local.proxy.clientside.client import Client, Request
    from flyroutes.platform.model import HttpOptions
    from flyroutes.platform.proxy.headers import Headers


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Brotli:
    """brotli's compressor under the names that the others use."""

    def __init__(self) -> None:
        brotli_ = brotli.Compressor(quality=4)
        self.compress: Callable[[bytes], bytes] = brotli_.process
        self.flush: Callable[[], bytes] = brotli_.finish


_COMPRESSORS: dict[bytes, Callable[[], _Compressor]] = {
    b"zstd": lambda: zstandard.ZstdCompressor().compressobj(),
    b"br": _Brotli,
    b"gzip": lambda: zlib.compressobj(wbits=zlib.MAX_WBITS | 16),
    b"deflate": zlib.compressobj,  # with zlib's own header: RFC 9110 section 8.4.1.2
}


def compressing(client: Client, options: HttpOptions) -> Client:
    """`client` itself, unless its request allows for a compressed response."""
    asked = any(name == b"accept-encoding" for name, _ in client.request.headers)
    wanted = options.compress and asked and client.request.method != b"HEAD"
    return CompressingClient(client, options) if wanted else client


class CompressingClient:
    """See `Client`; every method that is not explained here is the client's own."""

    def __init__(self, client: Client, options: HttpOptions) -> None:
        self._client = client
        self._options = options
        self._compressor: _Compressor | None = None
        self.request: Request = client.request
        self.proceed = client.proceed
        self.receive = client.receive
        self.receive_nowait = client.receive_nowait
        self.wait_gone = client.wait_gone
        self.inform = client.inform
        self.flush = client.flush
        self.abort = client.abort

    @property
    def started(self) -> bool:
        return self._client.started

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Decide, now that the app's headers are known."""
        headers = list(headers)
        coding = choose_encoding(self._options, self.request.headers, status, headers)
        if coding:
            self._compressor = _COMPRESSORS[coding]()
            headers = compressed_headers(headers, coding)
        self._client.start(status, headers)

    def data(self, chunk: bytes) -> None:
        """Queue what the compressor gives away."""
        self._queue(self._compressor.compress(chunk) if self._compressor else chunk)

    def end(self, trailers: Headers | None = None) -> None:
        """Queue what it has kept, too."""
        if self._compressor:
            self._queue(self._compressor.flush())
        self._client.end(trailers)

    def _queue(self, chunk: bytes) -> None:
        if chunk:
            self._client.data(chunk)
