"""Clients that we did not write: openssl for TLS, h2load for many HTTP/2 streams, curl's PROXY header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import trio

from tests.local.proxy.fly_proxy import REQUESTS, canned, whoami

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.proxy.fly_proxy import World


async def run(*command: str, stdin: bytes = b"") -> str:
    """All that the command says; how it ends is not looked at."""
    done = await trio.run_process(command, stdin=stdin, capture_stdout=True, capture_stderr=True, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


OPENSSL: dict[str, tuple[list[str], list[str]]] = {
    "TLS 1.3": (["-tls1_3"], ["New, TLSv1.3", "Verify return code: 0 (ok)"]),
    "TLS 1.2": (["-tls1_2"], ["New, TLSv1.2", "ECDHE-ECDSA", "Verify return code: 0 (ok)"]),
    "TLS 1.1": (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], ["SSL alert number 70"]),
    "ALPN, the server's choice": (["-alpn", "http/1.1,h2"], ["ALPN protocol: h2"]),
    "ALPN, one only": (["-alpn", "http/1.1"], ["ALPN protocol: http/1.1"]),
    "another name": (["-servername", "nobody.fly.dev"], ["SSL alert number 112", "no peer certificate"]),
    "no name": (["-noservername"], ["SSL alert number 112", "no peer certificate"]),
}


@pytest.mark.parametrize(("options", "said"), OPENSSL.values(), ids=OPENSSL)
async def test_openssl(world: World, tmp_path: Path, options: list[str], said: list[str]) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    name = [] if "-servername" in options or "-noservername" in options else ["-servername", "web.fly.dev"]
    where = ["-connect", f"{world.address}:{world.port}", "-CAfile", str(tmp_path / "root.pem")]
    output = await run("openssl", "s_client", *where, *name, *options)
    assert all(text in output for text in said), output


async def test_openssl_speaks_postgres(world: World, tmp_path: Path) -> None:
    await world.publish(canned(b"hello"), handlers=("pg_tls",))
    (tmp_path / "root.pem").write_bytes(world.authority.pem)
    where = ["-connect", f"{world.address}:{world.port}", "-CAfile", str(tmp_path / "root.pem")]
    output = await run("openssl", "s_client", *where, "-starttls", "postgres", "-servername", "web.fly.dev")
    assert "Verify return code: 0 (ok)" in output, output


async def test_h2load_loses_no_stream(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"), concurrency=REQUESTS)
    load = ["-n", "500", "-c", "5", "-m", "20", f"--connect-to={world.address}:{world.port}"]
    output = await run("h2load", *load, f"https://web.fly.dev:{world.port}/")
    found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    assert found, output
    assert [int(number) for number in found.groups()] == [500, 0, 0, 0], output
    assert "Application protocol: h2" in output
