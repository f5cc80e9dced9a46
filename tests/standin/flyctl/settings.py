"""What flyctl takes from its environment where no flag says it (internal/config/config.go, internal/env).

FLY_REGION, FLY_VERBOSE and FLY_LOCAL_ONLY are read there too, and no command of the stand-in looks at them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import store
from argv import COMMANDS, Refused

if TYPE_CHECKING:
    from argv import Call

OF_A_NETWORK = ("apps list", "apps create")
"""Commands that a token of one app may not give (seen of `apps list`: simonw/datasette.io#188)."""


def apply(call: Call) -> None:
    """Turn variables into the flags that they stand for (config.go:155, JSONOutput)."""
    if "json" in COMMANDS[call.command]["flags"] and "json" not in call.flags and is_truthy("FLY_JSON"):
        call.flags["json"] = True


def first(*names: str) -> str:
    """The first variable that is present, even if it is empty (env.go:12 FirstOrDefault)."""
    return next((os.environ[name] for name in names if name in os.environ), "")


def is_truthy(name: str) -> bool:
    """internal/env/env.go:29 IsTruthy."""
    return os.environ.get(name, "").lower() in ("1", "ok", "t", "true")


def token(call: Call) -> str:
    """The network's token for the one that flyctl would use: the flag's, the environment's, the login's.

    The environment's counts unless it is empty, however old it is (config.go:150). Refused without any.
    """
    state = store.read()
    login = state["token"] if state["login"] else ""
    given = str(call.flags.get("access-token") or first("FLY_ACCESS_TOKEN", "FLY_API_TOKEN") or login)
    if not given:
        raise Refused("no access token available. Please login with 'flyctl auth login'")
    if given in state["app_tokens"]:
        if call.command in OF_A_NETWORK:
            raise Refused("Not authorized")
        return str(state["token"])
    return given


def organization(call: Call) -> str:
    """-o, else FLY_ORG; empty without (internal/flag/context.go:139 GetOrg)."""
    return _known(str(call.flags.get("org") or os.environ.get("FLY_ORG", "")))


def chosen_organization(call: Call) -> str:
    """-o, else FLY_ORG or FLY_ORGANIZATION, else the only one (config.go:159, prompt/prompt.go:248 Org)."""
    slug = _known(str(call.flags.get("org") or first("FLY_ORG", "FLY_ORGANIZATION")))
    if slug:
        return slug
    orgs: dict[str, str] = store.read()["orgs"]
    if list(orgs) != ["personal"]:
        raise Refused("org slug must be specified when not running interactively")
    print(f"automatically selected personal organization: {orgs['personal']}", file=sys.stderr)
    return "personal"


def _known(slug: str) -> str:
    if slug and slug not in store.read()["orgs"]:
        raise Refused(f"organization {slug} not found")
    return slug
