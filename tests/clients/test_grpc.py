"""gRPC by clients and servers that know no mercy with the end of an answer: grpcio in C, and etcd in Go.

On each route they hear every status code, in calls and in the three kinds of streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import programs
from tests.support.patience import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Apps

    from flyroutes.validation.places import Place

H2_BACKEND = {"port": 443, "handlers": ["tls", "http"], "http_options": {"h2_backend": True}}
TLS_ALONE = {"port": 443, "handlers": ["tls"], "tls_options": {"alpn": ["h2"]}}
ROUTES: dict[str, tuple[list[str], dict[str, Any], str]] = {
    # IPs, the port of the service, what a client then dials
    "h2_backend": (["v6"], H2_BACKEND, "{}.fly.dev:443"),
    "tls with alpn h2": (["v6"], TLS_ALONE, "{}.fly.dev:443"),
    "raw Flycast": (["private_v6"], {"port": 50051}, "{}.flycast:50051"),
    "6PN": ([], {}, "{}.internal:8080"),
}


async def serve(apps: Apps, route: str, *command: str) -> tuple[Place, str]:
    """A program behind this route; its place, and what a client dials."""
    ips, port, target = ROUTES[route]
    services = [{"protocol": "tcp", "internal_port": 8080, "ports": [port]}] if port else []
    place = await apps.listening(await apps.run(*command, ips=ips, services=services))
    return place, target.format(place.app)


@pytest.mark.fact("proxy.trailers-only")
@pytest.mark.parametrize("route", ROUTES)
async def test_grpcio_hears_every_status_in_every_kind_of_call(apps: Apps, peer: Place, route: str) -> None:
    _, target = await serve(apps, route, "python", programs.in_machine("grpc_app.py"))
    how = "tls" if target.endswith(":443") else "plain"
    told = await apps.tell(peer, "python", programs.at(peer, "grpc_client.py"), how, target)
    assert {tuple(asked[:2]) for asked, _ in told} >= {("unary", 0), ("both_streams", 16)}
    for (method, code, answers, when), heard in told:
        streams = method.endswith(("server_stream", "both_streams"))
        got = ["1" if when == "early" or method == "server_stream" else "2"] * answers
        if not streams:
            got = [] if code else ["2" if (method, when) == ("client_stream", "late") else "1"]
        assert heard == [code, got, "details" if code else "", "t"], (method, code, answers, when)


ETCD = ("etcd", "--data-dir", "/tmp/etcd", "--listen-client-urls", "http://[::]:8080")
PEERS = ("--listen-peer-urls", "http://localhost:2380", "--advertise-client-urls", "http://localhost:8080")


@pytest.mark.fact("proxy.trailers-only")
@pytest.mark.parametrize("route", ROUTES)
async def test_grpc_in_go_by_etcd(apps: Apps, peer: Place, route: str, tmp_path: Path) -> None:
    """A value, an error before any answer, an error out of a stream, and streams in both directions."""
    _, target = await serve(apps, route, *ETCD, *PEERS)
    secure = ["--insecure-transport=false"] if target.endswith(":443") else []
    etcdctl = ["etcdctl", "--endpoints", target, *secure, "--command-timeout", "20s"]

    async def put() -> bool:
        return (await peer.run([*etcdctl, "put", "one", "1"])).stdout == "OK\n"

    await eventually(put)
    assert (await peer.run([*etcdctl, "get", "one"])).stdout == "one\n1\n"
    missing = await peer.run([*etcdctl, "lease", "revoke", "123"])
    assert (missing.exit_code, "requested lease not found" in missing.stderr) == (1, True), missing
    nobody = await peer.run([*etcdctl, "user", "get", "nobody"])
    assert (nobody.exit_code, "user name not found" in nobody.stderr) == (1, True), nobody
    lease = (await peer.run([*etcdctl, "lease", "grant", "60"])).stdout.split()[1]
    assert (
        "keepalived with TTL(60)"
        in (await peer.run([*etcdctl, "lease", "keep-alive", "--once", lease])).stdout
    )
    saved = await peer.run([*etcdctl, "snapshot", "save", str(tmp_path / "saved")])
    assert (saved.exit_code, "Snapshot saved" in saved.stdout) == (0, True), saved
    watch = [
        *etcdctl,
        "watch",
        "--rev",
        "1",
        "one",
        "--",
        "sh",
        "-c",
        "kill $PPID",
    ]  # what ends it is an event
    assert (await peer.run(watch)).stdout == "PUT\none\n1\n"
