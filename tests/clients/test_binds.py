"""What a bind address means depends on the language; what the program made of it decides the route.

docs networking/app-services, a note on wildcards: `[::]` and `0.0.0.0` sometimes cover both families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.asking import becomes, http

if TYPE_CHECKING:
    from conftest import Apps

    from flyroutes.validation.places import Place

NODE = "require('http').createServer((request, response) => response.end('node')).listen({})"
CADDY = """{"admin": {"disabled": true}, "apps": {"http": {"servers": {"one": {
  "listen": ["%s"], "routes": [{"handle": [{"handler": "static_response", "body": "go"}]}]}}}}}"""
BINDS = {
    # A program and how it listens: (works over Fly Proxy, works over 6PN)
    ("node", "8080"): (True, True),
    ("node", "8080, '::'"): (True, True),
    ("node", "{port: 8080, host: '::', ipv6Only: true}"): (False, True),
    ("node", "8080, '0.0.0.0'"): (True, False),
    ("node", "8080, 'fly-local-6pn'"): (False, True),
    ("node", "8080, 'fly-global-services'"): (False, False),
    ("node", "8080, 'localhost'"): (False, False),
    # Go takes either wildcard for both families, unless the network is tcp4 or tcp6 (its net.Listen).
    ("go", ":8080"): (True, True),
    ("go", "[::]:8080"): (True, True),
    ("go", "0.0.0.0:8080"): (True, True),
    ("go", "tcp4/0.0.0.0:8080"): (True, False),
    ("go", "tcp6/[::]:8080"): (False, True),
    ("go", "fly-local-6pn:8080"): (False, True),
    ("go", "fly-global-services:8080"): (False, False),
    ("go", "localhost:8080"): (False, False),
    ("python", "0.0.0.0"): (True, False),
    ("python", "::"): (True, True),
    ("python", "fly-local-6pn"): (False, True),
    ("python", "127.0.0.1"): (False, False),
}


def command(apps: Apps, program: str, bind: str) -> list[str]:
    """Node's http server; Caddy, a web server in Go; Python's http.server."""
    if program == "node":
        return [apps.node, "-e", NODE.format(bind)]
    if program == "go":
        return ["sh", "-c", f"echo '{CADDY % bind}' | caddy run --config -"]
    return ["python", "-m", "http.server", "8080", "--bind", bind, "--directory", "/tmp"]


@pytest.mark.parametrize(("program", "bind"), BINDS)
async def test_bind_decides_the_route(program: str, bind: str, apps: Apps, peer: Place) -> None:
    over_proxy, over_6pn = BINDS[program, bind]
    place = await apps.listening(await apps.run(*command(apps, program, bind), ips=["private_v6"]))
    outcome, detail = ("ok", "") if over_proxy else ("not ok", " 502")
    by_proxy = http(f"{place.app}.flycast") | {"path": "/"}
    await becomes(peer, by_proxy, outcome, detail=detail)
    by_6pn = http(f"{place.app}.internal", 8080) | {"path": "/"}
    await becomes(peer, by_6pn, "ok" if over_6pn else "refused")
