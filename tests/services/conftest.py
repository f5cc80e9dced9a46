"""Starts the real servers, each a process of its own on loopback, and talks to them in bytes.

Tests get everything through fixtures: `start` for a server of ours, `start_script` for any other program.
Nothing sleeps; whatever may hang is under a deadline.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Awaitable, Callable

SERVICES = Path(__file__).parents[2] / "services"
PATIENCE = 10.0
"""Seconds after which anything that should have happened counts as never going to."""


@dataclass
class Reply:
    """An HTTP answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a server, kept as long as the test keeps it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def receive(self) -> bytes:
        """Return what comes next; empty when the server has ended the connection, by FIN or RST."""
        with trio.fail_after(PATIENCE):
            try:
                return bytes(await self.stream.receive_some(65_536))
            except trio.BrokenResourceError:
                return b""

    async def rest(self) -> bytes:
        """Return everything up to the end of the connection."""
        data, self.buffer = self.buffer, b""
        while chunk := await self.receive():
            data += chunk
        return data

    async def reply(self, method: str = "GET") -> Reply:
        """Read one answer with a content-length, to a request of `method`."""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += await self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self.buffer) < size:
            self.buffer += await self._more()
        body, self.buffer = self.buffer[:size], self.buffer[size:]
        return Reply(int(status.split()[1]), headers, body)

    async def request(
        self, path: str = "/healthz", *, method: str = "GET", body: bytes = b"", headers: str = ""
    ) -> Reply:
        """Send one request and return its answer. `headers` are lines that end in CRLF."""
        head = f"{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}"
        if body:
            head += f"content-length: {len(body)}\r\n"
        await self.send(head.encode() + b"\r\n" + body)
        return await self.reply(method)

    async def _more(self) -> bytes:
        chunk = await self.receive()
        assert chunk, f"the server ended the connection after {self.buffer!r}"
        return chunk


@dataclass
class Server:
    """A running server and what it has logged."""

    process: trio.Process
    events: list[dict[str, Any]] = field(default_factory=list)
    stderr: bytes = b""
    silent: bool = False
    """Whether its stdout has ended."""
    complete: bool = False
    """Whether its stderr has ended."""
    _arrived: trio.Condition = field(default_factory=trio.Condition)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, by its own account."""
        first = next(event for event in self.events if event["event"] == "listening")
        return first["address"], first["port"]

    async def event(self, name: str) -> dict[str, Any]:
        """Return the first log line about `name`, waiting for it if need be."""
        with trio.fail_after(PATIENCE):
            async with self._arrived:
                while not (found := [event for event in self.events if event["event"] == name]):
                    assert not self.silent, f"no {name!r} from a server that ended: {self.stderr.decode()}"
                    await self._arrived.wait()
        return found[0]

    async def connect(self) -> Client:
        """Open one more connection."""
        with trio.fail_after(PATIENCE):
            return Client(await trio.open_tcp_stream(*self.address))

    async def request(self, path: str = "/healthz", **options: Any) -> Reply:
        """Send one request over a connection of its own."""
        async with await self.connect() as client:
            return await client.request(path, **options)

    async def exit_code(self, patience: float = PATIENCE) -> int:
        """Wait for the process to end by itself."""
        with trio.fail_after(patience):
            return await self.process.wait()

    async def complaint(self) -> str:
        """Return all that came on stderr."""
        with trio.fail_after(PATIENCE):
            async with self._arrived:
                while not self.complete:
                    await self._arrived.wait()
        return self.stderr.decode()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, by its own process id."""
        self.process.send_signal(number)

    async def collect(self, stream: Any) -> None:
        """Parse each line of stdout as the JSON it must be."""
        rest = b""
        with suppress(trio.ClosedResourceError):  # a test may stop to read
            async for chunk in stream:
                *lines, rest = (rest + chunk).split(b"\n")
                async with self._arrived:
                    self.events += [json.loads(line) for line in lines]
                    self._arrived.notify_all()
        assert not rest, f"the last log line has no end: {rest!r}"
        async with self._arrived:
            self.silent = True
            self._arrived.notify_all()

    async def collect_stderr(self, stream: Any) -> None:
        async for chunk in stream:
            self.stderr += chunk
        async with self._arrived:
            self.complete = True
            self._arrived.notify_all()


@pytest.fixture
async def launch(nursery: trio.Nursery) -> AsyncIterator[Callable[..., Awaitable[Server]]]:
    """Start a command in a directory, with exactly the environment given; it is gone after the test."""
    servers: list[Server] = []

    async def launch(command: list[str], directory: Path, env: dict[str, str]) -> Server:
        process = await trio.lowlevel.open_process(
            command,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        servers.append(server := Server(process))
        nursery.start_soon(server.collect, process.stdout)
        nursery.start_soon(server.collect_stderr, process.stderr)
        return server

    yield launch
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        await server.process.wait()


def edited(name: str, directory: Path, constants: dict[str, float]) -> Path:
    """Copy `services/<name>` to `directory` and give constants of its server.py other values."""
    copy = shutil.copytree(SERVICES / name, directory)
    program = copy / "server.py"
    for constant, value in constants.items():
        text, found = re.subn(rf"(?m)^{constant} = [\d._]+", f"{constant} = {value}", program.read_text())
        assert found == 1, f"expected one line `{constant} = ...` in services/{name}/server.py, got {found}"
        program.write_text(text)
    return copy


@pytest.fixture
def start(launch: Callable[..., Awaitable[Server]], tmp_path: Path) -> Callable[..., Awaitable[Server]]:
    """Start `services/<name>` on a free port of loopback and wait until it listens.

    `edit` has other values for constants of its server.py.
    """
    copies = itertools.count()

    async def start(
        name: str, *, wait: bool = True, edit: dict[str, float] | None = None, **env: str
    ) -> Server:
        defaults = {"BIND_HOST": "127.0.0.1", "PORT": "0", "PATH": os.environ["PATH"]}
        settings = {key: value for key, value in (defaults | env).items() if value != "unset"}
        directory = edited(name, tmp_path / f"{name}-{next(copies)}", edit) if edit else SERVICES / name
        server = await launch([sys.executable, "server.py"], directory, settings)
        if wait:
            await server.event("listening")
        return server

    return start


@pytest.fixture
def start_script(launch: Callable[..., Awaitable[Server]]) -> Callable[..., Awaitable[Server]]:
    """Start a Python program given as text, beside the files of a service, and wait until it listens."""

    async def start_script(text: str, *, beside: str = "flycast_api", **env: str) -> Server:
        settings = {"PATH": os.environ["PATH"]} | env
        server = await launch([sys.executable, "-c", text], SERVICES / beside, settings)
        await server.event("listening")
        return server

    return start_script
