"""simt-fly-machines leads a Machine through its life: simt.py APP."""

import contextlib
import json
import os
import sys

from simt_fly_machines.api import API

APP = sys.argv[1]
api = API(os.environ["FLY_API_TOKEN"])
with contextlib.redirect_stdout(sys.stderr):  # it prints what it asks for
    made = api.create(
        APP, "any/thing", ["sleep", "inf"], name="one", env_vars={"A": "1"}, metadata={"role": "x"}
    )
    machine, version = made["id"], made["instance_id"]
    started = api.wait(APP, machine, version, "started")
    listed = [one["name"] for one in api.list(APP, metadata_filter=("role", "x"))]
    ports = [service.get("ports") for service in api.get(APP, machine)["config"]["services"]]
    stopped = api.stop(APP, machine), api.wait(APP, machine, version, "stopped")
    again = api.start(APP, machine)
    destroyed = api.destroy(APP, machine_name="one", force=True)
    told = [made["state"], started["state"], stopped[1]["state"], again["previous_state"], destroyed]
    left = api.list(APP)
print(json.dumps({"told": told, "listed": listed, "ports": ports, "left": left}))
