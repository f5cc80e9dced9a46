"""Runs the user's own flyctl: found on the path, asked for JSON, given a time limit, ended with SIGINT.

It gets an environment of its own (variables.py): what it finds does not depend on the user's shell.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from flyroutes.errors import HostError, PlatformError
from flyroutes.live import variables

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

INSTALL = "https://fly.io/docs/flyctl/install/"
LOOK_SECONDS = 60.0
"""For a command that only reads."""
_LAST_SECONDS = 20.0
"""Between SIGINT, on which flyctl gives back its leases on Machines, and SIGKILL."""
_TAIL_LINES = 15
_OF_AN_ORGANIZATION = (("apps", "list"), ("orgs", "list"))
"""What a token of one app may not ask, and what every command of ours asks first."""


class Flyctl:
    """`await fly.run("apps", "create", "x", seconds=60)`.

    `directory` is where flyctl runs, and so where a build takes its files from.
    """

    def __init__(self, program: str, directory: Path, organization: str) -> None:
        self.program = program
        self.directory = directory
        self.organization = organization

    @property
    def name(self) -> str:
        """The program as one types it: fly or flyctl."""
        return Path(self.program).name

    async def read(self, reader: Callable[[Any], T], *argv: str) -> T:
        """What `reader` makes of the JSON; PlatformError when it cannot."""
        text = await self.run(*argv, "--json")
        try:
            return reader(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
            reason = f"`{self._line(argv)}` ended with status {done.returncode}:\n{words}"
            raise PlatformError(f"{reason}{self._about_scope(argv)}")
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
                env=variables.for_flyctl(os.environ),
                start_new_session=True,
                deliver_cancel=_interrupt,
            )
        except OSError as error:
            raise HostError(f"{self.program}: cannot run it ({error}); install flyctl, {INSTALL}") from error

    def _line(self, argv: tuple[str, ...]) -> str:
        return shlex.join((self.name, *argv))

    def _about_scope(self, argv: tuple[str, ...]) -> str:
        """What a token of one app lacks, after a refusal that may come of that; whoami says nothing of it."""
        token = variables.token_name(os.environ)
        if not token or argv[:2] not in _OF_AN_ORGANIZATION:
            return ""
        return (
            f"\nThis takes a token of the organization. If the one in {token} is of one app "
            f"(`{self.name} tokens create deploy`), {variables.renewal(self.name, token, self.organization)}"
        )


async def _interrupt(process: trio.Process) -> None:
    process.send_signal(signal.SIGINT)
    with trio.move_on_after(_LAST_SECONDS):
        await process.wait()
        return
    process.kill()


def _tail(output: bytes) -> str:
    """The last lines, indented, without the user's tokens."""
    text = variables.without_tokens(output.decode(errors="replace"), os.environ)
    return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL_LINES:]) or "    (it said nothing)"
