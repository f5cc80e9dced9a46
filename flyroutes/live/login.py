"""A flyctl that will do: found on the path, new enough, let in, and in the right organization."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from flyroutes.errors import ConfigError, HostError, PlatformError
from flyroutes.live import variables
from flyroutes.live.flyctl import INSTALL, Flyctl

if TYPE_CHECKING:
    from pathlib import Path

MINIMUM = (0, 4, 71)
"""The first whose `fly apps list --json` says on which network an app stands."""
_MINIMUM_DATE = (2026, 7, 14)
"""When that was released, for versions that are dates (flyctl internal/version/version.go IsCalVer)."""


async def connect(directory: Path, organization: str) -> Flyctl:
    """The user's flyctl, to be run in `directory` for the organization.

    HostError without one or for an old one, PlatformError when it is not let in, ConfigError for an
    organization that it does not know.
    """
    program = shutil.which("fly") or shutil.which("flyctl")
    if program is None:
        raise HostError(f"expected flyctl on the PATH, found neither fly nor flyctl: install it, {INSTALL}")
    fly = Flyctl(program, directory, organization)
    await _check_version(fly)
    await _check_login(fly)
    await _check_organization(fly)
    return fly


async def _check_version(fly: Flyctl) -> None:
    version, environment = await fly.read(
        lambda data: (str(data["Version"]), str(data["Environment"])), "version"
    )
    released = environment == "production"
    if not (released and _is_new_enough(version)):
        expected = ".".join(map(str, MINIMUM))
        # Its version is the day on which it was built, of whatever age its code is (buildinfo/env_dev.go).
        found = version if released else f"{version}, a build for {environment}"
        raise HostError(f"expected flyctl {expected} or later, got {found}: {fly.name} version upgrade")


def _is_new_enough(version: str) -> bool:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    found = tuple(map(int, match.groups())) if match else ()
    return found >= (MINIMUM if found < (2023,) else _MINIMUM_DATE)


async def _check_login(fly: Flyctl) -> None:
    try:
        await fly.run("auth", "whoami")
    except PlatformError as error:
        token = variables.token_name(os.environ)
        if token:
            problem = f"the token in {token} does not work, and flyctl prefers it to a login"
            way_out = variables.renewal(fly.name, token, fly.organization)
        else:
            problem = "flyctl has no login that works"
            way_out = f"log in with `{fly.name} auth login`, or set FLY_API_TOKEN"
        raise PlatformError(f"{problem}: {way_out}. {error}") from error


async def _check_organization(fly: Flyctl) -> None:
    known: list[str] = await fly.read(sorted, "orgs", "list")
    if fly.organization not in known:
        token = variables.token_name(os.environ)
        whose = f"; the token in {token} sees no other" if token else ""
        expected = ", ".join(known) or "none"
        raise ConfigError(f"--org: expected one of {expected}, got {fly.organization!r}{whose}")
