"""Go programs as Debian has them: hey, a client, with both resolvers; Caddy, a server and a proxy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flyroutes.reference import FLYCAST, PUBLIC, WORKER
from flyroutes.validation.places import Place
from tests.support.asking import awake, becomes, http

if TYPE_CHECKING:
    from conftest import Apps

RESOLVERS = {"go": "Go's resolver", "cgo": "cgo"}
"""GODEBUG=netdns=... and the word for it in what the package net then says."""
URLS = {
    f"http://{FLYCAST}.flycast/healthz": "[200]",
    f"http://{WORKER}.internal:8080/healthz": "[200]",
    f"https://{PUBLIC}.fly.dev/healthz": "[200]",
    f"http://{FLYCAST}.internal:8080/healthz": "connection refused",
    "http://nobody-here.internal/": "no such host",
}


async def stand(apps: Apps, place: str) -> Place:
    """A laptop on WireGuard, or a Machine whose program is Caddy."""
    if place == "laptop":
        return Place(apps.fly)
    return await apps.run("caddy", "respond", "--listen", ":8080", services=())


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("place", ["laptop", "machine"])
async def test_client_with_either_resolver(place: str, resolver: str, apps: Apps) -> None:
    await awake(apps.fly, WORKER)
    where = await stand(apps, place)
    for url, expected in URLS.items():
        ended = await where.run(["env", f"GODEBUG=netdns={resolver}+1", "hey", "-n", "1", "-c", "1", url])
        assert RESOLVERS[resolver] in ended.stderr, ended
        assert expected in ended.stdout, (url, ended)


@pytest.mark.parametrize("options", [[], ["-h2"]])
async def test_a_thousand_requests_lose_none(options: list[str], peer: Place) -> None:
    command = ["hey", "-n", "1000", "-c", "20", *options, f"https://{PUBLIC}.fly.dev/healthz"]
    ended = await peer.run(command)
    assert re.findall(r"\[(\d+)\]\s+(\d+) responses", ended.stdout) == [("200", "1000")], ended


REVERSE = ["caddy", "reverse-proxy", "--from", "http://:8080", "--change-host-header", "--to"]


@pytest.mark.parametrize(
    ("upstream", "env", "ok"),
    [
        (f"http://{FLYCAST}.flycast:80", {}, True),
        (f"http://{WORKER}.internal:8080", {}, True),
        (f"https://{PUBLIC}.fly.dev", {}, True),
        (f"https://{PUBLIC}.fly.dev", {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}, False),
        (f"https://{FLYCAST}.flycast", {}, False),
    ],
)
async def test_caddy_in_a_machine_passes_requests_on(
    upstream: str, env: dict[str, str], ok: bool, apps: Apps, peer: Place
) -> None:
    """From the laptop through Fly Proxy to Caddy, and from there by the second route."""
    await awake(apps.fly, WORKER)
    place = await apps.run(*REVERSE, upstream, ips=["private_v6"], **env)
    await apps.listening(place)
    await becomes(peer, http(f"{place.app}.flycast"), "ok" if ok else "not ok", detail="" if ok else " 502")
