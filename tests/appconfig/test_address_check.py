"""Services against addresses. Sources: docs networking/app-services, flycast, udp-and-tcp, services."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from flyroutes.appconfig import check_ips
from flyroutes.platform.model import IP, IPType

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyroutes.appconfig import AppConfig

    Read = Callable[..., AppConfig]

NONE = ""
HTTP = "[http_service]\ninternal_port = 8080\nforce_https = {force}\n"
PORT = (
    '[[services]]\nprotocol = "{0}"\ninternal_port = 5000\n[[services.ports]]\nport = 5000\nhandlers = {1}\n'
)
PUBLIC, FORCED = HTTP.format(force="false"), HTTP.format(force="true")
UDP, RAW, TLS = PORT.format("udp", []), PORT.format("tcp", []), PORT.format("tcp", ["tls"])
PLAIN = PORT.format("tcp", ["http"])
SELF_SIGNED = "tls_options = { default_self_signed = true }\n"

# sentence: (file, types of the app's addresses, part of the one warning; empty: none)
CASES: dict[str, tuple[str, str, str]] = {
    "public app": (FORCED, "v6 shared_v4", ""),
    "Flycast app": (PLAIN, "private_v6", ""),
    "6PN app": (NONE, "", ""),
    "UDP app": (UDP, "v4", ""),
    "UDP app with both families": (UDP + RAW, "v4 v6", ""),
    "Flycast app that redirects": (FORCED, "private_v6", "no certificate there; remove force_https"),
    "Flycast app that is public": (PLAIN, "private_v6 v6", "a public one (v6), so the whole internet"),
    "Flycast app with TLS alone": (TLS, "private_v6", "only tls ports"),
    "Flycast app that signs for itself": (TLS + SELF_SIGNED, "private_v6", ""),
    "Flycast app with TLS and plain": (PUBLIC, "private_v6", ""),
    "services without address": (PUBLIC, "", "no IP address, so only fly-replay"),
    "address without services": (NONE, "v6", "no service"),
    "UDP on a shared address": (UDP, "shared_v4", "no dedicated v4"),
    "UDP on IPv6": (UDP, "v6", "no dedicated v4"),
    "UDP without any address": (UDP, "", "no IP address"),
    "raw TCP on a shared address": (RAW, "v6 shared_v4", "raw TCP on port 5000"),
    "TLS on a shared address": (TLS, "v6 shared_v4", ""),
}


@pytest.mark.fact("validation.udp-dedicated", "validation.flycast-https")
@pytest.mark.parametrize(("text", "types", "part"), CASES.values(), ids=CASES)
def test_services_against_addresses(read: Read, text: str, types: str, part: str) -> None:
    ips = [IP("2001:db8::1", kind) for kind in get_args(IPType) if kind in types.split()]
    assert len(ips) == len(types.split())
    warnings = check_ips(read(text), ips)
    assert len(warnings) == bool(part)
    assert all(part in warning and warning.startswith("web: ") for warning in warnings)
