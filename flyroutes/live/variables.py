"""The environment that flyctl gets: what it needs to run, to be let in and to build; nothing that steers it.

flyctl takes flags out of its environment too: FLY_ORG alone hides the apps of every other organization
(flyctl internal/flag/context.go GetOrg, internal/config/config.go applyEnv, internal/command/command.go
RequireAppName, fly-go client.go setDefaults). The plan names all that it means, so it wants none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS = ("FLY_ACCESS_TOKEN", "FLY_API_TOKEN")
"""In the order in which flyctl looks; either is preferred to a login (internal/config/config.go applyEnv)."""
_TO_RUN = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "TZ", "TERM", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}  # fmt: skip
_IN_CI = {"CI", "CONTINUOUS_INTEGRATION", "BUILD_NUMBER", "RUN_ID"}
"""There flyctl asks nothing and updates nothing (internal/env/env.go IsCI)."""
_WHERE_FLY_IS = {
    "FLY_CONFIG_DIR", "FLY_REGISTRY_HOST", "FLY_API_BASE_URL", "FLY_FLAPS_BASE_URL", "FLY_UIEX_BASE_URL",
    "FLY_METRICS_BASE_URL", "FLY_SYNTHETICS_BASE_URL", "FLY_TRACE_COLLECTOR_URL",
}  # fmt: skip
"""helpers/config.go, internal/config/config.go, internal/uiex/client.go, internal/tracing/tracing.go."""
_CONSENT = {"FLY_SEND_METRICS", "FLY_SYNTHETICS_AGENT", "FLY_NO_INCIDENTS_CHECK"}
"""What the user wants told to Fly, and asked of it."""
_PASSED = {*_TO_RUN, *_IN_CI, *TOKENS, *_WHERE_FLY_IS, *_CONSENT}
_FAMILIES = ("LC_", "XDG_", "DOCKER_", "BUILDKIT_")
"""Languages, and what builds an image; credential helpers of Docker look at XDG_*."""
_SET = {"NO_COLOR": "1", "FLY_NO_UPDATE_CHECK": "1"}


def for_flyctl(env: Mapping[str, str]) -> dict[str, str]:
    """What flyctl gets of `env`. An empty variable is none: so FLY_ACCESS_TOKEN="" hides no FLY_API_TOKEN."""
    passed = {name: value for name, value in env.items() if name in _PASSED or name.startswith(_FAMILIES)}
    return {name: value for name, value in passed.items() if value} | _SET


def token_name(env: Mapping[str, str]) -> str:
    """The variable whose token flyctl uses in place of a login; empty when it uses the login."""
    return next((name for name in TOKENS if env.get(name)), "")


def without_tokens(text: str, env: Mapping[str, str]) -> str:
    """`text` with each token of `env` replaced by its variable's name."""
    for name in TOKENS:
        if token := env.get(name, "").strip():
            text = text.replace(token, f"${name}")
    return text


def renewal(program: str, token: str, organization: str) -> str:
    """How to be let in when the token of that variable does not do; with it set, a login changes nothing."""
    new = f"export {token}=$({program} tokens create org -o {organization} -x 2h)"
    return f"`unset {token}` to use your login, after that `{new}` for another token"
