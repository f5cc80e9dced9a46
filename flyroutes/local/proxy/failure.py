"""What can go wrong with one connection or request, and what the client and the log are told.

`code` is Fly's error code (docs monitoring/error-codes), empty where Fly documents none. `status` is
that of the HTTP answer, 0 where none is possible (TLS and raw TCP just close).
"""

from __future__ import annotations

import errno

from flyroutes.text import clipped

_LONGEST_REASON = 500
"""Characters of a reason: what clients and apps sent is quoted in it."""


class Failure(Exception):
    """The request cannot be served: `status` and `reason` go to the client, all of it to the log."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        self.reason = clipped(reason, _LONGEST_REASON)
        super().__init__(self.reason)
        self.status = status
        self.code = code


class Unreachable(Failure):
    """No Machine could be reached, so that no app has seen anything of the request."""


class ReachTimeout(Unreachable):
    """No Machine was reached in the time that there was for it."""


class ClientGone(Exception):
    """The client closed, reset or broke the protocol after its answer began: nobody is left to tell."""


def connect_failure(error: OSError, target: str) -> Unreachable:
    """The 502 for a Machine that could not be dialled at `target`."""
    codes = {errno.ECONNREFUSED: "PC01", errno.ECONNRESET: "PC03", errno.ETIMEDOUT: "PC05"}
    hints = {errno.ECONNREFUSED: "; is the app listening on 0.0.0.0 at that port?"}
    number = error.errno or 0
    reason = f"could not connect to {target}: {error.strerror or error}{hints.get(number, '')}"
    return Unreachable(502, codes.get(number, "PC06"), reason)
