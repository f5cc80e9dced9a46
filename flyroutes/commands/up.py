"""`flyroutes up`: boot, check every route, show the table, follow the logs."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyroutes.commands.targets import reference_files
from flyroutes.errors import ConfigError, HostError
from flyroutes.local import channel
from flyroutes.local.host.app_files import read_apps
from flyroutes.local.host.door import hand_over, open_door
from flyroutes.local.host.world import World
from flyroutes.local.settings import Settings
from flyroutes.text import printable, say

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from flyroutes.appconfig import AppConfig


def define(parser: ArgumentParser) -> None:
    """Add the verb's options to its parser."""
    parser.description = "Boot apps, check every route, then follow the logs. Ctrl-C ends it all."
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="fly.toml files (default: the four in fly/)"
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="port on this host's loopback for the first public app"
    )
    parser.add_argument(
        "--cross-network-replays",
        action="store_true",
        help="let fly-replay reach apps on other networks, as `fly orgs cross-network-replays enable` does",
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_000):
        raise ArgumentTypeError(f"expected a port from 0 to 65000, got {text!r}")
    return int(text)


def act(options: Namespace) -> int:
    """Run until Ctrl-C (status 0) or until the network ends by itself (status 1)."""
    began = time.perf_counter()
    apps = read_apps(options.files or reference_files())
    published = _publish(apps, options.port)
    listener = open_door()
    _say(f"booting {len(apps)} app{'s' if len(apps) != 1 else ''}: {', '.join(app.app for app in apps)}")
    try:
        with World(Settings(apps, published, options.cross_network_replays)) as world:
            from flyroutes.validation import checking  # its libraries are read while the network starts

            door = world.wait_ready(_show_log)
            _say(f"network ready after {time.perf_counter() - began:.2f} s; checking the routes")
            _say(f"\n{checking.table(checking.look(door, apps))}\n")
            _say(f"all checks done after {time.perf_counter() - began:.2f} s")
            for app, sock in published.items():
                _say(f"{app}: http://127.0.0.1:{sock.getsockname()[1]}/")
            program = os.environ.get("FLYROUTES_PROGRAM", "flyroutes")
            _say(f"join it from another terminal: {program} run -- CMD...   Ctrl-C ends it all; logs follow")
            return _follow(world, listener)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 0
    finally:
        listener.close()


def _say(text: str) -> None:
    say(printable(text, kept="\t\n"), sys.stdout)


def _publish(apps: Sequence[AppConfig], port: int) -> dict[str, socket.socket]:
    """A listening socket on the host's loopback for each app that the public can reach over HTTP."""
    published: dict[str, socket.socket] = {}
    for app in apps:
        entries = [entry for service in app.every_service for entry in service.ports]
        if any("tls" in entry.handlers and "http" in entry.handlers for entry in entries):
            published[app.app] = _listen(port and port + len(published))
    return published


def _listen(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as error:
        raise ConfigError(
            f"cannot listen on 127.0.0.1:{port} ({error}): give another one with --port"
        ) from error
    sock.listen(1024)
    return sock


def _follow(world: World, listener: socket.socket) -> int:
    while True:
        readable, _, _ = select.select([world.channel, listener], [], [])
        if listener in readable:
            hand_over(listener, lambda region: world.door_in(region, _show_log))
        if world.channel in readable:
            event, _files = channel.receive(world.channel)
            if event is None:
                raise HostError("the local network ended by itself; its last words are above")
            if "log" in event:
                _show_log(event["log"])


def _show_log(log: dict[str, Any]) -> None:
    """One line, as `fly logs` prints them: time, source, region, level, message, further fields."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(log.pop("time")))
    words = [
        stamp,
        log.pop("source"),
        log.pop("region", ""),
        f"[{log.pop('level', 'info')}]",
        log.pop("message"),
    ]
    words.append(json.dumps(log) if log else "")
    _say(" ".join(word for word in words if word))
