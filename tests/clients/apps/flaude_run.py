"""flaude runs a program that ends with a status, and says how that ended: flaude_run.py APP STATUS."""

import asyncio  # noqa: TID251  (the client is one of asyncio)
import json
import sys
from typing import Any

import flaude.machine
from flaude.machine_config import MachineConfig
from flaude.runner import MachineExitError, run_and_destroy

APP, STATUS = sys.argv[1:]
build = flaude.machine.build_machine_config


def with_program(config: MachineConfig) -> dict[str, Any]:
    """What flaude sends; its image, which nobody pulls here, has this program instead of its own."""
    payload: dict[str, Any] = build(config)
    payload["config"]["init"] = {"exec": ["sh", "-c", f"sleep 0.5; exit {STATUS}"]}
    return payload


async def main() -> dict[str, Any]:
    """How it ended, as flaude tells its caller."""
    config = MachineConfig(claude_code_oauth_token="none", prompt="none")
    try:
        result = await run_and_destroy(APP, config, wait_timeout=30)
    except MachineExitError as error:
        return {"success": False, "code": error.exit_code, "state": error.state}
    return {"success": True, "code": result.exit_code, "state": result.state}


flaude.machine.build_machine_config = with_program
print(json.dumps(asyncio.run(main())))
