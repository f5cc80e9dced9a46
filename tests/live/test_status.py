"""`flyroutes status`: an organization's apps and the local network's, in one form."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from flyroutes.reference import CLIENT, FLYCAST, PUBLIC, ROUTES
from tests.support.command import flyroutes

if TYPE_CHECKING:
    from tests.live.organization import Organization


async def test_the_local_network() -> None:
    done = await flyroutes("status")
    header, *lines = done.stdout.splitlines()
    assert (done.returncode, header.split()[:4]) == (0, ["APP", "ROLE", "NETWORK", "IP"]), done
    rows = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert all(f" {role} " in rows[role] and " started " in rows[role] for role in ROUTES), done.stdout
    assert "private_v6 from default" in rows[FLYCAST]
    (second,) = [line for line in lines if "shared_v4" in line]
    assert lines[lines.index(second) - 1] == rows[PUBLIC], done.stdout


async def test_both_ways_of_looking_see_the_same(organization: Organization) -> None:
    fly, app = organization.standin.fly, organization.app(CLIENT)
    assert fly("apps", "create", app, "-o", "personal", "--network", "mine", "-y").returncode == 0
    assert fly("ips", "allocate-v6", "--private", "--network", "mine", "-a", app).returncode == 0
    run = ("machine", "run", "python:3.11-slim", "sleep", "inf", "-a", app, "-m", "flyroutes=client")
    assert fly(*run).returncode == 0
    (live,) = json.loads((await organization("status", "--json")).stdout)
    everything = json.loads((await flyroutes("status", "--json")).stdout)
    (local,) = [found for found in everything if found["name"] == app]
    assert (live.pop("role"), local.pop("role")) == (CLIENT, "")
    assert live == local
    assert (live["network"], live["machines"][0]["role"]) == ("mine", "client")
    assert [(ip["type"], ip["network"]) for ip in live["ips"]] == [("private_v6", "mine")]


async def test_nothing_of_ours_in_the_organization(organization: Organization) -> None:
    done = await organization("status")
    assert (done.returncode, f"no app {organization.app('...')} stands there\n") == (0, done.stdout), done
    assert (await organization("status", "--json")).stdout == "[]\n"


async def test_none_is_up() -> None:
    outside = {name: value for name, value in os.environ.items() if name != "FLYROUTES_INSIDE"}
    done = await flyroutes("status", env=outside)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert all(word in done.stderr for word in ("flyroutes up", "--org"))
