"""A TUN device: packets that are routed to it can be read from a file, and written back (tun.rst)."""

from __future__ import annotations

import fcntl
import os
import struct

_TUNSETIFF, _TUNSETIFINDEX = 0x400454CA, 0x400454DA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


def create(device: str, name: str, index: int) -> int:
    """Make the link `name` with that interface number in this network namespace; the file of its packets.

    `device` is the host's /dev/net/tun. The link goes when the file is closed. Raises OSError.
    """
    fd = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFINDEX, struct.pack("=I", index))
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError:
        os.close(fd)
        raise
    return fd
