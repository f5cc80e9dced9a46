"""The Flycast API, asked over the wire."""

from __future__ import annotations

from typing import Any

import pytest


async def test_echo_returns_the_bytes(start: Any) -> None:
    server = await start("flycast_api")
    body = bytes(range(256)) * 256
    reply = await server.request("/echo", method="POST", body=body)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert (await server.request("/echo", method="POST", body=body + b"x")).status == 413
    assert (await server.request("/echo")).status == 405


async def test_whoami_keeps_socket_and_headers_apart(start: Any) -> None:
    server = await start("flycast_api", FLY_APP_NAME="a", FLY_MACHINE_ID="m", FLY_REGION="iad")
    async with await server.connect() as client:
        sent = "fly-client-ip: 203.0.113.9\r\nvia: 1 a\r\nvia: 2 b\r\ncookie: secret\r\n"
        seen = (await client.request("/whoami", headers=sent)).json()
        host, port = client.stream.socket.getsockname()
    assert (seen["app"], seen["machine"], seen["region"]) == ("a", "m", "iad")
    assert seen["peer"] == {"address": host, "port": port}
    assert seen["local"]["port"] == server.address[1]
    assert (seen["transport"], seen["http_version"]) == ("tcp", "1.1")
    assert (seen["headers"]["fly-client-ip"], seen["headers"]["via"]) == ("203.0.113.9", "1 a, 2 b")
    assert seen["headers"]["fly-region"] is None
    assert "secret" not in str(seen)


@pytest.mark.parametrize("name", ["public_http", "flycast_api", "sixpn_worker"])
async def test_head_wherever_get(start: Any, name: str) -> None:
    server = await start(name, edit={"REACH_TIMEOUT": 0.2} if name == "public_http" else None)
    async with await server.connect() as client:
        for path in ["/healthz", "/whoami", *(["/", "/reach"] if name == "public_http" else [])]:
            got, head = await client.request(path), await client.request(path, method="HEAD")
            assert (got.status, head.status, head.body) == (200, 200, b"")
            assert head.headers["content-type"] == got.headers["content-type"]
            assert int(head.headers["content-length"]) > 0
        assert (await client.request("/nowhere")).status == 404
        assert (await client.request("/healthz/")).status == 404  # and no redirect to any Host
