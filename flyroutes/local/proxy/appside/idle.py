"""`http_options.idle_timeout`: a connection to an app on which nothing moves comes to its end."""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from flyroutes.local.proxy.concurrency import alongside
from flyroutes.local.proxy.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyroutes.local.proxy.appside.connection import AppConnection

T = TypeVar("T")

_LAST_DATA = struct.Struct("=44xI4xI")
"""tcpi_last_data_sent and tcpi_last_data_recv of struct tcp_info (linux/tcp.h): milliseconds ago."""


async def limited(app: AppConnection, seconds: float | None, job: Callable[[], Awaitable[T]]) -> T:
    """Run `job`; Failure (PC05) once no byte went to or came from the app for `seconds`. None: no limit."""
    if seconds is None:
        return await job()
    return await alongside(partial(_watch, app, seconds), job)


async def _watch(app: AppConnection, seconds: float) -> None:
    began = trio.current_time()
    # The kernel keeps the time and sets no event.
    while (quiet := min(quiet_seconds(app), trio.current_time() - began)) < seconds:  # noqa: ASYNC110
        await trio.sleep(seconds - quiet)
    raise Failure(502, "PC05", f"nothing moved between proxy and app for {seconds:g} s (idle_timeout)")


def quiet_seconds(app: AppConnection) -> float:
    """Since the last byte either way; the kernel keeps count, so nothing here need be told."""
    info = app.stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
    return float(min(_LAST_DATA.unpack(info))) / 1000
