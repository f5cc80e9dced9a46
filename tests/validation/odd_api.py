"""A Machines API that answers what a test tells it to, right or wrong."""

from __future__ import annotations

import contextlib
import functools
import json
from typing import TYPE_CHECKING, Any

import trio

from flyroutes.reference import CLIENT, PARTS, Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Environment("acme", "odd")
Answers = dict[str, tuple[int, Any]]
"""Path below /v1 -> (status, JSON, or what makes it); None: the request stays without an answer."""


def machine(role: str, **more: Any) -> dict[str, Any]:
    """A started Machine as the API shows it."""
    ip = f"fdaa:0:18:a7b:{len(role):x}::2"
    shown = {"id": f"{role}-1", "name": role, "state": "started", "region": "iad", "private_ip": ip}
    return {**shown, "config": {}, **more}


def healthy() -> Answers:
    """What an organization with all six apps answers."""
    apps = [{"name": HERE.app(part.role), "network": "default"} for part in PARTS]
    answers: Answers = {"/apps": (200, {"apps": apps})}
    for part in PARTS:
        app = f"/apps/{HERE.app(part.role)}"
        answers[app] = (200, {"name": HERE.app(part.role), "network": "default"})
        answers[f"{app}/ip_assignments"] = (200, {"ips": None})
        answers[f"{app}/machines"] = (200, [machine(part.role)])
    return answers


EXEC = f"/apps/{HERE.app(CLIENT)}/machines/{CLIENT}-1/exec"
"""Where the client Machine is asked to run something."""


class OddAPI:
    """Serves `answers`, which a test may change at any time; 404 for what is not in it."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.stuck = trio.Event()
        """Set once a request came that stays without an answer."""

    async def serve(self, nursery: trio.Nursery) -> str:
        """Start in `nursery`; the base URL."""
        listeners = await nursery.start(functools.partial(trio.serve_tcp, self._talk, 0, host="127.0.0.1"))
        return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"

    async def _talk(self, stream: trio.SocketStream) -> None:
        buffer = b""
        # A client that was interrupted leaves in the middle.
        with contextlib.suppress(trio.BrokenResourceError):
            while chunk := await stream.receive_some():
                buffer += chunk
                head, ended, body = buffer.partition(b"\r\n\r\n")
                if ended and len(body) >= _length(head):
                    buffer = b""
                    await stream.send_all(await self._answer(head.split()[1].decode()))

    async def _answer(self, target: str) -> bytes:
        path = target.partition("?")[0].removeprefix("/v1")
        status, content = self.answers.get(path, (404, {"error": "not found"}))
        if callable(content):
            content = content()
        if content is None:
            self.stuck.set()
            await trio.sleep_forever()
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def _length(head: bytes) -> int:
    fields: Mapping[bytes, bytes] = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(fields.get(b"content-length", b"0"))
