"""Compression of response bodies.

Compressors hold back what fits in them, as Fly's do (docs reference/content-encoding, "Streaming HTML").
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import brotli  # type: ignore[import-untyped]
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

    Compressor = tuple[Callable[[bytes], bytes], Callable[[], bytes]]
    """Takes a piece of a body and gives away what is ready; gives away the rest at the body's end."""


def compressor(coding: bytes) -> Compressor:
    """A compressor for one body in a coding of `responses.ENCODINGS`."""
    if coding == b"br":
        brotli_ = brotli.Compressor(quality=4)
        return brotli_.process, brotli_.finish
    if coding == b"zstd":
        zstd = zstandard.ZstdCompressor().compressobj()
        return zstd.compress, zstd.flush
    # Deflate has zlib's own header: RFC 9110 section 8.4.1.2.
    zipper = zlib.compressobj(wbits=zlib.MAX_WBITS | (16 if coding == b"gzip" else 0))
    return zipper.compress, zipper.flush
