"""The `tls` and `pg_tls` handlers: terminate TLS with certificates of the local authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from flyroutes.local.authority import Authority, server_context
from flyroutes.local.proxy.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.platform.model import TlsVersion

HANDSHAKE_TIMEOUT = 10.0
_RECORD_HEAD = 5
_HANDSHAKE_RECORD = 22
_ALERT_RECORD = b"\x15"

PG_SSL_REQUEST = struct.pack("!II", 8, 80877103)
PG_GSS_REQUEST = struct.pack("!II", 8, 80877104)
"""PostgreSQL, Frontend/Backend Protocol, Message Formats: SSLRequest and GSSENCRequest."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client may get: the certificate of the name `certified`, or a self-signed one without that."""

    alpn: tuple[str, ...]
    versions: tuple[TlsVersion, ...]
    certified: str


async def terminate(
    stream: trio.SocketStream, authority: Authority, offer_of: Callable[[str], Offer | None]
) -> tuple[trio.SSLStream[trio.SocketStream], str]:
    """The decrypted stream and the server name the client asked for; Failure when the handshake fails.

    `offer_of(name)` is None for a name that gets no certificate at all. The name is read before the
    handshake begins, because OpenSSL settles the version before it tells the name.
    """
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            record = await _first_record(stream)
            name = server_name(record)
            context = _context(authority, offer_of(name))
            secure = trio.SSLStream(stream, context, server_side=True)
            await secure.do_handshake()
    except trio.TooSlowError:
        raise Failure(0, "PT08", f"no TLS handshake in {HANDSHAKE_TIMEOUT:g} s") from None
    except trio.BrokenResourceError as error:
        await _send_alert(stream, _reply(record, context))
        raise _failure(error, name) from error
    return secure, name


async def _send_alert(stream: trio.SocketStream, reply: bytes) -> None:
    """Trio drops the alert that OpenSSL made as a handshake failed; so it is made once more, and sent."""
    if reply[:1] == _ALERT_RECORD:
        with trio.move_on_after(1), contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(reply)


def _context(authority: Authority, offer: Offer | None) -> ssl.SSLContext:
    if offer is None:
        context = server_context()
        context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        return context
    return authority.context(offer.certified, offer.alpn, offer.versions)


async def _first_record(stream: trio.SocketStream) -> bytes:
    """The client's first TLS record, left in the socket; less when it is none or the client ends."""
    sock = stream.socket
    try:
        head = await _peek(sock, _RECORD_HEAD)
        if len(head) < _RECORD_HEAD or head[0] != _HANDSHAKE_RECORD:
            return head
        return await _peek(sock, _RECORD_HEAD + int.from_bytes(head[3:]))
    except OSError:
        return b""  # the handshake will say what is wrong
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


async def _peek(sock: trio.socket.SocketType, size: int) -> bytes:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    await trio.lowlevel.wait_readable(sock)
    return await sock.recv(size, socket.MSG_PEEK)


def server_name(record: bytes) -> str:
    """The name in a ClientHello; empty when it has none, or is not one that could be answered."""
    asked: list[str] = []

    def note(tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int:
        asked.append(name or "")
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # enough is known

    context = server_context()
    context.sni_callback = note
    _reply(record, context)
    return asked[0] if asked else ""


def _reply(record: bytes, context: ssl.SSLContext) -> bytes:
    """What OpenSSL says to a client's first record."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(record)
    with contextlib.suppress(ssl.SSLError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


def _failure(error: trio.BrokenResourceError, name: str) -> Failure:
    if not isinstance(error.__cause__, ssl.SSLError):
        return Failure(0, "PT03", "the client left during the TLS handshake")
    if error.__cause__.reason != "CALLBACK_FAILED":
        return Failure(0, "PT04", f"TLS handshake failed: {error.__cause__.reason or error.__cause__}")
    if not name:
        return Failure(0, "PT06", "the client sent no server name, and no certificate is for that")
    return Failure(0, "PT05", f"no certificate for {name!r}")


async def agree_on_tls(stream: trio.SocketStream) -> None:
    """`pg_tls`: answer a Postgres client's wish for TLS; Failure when it has none (docs networking/services).

    Exactly its request is read, so nothing that came in the clear gets behind the handshake.
    """
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            while (request := await _receive_exactly(stream, 8)) == PG_GSS_REQUEST:
                await stream.send_all(b"N")
            if request != PG_SSL_REQUEST:
                raise Failure(0, "PT04", f"expected a Postgres SSLRequest, got {request!r}")
            await stream.send_all(b"S")
    except trio.TooSlowError:
        raise Failure(0, "PT08", f"no Postgres SSLRequest in {HANDSHAKE_TIMEOUT:g} s") from None
    except trio.BrokenResourceError as error:
        raise Failure(0, "PT03", "the client left before TLS") from error


async def _receive_exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := await stream.receive_some(size - len(data))):
        data += more
    return data
