"""Where the proxy listens, which app a connection is for, and what is redirected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from flyroutes.platform.model import IP, App, MachineConfig, Port
from tests.local.proxy.fly_proxy import ADDRESS, SHARED, answer, free_port, read_all, whoami

if TYPE_CHECKING:
    from tests.local.proxy.fly_proxy import World

REQUEST = b"GET / HTTP/1.1\r\nhost: web.fly.dev\r\n\r\n"


async def test_refused_where_no_service_is(world: World) -> None:
    await world.publish(whoami)
    assert (await world.get()).status == 200
    for address, port in ((ADDRESS, free_port(ADDRESS)), ("127.0.0.11", world.port)):
        with pytest.raises(OSError, match="all attempts to connect"):
            await world.connect(address, port)


async def test_listener_that_closes_lets_connections_finish(world: World) -> None:
    machine = await world.publish(whoami)
    stream = await world.connect()
    async with stream:
        await stream.send_all(REQUEST)
        assert answer(await stream.receive_some(65536)).status == 200
        world.put(replace(machine, config=MachineConfig()))
        with pytest.raises(OSError, match="all attempts to connect"):
            await world.connect()
        world.put(machine)  # And back: the port can be bound while the old connection lives.
        assert (await world.get()).status == 200
        await stream.send_all(REQUEST)
        assert answer(await stream.receive_some(65536)).status == 200


async def test_both_families(world: World) -> None:
    machine = await world.publish(whoami)
    world.port = free_port("::1")
    six = world.machine(machine.config.services[0].internal_port)
    world.put(six, ips=(IP("::1", "v6"), IP(ADDRESS, "v4")))
    seen = dict((await world.get(address="::1")).json()["headers"])
    assert seen["fly-client-ip"] == "::1"
    assert seen["x-forwarded-for"] == "::1, ::1"
    assert (await world.get(address=ADDRESS)).status == 200


@pytest.mark.fact("proxy.ports-range")
async def test_every_port_of_a_range(world: World) -> None:
    machine = await world.publish(whoami)
    service = machine.config.services[0]
    first = free_port(ADDRESS)
    ports = (Port(first, first + 2, ("http",)),)
    config = replace(machine.config, services=(replace(service, ports=ports),))
    world.put(replace(machine, config=config))
    for port in range(first, first + 3):
        headers = dict((await world.get(port=port)).json()["headers"])
        assert headers["fly-forwarded-port"] == str(port)


async def test_address_that_cannot_be_bound_is_logged(world: World) -> None:
    machine = world.machine(await world.serve(whoami))
    world.put(machine, ips=(IP("203.0.113.77", "v4"), IP(ADDRESS, "v4")))
    assert world.logged[0]["message"].startswith("cannot listen: ")
    assert world.logged[0]["address"] == "203.0.113.77"
    assert (await world.get()).status == 200


async def test_private_address_is_for_its_network(world: World) -> None:
    machine = world.machine(await world.serve(whoami))
    world.put(machine, ips=(IP(ADDRESS, "private_v6", "default"),))
    assert (await world.get()).status == 200


async def share(world: World) -> None:
    """Two apps on one shared v4, on ports 80 and 443."""
    service = world.machine(await world.serve(whoami)).config.services[0]
    https = Port(443, 443, ("tls", "http"))
    web = replace(service, ports=(Port(80, 80, ("http",), force_https=True), https))
    two = replace(service, ports=(Port(80, 80, ("http",)), https))
    machines = {name: world.machine(id=name, app=name) for name in ("web", "two")}
    for name, one in (("web", web), ("two", two)):
        config = replace(machines[name].config, services=(one,))
        machines[name] = replace(machines[name], config=config)
    ips = (IP(SHARED, "shared_v4"),)
    world.put()
    apps = {name: App(name, ips=ips) for name in ("web", "two")}
    world.platform = replace(world.platform, apps=apps, machines=machines)
    world.proxy.update(world.platform)


@pytest.mark.fact("proxy.shared-v4-host")
async def test_host_names_the_app_of_a_shared_address(world: World) -> None:
    await share(world)
    got = await world.get("host: two.fly.dev", address=SHARED, port=80)
    assert got.status == 200
    got = await world.get("host: web.fly.dev:80", target="/a?b=c", address=SHARED, port=80)
    assert (got.status, got.headers["location"]) == (301, "https://web.fly.dev/a?b=c")
    assert got.headers["server"].startswith("Fly/")
    got = await world.get("host: nobody.fly.dev", address=SHARED, port=80)
    assert got.status == 404


async def test_one_connection_to_a_shared_address_serves_both_apps(world: World) -> None:
    await share(world)
    stream = await world.connect(SHARED, 80)
    async with stream:
        for host, status in ((b"two", 200), (b"web", 301), (b"two", 200)):
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: " + host + b".fly.dev\r\n\r\n")
            assert answer(await stream.receive_some(65536)).status == status


@pytest.mark.fact("proxy.shared-v4-sni")
async def test_sni_names_the_app_of_a_shared_address(world: World) -> None:
    await share(world)
    for name in ("web.fly.dev", "two.fly.dev"):
        stream = await world.connect_tls(name, address=SHARED, port=443)
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert answer(await read_all(stream)).status == 200
    with pytest.raises(trio.BrokenResourceError):
        await world.connect_tls("nobody.fly.dev", address=SHARED, port=443)


@pytest.mark.fact("proxy.force-https")
async def test_force_https(world: World) -> None:
    await world.publish(whoami, force_https=True)
    got = await world.get(target="/x?y")
    assert (got.status, got.headers["location"]) == (301, "https://web.fly.dev/x?y")
    await world.publish(whoami, force_https=False)
    assert (await world.get()).status == 200


@pytest.mark.fact("proxy.force-https")
async def test_force_https_does_not_touch_https(world: World) -> None:
    await world.publish(whoami, handlers=("tls", "http"), force_https=True)
    stream = await world.connect_tls()
    async with stream:
        await stream.send_all(REQUEST)
        assert answer(await stream.receive_some(65536)).status == 200


async def publish_on_loopback(world: World, app: str) -> trio.SocketStream:
    """What a browser on the host connects to."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(stream: trio.SocketStream) -> None:
        await world.proxy.serve_published(stream, app)

    world.nursery.start_soon(trio.serve_listeners, serve, [listener])
    return await trio.open_tcp_stream(*listener.socket.getsockname()[:2])


