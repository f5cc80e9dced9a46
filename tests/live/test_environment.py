"""The environment that tests bring up is one that works, and is gone when it is taken down."""

from __future__ import annotations

import json
import os

from flyroutes.reference import CLIENT, ELSEWHERE, FLYCAST, PUBLIC, Environment
from flyroutes.validation.places import Place
from flyroutes.validation.routes import TABLE
from tests.support.environment import standing
from tests.support.patience import ImpatientFly


async def test_what_is_brought_up_serves_and_is_taken_down_again() -> None:
    environment = Environment(prefix="t-maker", network="t-maker")
    async with ImpatientFly.from_environment(os.environ) as fly:
        before = await fly.apps()
        async with standing(fly, environment):
            places = {}
            for role in (CLIENT, ELSEWHERE):
                (machine,) = await fly.machines(environment.app(role))
                places[role] = Place(fly, environment.app(role), machine.id)
            flycast = TABLE["flycast http"].probe(environment.app(FLYCAST))
            found = {role: (await place.probe([flycast]))[0].outcome for role, place in places.items()}
            reach = ["curl", "-sS", f"https://{environment.app(PUBLIC)}.fly.dev/reach"]
            siblings = json.loads((await places[CLIENT].run(reach)).stdout)["routes"]
        after = await fly.apps()
    assert found == {CLIENT: "ok", ELSEWHERE: "no address"}
    assert [one["ok"] for one in siblings] == [True, True, True], siblings
    assert before == after
