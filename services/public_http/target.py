"""What public_http is told about its siblings, read before anything large is imported."""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple

ADDRESS = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:/@\s]+)):(?P<port>[0-9]{1,5})")


class Target(NamedTuple):
    """Where a sibling is to be found: `host` is a name, or an address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it is written in the configuration."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_address(self) -> bool:
        """Whether `host` is an IP address rather than a name."""
        return ":" in self.host or self.host.replace(".", "").isdigit()


def target(name: str, default: str) -> Target:
    """Return the `host:port` in variable `name`, IPv6 addresses in brackets; exit with status 2 otherwise."""
    text = os.environ.get(name, default)
    match = ADDRESS.fullmatch(text)
    if match and 1 <= int(match["port"]) <= 65_535:
        return Target(match["address"] or match["name"], int(match["port"]))
    print(f"{name}: expected host:port, got {text!r}; unset it for {default}", file=sys.stderr)
    sys.exit(2)


def secret(name: str) -> str | None:
    """Return the secret in variable `name`, None if unset; exit with status 2, not showing it, if it can be
    guessed over the network or holds what a header does not carry unharmed: spaces, or anything but ASCII."""
    text = os.environ.get(name)
    good = len(re.findall("[!-~]", text or ""))
    if text is None or good == len(text) >= 16:
        return text
    got = f"{good} and {len(text) - good}; fly secrets set {name}=$(openssl rand -hex 16)"
    print(f"{name}: expected 16 or more visible ASCII characters and no others, got {got}", file=sys.stderr)
    sys.exit(2)
