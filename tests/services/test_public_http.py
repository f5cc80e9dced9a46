"""The public app: what /reach finds, what it tells whom, and the page."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from hashlib import sha256
from typing import Any

import dns.message
import dns.rcode
import pytest
import trio

TOKEN = "0123456789abcdef"
DEAD = {"FLYCAST_API": "127.0.0.1:1", "SIXPN_WORKER": "[::1]:1", "UDP_ECHO": "127.0.0.1:1"}
QUICK = {"REACH_TIMEOUT": 1}


def at(server: Any) -> str:
    """Return where `server` listens, as a target is written."""
    host, port = server.address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@pytest.fixture
async def siblings(start: Any) -> dict[str, str]:
    """Start the other three servers; return where they are, as configuration of the public one."""
    api = await start("flycast_api", FLY_MACHINE_ID="api-machine")
    worker = await start("sixpn_worker", BIND_HOST="::1", FLY_MACHINE_ID="worker-machine")
    echo = await start("udp_echo")
    return {"FLYCAST_API": at(api), "SIXPN_WORKER": at(worker), "UDP_ECHO": at(echo)}


async def test_reach_all_three(start: Any, siblings: dict[str, str]) -> None:
    server = await start("public_http", FLY_APP_NAME="public-http", FLY_MACHINE_ID="me", **siblings)
    reply = await server.request("/reach")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    found = reply.json()
    assert found["app"] == "public-http"
    assert [row["route"] for row in found["routes"]] == ["flycast", "6pn", "udp"]
    assert all(row["ok"] and row["reason"] is None and row["latency_ms"] > 0 for row in found["routes"])


async def test_public_learns_no_address(start: Any, siblings: dict[str, str]) -> None:
    server = await start("public_http", FLY_MACHINE_ID="me", REACH_TOKEN=TOKEN, **siblings)
    public = (await server.request("/reach")).body.decode()
    owner = (await server.request("/reach", headers=f"authorization: bEARER  {TOKEN}\r\n")).body.decode()
    for private in ["127.0.0.1", "::1", "api-machine", "worker-machine", '"me"']:
        assert private not in public
        assert private in owner


@pytest.mark.parametrize(
    "header", ["Bearer 0123456789abcdeF", "Bearer", "Basic eDp5", f"Basic {TOKEN}", "Bearer None", "\xff"]
)
@pytest.mark.parametrize("token", [TOKEN, "unset"])
async def test_wrong_token_is_refused(start: Any, header: str, token: str) -> None:
    server = await start("public_http", edit=QUICK, REACH_TOKEN=token, **DEAD)
    reply = await server.request("/reach", headers=f"authorization: {header}\r\n")
    assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert (await server.request("/reach")).status == 200


async def test_dead_siblings_are_rows(start: Any) -> None:
    server = await start("public_http", edit=QUICK, REACH_TOKEN=TOKEN, **DEAD)
    rows = (await server.request("/reach")).json()["routes"]
    assert [row["ok"] for row in rows] == [False] * 3
    assert {row["reason"] for row in rows} == {"connection refused: nobody listens on that address and port"}
    assert {row["latency_ms"] for row in rows} == {None}
    rows = (await server.request("/reach", headers=f"authorization: Bearer {TOKEN}\r\n")).json()["routes"]
    assert all("ConnectionRefusedError" in row["error"] for row in rows)
    assert server.stderr == b""


async def test_names_that_do_not_resolve(start: Any) -> None:
    names = {"FLYCAST_API": "a.invalid:80", "SIXPN_WORKER": "w.invalid:80", "UDP_ECHO": "e.invalid:5"}
    server = await start("public_http", edit={"REACH_TIMEOUT": 2}, **names)
    rows = (await server.request("/reach")).json()["routes"]
    assert [(row["ok"], row["target"]) for row in rows] == [(False, name) for name in names.values()]
    assert all(row["reason"] for row in rows)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "expected status 200, got 502"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "expected a JSON object, got another value"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff!!", "expected JSON, got something else"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 70_000, "expected at most 65536 bytes, got more"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "failed: RemoteProtocolError"),
        (b"SSH-2.0-x\r\n\r\n", "failed: RemoteProtocolError"),
        (None, "no answer within 0.5 s"),
    ],
)
async def test_sibling_is_not_itself(start: Any, nursery: Any, answer: bytes | None, reason: str) -> None:
    async def speak(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if answer is None:
                await trio.sleep_forever()
            await stream.send_all(answer)

    listener = (await nursery.start(trio.serve_tcp, speak, 0))[0]
    port = listener.socket.getsockname()[1]
    flycast = {"FLYCAST_API": f"127.0.0.1:{port}"}
    server = await start("public_http", edit={"REACH_TIMEOUT": 0.5}, **DEAD | flycast)
    row = (await server.request("/reach")).json()["routes"][0]
    assert (row["ok"], row["reason"]) == (False, reason)
    nursery.cancel_scope.cancel()


async def test_many_callers_share_one_try(start: Any, nursery: Any) -> None:
    calls: list[None] = []

    async def count(stream: trio.SocketStream) -> None:
        calls.append(None)
        await stream.aclose()

    listener = (await nursery.start(trio.serve_tcp, count, 0))[0]
    port = listener.socket.getsockname()[1]
    server = await start("public_http", edit=QUICK, **DEAD | {"FLYCAST_API": f"127.0.0.1:{port}"})
    async with trio.open_nursery() as callers:
        for _ in range(20):
            callers.start_soon(server.request, "/reach")
    assert len(calls) == 1
    nursery.cancel_scope.cancel()


async def test_every_machine_is_tried(start_script: Any, start: Any) -> None:
    alive = await start("sixpn_worker", BIND_HOST="::1", FLY_MACHINE_ID="third")
    script = """