async def test_published_is_port_443_without_tls(world: World) -> None:
    await share(world)
    stream = await publish_on_loopback(world, "web")
    async with stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nconnection: close\r\n\r\n")
        got = answer(await read_all(stream))
    headers = dict(got.json()["headers"])
    assert (headers["x-forwarded-proto"], headers["fly-forwarded-port"]) == ("https", "443")
    assert headers["x-forwarded-for"] == f"127.0.0.1, {SHARED}"


HOSTS = {
    "127.0.0.1:8080": 200,
    "localhost": 200,
    "LOCALHOST.:8080": 200,
    "web.localhost:8080": 200,
    "web.fly.dev": 200,
    "evil.example:8080": 421,
    "127.0.0.1.evil.example": 421,
    "notlocalhost": 421,
    "evilfly.dev": 421,
    "10.0.0.1": 421,
    "[::ffff:127.0.0.1]": 421,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items(), ids=HOSTS)
async def test_published_port_is_for_its_own_names(world: World, host: str, status: int) -> None:
    """A page of a stranger whose name leads to 127.0.0.1 gets nothing (DNS rebinding)."""
    await share(world)
    for line in (f"GET / HTTP/1.1\r\nhost: {host}", f"GET http://{host}/ HTTP/1.1\r\nhost: localhost"):
        stream = await publish_on_loopback(world, "web")
        async with stream:
            await stream.send_all(f"{line}\r\nconnection: close\r\n\r\n".encode())
            got = answer(await read_all(stream))
        assert got.status == status
        assert (b"expected the host localhost" in got.body) == (status == 421)


async def test_any_name_is_fine_at_the_app_s_own_address(world: World) -> None:
    await world.publish(whoami)
    assert (await world.get("host: evil.example")).status == 200


@pytest.mark.parametrize("app", ["bare", "nobody"])
async def test_app_without_public_ip_is_not_published(world: World, app: str) -> None:
    await world.publish(whoami)
    stream = await publish_on_loopback(world, app)
    async with stream:
        assert await read_all(stream) == b""
    assert world.logged[-1]["app"] == app


async def test_range_is_closed_again(world: World) -> None:
    machine = await world.publish(whoami)
    world.put(replace(machine, state="destroyed"))
    with pytest.raises(OSError, match="all attempts to connect"):
        await world.connect()
