"""fly-python-sdk makes, reads, clones and destroys Machines: fly_sdk.py APP IMAGE."""

import asyncio  # noqa: TID251  (the client is one of asyncio)
import json
import os
import sys
from typing import Any

from fly_python_sdk.fly import Fly
from fly_python_sdk.models.machine import FlyMachine, FlyMachineConfig

APP, IMAGE = sys.argv[1:]


async def main() -> dict[str, Any]:
    """What it read."""
    organization = Fly(os.environ["FLY_API_TOKEN"]).Org(os.environ.get("FLY_ORG", "personal"))
    await organization.create_app(app_name=APP)
    app = organization.App(APP)
    sent = FlyMachine(name="one", region="ams", config=FlyMachineConfig(image=IMAGE, env={"A": "1"}))
    made = await app.create_machine(sent)
    machine = app.Machine(made.id)
    clone = await machine.clone(name="two")
    events = await machine.get_events()
    listed = await app.list_machines()
    config = (await machine.inspect()).config.model_dump(exclude_none=True)
    await app.delete()
    return {
        "made": [made.name, made.state, made.region],
        "clone": [clone.name, clone.state, clone.region],
        "config": config,
        "digest": made.image_ref.digest,
        "events": [event.type for event in events],
        "listed": sorted(one.name for one in listed),
    }


print(json.dumps(asyncio.run(main())))
