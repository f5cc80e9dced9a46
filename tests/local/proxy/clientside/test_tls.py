"""The `tls` handler: which names have a certificate, which protocols are agreed on."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from flyroutes.local import authority
from flyroutes.platform.model import IP
from tests.local.proxy.fly_proxy import ADDRESS, SHARED, answer, canned, read_all, whoami

if TYPE_CHECKING:
    from flyroutes.platform.model import TlsVersion
    from tests.local.proxy.fly_proxy import World

GET = b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\nconnection: close\r\n\r\n"


async def test_https(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    stream = await world.connect_tls()
    async with stream:
        await stream.send_all(GET)
        seen = dict(answer(await read_all(stream)).json()["headers"])
    assert (seen["x-forwarded-proto"], seen["x-forwarded-ssl"]) == ("https", "on")


async def test_nobody_else_vouches_for_it(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    with pytest.raises(trio.BrokenResourceError) as caught:
        await world.connect_tls(context=ssl.create_default_context())
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    await world.until(world.codes)
    assert world.codes() == ["PT04"]


NAMES = {
    "an unknown app": ("nope.fly.dev", "PT05"),
    "another app": ("bare.fly.dev", "PT05"),
    "a Flycast name": ("web.flycast", "PT05"),
    "a name with a port": ("web.fly.dev:443", "PT05"),
    "no name": (None, "PT06"),
}


@pytest.mark.fact("proxy.tls-names")
@pytest.mark.parametrize(("name", "code"), NAMES.values(), ids=NAMES)
async def test_name_without_certificate(world: World, name: str | None, code: str) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    context = world.trust()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(trio.BrokenResourceError):
        await world.connect_tls(name, context)
    assert world.codes() == [code]


async def test_one_certificate_for_every_spelling_of_a_name(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    context = world.trust()
    context.check_hostname = False
    certificates = set()
    for name in ("web.fly.dev", "WEB.fly.dev", "web.fly.dev.", "web.fly.dev.."):
        stream = await world.connect_tls(name, context)
        async with stream:
            certificates.add(stream.getpeercert(binary_form=True))
    assert len(certificates) == 1


def test_certificates_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authority, "MOST_CONTEXTS", 2)
    ours = authority.Authority()
    first = ours.context("app1.fly.dev")
    assert ours.context("app1.fly.dev") is first
    for number in range(2, 5):
        ours.context(f"app{number}.fly.dev")
        assert len(ours._contexts) <= 2
    assert ours.context("app1.fly.dev") is not first


@pytest.mark.fact("binds.flycast-https")
@pytest.mark.parametrize("name", ["web.flycast", None])
async def test_flycast_has_no_certificate(world: World, name: str | None) -> None:
    """HTTPS over Flycast fails in the handshake, even to a service that has the handler."""
    machine = world.machine(await world.serve(whoami), handlers=("tls", "http"))
    world.put(machine, ips=(IP(ADDRESS, "private_v6", "default"),))
    context = ssl._create_unverified_context()
    with pytest.raises(trio.BrokenResourceError):
        await world.connect_tls(name, context)
    assert world.codes()[0] in ("PT05", "PT06")


ALPN = {
    "both": (("h2", "http/1.1"), ("h2", "http/1.1"), "h2"),
    "old client": (("h2", "http/1.1"), ("http/1.1",), "http/1.1"),
    "no wish": (("h2", "http/1.1"), (), None),
    "the service has its own": (("mqtt",), ("mqtt",), "mqtt"),
    "the service does not want h2": (("http/1.1",), ("h2", "http/1.1"), "http/1.1"),
}


@pytest.mark.fact("proxy.alpn")
@pytest.mark.parametrize(("offered", "wanted", "agreed"), ALPN.values(), ids=ALPN)
async def test_alpn(
    world: World, offered: tuple[str, ...], wanted: tuple[str, ...], agreed: str | None
) -> None:
    await world.publish(whoami, handlers=("tls",), alpn=offered)
    stream = await world.connect_tls(context=world.trust(*wanted))
    assert stream.selected_alpn_protocol() == agreed
    await trio.aclose_forcefully(stream)


VERSIONS = {
    "1.3": (ssl.TLSVersion.TLSv1_3, "DEFAULT", "TLSv1.3"),
    "1.2": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLSv1.2"),
    "1.2 with RSA": (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256", None),
    "1.2 with CBC": (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256", None),
}


@pytest.mark.fact("proxy.tls-suites")
@pytest.mark.parametrize(("version", "suites", "agreed"), VERSIONS.values(), ids=VERSIONS)
async def test_versions_and_suites(
    world: World, version: ssl.TLSVersion, suites: str, agreed: str | None
) -> None:
    await world.publish(whoami, handlers=("tls",))
    context = world.trust()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(suites)
    if agreed is None:
        with pytest.raises(trio.BrokenResourceError):
            await world.connect_tls(context=context)
        return
    stream = await world.connect_tls(context=context)
    assert stream.version() == agreed
    await trio.aclose_forcefully(stream)


ONLY: dict[str, tuple[tuple[TlsVersion, ...], str, str | None]] = {
    "1.2 alone": (("TLSv1.2",), "1.2 1.3", "TLSv1.2"),
    "1.3 alone": (("TLSv1.3",), "1.2 1.3", "TLSv1.3"),
    "1.2 alone, to a client of 1.3": (("TLSv1.2",), "1.3", None),
    "1.3 alone, to a client of 1.2": (("TLSv1.3",), "1.2", None),
    "both, in any order": (("TLSv1.3", "TLSv1.2"), "1.2", "TLSv1.2"),
}
KNOWN = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.mark.fact("proxy.tls-versions", "proxy.shared-v4-tls")
@pytest.mark.parametrize("address", [ADDRESS, SHARED])
@pytest.mark.parametrize(("offered", "wanted", "agreed"), ONLY.values(), ids=ONLY)
async def test_versions_of_the_service(
    world: World, address: str, offered: tuple[TlsVersion, ...], wanted: str, agreed: str | None
) -> None:
    """Also where the name alone says whose service it is, and so which versions are agreeable."""
    machine = world.machine(await world.serve(whoami), handlers=("tls",), tls_versions=offered)
    world.put(machine, ips=(IP(ADDRESS, "v4"), IP(SHARED, "shared_v4")))
    context = world.trust()
    context.minimum_version, context.maximum_version = KNOWN[wanted.split()[0]], KNOWN[wanted.split()[-1]]
    if agreed is None:
        with pytest.raises(trio.BrokenResourceError):
            await world.connect_tls(context=context, address=address)
        await world.until(world.codes)
        assert world.codes() == ["PT04"]
        return
    stream = await world.connect_tls(context=context, address=address)
    assert stream.version() == agreed
    await trio.aclose_forcefully(stream)


async def subject(world: World, name: str | None, **where: Any) -> bytes:
    """The certificate that `name` gets, in DER."""
    context = ssl._create_unverified_context()
    stream = await world.connect_tls(name, context, **where)
    certificate: bytes = stream.getpeercert(binary_form=True)
    await trio.aclose_forcefully(stream)
    return certificate


@pytest.mark.fact("proxy.self-signed")
@pytest.mark.parametrize("name", ["web.flycast", "other.example", None])
async def test_self_signed_where_no_certificate_is(world: World, name: str | None) -> None:
    machine = world.machine(await world.serve(whoami), handlers=("tls",), default_self_signed=True)
    world.put(machine, ips=(IP(ADDRESS, "private_v6", "default"),))
    certificate = await subject(world, name)
    assert b"self-signed" in certificate
    context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(certificate))
    context.check_hostname = False
    stream = await world.connect_tls(name, context)  # it vouches for itself
    await trio.aclose_forcefully(stream)
    with pytest.raises(trio.BrokenResourceError):
        await world.connect_tls(name)


async def test_real_certificate_before_a_self_signed_one(world: World) -> None:
    await world.publish(whoami, handlers=("tls",), default_self_signed=True)
    assert b"self-signed" not in await subject(world, "web.fly.dev")


async def test_hello_in_small_pieces(world: World) -> None:
    await world.publish(shout, handlers=("tls",))
    context, incoming, outgoing = world.trust(), ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="web.fly.dev")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    stream = await world.connect()
    async with stream:
        for start in range(0, len(hello), 100):
            await stream.send_all(hello[start : start + 100])
            await trio.testing.wait_all_tasks_blocked()
        incoming.write(await stream.receive_some(65536))
        client.do_handshake()
        assert client.version() == "TLSv1.3"


async def test_plain_http_to_a_tls_port(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"))
    assert await world.ask(GET) == b""
    assert world.codes() == ["PT04"]


async def shout(stream: trio.SocketStream) -> None:
    """An app that speaks a protocol of its own."""
    await stream.send_all((await stream.receive_some(100)).upper())


@pytest.mark.fact("proxy.tls-any-protocol")
async def test_tls_alone_passes_any_protocol(world: World) -> None:
    await world.publish(shout, handlers=("tls",))
    stream = await world.connect_tls()
    async with stream:
        await stream.send_all(b"hello")
        assert await read_all(stream) == b"HELLO"


STRICT = {"tls": (shout, ("tls",)), "https": (whoami, ("tls", "http"))}


@pytest.mark.parametrize(("app", "handlers"), STRICT.values(), ids=STRICT)
async def test_end_of_tls_is_announced(world: World, app: Any, handlers: tuple[Any, ...]) -> None:
    """Without a close_notify a strict client could not tell the end from a cut."""
    await world.publish(app, handlers=handlers)
    plain = await world.connect()
    stream = trio.SSLStream(plain, world.trust(), server_hostname="web.fly.dev")
    async with stream:
        await stream.send_all(GET)
        assert b"web.fly.dev" in (await read_all(stream)).lower()


async def test_answer_before_the_body_is_complete(world: World) -> None:
    await world.publish(canned(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n"), handlers=("tls", "http"))
    stream = await world.connect_tls()
    async with stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
        await stream.send_all(b"x" * 100_000)
        assert answer(await stream.receive_some(65536)).status == 413
