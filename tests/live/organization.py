"""An organization to deploy to: the stand-in for flyctl on the local network, with one environment in it."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyroutes.commands import main
from flyroutes.reference import Environment
from tests.support.command import ROOT, flyroutes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.standin.harness import Standin

READING = ("version", "auth whoami", "orgs list", "apps list", "ips list", "machine list")
"""The commands that change nothing."""


@dataclass
class Organization:
    """`await organization("deploy", "--plan")`, and what flyctl was asked by it."""

    standin: Standin
    prefix: str = field(default_factory=lambda: f"t-{secrets.token_hex(3)}")
    _seen: int = 0

    @property
    def options(self) -> tuple[str, ...]:
        """Which organization, which environment."""
        return ("--org", "personal", "--prefix", self.prefix)

    def app(self, role: str) -> str:
        """The name of the app with that role."""
        return Environment(prefix=self.prefix).app(role)

    async def __call__(
        self, command: str, *more: str, cwd: Path = ROOT, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of flyroutes to its end; no crash is an answer."""
        self._seen = len(self.standin.journal())
        done = await flyroutes(command, *self.options, *more, cwd=cwd, env=self.standin.env(**env))
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def here(
        self, command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of flyroutes in this process, which saves the start of one."""
        self._seen = len(self.standin.journal())
        for name, value in self.standin.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(ROOT)
        capfd.readouterr()
        status = main.main([command, *self.options])
        return subprocess.CompletedProcess([command], status, *capfd.readouterr())

    def changing(self) -> list[str]:
        """What the last command, or whoever came after it, let flyctl change, as command lines."""
        lines = self.standin.commands()[self._seen :]
        return [f"fly {line}" for line in lines if not line.startswith(READING)]

    async def plan(self, *more: str) -> list[str]:
        """The command lines that `deploy --plan` shows."""
        done = await self("deploy", "--plan", *more)
        assert done.returncode == 0, done
        return [line for line in done.stdout.splitlines() if line.startswith("fly ")]

    async def shape(self) -> dict[str, Any]:
        """Role to what stands there, without the names and numbers that differ from time to time."""
        apps = json.loads((await self("status", "--json")).stdout)
        return {app["role"]: self._shape(app) for app in apps}

    def _shape(self, app: dict[str, Any]) -> tuple[str, list[str], list[str]]:
        ips = [f"{ip['type']} {ip['network']}".strip() for ip in app["ips"]]
        machines = [
            f"{one['region']} {one['state']}" for one in app["machines"] if one["label"] or one["role"]
        ]
        return app["network"].replace(self.prefix, "P"), sorted(ips), sorted(machines)


def words(line: str) -> list[str]:
    """The words of a shown command line that name the command of fly."""
    first, second, *_ = shlex.split(line)[1:]
    return [first] if first == "deploy" else [first, second]
