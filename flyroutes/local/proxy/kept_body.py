"""The body of a request on its way to an app, kept so that it can be sent to another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.local.proxy.failure import Failure
from flyroutes.platform.proxy.replay import MOST_BYTES

if TYPE_CHECKING:
    from flyroutes.local.proxy.clientside.client import Client


class KeptBody:
    """A client's `Body` that keeps up to `MOST_BYTES`; a longer one passes, and cannot be replayed."""

    __slots__ = ("_again", "_client", "_ended", "_kept", "_replayed")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kept: bytearray | None = bytearray()
        self._ended = False
        self._again = False
        self._replayed = False
        length = dict(client.request.headers).get(b"content-length", b"0")
        if len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES:
            self._kept = None

    async def receive(self) -> bytes:
        """The next piece of the body, empty at its end; Failure or ClientGone."""
        found = self._at_hand()
        return self._keep(await self._client.receive()) if found is None else found

    def receive_nowait(self) -> bytes | None:
        """The next piece as `receive` gives it; None when that would have to wait."""
        if (found := self._at_hand()) is not None:
            return found
        chunk = self._client.receive_nowait()
        return None if chunk is None else self._keep(chunk)

    def rewind(self) -> None:
        """Begin again with what was kept; Failure when that is not all. The status is assumed."""
        if self._kept is None:
            raise Failure(413, "PA01", f"a request of more than {MOST_BYTES} bytes cannot be replayed")
        self._again = bool(self._kept)
        self._replayed = True

    def _at_hand(self) -> bytes | None:
        if self._again and self._kept is not None:
            self._again = False
            return bytes(self._kept)
        return b"" if self._ended else None

    def _keep(self, chunk: bytes) -> bytes:
        self._ended = not chunk
        if self._kept is not None:
            self._kept += chunk
            if len(self._kept) > MOST_BYTES:
                self._kept = None
                if self._replayed:  # It began as a small one.
                    self.rewind()
        return chunk
