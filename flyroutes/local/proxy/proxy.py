"""The proxy's listening sockets; what each connection that they accept is given to is `port_handlers`."""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import TYPE_CHECKING

import trio

from flyroutes.local.proxy.balancer import Balancer
from flyroutes.local.proxy.clientside.connection import ClientConnection
from flyroutes.local.proxy.common import Shared
from flyroutes.local.proxy.failure import Failure
from flyroutes.local.proxy.port_handlers import PortHandlers
from flyroutes.local.proxy.replay.replayer import Replayer
from flyroutes.local.proxy.tcp import hang_up
from flyroutes.platform.net.whereabouts import region_of
from flyroutes.platform.proxy.routing import listeners

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flyroutes.local.authority import Authority
    from flyroutes.platform.model import Platform
    from flyroutes.platform.net.distance import Edges

BACKLOG = 2048
_RESOURCE_ERRNOS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Proxy:
    """The Fly Proxy of one local network.

    `snapshot()` is the platform now. `start_machine(id)` starts a stopped Machine and returns when the
    snapshot no longer says stopped. `log("proxy", message, **fields)` gets one line per failure;
    `code` is Fly's error code (docs monitoring/error-codes), empty where Fly has none. In `edges` it notes
    from where it dials, while packets take their time.
    """

    def __init__(
        self,
        snapshot: Callable[[], Platform],
        start_machine: Callable[[str], Awaitable[None]],
        authority: Authority,
        log: Callable[..., None],
        edges: Edges | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._log = partial(log, "proxy")
        self._balancer = Balancer(start_machine, {} if edges is None else edges)
        replayer = Replayer(snapshot, self._log)
        shared = Shared(snapshot, self._balancer, replayer, self._log)
        self._handlers = PortHandlers(shared, authority)
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        self._serving: set[ClientConnection] = set()
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; it is ready for `update` once started."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._balancer.run)
                self._nursery = nursery
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            for key in list(self._listeners):
                self._stop_listening(key)

    def let_go(self, platform: Platform) -> None:
        """End connections to addresses that no app of `platform` has; call it while they still are ours.

        Those too that nobody has accepted yet: what the kernel says when a listener closes has to arrive.
        """
        kept = {ip.address for app in platform.apps.values() for ip in app.ips}
        for key in [key for key in self._listeners if key[0] not in kept]:
            self._stop_listening(key)
        for connection in self._serving:
            if connection.address not in kept and isinstance(connection.stream, trio.SocketStream):
                hang_up(connection.stream)

    def update(self, platform: Platform) -> None:
        """Listen where `platform` says, and nowhere else. Connections already accepted go on."""
        wanted = listeners(platform)
        for key in self._listeners.keys() - wanted:
            self._stop_listening(key)
        for key in sorted(wanted - self._listeners.keys()):
            self._listen(key)
        self._balancer.changed(platform)

    @property
    def loads(self) -> Mapping[tuple[str, int], int]:
        """How much each service of a Machine is handling now, by Machine ID and `internal_port`."""
        return self._balancer.loads

    def recent_traffic(self, seconds: float) -> set[str]:
        """The Machines that were given a connection or request in the last `seconds`."""
        since = trio.current_time() - seconds
        return {machine for machine, at in self._balancer.given.items() if at >= since}

    async def serve_published(self, stream: trio.SocketStream, app_name: str) -> None:
        """Serve a connection from the host's loopback as if it had come to the app's port 443 over TLS."""
        platform = self._snapshot()
        app = platform.apps.get(app_name)
        public = [ip.address for ip in app.ips if ip.type != "private_v6"] if app else []
        if not public:
            self._log(f"{app_name!r} has no public IP to be published on", code="", app=app_name)
            return await trio.aclose_forcefully(stream)
        source = stream.socket.getpeername()[:2]
        name = f"{app_name}.fly.dev"
        connection = ClientConnection(
            stream, source, public[0], 443, secure=True, name=name, published=True, edge=platform.edge
        )
        self._serving.add(connection)
        await self._serve(connection)

    def _listen(self, key: tuple[str, int]) -> None:
        assert self._nursery is not None, "Proxy.update before Proxy.run"
        try:
            listener = _bind(key)
        except OSError as error:
            return self._log(f"cannot listen: {error.strerror}", code="", address=key[0], port=key[1])
        self._listeners[key] = listener
        self._nursery.start_soon(self._accept, listener, key)

    def _stop_listening(self, key: tuple[str, int]) -> None:
        listener = self._listeners.pop(key)
        trio.lowlevel.notify_closing(listener)
        listener.close()

    async def _accept(self, listener: socket.socket, key: tuple[str, int]) -> None:
        """Accept until the listener closes. A connection is known from the moment on that it is accepted.

        That is why Trio does not accept it: it would let other tasks run before it hands it over.
        """
        assert self._nursery is not None
        while self._listeners.get(key) is listener:
            try:
                await trio.lowlevel.wait_readable(listener)
                accepted, source = listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno in _RESOURCE_ERRNOS:
                    self._log(f"cannot accept: {error.strerror}", code="", address=key[0], port=key[1])
                    await trio.sleep(0.1)
                continue
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
            edge = region_of(source[0], self._snapshot())
            connection = ClientConnection(stream, source[:2], *key, edge=edge)
            self._serving.add(connection)
            self._nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: ClientConnection) -> None:
        """Nothing that happens to one connection reaches another."""
        try:
            await self._handlers.serve(connection)
        except Failure as failure:
            self._log(failure.reason, code=failure.code, **connection.fields)
        except Exception as error:
            self._log(f"internal error: {error!r}", code="", **connection.fields)
        finally:
            self._serving.discard(connection)
            await trio.aclose_forcefully(connection.stream)


def _bind(key: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in key[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: that is how clients that vanished are found out.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(key)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