import functools, json, trio
from reach import ask_http, first_answer
from target import Target

async def main():
    tried = []
    ask = functools.partial(ask_http, Target("x", PORT))
    answer = await first_answer(["127.0.0.1", "::ffff:127.0.0.1", "::1"], ask, tried)
    print(json.dumps({"event": "listening", "machine": answer["machine"], "tried": tried}), flush=True)

trio.run(main)
""".replace("PORT", str(alive.address[1]))
    result = (await start_script(script, beside="public_http")).events[0]
    assert (result["machine"], result["tried"]) == ("third", ["127.0.0.1", "::ffff:127.0.0.1", "::1"])


async def test_imports_are_no_part_of_latency(start_script: Any) -> None:
    script = """
import json, sys, trio
import reach, server

async def ask(target, tried):
    seen[target] = "dns.asyncresolver" in sys.modules
    return {}

seen = {"at the start": "dns.asyncresolver" in sys.modules}
reach.ATTEMPTS = dict.fromkeys(reach.ATTEMPTS, ask)
trio.run(reach.Reach({route: route for route in reach.ATTEMPTS}, 1).findings)
print(json.dumps({"event": "listening", "seen": seen}), flush=True)
"""
    seen = (await start_script(script, beside="public_http")).events[0]["seen"]
    assert seen == {"at the start": False, "flycast": True, "6pn": True, "udp": True}


LOOKUPS = {
    "NXDOMAIN": "no such name: ",
    "NOERROR": "the name lists no started",
    "REFUSED": "the resolver does not",
}


@pytest.mark.parametrize(("rcode", "reason"), LOOKUPS.items())
async def test_empty_lookups_are_told_apart(start_script: Any, nursery: Any, rcode: str, reason: str) -> None:
    resolver = trio.socket.socket(type=socket.SOCK_DGRAM)
    await resolver.bind(("127.0.0.1", 0))

    async def answer() -> None:
        while True:
            query, address = await resolver.recvfrom(2000)
            response = dns.message.make_response(dns.message.from_wire(query))
            response.set_rcode(dns.rcode.from_text(rcode))
            await resolver.sendto(response.to_wire(), address)

    nursery.start_soon(answer)
    script = f"""
import dns.asyncresolver, json, trio
from finding import reason
from reach import started_machines

dns.asyncresolver.default_resolver = resolver = dns.asyncresolver.Resolver(configure=False)
resolver.nameservers, resolver.port = ["127.0.0.1"], {resolver.getsockname()[1]}
try:
    trio.run(started_machines, "sixpn-worker.internal")
except Exception as error:
    print(json.dumps({{"event": "listening", "reason": reason(error, 4)}}), flush=True)
"""
    assert (await start_script(script, beside="public_http")).events[0]["reason"].startswith(reason)
    nursery.cancel_scope.cancel()
    resolver.close()


async def test_machine_id_in_a_target_stays_private(start: Any) -> None:
    one_machine = {"SIXPN_WORKER": "148e21.VM.sixpn-worker.invalid:80"}
    server = await start("public_http", edit=QUICK, **DEAD | one_machine)
    assert (await server.request("/reach")).json()["routes"][1]["target"] == "(one Machine):80"
    assert b"148e21" not in (await server.request("/")).body


async def test_page_for_people(start: Any, siblings: dict[str, str]) -> None:
    server = await start("public_http", FLY_APP_NAME="<b>&app", **siblings | {"UDP_ECHO": "127.0.0.1:1"})
    reply = await server.request("/")
    page = reply.body.decode()
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "2 of 3 other routes answer" in page
    assert "connection refused" in page
    assert "&lt;b&gt;&amp;app" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "0.0.0.0" not in page.partition("</li>")[0]  # BIND_HOST decides, and here it was not that
    assert "api-machine" not in page


async def test_page_policy_allows_its_style_only(start: Any) -> None:
    server = await start("public_http", edit=QUICK, **DEAD)
    reply = await server.request("/")
    style = re.search(r"<style>(.*?)</style>", reply.body.decode(), re.DOTALL)
    assert style
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    policy = reply.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "unsafe" not in policy
