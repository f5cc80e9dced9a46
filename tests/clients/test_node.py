"""Node as it is: its resolvers, its three HTTP clients and its UDP sockets, on a laptop and in Machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import FLYCAST, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.clients import programs
from tests.support.asking import awake, becomes

if TYPE_CHECKING:
    from conftest import Apps

PLACES = ["laptop", "machine"]


async def stand(apps: Apps, place: str) -> Place:
    """A laptop on WireGuard, or a Machine whose program is Node doing nothing."""
    if place == "laptop":
        return Place(apps.fly)
    return await apps.run(apps.node, "-e", "setInterval(() => {}, 1e9)", services=())


@pytest.mark.parametrize("place", PLACES)
async def test_both_resolvers_agree_on_an_aaaa_only_name(place: str, apps: Apps) -> None:
    addresses = [machine.private_ip for machine in await awake(apps.fly, WORKER)]
    told = await apps.node_tells(await stand(apps, place), "names.js", f"{WORKER}.internal")
    assert sorted(told["aaaa"]) == sorted(told["lookup"]) == sorted(addresses), told
    # Without an address of that kind, and not without the name: that would end a search for the other kind.
    assert (told["a"], told["lookup4"]) == ("ENODATA", "ENOTFOUND")


@pytest.mark.parametrize("place", PLACES)
async def test_both_resolvers_on_text_and_on_no_name(place: str, apps: Apps) -> None:
    where = await stand(apps, place)
    (text,) = (await apps.node_tells(where, "names.js", "_apps.internal"))["txt"]
    assert WORKER in "".join(text).split(",")
    nobody = await apps.node_tells(where, "names.js", "nobody-here.internal")
    assert (nobody["aaaa"], nobody["lookup"]) == ("ENOTFOUND", "ENOTFOUND")


ROUTES = {
    # client, URL: what must come, the status or the error
    ("http", f"http://{FLYCAST}.flycast/healthz"): [200, "1.1"],
    ("fetch", f"http://{FLYCAST}.flycast/healthz"): [200, "fetch"],
    ("http", f"http://{WORKER}.internal:8080/healthz"): [200, "1.1"],
    ("fetch", f"http://{WORKER}.internal:8080/healthz"): [200, "fetch"],
    ("http", f"https://{PUBLIC}.fly.dev/healthz"): [200, "1.1"],
    ("fetch", f"https://{PUBLIC}.fly.dev/healthz"): [200, "fetch"],
    ("http2", f"https://{PUBLIC}.fly.dev/healthz"): [200, "h2"],
    ("http", f"http://{PUBLIC}.fly.dev/healthz"): [301, "1.1"],
    ("http", f"http://{FLYCAST}.internal:8080/healthz"): ["ECONNREFUSED"],
    ("http", "http://nobody-here.internal/"): ["ENOTFOUND"],
}


@pytest.mark.parametrize("place", PLACES)
async def test_http_clients(place: str, apps: Apps) -> None:
    await awake(apps.fly, WORKER)
    where = await stand(apps, place)
    for (client, url), expected in ROUTES.items():
        told = await apps.node_tells(where, "get.js", client, url)
        assert told[:2] == expected, (client, url, told)


async def test_without_the_local_authority_node_trusts_nobody(apps: Apps, peer: Place) -> None:
    url = f"https://{PUBLIC}.fly.dev/healthz"
    get = [apps.node, programs.at(peer, "get.js"), "http", url]
    told = await apps.tell(peer, "env", "-u", "NODE_EXTRA_CA_CERTS", *get)
    assert told == ["UNABLE_TO_VERIFY_LEAF_SIGNATURE"]
    assert "NODE_EXTRA_CA_CERTS" in os.environ


async def test_one_connection_serves_an_agent_and_expects_100_continue(apps: Apps, peer: Place) -> None:
    told = await apps.node_tells(peer, "keep_alive.js", f"{FLYCAST}.flycast")
    assert (told["connections"], told["interim"]) == (1, [100])
    assert told["body"] == "hello"


@pytest.mark.parametrize(("host", "outcome"), [(["fly-global-services"], "ok"), ([], "timeout")])
async def test_public_udp(host: list[str], outcome: str, apps: Apps, peer: Place) -> None:
    service = {"protocol": "udp", "internal_port": 6000, "ports": [{"port": 6000}]}
    server = [apps.node, programs.in_machine("udp_echo.js"), "6000", *host]
    place = await apps.run(*server, ips=["v4"], services=[service])
    await apps.listening(place, 6000, "udp")
    (ip,) = await apps.fly.ips(place.app)
    await becomes(peer, {"how": "udp", "host": ip.address, "port": 6000}, outcome)
