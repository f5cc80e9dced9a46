"""A Fly Proxy on loopback: apps are real servers on 127.0.0.1, their IPs other addresses of 127/8 and ::1.

Everything goes over real sockets; only the platform is a value that the test writes down.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import h11
import trio

from flyroutes.local.authority import Authority
from flyroutes.local.proxy import Proxy
from flyroutes.platform.model import (
    IP,
    App,
    Concurrency,
    Machine,
    MachineConfig,
    Network,
    Platform,
    Port,
    Service,
)
from tests.support.patience import SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Handler = Callable[[trio.SocketStream], Awaitable[None]]

ADDRESS = "127.0.0.9"
SHARED = "127.0.0.10"


@dataclass
class World:
    """The proxy, the platform it sees, and what it logged. `port` is where the app `web` is reached."""

    nursery: trio.Nursery
    authority: Authority = field(default_factory=Authority)
    platform: Platform = field(default_factory=Platform)
    logged: list[dict[str, Any]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    start: Callable[[str], Awaitable[None]] | None = None
    port: int = 0
    address: str = ADDRESS
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def __post_init__(self) -> None:
        self.proxy = Proxy(lambda: self.platform, self._start, self.authority, self._log)

    async def _start(self, machine_id: str) -> None:
        self.started.append(machine_id)
        if self.start:
            await self.start(machine_id)

    def _log(self, source: str, message: str, **fields: Any) -> None:
        self.logged.append({"source": source, "message": message, **fields})

    def moved(self) -> None:
        """Give the test its whole time again, because something has moved: for what takes long anyway."""
        self.scope.deadline = trio.current_time() + SECONDS

    async def until(self, condition: Callable[[], object]) -> None:
        """Return as soon as `condition` holds; the fixture's deadline is the only one."""
        while not condition():
            await trio.sleep(0.001)

    def load(self, machine_id: str) -> int:
        """How many connections or requests the Machine is handling now."""
        return sum(load for (machine, _), load in self.proxy.loads.items() if machine == machine_id)

    def assert_sound(self) -> None:
        """Nothing went wrong in the proxy itself: clients and apps may do anything, and never cause that."""
        assert not [line for line in self.logged if "internal error" in line["message"]]

    def codes(self) -> list[str]:
        """Fly's error codes in the log, in order."""
        return [line["code"] for line in self.logged if "code" in line]

    async def serve(self, handler: Handler) -> int:
        """An app: a server on 127.0.0.1; its port."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def guarded(stream: trio.SocketStream) -> None:
            try:
                async with stream:
                    await handler(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                pass

        self.nursery.start_soon(trio.serve_listeners, guarded, listeners)
        return int(listeners[0].socket.getsockname()[1])

    def machine(self, internal_port: int = 0, id: str = "m1", **changes: Any) -> Machine:
        """A started Machine with one service, of `web` unless `app` is among the `changes`."""
        names = ("handlers", "force_https", "alpn", "proxy_proto_version", "http_options", "tls_versions")
        names += ("default_self_signed",)
        port = Port(self.port, self.port, **{"handlers": ("http",), **_take(changes, *names)})
        service = Service(
            "tcp", internal_port, (port,), **_take(changes, "concurrency", "checks", "autostart")
        )
        config = MachineConfig(services=(service,))
        base = Machine(id, id, "web", "iad", 0, "fdaa:0:18::2", "127.0.0.1", "", "", config, state="started")
        return replace(base, **changes)

    def put(
        self,
        *machines: Machine,
        ips: tuple[IP, ...] = (),
        networks: Mapping[str, str] | None = None,
        cross_network_replays: bool = False,
    ) -> None:
        """Make these all Machines there are. The app `web` has `ips`, the others none.

        `networks` is for apps that are not on the default one.
        """
        where = networks or {}
        names = ("bare", *(machine.app for machine in machines))
        apps = {name: App(name, where.get(name, "default")) for name in names}
        web = App("web", ips=ips or (IP(self.address, "v6" if ":" in self.address else "v4"),))
        self.platform = Platform(
            networks={"default": Network("default", 0x18), "other": Network("other", 0x19)},
            apps={**apps, "web": web},
            machines={machine.id: machine for machine in machines},
            cross_network_replays=cross_network_replays,
        )
        self.proxy.let_go(self.platform)
        self.proxy.update(self.platform)

    async def publish(self, handler: Handler, **changes: Any) -> Machine:
        """Serve `handler` as the only Machine of `web`."""
        machine = self.machine(await self.serve(handler), **changes)
        self.put(machine)
        return machine

    async def connect(self, address: str = "", port: int = 0) -> trio.SocketStream:
        """A client's connection to the proxy."""
        return await trio.open_tcp_stream(address or self.address, port or self.port)

    async def ask(self, *sent: bytes, address: str = "", port: int = 0) -> bytes:
        """Send these bytes and read until the proxy closes."""
        stream = await self.connect(address, port)
        async with stream:
            for data in sent:
                await stream.send_all(data)
            return await read_all(stream)

    async def get(self, *headers: str, target: str = "/", **where: Any) -> Answer:
        """GET over one connection, as `web.fly.dev` unless a header says otherwise."""
        named = any(header.lower().startswith("host:") for header in headers)
        lines = [f"GET {target} HTTP/1.1", *([] if named else ["host: web.fly.dev"]), *headers]
        return answer(await self.ask("\r\n".join([*lines, "connection: close", "", ""]).encode(), **where))

    def trust(self, *alpn: str) -> ssl.SSLContext:
        """A client's TLS context that trusts the local authority alone."""
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    async def connect_tls(
        self, name: str | None = "web.fly.dev", context: ssl.SSLContext | None = None, **where: Any
    ) -> trio.SSLStream[trio.SocketStream]:
        """A client's connection with its TLS handshake done."""
        stream = trio.SSLStream(
            await self.connect(**where), context or self.trust(), server_hostname=name, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream


@dataclass
class Answer:
    """An HTTP/1.1 response taken apart by h11."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer(data: bytes, method: str = "GET") -> Answer:
    """The first final response in `data`."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    while not isinstance(event := client.next_event(), h11.Response):
        assert isinstance(event, h11.InformationalResponse), (event, data)
    headers = {name.decode(): value.decode() for name, value in event.headers}
    body = b""
    while isinstance(part := client.next_event(), h11.Data):
        body += bytes(part.data)
    return Answer(event.status_code, headers, body)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the other side is done."""
    data = b""
    while more := await stream.receive_some(65536):
        data += bytes(more)
    return data


async def whoami(stream: trio.SocketStream) -> None:
    """An app: says what it saw as JSON, request after request."""
    await Scripted()(stream)


Seen = dict[str, Any]


class Scripted:
    """An app: keeps what it saw; answers with the whole response that `script` gives, else like `whoami`."""

    def __init__(self, script: Callable[[Seen], bytes | None] = lambda seen: None, name: str = "") -> None:
        self.script = script
        self.name = name
        self.seen: list[Seen] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        while isinstance(request := await next_event(http, stream), h11.Request):
            seen = {"app": self.name, **await _read_request(request, http, stream)}
            self.seen.append(seen)
            if response := self.script(seen):
                return await stream.send_all(response)
            await reply(http, stream, json.dumps(seen).encode(), request.method == b"HEAD")
            if http.our_state is not h11.DONE:
                return
            http.start_next_cycle()


async def _read_request(request: h11.Request, http: h11.Connection, stream: trio.SocketStream) -> Seen:
    digest, length = hashlib.sha256(), 0
    while isinstance(part := await next_event(http, stream), h11.Data):
        digest.update(part.data)
        length += len(part.data)
    return {
        "method": request.method.decode(),
        "target": request.target.decode(),
        "headers": [(name.decode(), value.decode("latin-1")) for name, value in request.headers],
        "length": length,
        "sha256": digest.hexdigest(),
        "peer": stream.socket.getpeername()[1],
    }


def replay(order: str, *headers: str) -> bytes:
    """A response that has its request replayed."""
    lines = ("HTTP/1.1 307 Temporary Redirect", f"fly-replay: {order}", *headers, "content-length: 0", "", "")
    return "\r\n".join(lines).encode()


def replay_json(order: Any) -> bytes:
    """The same with the order in the body."""
    body = json.dumps(order).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.fly.replay+json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def reply(http: h11.Connection, stream: trio.SocketStream, body: bytes, bodiless: bool = False) -> None:
    """Send a whole 200; with the length of `body` alone when it answers HEAD."""
    data = http.send(h11.Response(status_code=200, headers=[("content-length", str(len(body)))])) or b""
    if not bodiless:
        data += http.send(h11.Data(body)) or b""
    await stream.send_all(data + (http.send(h11.EndOfMessage()) or b""))


async def next_event(http: h11.Connection, stream: trio.abc.ReceiveStream) -> Any:
    """The next HTTP event, waiting for it."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(bytes(await stream.receive_some(65536)))
    return event


def canned(response: bytes) -> Handler:
    """An app that reads a request's head, says `response` and closes."""

    async def handler(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some(65536)
        await stream.send_all(response)

    return handler


def free_port(address: str) -> int:
    """A port nobody listens on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _take(changes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: changes.pop(name) for name in names if name in changes}


REQUESTS = Concurrency("requests")
