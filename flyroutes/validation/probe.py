"""Tries addresses from where it runs, and prints what happened.

Sent as text into Machines: Python 3.10 or later with its standard library only, and every import that
few probes need is made where they need it, because hundreds of Machines may run this at once.

argv[1] is a JSON list of probes, the output a JSON list of answers in that order:
  {"how": "http" | "https" | "tcp" | "udp" | "udp6", "host", "port", "path"?, "patience"?}
  {"how": "dns", "host": name, "type": "A" | "AAAA" | "TXT"}    asks the first resolver of /etc/resolv.conf
  {"how": "look"}                                               sockets, names and variables of this place
  -> {"outcome", "detail", "address", "seconds"}
Outcomes: ok, no address, refused, closed, timeout, unreachable, not ok.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time

TYPE_CHECKING = False  # `typing` itself would cost a tenth of the start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Probe = dict[str, Any]
    Address = tuple[Any, ...]
    Outcome = tuple[str, Any]

PATIENCE = 8.0
"""Seconds for one try over TCP: longer than Fly Proxy waits for a Machine that has just started."""
UDP_PATIENCE = 0.7
"""Seconds for each of three datagrams."""
TYPES = {"A": 1, "TXT": 16, "AAAA": 28}
VARIABLES = ("FLY_APP_NAME", "FLY_MACHINE_ID", "FLY_REGION", "FLY_PRIVATE_IP")
STATES = {"tcp": "0A", "udp": "07"}
"""Of /proc/net: a TCP socket that listens, a UDP socket that is not connected."""


def resolve(probe: Probe) -> Address:
    family = {"udp": socket.AF_INET, "udp6": socket.AF_INET6}.get(probe["how"], socket.AF_UNSPEC)
    return socket.getaddrinfo(probe["host"], probe["port"], family, socket.SOCK_STREAM)[0]


def try_udp(address: Address, probe: Probe) -> Outcome:
    with socket.socket(address[0], socket.SOCK_DGRAM) as sock:
        sock.settimeout(UDP_PATIENCE)
        sock.connect(address[4])
        for _ in range(2):
            try:
                return one_datagram(sock)
            except TimeoutError:  # lost, or sent before the server listened
                pass
        return one_datagram(sock)


def one_datagram(sock: socket.socket) -> Outcome:
    sock.send(b"ping")
    answer = sock.recv(100)
    return ("ok", "echoed") if answer == b"ping" else ("not ok", repr(answer))


def try_tcp(address: Address, probe: Probe) -> Outcome:
    with socket.socket(address[0], socket.SOCK_STREAM) as sock:
        sock.settimeout(probe.get("patience", PATIENCE))
        sock.connect(address[4])
        if probe["how"] == "https":
            import ssl

            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=probe["host"])
        if probe["how"] == "tcp":
            sock.sendall(b"ping\n")
            answer = sock.recv(100)
            return ("ok", "echoed") if answer == b"ping\n" else ("closed", repr(answer))
        path = probe.get("path", "/healthz")
        host = f"[{probe['host']}]" if ":" in probe["host"] else probe["host"]
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = sock.recv(100).split(b"\r\n")[0].decode(errors="replace")
        if not status:
            return "closed", "no answer"
        return ("ok" if " 200" in status else "not ok"), status


def connect(probe: Probe, found: Probe) -> Outcome:
    address = resolve(probe)
    found["address"] = address[4][0]
    return (try_udp if probe["how"].startswith("udp") else try_tcp)(address, probe)


def nameservers() -> list[str]:
    with open("/etc/resolv.conf") as file:
        words = [line.split() for line in file]
    return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]


def ask_dns(probe: Probe, found: Probe) -> Outcome:
    """RFC 1035: one question over UDP, again over TCP when the answer was cut (section 4.2)."""
    server = found["address"] = (nameservers() or ["127.0.0.1"])[0]  # resolv.conf(5)
    # Of a link-local address the interface after the % counts too.
    found_at = socket.getaddrinfo(server, 53, 0, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)
    family, _, _, _, address = found_at[0]
    name = b"".join(bytes([len(part)]) + part.encode() for part in probe["host"].split(".")) + b"\0"
    query = struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + name
    query += struct.pack("!2H", TYPES[probe["type"]], 1)
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect(address)
        sock.send(query)
        try:
            packet = sock.recv(65535)
        except TimeoutError:
            sock.send(query)
            packet = sock.recv(65535)
    if packet[2] & 2:
        packet = ask_over_tcp(family, address, query)
    values = sorted(records(packet, TYPES[probe["type"]]))
    return ("ok" if values else "no address"), values


def ask_over_tcp(family: int, address: Address, query: bytes) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(4)
        sock.connect(address)
        sock.sendall(struct.pack("!H", len(query)) + query)
        with sock.makefile("rb") as file:
            return file.read(struct.unpack("!H", file.read(2))[0])


def records(packet: bytes, wanted: int) -> Iterator[str]:
    place = skip_name(packet, 12) + 4
    for _ in range(struct.unpack("!H", packet[6:8])[0]):
        place = skip_name(packet, place)
        kind, _, _, length = struct.unpack("!HHIH", packet[place : place + 10])
        data = packet[place + 10 : place + 10 + length]
        place += 10 + length
        if kind == wanted == 16:
            yield text_of(data)
        elif kind == wanted:
            yield socket.inet_ntop(socket.AF_INET6 if kind == 28 else socket.AF_INET, data)


def skip_name(packet: bytes, place: int) -> int:
    while packet[place]:
        if packet[place] >= 0xC0:
            return place + 2
        place += packet[place] + 1
    return place + 1


def text_of(data: bytes) -> str:
    parts = []
    while data:
        parts.append(data[1 : data[0] + 1])
        data = data[data[0] + 1 :]
    return b"".join(parts).decode(errors="replace")


def look(probe: Probe, found: Probe) -> Outcome:
    with open("/etc/hosts") as file:
        lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
    sockets = [[kind, *one] for kind in ("tcp", "udp") for one in listeners(kind)]
    with open("/proc/net/if_inet6") as file:
        addresses = [address_of(line.split()[0], big=True) for line in file]
    return "ok", {
        "sockets": sorted(sockets),
        "hosts": {name: line[0] for line in lines for name in line[1:]},
        "nameservers": nameservers(),
        "addresses": sorted(addresses),
        "env": {name: os.environ.get(name, "") for name in VARIABLES},
    }


def listeners(kind: str) -> Iterator[tuple[str, int]]:
    for file_name in (kind, kind + "6"):
        with open("/proc/net/" + file_name) as file:
            for line in file.readlines()[1:]:
                local, _, state = line.split()[1:4]
                if state == STATES[kind]:
                    address, _, port = local.partition(":")
                    yield address_of(address), int(port, 16)


def address_of(text: str, big: bool = False) -> str:
    """/proc/net has each 32-bit word of an address in the byte order of the machine."""
    words = [text[start : start + 8] for start in range(0, len(text), 8)]
    raw = b"".join(bytes.fromhex(word) if big else bytes.fromhex(word)[::-1] for word in words)
    return socket.inet_ntop(socket.AF_INET6 if len(raw) == 16 else socket.AF_INET, raw)


ACTIONS = {"dns": ask_dns, "look": look}


def attempt(probe: Probe, found: Probe) -> Outcome:
    try:
        return ACTIONS.get(probe["how"], connect)(probe, found)
    except socket.gaierror as error:
        return "no address", str(error)
    except ConnectionRefusedError as error:
        return "refused", str(error)
    except TimeoutError as error:
        return "timeout", str(error)
    except ConnectionError as error:
        return "closed", str(error)
    except OSError as error:
        # An ssl.SSLError is an OSError too; it is told by its module, which few runs import.
        outcome = "closed" if type(error).__module__ == "ssl" else "unreachable"
        return outcome, str(error)
    except (IndexError, struct.error, ValueError) as error:
        return "not ok", f"no readable answer: {error!r}"


def run(probe: Probe) -> Probe:
    found: Probe = {"address": ""}
    began = time.perf_counter()
    found["outcome"], found["detail"] = attempt(probe, found)
    found["seconds"] = time.perf_counter() - began
    return found


def main() -> None:
    probes = json.loads(sys.argv[1])
    if len(probes) == 1:
        answers = [run(probes[0])]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(probes)) as pool:
            answers = list(pool.map(run, probes))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
