"""Resolvers that we did not write ask the local network: dig, glibc and musl, from where a laptop sits."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.platform.net.addresses import API_V4
from flyroutes.validation.places import Place
from tests.support import programs
from tests.support.command import flyroutes

if TYPE_CHECKING:
    from tests.support.scratch import Scratch

MACHINES = 300
LOOKUP = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int count, char **words) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(words[1], "80", &hints, &found);
    if (error) { fprintf(stderr, "%s\n", gai_strerror(error)); return 1; }
    for (char text[64]; found; found = found->ai_next)
        if (!getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST))
            puts(text);
}
"""
MUSL = next(iter(Path("/usr/lib").glob("*-linux-musl/libc.a")), None)


@pytest.fixture
def musl_lookup(tmp_path: Path) -> Path:
    """A program that resolves its argument with musl's getaddrinfo, both families, as Alpine's do."""
    if MUSL is None or not shutil.which("gcc"):
        pytest.skip("musl's resolver needs gcc and musl-dev: as root, apt-get install gcc musl-dev")
    (tmp_path / "lookup.c").write_text(LOOKUP)
    return tmp_path / "lookup"


async def _compile(program: Path, libraries: Path) -> None:
    include = Path("/usr/include") / libraries.name
    objects = [str(libraries / name) for name in ("crt1.o", "crti.o")]
    flags = ["-static", "-no-pie", "-nostdinc", "-isystem", str(include), "-nostdlib", f"-L{libraries}"]
    ends = [str(libraries / "libc.a"), "-lgcc", str(libraries / "crtn.o")]
    await trio.run_process(["gcc", *flags, "-o", str(program), *objects, f"{program}.c", *ends])


@pytest.mark.fact("dns.large-answer")
async def test_300_machines_resolve_with_dig_glibc_and_musl(tmp_path: Path, musl_lookup: Path) -> None:
    assert MUSL is not None
    await _compile(musl_lookup, MUSL.parent)
    groups = "\n".join(f'p{number} = "sleep 600"' for number in range(MACHINES))
    (tmp_path / "fly.toml").write_text(f'app = "many"\nprimary_region = "iad"\n[processes]\n{groups}\n')
    counts = (
        "dig +short aaaa many.internal | sort -u | wc -l;"
        "dig +noedns +short aaaa many.internal | sort -u | wc -l;"
        "dig +short txt all.vms.many.internal | tr -d '\" ' | tr , '\\n' | sort -u | wc -l;"
        "getent ahosts many.internal | cut -d' ' -f1 | sort -u | wc -l;"
        f"{musl_lookup} many.internal | sort -u | wc -l;"
        f"{musl_lookup} p7.process.many.internal | sort -u | wc -l"
    )
    done = await flyroutes("run", tmp_path / "fly.toml", "--", "sh", "-c", counts, seconds=120)
    large, small, texts, glibc, musl, one = map(int, done.stdout.split())
    assert (large, small, texts, glibc, one) == (MACHINES, MACHINES, MACHINES, MACHINES, 1), done
    # Before 1.2.4 musl asks no second time over TCP: it has what fits into 512 bytes.
    assert 16 <= musl <= MACHINES, done


OUTSIDE = ("example.com", "redis")


@pytest.mark.fact("dns.outside")
async def test_a_name_of_the_outside_does_not_exist_and_says_why() -> None:
    for name in OUTSIDE:
        with trio.fail_after(5):
            done = await trio.run_process(["dig", "a", name], capture_stdout=True)
            missing = await trio.run_process(["getent", "ahosts", name], capture_stdout=True, check=False)
        answer = done.stdout.decode()
        assert "status: NXDOMAIN" in answer
        assert "nothing leads out to public names" in answer
        assert (missing.returncode, missing.stdout) == (2, b"")
        with pytest.raises(socket.gaierror) as caught:
            await trio.socket.getaddrinfo(name, 80)
        assert caught.value.errno == socket.EAI_NONAME


@pytest.mark.fact("dns.outside")
async def test_musl_does_not_wait_for_a_name_of_the_outside(musl_lookup: Path) -> None:
    assert MUSL is not None
    await _compile(musl_lookup, MUSL.parent)
    for name in OUTSIDE:
        with trio.fail_after(2):  # musl asks for 5 s whoever does not say yes or no
            ended = await trio.run_process([str(musl_lookup), name], capture_stderr=True, check=False)
        assert (ended.returncode, ended.stderr) == (1, b"Name does not resolve\n")


@pytest.mark.fact("dns.outside", "dns.ptr")
async def test_the_address_of_a_machine_has_no_name_and_that_is_no_failure() -> None:
    answer = await trio.run_process(["dig", "-x", "fdaa:0:18:a7b::2"], capture_stdout=True)
    assert b"status: NXDOMAIN" in answer.stdout
    assert b"d.f.ip6.arpa.\t\t5\tIN\tSOA" in answer.stdout
    with trio.fail_after(2):
        assert await trio.socket.getnameinfo(("fdaa:0:18:a7b::2", 80), 0) == ("fdaa:0:18:a7b::2", "http")


@pytest.mark.parametrize("server", ["2001:4860:4860::8888", "2620:fe::fe"])
async def test_public_resolvers_answer_over_ipv6_too(server: str, peer: Place, scratch: Scratch) -> None:
    app = await scratch.app()
    machine = await scratch.machine(app, programs.SLEEP)
    for place in (peer, Place(scratch.fly, app, machine.id)):
        answer = await place.run(["dig", "+tries=1", "+short", f"@{server}", "a", "api.machines.dev"])
        assert answer.stdout == f"{API_V4}\n", answer
