"""Runs the user's own flyctl: found on the path, asked for JSON, given a time limit, ended with SIGINT."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import trio

from flyroutes.errors import ConfigError, HostError, PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MINIMUM = (0, 4, 71)
"""Of 14 July 2026, the first whose `fly apps list --json` says on which network an app stands."""
INSTALL = "https://fly.io/docs/flyctl/install/"
LOOK_SECONDS = 60.0
"""For a command that only reads."""
_LAST_SECONDS = 20.0
"""Between SIGINT, on which flyctl gives back its leases on Machines, and SIGKILL."""
_TAIL_LINES = 15
_TOKENS = ("FLY_API_TOKEN", "FLY_ACCESS_TOKEN")


class Flyctl:
    """`await fly.run("apps", "create", "x", seconds=60)`.

    `directory` is where flyctl runs, and so where a build takes its files from.
    """

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.directory = directory

    @classmethod
    async def connect(cls, directory: Path, organization: str) -> Self:
        """A flyctl that is new enough, logged in, and knows the organization.

        HostError without one or for an old one, PlatformError when it is not logged in, ConfigError for an
        unknown organization.
        """
        program = shutil.which("fly") or shutil.which("flyctl")
        if program is None:
            raise HostError(
                f"expected flyctl on the PATH, found neither fly nor flyctl: install it, {INSTALL}"
            )
        fly = cls(program, directory)
        await fly._check_version()
        await fly._check_login()
        await fly._check_organization(organization)
        return fly

    @property
    def name(self) -> str:
        """The program as one types it: fly or flyctl."""
        return Path(self.program).name

    async def read(self, reader: Callable[[Any], T], *argv: str) -> T:
        """What `reader` makes of the JSON; PlatformError when it cannot."""
        text = await self.run(*argv, "--json")
        try:
            return reader(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PlatformError(
                f"`{self._line(argv)} --json`: expected flyctl's JSON, got {text[:200]!r} "
                f"({type(error).__name__}: {error}); see what `{self.name} version` says, and upgrade it"
            ) from error

    async def run(self, *argv: str, seconds: float = LOOK_SECONDS) -> str:
        """Run `fly ARGV` to its end and return what it prints.

        PlatformError with the end of its own words when it fails, and when it takes longer than `seconds`.
        """
        try:
            with trio.fail_after(seconds):
                done = await self._process(argv)
        except trio.TooSlowError as error:
            raise PlatformError(
                f"`{self._line(argv)}` did not end within {seconds:g} s and was interrupted; "
                "is Fly well? https://status.flyio.net"
            ) from error
        if done.returncode:
            words = _tail(done.stderr.strip() or done.stdout.strip())
            raise PlatformError(f"`{self._line(argv)}` ended with status {done.returncode}:\n{words}")
        return done.stdout.decode(errors="replace")

    async def _process(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
        try:
            # A session of its own: Ctrl-C reaches flyroutes alone, which passes it on once.
            # No input: flyctl then says which flag is missing, and asks nothing.
            return await trio.run_process(
                [self.program, *argv],
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=self.directory,
                env={**os.environ, "NO_COLOR": "1", "FLY_NO_UPDATE_CHECK": "1"},
                start_new_session=True,
                deliver_cancel=_interrupt,
            )
        except OSError as error:
            raise HostError(f"{self.program}: cannot run it ({error}); install flyctl, {INSTALL}") from error

    def _line(self, argv: tuple[str, ...]) -> str:
        return shlex.join((self.name, *argv))

    async def _check_version(self) -> None:
        text = await self.read(lambda data: str(data["Version"]), "version")
        found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
        # A version counted by dates, as 2026.8.7, is above all others by itself.
        if found is None or tuple(map(int, found.groups())) < MINIMUM:
            expected = ".".join(map(str, MINIMUM))
            raise HostError(f"expected flyctl {expected} or later, got {text}: {self.name} version upgrade")

    async def _check_login(self) -> None:
        try:
            await self.run("auth", "whoami")
        except PlatformError as error:
            way_out = f"log in with `{self.name} auth login`, or set FLY_API_TOKEN"
            raise PlatformError(f"flyctl has no login that works: {way_out}. {error}") from error

    async def _check_organization(self, organization: str) -> None:
        known: list[str] = await self.read(sorted, "orgs", "list")
        if organization not in known:
            raise ConfigError(f"--org: expected one of {', '.join(known)}, got {organization!r}")


async def _interrupt(process: trio.Process) -> None:
    process.send_signal(signal.SIGINT)
    with trio.move_on_after(_LAST_SECONDS):
        await process.wait()
        return
    process.kill()


def _tail(output: bytes) -> str:
    """The last lines, indented, without the user's tokens."""
    text = output.decode(errors="replace")
    for name in _TOKENS:
        if token := os.environ.get(name, "").strip():
            text = text.replace(token, f"${name}")
    return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL_LINES:]) or "    (it said nothing)"
