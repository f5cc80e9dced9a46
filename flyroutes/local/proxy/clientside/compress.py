"""Compressors of response bodies.

They hold back what fits in them, as Fly's do (docs reference/content-encoding, "Streaming HTML").
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable


class Compressor(Protocol):
    """What zlib and zstandard have in common."""

    def compress(self, data: bytes, /) -> bytes:
        """Take `data` in, and give away what is ready."""

    def flush(self) -> bytes:
        """The rest, at the end of the body."""


class _Brotli:
    """brotli's compressor under the names that the others use."""

    def __init__(self) -> None:
        brotli_ = brotli.Compressor(quality=4)
        self.compress: Callable[[bytes], bytes] = brotli_.process
        self.flush: Callable[[], bytes] = brotli_.finish


def compressor(coding: bytes) -> Compressor:
    """A compressor for one body in a coding of `responses.ENCODINGS`."""
    return _COMPRESSORS[coding]()


_COMPRESSORS: dict[bytes, Callable[[], Compressor]] = {
    b"zstd": lambda: zstandard.ZstdCompressor().compressobj(),
    b"br": _Brotli,
    b"gzip": lambda: zlib.compressobj(wbits=zlib.MAX_WBITS | 16),
    b"deflate": zlib.compressobj,  # with zlib's own header: RFC 9110 section 8.4.1.2
}
