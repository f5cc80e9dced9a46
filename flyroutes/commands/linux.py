"""Where a local network can be; apart, so that `flyroutes --help` reads no more than it shows."""

import sys

from flyroutes.errors import HostError


def need_linux() -> None:
    """HostError on a system without namespaces."""
    if sys.platform != "linux":
        raise HostError("the local network needs Linux namespaces; on this system run it in a Linux VM")
