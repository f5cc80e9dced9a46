"""What Machines and peers find in /etc instead of the host's files."""

from __future__ import annotations

from pathlib import Path

from flyroutes.local.kernel import root
from flyroutes.local.kernel.namespaces import step
from flyroutes.platform.boot import resolv_conf

_BUNDLES = (root.CERTIFICATES, "/etc/pki/tls/certs/ca-bundle.crt")
"""Where Debian's and Fedora's programs look for authorities."""


def build() -> None:
    """Move into a file system with an /etc of our own; HostError when the kernel refuses a mount."""
    with step(
        "build a file system for Machines", "in a container, add --security-opt systempaths=unconfined"
    ):
        root.build(_etc())


def trust(authority: bytes) -> None:
    """Let programs trust the authority (PEM) beside those that the host trusts."""
    for name in _BUNDLES:
        with open(name, "ab") as file:
            file.write(authority)
    from flyroutes.local.kernel import java  # its library is large, and Machines are forks of who reads this

    with step("lay the local authority over what Java trusts", "unset JAVA_HOME"):
        java.trust(Path(root.CERTIFICATES).read_bytes())


def _etc() -> root.Tree:
    debian, fedora = (Path(name).read_bytes() if Path(name).exists() else b"" for name in _BUNDLES)
    return {
        "hosts": b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
        "resolv.conf": resolv_conf().encode(),
        # Names come from /etc/hosts and DNS alone: no mDNS, no resolver daemon of the host.
        "nsswitch.conf": b"passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n",
        "ssl": {"certs": {"ca-certificates.crt": debian}},
        "pki": {"tls": {"certs": {"ca-bundle.crt": fedora}}},
    }
