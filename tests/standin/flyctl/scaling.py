"""`fly scale count`: flyctl internal/command/scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argv import Refused
from commands import failing, find_app
from deploying import releases
from deployment import managed

if TYPE_CHECKING:
    from argv import Call
    from flyroutes.machines_api.answers import MachineInfo
    from flyroutes.machines_api.client import Fly


async def scale_count(call: Call, fly: Fly) -> None:
    """As many Machines of the group as said, spread over the regions (flyctl count_machines.go)."""
    if not call.arguments:
        raise Refused("requires at least 1 arg(s), only received 0")
    app, flags = await find_app(call, fly), call.flags
    group = flags.get("process-group", "app")
    machines = [one for one in await fly.machines(app.name) if managed(one) and one.process_group == group]
    # Whatever its status: the query does not declare $status, which is sent (fly-go resource_releases.go:6).
    if not releases(app.name):
        raise Refused(
            "this app has no complete releases. Run `fly deploy` to create one and rerun this command"
        )
    if not machines:
        raise Refused(f"Attempting to scale unknown process groups [{group}]")
    current: dict[str, list[MachineInfo]] = {}
    for machine in machines:
        current.setdefault(machine.region, []).append(machine)
    regions = list(dict.fromkeys(filter(None, flags.get("region", "").split(",")))) or list(current)
    counts = {region: len(current.get(region, [])) for region in regions}
    differences = spread(_number(call.arguments[0], len(machines)), counts, flags.get("max-per-region", -1))
    if not differences:
        print("App already scaled to desired state. No need for changes")
        return
    if not flags.get("yes"):
        raise Refused("--yes flag must be specified when not running interactively")
    for region, difference in differences.items():
        await _scale(app.name, region, difference, machines[0], current.get(region, []), fly)


async def _scale(
    app: str, region: str, difference: int, model: MachineInfo, present: list[MachineInfo], fly: Fly
) -> None:
    for machine in present[:-difference] if difference < 0 else ():
        await fly.delete_machine(app, machine.id, force=True)
        print(f"Destroyed {machine.id} in region {region}")
    # count_machines.go:323: no stand-by, whatever the model is; :232: nobody waits for its start.
    config = {key: value for key, value in model.config.items() if key != "standbys"}
    env = {name: value for name, value in (config.get("env") or {}).items() if name != "FLY_STANDBY_FOR"}
    for _ in range(difference):
        with failing("failed to launch VM"):
            created = await fly.create_machine(app, {**config, "env": env}, region=region)
        print(f"Created {created.id} in region {region}")


def _number(word: str, present: int) -> int:
    try:
        number = int(word)
    except ValueError as error:
        raise Refused(f"'{word}' is not a valid process=count option") from error
    return max(0, present + number) if word[0] in "+-" else number


def spread(total: int, counts: dict[str, int], most: int) -> dict[str, int]:
    """Region to how many more (or fewer) it gets, so that these regions together have `total`."""
    if 0 <= most * len(counts) < total:
        raise Refused(
            "the number of regions by the maximum machines per region is fewer than the expected total"
        )
    wanted = {region: min(count, most) if most >= 0 else count for region, count in counts.items()}
    regions, turn = list(counts), 0
    while sum(wanted.values()) < total:
        region = regions[turn % len(regions)]
        wanted[region] += most < 0 or wanted[region] < most
        turn += 1
    turn = 1
    while sum(wanted.values()) > total:
        wanted[regions[turn % len(regions)]] -= wanted[regions[turn % len(regions)]] > 0
        turn += 1
    return {region: wanted[region] - counts[region] for region in regions if wanted[region] != counts[region]}
