"""Who is let in, to what, with which flyctl."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

import settings
import store
from commands import failing

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.machines_api.client import Fly


def show(data: Any) -> None:
    """JSON as flyctl prints it."""
    print(json.dumps(data, indent=4))


def version(call: Call) -> None:
    """flyctl internal/buildinfo; one line, unlike all other JSON."""
    info = {
        "Name": "fly",
        "Version": store.read()["version"],
        "Commit": "0" * 40,
        "BranchName": "",
        "BuildDate": "2026-08-07T00:00:00Z",
        "OS": "linux",
        "Architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "Environment": store.read()["environment"],
    }
    if call.flags.get("json"):
        print(json.dumps(info))
    else:
        system = f"{info['OS']}/{info['Architecture']}"
        print(f"fly v{info['Version']} {system} Commit: {info['Commit']} BuildDate: {info['BuildDate']}")


async def auth_whoami(call: Call, fly: Fly) -> None:
    """flyctl internal/command/auth/whoami.go; a token that is nobody's login has a made-up address."""
    with failing("failed retrieving current user"):
        await fly.apps()
    email = store.read()["login"] or "00000000-0000-4000-8000-000000000000@tokens.fly.io"
    if call.flags.get("json"):
        show({"email": email})
    else:
        print(email)


def orgs_list(call: Call) -> None:
    """flyctl internal/command/orgs/list.go: slug to name."""
    orgs = store.read()["orgs"]
    if call.flags.get("json"):
        show(orgs)
    else:
        print("\n".join(f"{name:30} {slug}" for slug, name in orgs.items()))


def platform_vm_sizes(call: Call) -> None:
    """flyctl internal/command/platform/vmsizes.go: no prices, neither here nor there."""
    from flyroutes.platform.sizes import SIZES

    if call.flags.get("json"):
        show(SIZES)
    else:
        print("\n".join(SIZES))


def tokens_create_org(call: Call) -> None:
    """flyctl internal/command/tokens/create.go: the scheme and the token; the only place that shows one."""
    settings.chosen_organization(call)
    token = f"FlyV1 {settings.token(call).removeprefix('FlyV1 ').removeprefix('Bearer ')}"
    if call.flags.get("json"):
        show({"token": token})
    else:
        print(token)
