"""Fly Proxy's handlers and options, as a client on the network and the app behind it see them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.patience import SECONDS, eventually

if TYPE_CHECKING:
    from conftest import Scratch

CURL = ["curl", "-sS", "--max-time", "15"]
CONFIGURATION = "docs reference/configuration"
TLS = ("tls", "http")


async def serve(
    scratch: Scratch,
    *handlers: str,
    ip: str = "private_v6",
    port: int = 80,
    program: str = "",
    concurrency: dict[str, Any] | None = None,
    **options: Any,
) -> str:
    """A scratch app behind one port with these handlers and options; its host name, once it answers there."""
    app = await scratch.app()
    network = scratch.environment.network if ip == "private_v6" else ""
    await scratch.fly.allocate_ip(app, ip, network)
    entry = {"port": port, "handlers": list(handlers), **options}
    service = {"protocol": "tcp", "internal_port": 8080, "ports": [entry], "concurrency": concurrency or {}}
    machine = await scratch.machine(app, program or programs.show_request(), services=[service])
    place = Place(scratch.fly, app, machine.id)

    async def listening() -> bool:
        return ":1F90 " in (await place.run(["cat", "/proc/net/tcp"])).stdout

    await eventually(listening)
    return f"{app}.flycast" if ip == "private_v6" else f"{app}.fly.dev"


async def head(peer: Place, url: str, *options: str) -> dict[str, str]:
    """Status and headers of a GET; names in lower case, several values joined."""
    done = await peer.run([*CURL, "-o", "/dev/null", "-D", "-", *options, url])
    assert done.exit_code == 0, done
    status, *lines = done.stdout.strip().split("\r\n")
    found = {"status": status.split()[1]}
    for line in lines:
        name, _, value = line.partition(": ")
        found[name.lower()] = ", ".join(filter(None, (found.get(name.lower()), value)))
    return found


@pytest.mark.fact("proxy.response-headers")
@pytest.mark.standing("documented", source=f"{CONFIGURATION}: response.headers")
async def test_response_headers_are_added_and_removed(scratch: Scratch, peer: Place) -> None:
    headers = {"X-App": False, "X-One": "value", "X-Two": ["value1", "value2"]}
    host = await serve(scratch, "http", http_options={"response": {"headers": headers}})
    got = await head(peer, f"http://{host}/")
    assert (got["x-one"], got["x-two"], "x-app" in got) == ("value", "value1, value2", False)
    assert got["server"].startswith("Fly/")


@pytest.mark.fact("proxy.pristine")
@pytest.mark.standing("documented", source=f"{CONFIGURATION}: response.pristine")
@pytest.mark.parametrize("pristine", [True, False])
async def test_pristine_responses_are_the_app_s(scratch: Scratch, peer: Place, pristine: bool) -> None:
    host = await serve(scratch, "http", http_options={"response": {"pristine": pristine}})
    got = await head(peer, f"http://{host}/")
    assert got["server"].startswith("BaseHTTP" if pristine else "Fly/")
    assert ("via" in got, "fly-request-id" in got) == (not pristine, not pristine)


@pytest.mark.fact("proxy.compression")
@pytest.mark.standing("documented", source="docs reference/content-encoding")
async def test_responses_are_compressed_as_the_client_can(scratch: Scratch, peer: Place) -> None:
    host = await serve(scratch, "http")
    for accepted, coding in {"gzip, br, zstd": "zstd", "gzip, br": "br", "deflate, gzip": "gzip"}.items():
        got = await head(peer, f"http://{host}/", "-H", f"accept-encoding: {accepted}")
        assert got.get("content-encoding") == coding
    assert "content-encoding" not in await head(peer, f"http://{host}/")
    unpacked = await peer.run([*CURL, "--compressed", f"http://{host}/"])
    assert len(json.loads(unpacked.stdout)["filler"]) == 20000


@pytest.mark.fact("proxy.compression-off")
@pytest.mark.standing("documented", source="docs reference/content-encoding")
async def test_the_app_can_turn_compression_off(scratch: Scratch, peer: Place) -> None:
    host = await serve(scratch, "http")
    got = await head(peer, f"http://{host}/plain", "-H", "accept-encoding: gzip")
    assert got.get("content-encoding") in (None, "none")


@pytest.mark.fact("proxy.tls-versions")
@pytest.mark.standing("documented", source="docs networking/tls; docs networking/services")
@pytest.mark.parametrize(
    ("versions", "most", "works"),
    [
        (["TLSv1.2", "TLSv1.3"], "1.3", True),
        (["TLSv1.2", "TLSv1.3"], "1.2", True),
        (["TLSv1.2", "TLSv1.3"], "1.1", False),
        (["TLSv1.3"], "1.2", False),
        (["TLSv1.2"], "1.3", True),
    ],
)
async def test_tls_versions(
    scratch: Scratch, peer: Place, versions: list[str], most: str, works: bool
) -> None:
    host = await serve(scratch, *TLS, ip="v6", port=443, tls_options={"versions": versions})
    # At security level 0 curl is willing to speak 1.1: the refusal is the proxy's.
    weak = ["--tlsv1.0", "--tls-max", most, "--ciphers", "DEFAULT@SECLEVEL=0"]
    done = await peer.run([*CURL, *weak, "-o", "/dev/null", f"https://{host}/"])
    assert (done.exit_code == 0) is works, done


@pytest.mark.fact("proxy.self-signed")
@pytest.mark.standing("assumed", source=f"{CONFIGURATION}: default_self_signed; docs networking/flycast")
@pytest.mark.parametrize("allowed", [True, False])
async def test_https_on_flycast_needs_a_self_signed_certificate(
    scratch: Scratch, peer: Place, allowed: bool
) -> None:
    host = await serve(scratch, *TLS, port=443, tls_options={"default_self_signed": allowed})
    done = await peer.run([*CURL, "-k", "-o", "/dev/null", f"https://{host}/"])
    assert (done.exit_code == 0) is allowed, done
    assert (await peer.run([*CURL, "-o", "/dev/null", f"https://{host}/"])).exit_code != 0


@pytest.mark.fact("proxy.h2-backend-unknown")
@pytest.mark.standing("documented", source="docs networking/services; docs monitoring/error-codes: PU01")
async def test_h2_backend_needs_an_app_that_speaks_it(scratch: Scratch, peer: Place) -> None:
    host = await serve(scratch, "http", http_options={"h2_backend": True})
    assert (await head(peer, f"http://{host}/"))["status"] == "502"


@pytest.mark.fact("proxy.proxy-proto-v1", "proxy.proxy-proto-v2")
@pytest.mark.standing("documented", source="docs networking/services: PROXY protocol")
@pytest.mark.parametrize("version", ["", "v2"])
async def test_proxy_protocol_tells_who_calls(scratch: Scratch, peer: Place, version: str) -> None:
    options = {"proxy_proto_options": {"version": version}} if version else {}
    program = programs.first_bytes()
    host = await serve(scratch, "proxy_proto", port=5000, program=program, **options)
    stream = await trio.open_tcp_stream(host, 5000)
    async with stream:
        await stream.send_all(b"hello")
        seen = bytes.fromhex((await stream.receive_some(4096)).decode())
        me, it = stream.socket.getsockname(), stream.socket.getpeername()
    if version:
        assert seen.startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24")
    else:
        assert seen.startswith(f"PROXY TCP6 {me[0]} {it[0]} {me[1]} 5000\r\n".encode())


@pytest.mark.fact("proxy.pg-tls")
@pytest.mark.standing("documented", source="docs networking/services: Postgres TLS handler")
async def test_postgres_clients_get_tls(scratch: Scratch, peer: Place) -> None:
    program = programs.first_bytes()
    host = await serve(scratch, "pg_tls", ip="v6", port=5432, program=program)
    client = (
        "import socket, ssl, sys\n"
        "sock = socket.create_connection((sys.argv[1], 5432), 10)\n"
        "sock.sendall(bytes.fromhex('0000000804d2162f'))\n"
        "assert sock.recv(1) == b'S'\n"
        "tls = ssl.create_default_context().wrap_socket(sock, server_hostname=sys.argv[1])\n"
        "tls.sendall(b'startup')\n"
        "print(bytes.fromhex(tls.recv(100).decode()).decode())\n"
    )
    done = await peer.run([sys.executable, "-c", client, host])
    assert done.stdout == "startup\n", done


@pytest.mark.fact("proxy.hard-limit-queue")
@pytest.mark.standing("documented", source="docs reference/load-balancing; docs apps/concurrency")
async def test_requests_over_the_hard_limit_wait(scratch: Scratch, peer: Place) -> None:
    limits = {"type": "requests", "soft_limit": 1, "hard_limit": 1}
    host = await serve(scratch, "http", concurrency=limits)
    statuses: list[str] = []

    async def ask() -> None:
        statuses.append((await head(peer, f"http://{host}/?sleep=0.5"))["status"])

    with trio.fail_after(SECONDS):
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
    assert statuses == ["200"] * 3
    assert trio.current_time() - began >= 1.5, "one after the other"


@pytest.mark.fact("proxy.ports-range")
@pytest.mark.standing("documented", source=f"{CONFIGURATION}: start_port and end_port")
async def test_every_port_of_a_range_reaches_the_one_port(scratch: Scratch, peer: Place) -> None:
    app = await scratch.private_app()
    entry = {"start_port": 7000, "end_port": 7002, "handlers": ["http"]}
    service = {"protocol": "tcp", "internal_port": 8080, "ports": [entry]}
    await scratch.machine(app, programs.show_request(), services=[service])
    for port in (7000, 7001, 7002):
        done = await peer.run([*CURL, f"http://{app}.flycast:{port}/"])
        assert ["fly-forwarded-port", str(port)] in json.loads(done.stdout)["seen"]
    assert (await peer.run([*CURL, f"http://{app}.flycast:7003/"])).exit_code != 0
