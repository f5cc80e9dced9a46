"""The stand-in for flyctl (tests/standin/flyctl) in a directory of its own, on a PATH of its own."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from flyroutes.machines_api.client import BASE_URL
from tests.support.patience import PROGRAM_SECONDS, SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

FLY = Path(__file__).resolve().parent / "flyctl" / "fly.py"
INTERRUPTED = 127
"""Exit status of a flyctl that got SIGINT (internal/cli/cli.go:102)."""
_OF_A_MACHINE = ("FLY_APP", "FLY_ORG", "FLY_REGION")
"""What the local network tells a Machine, and flyctl would take for flags."""
ORGS = {"personal": "Ada Lovelace", "acme": "Acme Ltd"}


class Standin:
    """`with Standin(tmp_path) as standin:`, then programs with `standin.env()` find it as `fly`.

    At the end every app that it created is deleted from the local network.
    """

    def __init__(self, directory: Path, *, orgs: Mapping[str, str] = ORGS, version: str = "0.4.87") -> None:
        self._home, self._bin = directory / "standin", directory / "bin"
        for path in (self._home, self._bin):
            path.mkdir(parents=True)
        state = {
            "login": "ada@example.com",
            "token": os.environ["FLY_API_TOKEN"],
            "app_tokens": [],
            "orgs": dict(orgs),
            "version": version,
            "environment": "production",
            "apps": {},
            "journal": [],
        }
        self._write("state.json", state)
        self._write("faults.json", [])
        self._server = _serve(name := f"flyroutes-standin-{secrets.token_hex(8)}")
        shim = self._bin / "fly"
        client = shlex.join([sys.executable, "-IS", str(Path(__file__).with_name("client.py")), name])
        home = shlex.quote(str(self._home))
        shim.write_text(f'#!/bin/sh\nFLY_STANDIN={home} exec {client} "$@"\n')
        shim.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.clean_up()
        finally:
            self._server.kill()
            self._server.communicate()

    def env(self, **more: str) -> dict[str, str]:
        """The environment for a child that is to find it; `more` is what else its shell has set."""
        kept = {key: value for key, value in os.environ.items() if key not in _OF_A_MACHINE}
        path = f"{self._bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**kept, "PATH": path, **more}

    def fly(
        self, *argv: str | Path, cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command in `cwd` and `env(**more)`, and wait for its end."""
        command, env = [str(self._bin / "fly"), *map(str, argv)], self.env(**more)
        return subprocess.run(
            command, env=env, cwd=cwd, capture_output=True, text=True, timeout=PROGRAM_SECONDS
        )

    def json(self, *argv: str | Path) -> Any:
        """What a command that must succeed prints with --json."""
        done = self.fly(*argv, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def fault(self, *match: str, do: str, nth: int | None = None, **rule: Any) -> None:
        """Let commands that begin with these words fail.

        `do`: fail-before, fail-after (the work is done), hang (until SIGINT), slow (`seconds`), garbage-json;
        `status` and `stderr` of the first two; `nth` of the matching commands, else each of them.
        """
        rules = self._read("faults.json")
        self._write("faults.json", [*rules, {"match": list(match), "do": do, "nth": nth, **rule}])

    def mend(self) -> None:
        """Forget every fault."""
        self._write("faults.json", [])

    def journal(self) -> list[dict[str, Any]]:
        """Every command so far: argv (without a token), start and end in seconds since the epoch, status.

        `end` and `status` are None while it runs, and for ever if it was killed.
        """
        found: list[dict[str, Any]] = self._read("state.json")["journal"]
        return found

    def commands(self) -> list[str]:
        """The journal's command lines as text."""
        return [shlex.join(entry["argv"]) for entry in self.journal()]

    def set_login(self, email: str | None) -> None:
        """Log in, or out with None. Not while a command runs."""
        self._write("state.json", {**self._read("state.json"), "login": email})

    def set_version(self, version: str, environment: str = "production") -> None:
        """What `fly version` says. Not while a command runs."""
        state = self._read("state.json")
        self._write("state.json", {**state, "version": version, "environment": environment})

    def app_token(self) -> str:
        """A new token of one app: what is asked of a whole organization is refused to it."""
        state, token = self._read("state.json"), f"fm2_{secrets.token_hex(8)}"
        self._write("state.json", {**state, "app_tokens": [*state["app_tokens"], token]})
        return token

    def apps(self) -> dict[str, Any]:
        """The apps that it created, and those that it deployed."""
        found: dict[str, Any] = self._read("state.json")["apps"]
        return found

    def clean_up(self) -> None:
        """Delete from the network what was created."""
        base = os.environ.get("FLY_FLAPS_BASE_URL") or BASE_URL
        headers = {"Authorization": f"Bearer {os.environ['FLY_API_TOKEN']}"}
        # Plain HTTP: reading all authorities takes longer than the calls.
        with httpx.Client(
            base_url=base, headers=headers, trust_env=False, verify=False, timeout=SECONDS
        ) as api:
            for app in (name for name, facts in self.apps().items() if facts.get("created")):
                answer = api.delete(f"/v1/apps/{app}", params={"force": "true"})
                assert answer.status_code in (202, 404), answer.text

    def _read(self, name: str) -> Any:
        return json.loads((self._home / name).read_text())

    def _write(self, name: str, content: Any) -> None:
        (self._home / name).write_text(json.dumps(content))


def _serve(name: str) -> subprocess.Popen[bytes]:
    """Start serve.py, which runs the commands, and wait until it listens."""
    command = [sys.executable, str(FLY.with_name("serve.py")), name]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    return server
