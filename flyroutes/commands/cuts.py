"""`flyroutes cut`, `heal` and `delay`: breaking the network that is up, and mending it again."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from flyroutes.errors import HostError, PlatformError
from flyroutes.local.host.door import knock

_PATH = "/local/v1/faults"
_SECONDS = 10


def cut(kind: str, name: str) -> int:
    """Cut off a `machine`, `region` or `network`; what is cut already stays so."""
    faults = _ask("GET")
    key = f"{kind}s"
    return _show(_ask("PUT", {**faults, key: sorted({*faults[key], name})}))


def heal() -> int:
    """Cut nothing off any more."""
    return _show(_ask("PUT", {"delay": _ask("GET")["delay"]}))


def delay(on: bool) -> int:
    """Let packets between regions take their time, or no longer."""
    return _show(_ask("PUT", {**_ask("GET"), "delay": on}))


def _show(faults: dict[str, Any]) -> int:
    """Say what is broken now; the exit status."""
    kinds = ("machines", "regions", "networks")
    cut_off = [f"{kind[:-1]} {name}" for kind in kinds for name in faults[kind]]
    switch = "on" if faults["delay"] else "off"
    print(f"cut off: {', '.join(cut_off) or 'nothing'}; delay between regions: {switch}")
    return 0


def _ask(method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One call: behind the door of the network that is up, or to the network that this runs on."""
    if door := knock():
        status, answer = door.call_inside(lambda: _call(method, body))
    elif "FLYROUTES_INSIDE" in os.environ:
        status, answer = _call(method, body)
    else:
        raise HostError("no local network is up: start one with `flyroutes up` in another terminal")
    if status != 200:
        raise PlatformError(str(answer.get("error", answer)), status)
    return answer


def _call(method: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {os.environ['FLY_API_TOKEN']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(os.environ["FLY_FLAPS_BASE_URL"] + _PATH, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the user's proxy knows no 6PN
    try:
        with opener.open(request, timeout=_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
    except OSError as error:
        return 0, {"error": f"the local network's API does not answer ({error})"}
