"""The `tls` handler: terminate TLS for `<app>.fly.dev` with certificates of the local authority."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trio

from flyroutes.local.authority import Authority, server_context
from flyroutes.local.proxy.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

HANDSHAKE_TIMEOUT = 10.0


async def terminate(
    stream: trio.SocketStream, authority: Authority, alpn_of: Callable[[str], tuple[str, ...] | None]
) -> tuple[trio.SSLStream[trio.SocketStream], str]:
    """The decrypted stream and the server name the client asked for; Failure when the handshake fails.

    `alpn_of(name)` is what may be agreed on for a name with a certificate, None for any other name.
    """
    asked: list[str] = []

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        asked.append(name or "")
        alpn = alpn_of(asked[0])
        if alpn is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = authority.context(asked[0].lower(), alpn)
        return None

    context = server_context()
    context.sni_callback = choose
    secure = trio.SSLStream(stream, context, server_side=True)
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            await secure.do_handshake()
    except trio.TooSlowError:
        raise Failure(0, "PT08", f"no TLS handshake in {HANDSHAKE_TIMEOUT:g} s") from None
    except trio.BrokenResourceError as error:
        raise _failure(error, asked, alpn_of) from error
    return secure, asked[0]


def _failure(
    error: trio.BrokenResourceError, asked: list[str], alpn_of: Callable[[str], tuple[str, ...] | None]
) -> Failure:
    if asked and alpn_of(asked[0]) is None:
        if not asked[0]:
            return Failure(0, "PT06", "the client sent no server name, and no certificate is for that")
        return Failure(0, "PT05", f"no certificate for {asked[0]!r}")
    if isinstance(error.__cause__, ssl.SSLError):
        return Failure(0, "PT04", f"TLS handshake failed: {error.__cause__.reason or error.__cause__}")
    return Failure(0, "PT03", "the client left during the TLS handshake")
