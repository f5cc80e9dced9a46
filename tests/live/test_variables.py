"""flyctl gets an environment of its own: what the user's shell has set changes nothing that is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyroutes.live import variables
from flyroutes.live.flyctl import Flyctl
from flyroutes.reference import CLIENT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.live.organization import Organization

SHELL = {
    "FLY_ORG": "acme", "FLY_ORGANIZATION": "acme", "FLY_APP": "another", "FLY_REGION": "lhr", "FLY_JSON": "1",
    "FLY_VERBOSE": "1", "VERBOSE": "1", "FLY_LOG_GQL_ERRORS": "1", "FLY_LOCAL_ONLY": "1",
    "LOG_LEVEL": "debug", "FLY_FORCE_REGION": "lhr", "FLY_FORCE_TRACE": "1",
    "FLY_EMIT_RELEASE_JSON": "1", "FLY_UPDATE_CHECK": "1",
    "FLYCTL_OUTPUT_HAR": "/nowhere/all.har", "DEPLOY_TRIGGER": "launch", "FLY_GHA_ERROR_ANNOTATION": "1",
}  # fmt: skip
"""What flyctl and fly-go read besides where Fly is and who asks."""


async def test_flags_in_the_shell_change_nothing(organization: Organization) -> None:
    """FLY_ORG once made destroy say "nothing to remove" of apps that cost money."""
    fly, app = organization.standin.fly, organization.app(CLIENT)
    assert fly("apps", "create", app, "-o", "personal", "-y").returncode == 0
    assert (
        fly("machine", "run", "alpine", "sleep", "inf", "-a", app, "-m", "flyroutes=client").returncode == 0
    )
    assert app not in fly("apps", "list", **SHELL).stdout, "flyctl itself follows them"
    for command in (["status", "--json"], ["deploy", "--plan"]):
        plain, flagged = await organization(*command), await organization(*command, **SHELL)
        assert (flagged.returncode, flagged.stdout) == (0, plain.stdout)
    assert app in (await organization("status", **SHELL)).stdout
    gone = await organization("destroy", "-y", **SHELL)
    assert (gone.returncode, organization.changing()) == (0, [f"fly apps destroy {app} -y"]), gone
    assert app not in organization.standin.apps()


async def test_what_flyctl_gets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "fly"
    program.write_text("#!/bin/sh\nexec /usr/bin/env -0\n")
    program.chmod(0o755)
    kept = {
        "HOME": "/home/ada", "LC_ALL": "C.UTF-8", "CI": "true", "https_proxy": "http://proxy",
        "FLY_API_TOKEN": "t", "FLY_CONFIG_DIR": "/fly", "FLY_FLAPS_BASE_URL": "http://_api.internal:4280",
        "FLY_SEND_METRICS": "0",
        "DOCKER_HOST": "unix:///run/docker.sock", "FLY_UIEX_BASE_URL": "http://_api.internal:4280",
    }  # fmt: skip
    for name, value in {**SHELL, **kept, "FLY_ACCESS_TOKEN": "", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    printed = await Flyctl(str(program), tmp_path, "personal").run()
    found = dict(line.split("=", 1) for line in printed.rstrip("\0").split("\0"))
    assert found.items() >= {**kept, "NO_COLOR": "1", "FLY_NO_UPDATE_CHECK": "1"}.items()
    assert not found.keys() & {*SHELL, "FLY_ACCESS_TOKEN", "AWS_SECRET_ACCESS_KEY"}


def test_which_token_counts() -> None:
    both = {"FLY_API_TOKEN": "a", "FLY_ACCESS_TOKEN": "b"}
    names = [variables.token_name(env) for env in (both, {**both, "FLY_ACCESS_TOKEN": ""}, {})]
    assert names == ["FLY_ACCESS_TOKEN", "FLY_API_TOKEN", ""]
